"""A chapter over a grid of parameters, on dask.distributed; its runs as a book."""

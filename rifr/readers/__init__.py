"""One file a format: each turns the files of a published or private face set into a FacePack."""

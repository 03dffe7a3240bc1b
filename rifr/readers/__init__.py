"""One file per format: each turns the files of a published or private face set into a FacePack."""

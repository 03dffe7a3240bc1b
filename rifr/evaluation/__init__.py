"""Embedders measured: features of faces, protocols with intervals, and the score of any embedder on any faces."""

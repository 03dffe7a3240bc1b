"""Embedders measured: features of faces, protocols with intervals, and the score of any embedder on any faces."""

from rifr.evaluation import metrics, protocols

__all__ = ["metrics", "protocols"]

"""Figures: each a pure function of a table of results, one module a subject."""

from rifr.report.figures import (
    alignment,
    lower_numbers,
    methods,
    moving,
    network,
    recognition,
    scores,
    small_faces,
    soft_targets,
    studies,
    subgroups,
)

__all__ = [
    "alignment",
    "lower_numbers",
    "methods",
    "moving",
    "network",
    "recognition",
    "scores",
    "small_faces",
    "soft_targets",
    "studies",
    "subgroups",
]

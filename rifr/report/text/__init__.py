"""Sentences and tables for reading: each a pure function of results, one module a subject."""

from rifr.report.text import (
    alignment,
    claims,
    findings,
    galleries,
    geometry,
    lower_numbers,
    methods,
    pairs,
    recognition,
    small_faces,
    soft_targets,
    studies,
    subgroups,
    training_step,
    transfer,
)

__all__ = [
    "alignment",
    "claims",
    "findings",
    "galleries",
    "geometry",
    "lower_numbers",
    "methods",
    "pairs",
    "recognition",
    "small_faces",
    "soft_targets",
    "studies",
    "subgroups",
    "training_step",
    "transfer",
]

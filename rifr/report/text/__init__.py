"""Sentences and tables for reading: each a pure function of results, one module a subject."""

from rifr.report.text import alignment, recognition, small_faces, subgroups

__all__ = ["alignment", "recognition", "small_faces", "subgroups"]

"""The paper's protocols: pure functions, embeddings and identities in, a small frozen dataclass of counts out."""

from rifr.evaluation.protocols import identification, open_set, pairs, scface, tinyface, verification

__all__ = ["identification", "open_set", "pairs", "scface", "tinyface", "verification"]

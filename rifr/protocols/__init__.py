"""The paper's protocols: pure functions, embeddings and identities in, a small frozen dataclass of counts out."""

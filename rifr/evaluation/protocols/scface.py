"""Identification as SCface has it: each surveillance photo ranks the people by their mugshots; one distance at a time.

The score of a person is the best cosine between the probe and that person's mugshots (as a rule there is one). A
probe's rank is one more than the number of other people who score at least as high as its own.

The literature has two protocols, and figures compare within one of them alone: all 130 people (650 probes a distance),
or 80 people, the other 50 being tuned on (400 probes a distance, fewer people to be confused with). Print `n` beside
every figure and never put the two in one column.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rifr.evaluation.protocols.embeddings import (
    as_embeddings,
    as_ids,
    computing_dtype,
    refuse_unequal_sizes,
    refuse_unmatched,
    tie_margin,
    unit_rows,
)
from rifr.evaluation.protocols.results import ProbeRanks

__all__ = ["Scface", "evaluate"]


@dataclass(frozen=True)
class Scface(ProbeRanks):
    """The outcome probe by probe.

    Attributes
    ----------
    probe_ids, best_ranks
        (N,) as `ProbeRanks` has them.
    gallery_people
        How many people there are to choose from.
    """

    probe_ids: np.ndarray = field(repr=False)
    best_ranks: np.ndarray = field(repr=False)
    gallery_people: int

    @property
    def hits(self) -> np.ndarray:
        """(N,) bool: whether the probe's own person is strictly ahead of all others."""
        return self.best_ranks == 1


def evaluate(probes: np.ndarray, probe_ids: np.ndarray, gallery: np.ndarray, gallery_ids: np.ndarray) -> Scface:
    """Rank the people of the gallery for every probe of one distance; arithmetic is in float64.

    Parameters
    ----------
    probes
        (N, D) embeddings.
    probe_ids, gallery_ids
        (N,), (G,) integers, or text such as "001".
    gallery
        (G, D), a row for each person, or several, of which the best counts.

    Raises
    ------
    DataError
        Where shapes do not fit, for ids of another kind, for embeddings that are not finite or zero (with their rows),
        and for probes without a mate in the gallery (with their ids).
    """
    probes, gallery = as_embeddings("probes", probes), as_embeddings("gallery", gallery)
    probe_ids = as_ids("probe_ids", probe_ids, probes, text=True)
    gallery_ids = as_ids("gallery_ids", gallery_ids, gallery, text=True)
    refuse_unmatched(probe_ids, gallery_ids)
    refuse_unequal_sizes("gallery", gallery, probes)

    people, person = np.unique(gallery_ids, return_inverse=True)
    double = np.dtype(np.float64)
    shots, mugshots = unit_rows("probes", probes, double), unit_rows("gallery", gallery, double)
    scores = np.full((len(people), len(probes)), -np.inf)
    np.maximum.at(scores, person, (mugshots @ shots.T).numpy())
    own = scores[np.searchsorted(people, probe_ids), np.arange(len(probes))]
    ahead = scores >= own - tie_margin(probes.shape[1], computing_dtype(probes, gallery))  # the own score among them
    return Scface(probe_ids, ahead.sum(axis=0), len(people))

"""Identification as SCface has it: each surveillance photo ranks the people by their mugshots; one distance at a time.

The score of a person is the best cosine between the probe and that person's mugshots (as a rule there is one). A
probe's rank is one more than the number of other people who score at least as high as its own: a tie with a wrong
person counts as a miss, so that a network that tells nobody apart scores 0 and not 100 %.

The literature has two protocols, and figures compare within one of them alone: all 130 people (650 probes a distance),
or 80 people, the other 50 being tuned on (400 probes a distance, fewer people to be confused with). Print `n` beside
every figure and never put the two in one column.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rifr.evaluation import metrics
from rifr.evaluation.protocols.identification import _matrix, _unit

__all__ = ["Scface", "evaluate"]


@dataclass(frozen=True)
class Scface:
    """The outcome probe by probe: probe_ids: (N,) as given; best_ranks: (N,) the rank, from 1, of the probe's own
    person; gallery_people: how many people there are to choose from."""

    probe_ids: np.ndarray = field(repr=False)
    best_ranks: np.ndarray = field(repr=False)
    gallery_people: int

    @property
    def n(self) -> int:
        """The number of probes."""
        return len(self.best_ranks)

    @property
    def people(self) -> int:
        """The number of people who have probes."""
        return len(np.unique(self.probe_ids))

    @property
    def hits(self) -> np.ndarray:
        """(N,) bool: whether the probe's own person is strictly ahead of all others."""
        return self.best_ranks == 1

    @property
    def rank1(self) -> float:
        """The share of hits."""
        return float(self.hits.mean())

    def cmc(self, ranks):
        """The share of probes whose person is at a rank or before: a number for one rank, an array for several."""
        return metrics.cmc(self.best_ranks, ranks)

    def interval(
        self, other: Scface | None = None, resamples: int = 2000, seed: int = 0, level: float = 0.95
    ) -> metrics.Interval:
        """Rank-1 with its bootstrap interval over the probes' people; with `other`, the result of a second network for
        the same probes, the difference to it, paired."""
        if other is not None and not np.array_equal(self.probe_ids, other.probe_ids):
            raise ValueError("a paired difference needs the same probes in the same order in both results")
        _, person, trials = np.unique(self.probe_ids, return_inverse=True, return_counts=True)
        hits = [np.bincount(person, one.hits) for one in ([self] if other is None else [self, other])]
        return metrics.interval(hits[0], trials, *hits[1:], resamples=resamples, seed=seed, level=level)


def evaluate(probes: np.ndarray, probe_ids: np.ndarray, gallery: np.ndarray, gallery_ids: np.ndarray) -> Scface:
    """Rank the people of the gallery for every probe of one distance.

    probes: (N, D); gallery: (G, D), a row for each person, or several, of which the best counts; probe_ids: (N,),
    gallery_ids: (G,), integers or text such as "001". Arithmetic is in float64.

    Raises ValueError where shapes do not fit, for ids of another kind, for embeddings that are not finite or zero (with
    their rows), and for probes without a mate in the gallery (with their ids).
    """
    probes, gallery = _matrix("probes", probes), _matrix("gallery", gallery)
    probe_ids, gallery_ids = _ids("probe_ids", probe_ids, probes), _ids("gallery_ids", gallery_ids, gallery)
    if not len(probes) or not len(gallery):
        raise ValueError(f"there are {len(probes)} probes and {len(gallery)} mugshots: nothing to rank")
    if probes.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"the gallery has {gallery.shape[1]} numbers an embedding, the probes {probes.shape[1]}: "
            "embed both with the same network"
        )
    if probe_ids.dtype.kind != gallery_ids.dtype.kind:
        raise ValueError(
            f"probe_ids are {probe_ids.dtype} and gallery_ids {gallery_ids.dtype}: give both as numbers or both as text"
        )
    lonely = np.flatnonzero(~np.isin(probe_ids, gallery_ids))
    if len(lonely):
        listed = ", ".join(f"{row} (id {probe_ids[row]})" for row in lonely[:10]) + ", ..." * (len(lonely) > 10)
        raise ValueError(
            f"{len(lonely)} probes have no mate in the gallery: probes {listed}; leave them out, and see "
            "that the ids of both lists mean the same people"
        )

    people, person = np.unique(gallery_ids, return_inverse=True)
    # Not `@`, whose sums run in another order at the matrix's edge: here equal mugshots tie exactly.
    probes, gallery = (
        _unit(name, rows, np.float64).numpy() for name, rows in (("probes", probes), ("gallery", gallery))
    )
    cosines = np.einsum("nd,gd->ng", probes, gallery)
    scores = np.full((len(probes), len(people)), -np.inf)
    np.maximum.at(scores, (slice(None), person), cosines)
    own = np.searchsorted(people, probe_ids)
    ahead = scores >= np.take_along_axis(scores, own[:, None], axis=1)  # the person's own score among them
    return Scface(probe_ids, ahead.sum(axis=1), len(people))


def _ids(name: str, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.shape != (len(rows),) or ids.dtype.kind not in "iuU":
        raise ValueError(
            f"{name} are whole numbers or text, one for each of {len(rows)} embeddings, not {ids.dtype} {ids.shape}"
        )
    return ids if ids.dtype.kind == "U" else ids.astype(np.int64)

"""Identification as TinyFace has it: each probe ranks the whole gallery, its mates' photos among 153,428 distractors.

CMC at rank n
    The share of the probes whose best mate is among the first n of the gallery.
mAP
    The mean over the probes of the average precision over all mates. TinyFace's official figure takes the area below
    the precision-recall points by trapezoids, scikit-learn's by steps.

The official distance is Euclidean between the features as given; the cosine is in use too, and is the same order once
the features are normalised. Nothing is sorted: the rank of a mate is one more than the number of gallery photos before
it. The scores of some probes at a time with the whole gallery are made and counted, and never kept. They are of
features less the probes' mean: features far from the origin lie close together, and a product of them would lose the
digits in which they differ. What single precision cannot tell apart then counts as equal; under the official rule for
ties all is computed in double precision, as the official code does.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import torch

from rifr.errors import DataError
from rifr.evaluation import metrics
from rifr.evaluation.protocols.embeddings import (
    as_embeddings,
    as_ids,
    computing_dtype,
    one_of,
    refuse_unequal_sizes,
    refuse_unmatched,
    refuse_wrong_rows,
    tie_margin,
    unit_rows,
)
from rifr.evaluation.protocols.results import ProbeRanks
from rifr.readers.tinyface import DISTRACTOR

__all__ = ["DISTRACTOR", "TinyFace", "evaluate"]

MAX_SCORE_BYTES = 2**28  # at a time
COLUMNS = 1024  # gallery photos read at a time
PIECE = 4096  # scores counted at a time
DOUBLE = np.dtype(np.float64)


@dataclass(frozen=True)
class TinyFace(ProbeRanks):
    """The rank of every mate of every probe, and the rates that follow from them.

    Attributes
    ----------
    probe_ids
        (N,) as given.
    mate_ranks
        (M,) the ranks, from 1, of the mates of probe 0, 1, ..., ascending in each.
    mate_ends
        (N,) where a probe's ranks end.
    gallery, distractors
        How many photos the gallery has, and how many of them are nobody's mate.
    best_ranks
        (N,) the rank of each probe's best mate.
    """

    probe_ids: np.ndarray = field(repr=False)
    mate_ranks: np.ndarray = field(repr=False)
    mate_ends: np.ndarray = field(repr=False)
    gallery: int
    distractors: int
    best_ranks: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "best_ranks", self.mate_ranks[np.r_[0, self.mate_ends[:-1]]])

    def rank(self, n: int) -> float:
        """The CMC at rank n."""
        return float(self.cmc(n))

    @property
    def mean_ap(self) -> float:
        """Mean average precision, official (trapezoids)."""
        return float(self.average_precisions().mean())

    @property
    def mean_ap_step(self) -> float:
        """Mean average precision as scikit-learn has it (steps)."""
        return float(self.average_precisions("step").mean())

    def mean_ap_interval(self, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> metrics.Interval:
        """`mean_ap` with its percentile bootstrap interval over people; parameters as for `interval`."""
        _, person, probes = np.unique(self.probe_ids, return_inverse=True, return_counts=True)
        sums = np.bincount(person, self.average_precisions())
        return metrics.interval(sums, probes, resamples=resamples, seed=seed, level=level)

    def average_precisions(self, kind: str = "trapezoid") -> np.ndarray:
        """(N,) the average precision of each probe; kind as in `rifr.evaluation.metrics.average_precision`."""
        ranks_of_probes = np.split(self.mate_ranks, self.mate_ends[:-1])
        return np.array([metrics.average_precision_of_ranks(ranks, kind) for ranks in ranks_of_probes])


def evaluate(
    probes: np.ndarray,
    probe_ids: np.ndarray,
    gallery: np.ndarray,
    gallery_ids: np.ndarray,
    metric: str = "euclidean",
    ties: str = "miss",
) -> TinyFace:
    """Rank the gallery for every probe.

    Parameters
    ----------
    probes, gallery
        (N, D), (K, D) features; the gallery may be a memory map of half precision.
    probe_ids, gallery_ids
        (N,), (K,) integers of any kind; -100 in the gallery is a distractor.
    metric
        "euclidean" between features as given, or "cosine".
    ties
        Whether another person's photo at a mate's distance stands before the mate ("miss"), or photos at one distance
        keep the gallery's order ("gallery", TinyFace's official rule).

    Raises
    ------
    DataError
        Where shapes do not fit, for ids that are no integers, for features that are not finite or, with the cosine,
        zero (with their rows), and for probes without a mate in the gallery (with their ids).
    SettingError
        For an unknown metric or rule for ties.
    """
    probes, gallery = as_embeddings("probes", probes), as_embeddings("gallery", gallery)
    probe_ids, gallery_ids = as_ids("probe_ids", probe_ids, probes), as_ids("gallery_ids", gallery_ids, gallery)
    one_of("metric", metric, "euclidean", "cosine")
    one_of("ties", ties, "miss", "gallery")
    if np.any(probe_ids == DISTRACTOR):
        raise DataError(
            f"probe {np.flatnonzero(probe_ids == DISTRACTOR)[0]} has the id {DISTRACTOR}, which marks distractors of "
            "the gallery: a probe has a person"
        )
    refuse_unmatched(probe_ids, gallery_ids)
    refuse_unequal_sizes("gallery", gallery, probes)

    dtype = computing_dtype(probes, gallery) if ties == "miss" else DOUBLE
    centre: np.ndarray = np.zeros(probes.shape[1], dtype)
    if metric == "euclidean":
        centre += np.mean(probes, axis=0, dtype=DOUBLE).astype(dtype)
    points = _points("probes", probes, metric, centre)
    halves, lengths = np.zeros(len(gallery)), np.ones(len(gallery))
    if metric == "euclidean":  # |p - g|^2 = |p|^2 - 2 (p g - |g|^2 / 2), and |p|^2 changes no order
        for column, block in _blocks(gallery, metric, centre):
            halves[column : column + len(block)] = block.double().square_().sum(dim=1).numpy()
        halves /= 2
        lengths = np.sqrt(2 * halves)
    norms = torch.linalg.vector_norm(points, dim=1).numpy()
    margins = (tie_margin(probes.shape[1], dtype) * np.median(lengths) * norms).astype(dtype)

    by_id = np.argsort(gallery_ids, kind="stable")
    first, last = (np.searchsorted(gallery_ids[by_id], probe_ids, side=side) for side in ("left", "right"))
    mates = np.concatenate([by_id[a:b] for a, b in zip(first, last)])  # ascending for each probe: by_id is stable
    ends = np.cumsum(last - first)
    starts = ends - (last - first)
    mate_ranks = np.empty(len(mates), np.int64)
    rows = max(1, min(len(probes), MAX_SCORE_BYTES // (len(gallery) * dtype.itemsize)))
    products = torch.from_numpy(np.empty((rows, len(gallery)), dtype))
    halves = halves.astype(dtype)

    def rank(row: int, begin: int, end: int) -> None:
        own = slice(row + begin, row + end)
        _rank(
            products[begin:end].numpy(), halves, margins[own], ties == "miss", mates, starts[own], ends[own], mate_ranks
        )

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        for row in range(0, len(probes), rows):
            part = points[row : row + rows]
            for column, block in _blocks(gallery, metric, centre):
                torch.matmul(part, block.T, out=products[: len(part), column : column + len(block)])
            bounds = np.linspace(0, len(part), threads + 1).astype(int)
            list(pool.map(rank, [row] * threads, bounds[:-1], bounds[1:]))
    for start, end in zip(starts, ends):
        mate_ranks[start:end].sort()
    return TinyFace(probe_ids, mate_ranks, ends, len(gallery), int((gallery_ids == DISTRACTOR).sum()))


def _blocks(gallery: np.ndarray, metric: str, centre: np.ndarray) -> Iterator[tuple[int, torch.Tensor]]:
    """The gallery's first rows, and what is compared of them, some at a time."""
    for column in range(0, len(gallery), COLUMNS):
        yield column, _points("gallery", gallery[column : column + COLUMNS], metric, centre, column)


def _points(name: str, rows: np.ndarray, metric: str, centre: np.ndarray, first: int = 0) -> torch.Tensor:
    """The rows less the centre, in its precision, or at length one with the cosine; DataError for those that cannot."""
    if metric == "cosine":
        return unit_rows(name, rows, centre.dtype, first)
    refuse_wrong_rows(name, ~np.isfinite(rows).all(axis=1), "not finite", first)
    return torch.from_numpy(np.asarray(rows, centre.dtype) - centre)


@numba.njit(nogil=True, cache=True)
def _rank(
    products: Any, halves: Any, margins: Any, pessimistic: bool, mates: Any, starts: Any, ends: Any, ranks: Any
) -> None:
    """Write the ranks of the mates of some probes.

    products: (rows, K), of which halves (K,) are subtracted; margins: (rows,) within which scores are equal;
    pessimistic: whether equal scores of others stand before a mate, or those earlier in the gallery do; mates: (M,)
    gallery rows; ranks: (M,), written from starts to ends of each row. A piece of the gallery at a time is scored and
    counted for all mates, while it is in the processor's cache.
    """
    columns = np.uint64(products.shape[1])
    scores = np.empty(PIECE, products.dtype)
    for row in range(len(products)):
        line, margin = products[row], margins[row]
        for m in range(starts[row], ends[row]):
            ranks[m] = 1
            if pessimistic:  # the other mates do not count against this one: by themselves they are simply sorted
                score = line[mates[m]] - halves[mates[m]]
                for other in mates[starts[row] : ends[row]]:
                    theirs = line[other] - halves[other]
                    ranks[m] += theirs > score or (theirs == score and other < mates[m])
                    ranks[m] -= other != mates[m] and theirs >= score - margin  # counted once more below
        for begin in range(np.uint64(0), columns, np.uint64(PIECE)):
            end: Any = min(columns, begin + np.uint64(PIECE))
            size = end - begin
            for x in range(size):
                scores[x] = line[begin + x] - halves[begin + x]
            for m in range(starts[row], ends[row]):
                mate = np.uint64(mates[m])
                score = line[mate] - halves[mate]
                early = score - margin
                late = score + margin
                first = min(max(mate, begin), end) - begin
                after = min(max(mate + np.uint64(1), begin), end) - begin
                before = 0
                for x in range(first):
                    before += scores[x] >= early
                for x in range(after, size):
                    before += scores[x] >= early if pessimistic else scores[x] > late
                ranks[m] += before

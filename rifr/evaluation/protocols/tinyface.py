"""Identification as TinyFace has it: each probe ranks the whole gallery, its mates' photos among 153,428 distractors.

    CMC at rank n   share of the probes whose best mate is among the first n of the gallery
    mAP             mean over the probes of the average precision over all mates: TinyFace's official figure takes the
                    area below the precision-recall points by trapezoids, scikit-learn's by steps

The official distance is Euclidean between the features as given; the cosine is in use too, and is the same order once
the features are normalised. Photos at equal distance keep the gallery's order, as in a stable sort.

Nothing is sorted: the rank of a mate is one more than the number of gallery photos before it. The scores of some probes
at a time with the whole gallery are made and counted, and never kept.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numba
import numpy as np
import torch

from rifr.evaluation import metrics
from rifr.evaluation.protocols.identification import _matrix
from rifr.readers.tinyface import DISTRACTOR

__all__ = ["DISTRACTOR", "TinyFace", "evaluate"]

ROOM = 2**28  # bytes of scores at a time
COLUMNS = 1024  # gallery photos read at a time
PIECE = 4096  # scores counted at a time


@dataclass(frozen=True)
class TinyFace:
    """The rank of every mate of every probe, and the rates that follow from them.

    probe_ids: (N,) as given; mate_ranks: (M,) the ranks, from 1, of the mates of probe 0, 1, ..., ascending in each;
    mate_ends: (N,) where a probe's ranks end; gallery: its photos, of which distractors are nobody's mate.
    """

    probe_ids: np.ndarray = field(repr=False)
    mate_ranks: np.ndarray = field(repr=False)
    mate_ends: np.ndarray = field(repr=False)
    gallery: int
    distractors: int

    @property
    def best_ranks(self) -> np.ndarray:
        """(N,) the rank of each probe's best mate."""
        return self.mate_ranks[np.r_[0, self.mate_ends[:-1]]]

    def cmc(self, ranks):
        """The share of probes whose best mate is at a rank or before: a number for one rank, an array for several."""
        return metrics.cmc(self.best_ranks, ranks)

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

    def average_precisions(self, kind: str = "trapezoid") -> np.ndarray:
        """(N,) the average precision of each probe; kind as in `rifr.evaluation.metrics.average_precision`."""
        return np.array(
            [
                metrics.average_precision_of_ranks(ranks, kind)
                for ranks in np.split(self.mate_ranks, self.mate_ends[:-1])
            ]
        )

    def interval(
        self, rank: int = 1, other: "TinyFace | None" = None, resamples: int = 2000, seed: int = 0, level: float = 0.95
    ) -> metrics.Interval:
        """The CMC at a rank with its bootstrap interval over the probes' people; with `other`, the result of a second
        network for the same probes, the difference to it, paired."""
        if other is not None and not np.array_equal(self.probe_ids, other.probe_ids):
            raise ValueError("a paired difference needs the same probes in the same order in both results")
        _, person, trials = np.unique(self.probe_ids, return_inverse=True, return_counts=True)
        self.cmc(rank)  # refuses what is no rank
        hits = [np.bincount(person, one.best_ranks <= rank) for one in ([self] if other is None else [self, other])]
        return metrics.interval(hits[0], trials, *hits[1:], resamples=resamples, seed=seed, level=level)


def evaluate(
    probes: np.ndarray, probe_ids: np.ndarray, gallery: np.ndarray, gallery_ids: np.ndarray, metric: str = "euclidean"
) -> TinyFace:
    """Rank the gallery for every probe.

    probes: (N, D); gallery: (K, D), may be a memory map of half precision; probe_ids: (N,), gallery_ids: (K,) integers
    of any kind, -100 for a distractor; metric: "euclidean" between features as given, or "cosine".
    Arithmetic is in float64 if an input is, else in float32.

    Raises ValueError where shapes do not fit, for ids that are no integers, for features that are not finite or, with
    the cosine, zero (with their rows), and for probes without a mate in the gallery (with their ids).
    """
    probes, gallery = _matrix("probes", probes), _matrix("gallery", gallery)
    probe_ids, gallery_ids = _ids("probe_ids", probe_ids, probes), _ids("gallery_ids", gallery_ids, gallery)
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f'metric is "euclidean" or "cosine", not {metric!r}')
    if not len(probes) or not len(gallery):
        raise ValueError(f"there are {len(probes)} probes and {len(gallery)} gallery photos: nothing to rank")
    if probes.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"the gallery has {gallery.shape[1]} numbers an embedding, the probes {probes.shape[1]}: "
            "embed both with the same network"
        )
    if np.any(probe_ids == DISTRACTOR):
        raise ValueError(
            f"probe {np.flatnonzero(probe_ids == DISTRACTOR)[0]} has the id {DISTRACTOR}, which marks "
            "distractors of the gallery: a probe has a person"
        )
    by_id = np.argsort(gallery_ids, kind="stable")
    first, last = (np.searchsorted(gallery_ids[by_id], probe_ids, side=side) for side in ("left", "right"))
    lonely = np.flatnonzero(first == last)
    if len(lonely):
        listed = ", ".join(f"{row} (id {probe_ids[row]})" for row in lonely[:10]) + ", ..." * (len(lonely) > 10)
        raise ValueError(
            f"{len(lonely)} probes have no mate in the gallery: probes {listed}; leave them out, and see "
            "that the ids of both lists mean the same people"
        )
    ends = np.cumsum(last - first)
    mates = np.concatenate([by_id[a:b] for a, b in zip(first, last)])  # ascending for each probe: by_id is stable

    dtype = np.dtype(np.float64 if np.float64 in (probes.dtype, gallery.dtype) else np.float32)
    probes = torch.from_numpy(np.array(probes, dtype))
    _sizes("probes", probes, metric)
    sizes = np.concatenate(
        [
            _sizes("gallery", _block(gallery, column, dtype), metric, column)
            for column in range(0, len(gallery), COLUMNS)
        ]
    )
    # |p - g|^2 = |p|^2 - 2 (p g - |g|^2 / 2), and the cosine is p g / |g|, but for |p|, which changes no order.
    if metric == "euclidean":
        by, less = np.ones_like(sizes), sizes / 2
    else:
        by, less = sizes, np.zeros_like(sizes)
    ranks = np.empty(len(mates), np.int64)
    starts = ends - (last - first)
    rows = max(1, min(len(probes), ROOM // (len(gallery) * dtype.itemsize)))
    room = torch.empty((rows, len(gallery)), dtype=probes.dtype)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        for row in range(0, len(probes), rows):
            part = probes[row : row + rows]
            for column in range(0, len(gallery), COLUMNS):
                block = _block(gallery, column, dtype)
                torch.matmul(part, block.T, out=room[: len(part), column : column + len(block)])
            cuts = np.linspace(0, len(part), threads + 1).astype(int)
            list(
                pool.map(
                    lambda a, b: _rank(
                        room[a:b].numpy(), by, less, mates, starts[row + a : row + b], ends[row + a : row + b], ranks
                    ),
                    cuts[:-1],
                    cuts[1:],
                )
            )
    for start, end in zip(starts, ends):
        ranks[start:end].sort()
    return TinyFace(probe_ids, ranks, ends, len(gallery), int((gallery_ids == DISTRACTOR).sum()))


def _ids(name: str, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.shape != (len(rows),) or ids.dtype.kind not in "iu":
        raise ValueError(
            f"{name} are whole numbers, one for each of {len(rows)} embeddings, not {ids.dtype} {ids.shape}"
        )
    return ids.astype(np.int64)


def _block(gallery: np.ndarray, column: int, dtype: np.dtype) -> torch.Tensor:
    block = np.asarray(gallery[column : column + COLUMNS], dtype)
    return torch.from_numpy(block if block.flags.writeable else block.copy())  # torch warns of read-only memory


def _sizes(name: str, rows: torch.Tensor, metric: str, first: int = 0) -> np.ndarray:
    """Squared lengths, or with the cosine lengths; raises for rows that are not finite or, then, have no direction."""
    # Not the square of the root: squares of whole numbers stay exact, and so do ties.
    sizes = rows.square().sum(dim=1) if metric == "euclidean" else torch.linalg.vector_norm(rows, dim=1)
    sizes = sizes.numpy()
    wrong = np.flatnonzero(~np.isfinite(sizes) | ((sizes == 0) & (metric == "cosine"))) + first
    if len(wrong):
        listed = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
        raise ValueError(
            f"{len(wrong)} embeddings in {name} are not finite{', or zero' * (metric == 'cosine')}: rows "
            f"{listed}; look at these images or leave them out"
        )
    return sizes


@numba.njit(nogil=True, cache=True)
def _rank(products, by, less, mates, starts, ends, ranks):
    """Write the ranks of the mates of some probes.

    products: (rows, K); by, less: (K,) what they are divided by, and what is then subtracted; mates: (M,) gallery rows;
    ranks: (M,), written from starts to ends of each row. A piece of the gallery at a time is scored and counted for all
    mates, while it is in the processor's cache.
    """
    columns = np.uint64(products.shape[1])
    scores = np.empty(PIECE, products.dtype)
    for row in range(len(products)):
        line = products[row]
        for m in range(starts[row], ends[row]):
            ranks[m] = 1
        for begin in range(np.uint64(0), columns, np.uint64(PIECE)):
            end = min(columns, begin + np.uint64(PIECE))
            size = end - begin
            for x in range(size):
                scores[x] = line[begin + x] / by[begin + x] - less[begin + x]
            for m in range(starts[row], ends[row]):
                mate = np.uint64(mates[m])
                score = line[mate] / by[mate] - less[mate]
                # At the same distance, those that come first in the gallery stay first.
                first = min(max(mate, begin), end) - begin
                before = 0
                for x in range(first):
                    before += scores[x] >= score
                for x in range(first, size):
                    before += scores[x] > score
                ranks[m] += before

"""Identification as the paper has it (P1 and P2; MegaFace's first challenge): one photo of a person among distractors.

For each person with M photos, each photo in turn joins the distractors to make a gallery, and the person's other M - 1
photos are probes: M (M - 1) ordered trials. A trial is a hit at rank N if fewer than N distractors score as high as
the joined photo; the person's remaining photos are never in the gallery. With fewer than N distractors every trial is a
hit at rank N. The score is the cosine, and equal scores
count as `rifr.evaluation.protocols.embeddings` says.

    P1   probes, gallery and distractors all embedded at the face width w
    P2   probes at the face width w, gallery and distractors as they are

Scores are made a block at a time and never kept: of a probe's distractor scores only the best few remain, and each
trial finds its rank among them.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import torch

from rifr.errors import DataError, SettingError
from rifr.evaluation.protocols.embeddings import (
    as_photos,
    computing_dtype,
    one_of,
    tie_margin,
    unit_rows,
    whole_number_from_1,
)
from rifr.evaluation.protocols.results import RankedResult

__all__ = ["Identification", "evaluate"]

ROWS = 1024  # probes in a block of scores
COLUMNS = 4096  # distractors in a block of scores
PIECE = 64  # scores that are passed over together where their best is not good enough


@dataclass(frozen=True)
class Identification(RankedResult):
    """The counts of an identification run, person by person, and the rates that follow from them.

    Attributes
    ----------
    people
        (P,) identities with at least two photos, sorted.
    trials_per_person
        (P,) M (M - 1) for M photos.
    hits_at
        (P, ranks) each person's trials that hit at rank 1, 2, ...; `hits` are those at rank 1.
    hits_by_probe, trials_by_probe
        (N,) the trials in which photo n is the probe, and how many of them hit at rank 1.
    single_photo
        How many identities have one photo only, which makes no trial.
    distractors
        How many there were.
    """

    people: np.ndarray
    trials_per_person: np.ndarray
    hits_at: np.ndarray = field(repr=False)
    hits_by_probe: np.ndarray = field(repr=False)
    trials_by_probe: np.ndarray = field(repr=False)
    single_photo: int
    distractors: int

    @property
    def hits(self) -> np.ndarray:
        return self.hits_at[:, 0]

    @property
    def ranks(self) -> int:
        """The deepest rank that was counted."""
        return self.hits_at.shape[1]

    @property
    def trials(self) -> int:
        return int(self.trials_per_person.sum())

    @property
    def rank1_macro(self) -> float:
        """The share at rank 1 for each person, averaged over people (as the paper's text says)."""
        return float(self.cmc(1, average="macro"))

    def cmc(self, rank: Any, average: str = "micro") -> Any:
        """Cumulative match characteristic: the share of trials that hit at `rank`, or an array of it for several ranks.

        Parameters
        ----------
        rank
            From 1 to the `ranks` that `evaluate` was asked for.
        average
            "micro", over all trials, as the public evaluators have it: more photos, more weight; or "macro", the mean
            over people.
        """
        wanted = np.asarray(rank)
        if wanted.dtype.kind not in "iu" or np.any(wanted < 1) or np.any(wanted > self.ranks):
            raise SettingError(
                f"a rank is a whole number from 1 to {self.ranks} here, not {rank!r}: "
                "ask evaluate(..., ranks=) for more"
            )
        one_of("average", average, "micro", "macro")
        hits = self.hits_at[:, wanted - 1]  # (P,) or (P, several)
        if average == "micro":
            share = hits.sum(axis=0) / self.trials
        else:
            share = (hits.T / self.trials_per_person).T.mean(axis=0)
        return float(share) if wanted.ndim == 0 else share

    def counts(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        self.cmc(rank)  # refuses what is no rank
        return self.hits_at[:, rank - 1], self.trials_per_person

    def subjects(self) -> np.ndarray:
        return np.stack([self.people.astype(str), self.trials_per_person.astype(str)])


def evaluate(
    probes: np.ndarray,
    gallery: np.ndarray,
    identities: np.ndarray,
    distractors: np.ndarray,
    ranks: int = 20,
    ties: str = "miss",
) -> Identification:
    """Identify every photo by every other photo of the same person among the distractors.

    Arithmetic is in float64 if an input is, else in float32.

    Parameters
    ----------
    probes, gallery
        (N, D), row i of both is the same photo, as a probe and as a member of the gallery (P1: the same array twice).
    identities
        (N,) integers or strings.
    distractors
        (K, D), may be a memory map of half precision, may be empty.
    ranks
        How deep to count (rank 1 alone is a little quicker).
    ties
        Whether a distractor that scores as high as the joined photo stands before it ("miss") or after it ("hit",
        as in the public MegaFace evaluators, of the scores as they are computed).

    Raises
    ------
    DataError
        Where shapes or identities do not fit, for embeddings that are not finite or zero (with their rows), and where
        no person has two photos.
    SettingError
        For other `ranks` or `ties`.
    """
    probes, gallery, identities, distractors = as_photos(probes, gallery, identities, distractors, "distractors")
    ranks = whole_number_from_1("ranks", ranks)
    one_of("ties", ties, "miss", "hit")
    dtype = computing_dtype(probes, gallery, distractors)
    names, person, photos = np.unique(identities, return_inverse=True, return_counts=True)
    by_person = np.argsort(person, kind="stable")
    by_person = by_person[photos[person[by_person]] > 1]  # a single photo makes no trial
    if not len(by_person):
        raise DataError(f"no person has two photos among {len(probes)} (of {len(names)} people): nothing to identify")
    searching, joined = unit_rows("probes", probes, dtype)[by_person], unit_rows("gallery", gallery, dtype)[by_person]

    best = _best_distractors(searching, distractors, min(ranks, len(distractors)), dtype)
    people, counts = names[photos > 1], photos[photos > 1]
    hits_at = np.zeros((len(people), ranks), np.int64)
    hits_by_probe = np.zeros(len(identities), np.int64)
    first = 0
    for hits, count in zip(hits_at, counts):
        rows = slice(first, first + count)
        hits[:], hits_by_probe[by_person[rows]] = _hits(searching[rows], joined[rows], best[rows], ranks, ties)
        first += count
    return Identification(
        people,
        counts * (counts - 1),
        hits_at,
        hits_by_probe,
        photos[person] - 1,
        int((photos == 1).sum()),
        len(distractors),
    )


def _best_distractors(probes: torch.Tensor, distractors: np.ndarray, ranks: int, dtype: np.dtype) -> torch.Tensor:
    """The `ranks` best scores of each probe among the distractors: (N, ranks), ascending."""
    best = torch.full((len(probes), ranks), -np.inf, dtype=probes.dtype)
    if not ranks:
        return best
    threads = torch.get_num_threads()
    wide = min(COLUMNS, -(-len(distractors) // PIECE) * PIECE)
    buffer = torch.empty((min(ROWS, len(probes)), wide), dtype=probes.dtype)
    with ThreadPoolExecutor(threads) as pool:
        for column in range(0, len(distractors), COLUMNS):
            block = unit_rows("distractors", distractors[column : column + COLUMNS], dtype, first=column)
            if len(block) < wide:  # nothing beats a score of minus infinity
                buffer[:, len(block) :] = -np.inf
            for row in range(0, len(probes), ROWS):
                part, kept = probes[row : row + ROWS], best[row : row + ROWS]
                scores = buffer[: len(part)]
                torch.matmul(part, block.T, out=scores[:, : len(block)])
                if ranks == 1:
                    torch.maximum(kept, scores[:, : len(block)].amax(dim=1, keepdim=True), out=kept)
                else:
                    peaks = scores.view(len(part), -1, PIECE).amax(dim=2)
                    arrays = (tensor.numpy() for tensor in (scores, peaks, kept))
                    list(pool.map(_keep_best, *(np.array_split(array, threads) for array in arrays)))
    return best.sort(dim=1).values


def _hits(
    probes: torch.Tensor, gallery: torch.Tensor, best: torch.Tensor, ranks: int, ties: str
) -> tuple[np.ndarray, np.ndarray]:
    """How many of one person's M (M - 1) trials hit at rank 1, 2, ..., `ranks`; and (M,) at rank 1 with each probe."""
    beaten_by = np.zeros(ranks + 1, np.int64)
    first = np.zeros(len(probes), np.int64)
    for row in range(0, len(probes), ROWS):
        part, known = probes[row : row + ROWS], best[row : row + ROWS].numpy()
        for column in range(0, len(gallery), COLUMNS):
            scores = (part @ gallery[column : column + COLUMNS].T).numpy()
            margin = scores.dtype.type(tie_margin(part.shape[1], scores.dtype))
            bar = scores - margin if ties == "miss" else np.nextafter(scores, scores.dtype.type(np.inf))
            _count_better(bar, known, column - row, beaten_by, first[row : row + ROWS])
    return beaten_by[:ranks].cumsum(), first


@numba.njit(nogil=True, cache=True)
def _count_better(bar: Any, known: Any, ahead: int, beaten_by: Any, first: Any) -> None:
    """Count the trials by how many distractors reach their bar: all in `beaten_by`, those without by row in `first`.

    bar: (rows, columns) the least score of a distractor that stands before the joined photo;
    known: (rows, K) ascending; a row's photo is the column that comes `ahead` columns before it: that is no trial.
    """
    size = known.shape[1]
    for row in range(len(bar)):
        for column in range(bar.shape[1]):
            if column + ahead == row:
                continue
            score, low, high = bar[row, column], 0, size
            while low < high:  # to the right of the last that does not reach it
                middle = (low + high) // 2
                if known[row, middle] < score:
                    low = middle + 1
                else:
                    high = middle
            beaten_by[size - low] += 1
            if low == size:
                first[row] += 1


@numba.njit(nogil=True, cache=True)
def _keep_best(scores: Any, peaks: Any, kept: Any) -> None:
    """Keep in each row of `kept`, a heap with its least score first, the best of it and of the row of `scores`.

    peaks: (rows, columns / PIECE) the best score of each piece of a row.
    """
    size = kept.shape[1]
    for row in range(len(scores)):
        line, heap = scores[row], kept[row]
        least = heap[0]
        for piece in range(peaks.shape[1]):
            if peaks[row, piece] <= least:  # after the first blocks, few pieces hold anything new
                continue
            for x in range(piece * PIECE, (piece + 1) * PIECE):
                score = line[x]
                if score <= least:
                    continue
                at = 0
                while True:  # let the new score sink to its place
                    child = 2 * at + 1
                    if child >= size:
                        break
                    if child + 1 < size and heap[child + 1] < heap[child]:
                        child += 1
                    if heap[child] >= score:
                        break
                    heap[at] = heap[child]
                    at = child
                heap[at] = score
                least = heap[0]

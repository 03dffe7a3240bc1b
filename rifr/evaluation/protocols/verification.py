"""Verification as the paper has it (P1 and P2; Figs. 7 and 8): is this pair of photos the same person?

Every pair of two probes and every pair of a probe and a distractor is scored by the cosine and accepted at a score of
at least the threshold. Pairs of one person's photos are genuine, all others impostor.

    TPR   share of the genuine pairs that are accepted
    FPR   share of the impostor pairs that are accepted

The ROC is exact, over all thresholds, though scores are made a block at a time and never kept: TPR changes only at a
genuine score, so of an impostor score it matters just how many genuine scores it reaches. That takes one counter for
each; only the few genuine scores and the highest impostor scores stay, the latter for intervals: the threshold is
itself estimated from people, and is found anew in each bootstrap resample. A genuine score stands for the threshold
below it by the margin within which scores are equal, see `rifr.evaluation.protocols.embeddings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import numba
import numpy as np
import torch

from rifr.errors import DataError, SettingError
from rifr.evaluation.protocols._impostors import MAX_TOP_SCORES, count_impostors, estimate_threshold
from rifr.evaluation.protocols.embeddings import as_photos, computing_dtype, one_of, tie_margin, unit_rows
from rifr.evaluation.protocols.results import ThresholdResult

__all__ = ["Verification", "evaluate"]

MIN_TOP_SCORES = 2**18  # impostor scores kept in any case: small sets are kept whole
TOP_SCORES_PER_FPR = (
    4  # kept for an FPR of f: the highest 4 f of the impostor scores, as resamples can need more than f
)
MAX_WEIGHTS = 2**20  # bootstrap weights drawn at a time


INTERVAL_FPR = 0.01
"""The highest FPR at which a rate has an interval, where nobody asks for a higher one."""


class OutOfReach(SettingError):
    """An FPR for which too few impostor scores were kept to draw people again."""


@dataclass(frozen=True)
class Verification(ThresholdResult):
    """The ROC of a verification run in whole numbers, and the rates that follow from it.

    Attributes
    ----------
    genuine, impostor
        How many pairs of each kind there are.
    genuine_scores
        (genuine,) person after person (sorted identities), ascending in each, less the tie margin.
    genuine_ends
        (P,) where a person's scores end.
    thresholds
        (V,) the distinct ones of the genuine scores, descending.
    genuine_accepted, impostor_accepted
        (V,) pairs that reach each threshold.
    identities, distractors, pairs
        (N,) of the probes, and the arguments, as they were given.
    top_impostor_scores
        (T,) the highest, in no order.
    top_impostor_people
        (2, T) the pair of each: indices into the sorted identities, distractor d counting as P + d.
    top_is_full
        Whether no higher `interval_fpr` would have kept more of them.
    """

    genuine: int
    impostor: int
    genuine_scores: np.ndarray = field(repr=False)
    genuine_ends: np.ndarray = field(repr=False)
    thresholds: np.ndarray = field(repr=False)
    genuine_accepted: np.ndarray = field(repr=False)
    impostor_accepted: np.ndarray = field(repr=False)
    identities: np.ndarray = field(repr=False)
    distractors: int
    pairs: str
    top_impostor_scores: np.ndarray = field(repr=False)
    top_impostor_people: np.ndarray = field(repr=False)
    top_is_full: bool = field(repr=False)

    @property
    def fpr(self) -> np.ndarray:
        """(points,) FPR of the ROC's corners, from 0 to 1: straight lines between them are the ROC."""
        return self._corners()[0] / self.impostor

    @property
    def tpr(self) -> np.ndarray:
        """(points,) TPR of the same corners."""
        return self._corners()[1] / self.genuine

    @property
    def people(self) -> int:
        """How many people have two photos or more: the TPR is about them."""
        return int(np.count_nonzero(np.diff(self.genuine_ends, prepend=0)))

    @property
    def min_resolvable_fpr(self) -> float:
        """The least FPR that the impostor pairs resolve: one of them accepted."""
        return 1 / self.impostor

    def tpr_at(self, fpr: Any) -> Any:
        """The highest TPR of any threshold whose FPR is at most `fpr`: a float, or an array for several FPRs.

        Raises SettingError for an `fpr` outside (0, 1] or below `min_resolvable_fpr`: nothing is extrapolated.
        """
        accepted = np.append(0, self.genuine_accepted)[self._accepting(fpr)] / self.genuine
        return float(accepted) if np.ndim(fpr) == 0 else accepted

    def threshold_at(self, fpr: Any) -> Any:
        """The threshold of `tpr_at`: the score from which pairs are accepted, infinite where none may be."""
        thresholds = np.append(np.inf, self.thresholds.astype(np.float64))[self._accepting(fpr)]
        return float(thresholds) if np.ndim(fpr) == 0 else thresholds

    def tpr_macro_at(self, fpr: Any) -> Any:
        """The mean over people (with two photos or more) of their own TPR at the common threshold of `fpr`."""
        thresholds = np.atleast_1d(self.threshold_at(fpr))
        shares = [
            1 - np.searchsorted(scores, thresholds) / len(scores)
            for scores in np.split(self.genuine_scores, self.genuine_ends[:-1])
            if len(scores)
        ]
        mean = np.mean(shares, axis=0)
        return float(mean[0]) if np.ndim(fpr) == 0 else mean.reshape(np.shape(fpr))

    def rate_at(self, at: float) -> float:
        return float(self.tpr_at(at))

    def people_at(self, at: float) -> int:
        return self.people if at < 1 else 0  # at an FPR of 1 all pairs are accepted

    def subjects(self) -> tuple[Any, ...]:
        return self.identities, self.distractors, self.pairs

    def resampled(self, runs: Sequence[Self], at: float, resamples: int, seed: int) -> np.ndarray:
        """(runs, R) TPRs at an FPR; each resample has its own threshold.

        People are drawn again with all their photos, and distractors too, each as a person of its own; a pair then
        weighs the product of its two people's weights (copies of a person are not paired with each other), a genuine
        pair the weight of its person. Resamples without a genuine or without an impostor pair, possible with very few
        people, are left out.

        Raises OutOfReach for an FPR that the kept impostor scores do not reach, DataError for fewer than two people
        who have two photos.
        """
        photos = np.unique(self.identities, return_counts=True)[1]
        if self.people < 2:
            raise DataError(f"a bootstrap over people with two photos needs at least two, not {self.people}")
        genuine = np.diff(self.genuine_ends, prepend=0)
        tops = []
        for run in runs:
            order = np.argsort(-run.top_impostor_scores)
            tops.append((run.top_impostor_scores[order], *run.top_impostor_people[:, order]))
        rng, rates = np.random.default_rng(seed), []
        step, threads = max(1, MAX_WEIGHTS // (len(photos) + self.distractors)), torch.get_num_threads()
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, resamples, step):
                count = min(step, resamples - start)
                weights = np.concatenate([_draw(rng, count, len(photos)), _draw(rng, count, self.distractors)], axis=1)
                people = weights[:, : len(photos)]
                totals = _impostor_pairs(people * photos, self.distractors, self.pairs)
                usable = (totals > 0) & (people @ genuine > 0)
                weights, limits = weights[usable], _allowed(at, totals[usable])
                parts = list(zip(np.array_split(weights, threads), np.array_split(limits, threads)))
                hits = [
                    np.concatenate(list(pool.map(run._accepted, *zip(*parts), [top] * threads)))
                    for run, top in zip(runs, tops)
                ]
                rates.append(np.stack(hits) / (people[usable] @ genuine))
        tprs = np.concatenate(rates, axis=1)
        if np.any(tprs < 0):
            remedy = "evaluate with a higher interval_fpr, or ask for a lower FPR"
            if self.top_is_full:
                share = MAX_TOP_SCORES / self.impostor
                remedy = f"no more than about {MAX_TOP_SCORES:,} are ever kept: ask for an FPR well below {share:.2g}"
            raise OutOfReach(
                f"in a resample the {len(self.top_impostor_scores):,} impostor scores that were kept do not reach "
                f"an FPR of {at:g}: {remedy}"
            )
        if not tprs.size:
            raise DataError(
                f"none of {resamples} resamples of {len(photos)} people has genuine and impostor pairs: "
                "draw more resamples, or evaluate more people with two photos"
            )
        return tprs

    def _accepted(self, weights: np.ndarray, limits: np.ndarray, top: tuple[np.ndarray, ...]) -> np.ndarray:
        whole = len(self.top_impostor_scores) == self.impostor
        scores, first, second = top
        return _accepted_weight(weights, limits, scores, first, second, whole, self.genuine_scores, self.genuine_ends)

    def _accepting(self, fpr: Any) -> np.ndarray:
        """How many of the thresholds, from the highest, accept few enough impostors."""
        fpr = np.asarray(fpr, np.float64)
        if not np.all((fpr > 0) & (fpr <= 1)):
            raise SettingError(f"an FPR lies above 0 and is at most 1, not {fpr}")
        allowed = _allowed(fpr, self.impostor)
        if np.any(allowed < 1):
            raise SettingError(
                f"{self.impostor:,} impostor pairs resolve FPRs from {self.min_resolvable_fpr:.3g}, "
                f"not {fpr.min():g}: ask for a higher FPR, or evaluate with more distractors"
            )
        return np.searchsorted(self.impostor_accepted, allowed, side="right")

    def _corners(self) -> np.ndarray:
        """(2, points) impostor and genuine pairs accepted, at each threshold and just above it."""
        above = np.append(0, self.genuine_accepted[:-1])
        genuine = np.stack([above, self.genuine_accepted], axis=1).ravel()
        points = np.stack([self.impostor_accepted.repeat(2), genuine])
        points = np.concatenate([[[0], [0]], points, [[self.impostor], [self.genuine]]], axis=1)
        return points[:, np.append(True, np.any(np.diff(points), axis=0))]


def evaluate(
    probes: np.ndarray,
    gallery: np.ndarray,
    identities: np.ndarray,
    distractors: np.ndarray,
    pairs: str = "first",
    interval_fpr: float = INTERVAL_FPR,
) -> Verification:
    """Score all pairs of two probes and of a probe and a distractor, and count them along the ROC.

    Arithmetic is in float64 if an input is, else in float32.

    Parameters
    ----------
    probes, gallery
        (N, D), row i of both is the same photo, at the probe's and at the gallery's face width (P1: the same array
        twice).
    identities
        (N,) integers or strings.
    distractors
        (K, D), may be a memory map of half precision, may be empty.
    pairs
        Which photo of a pair of probes is the degraded one. The paper does not say: "first", our choice, makes each
        pair once, the earlier row as the probe; "both" makes it twice, each in turn. In P1 the ROC is the same.
    interval_fpr
        The highest FPR for which `interval` shall find its threshold; 0 keeps next to nothing for it.

    Raises
    ------
    DataError
        Where shapes or identities do not fit, for embeddings that are not finite or zero (with their rows), and where
        there is no genuine or no impostor pair.
    SettingError
        For other `pairs` or `interval_fpr`.
    """
    probes, gallery, identities, distractors = as_photos(probes, gallery, identities, distractors, "distractors")
    one_of("pairs", pairs, "first", "both")
    if not 0 <= interval_fpr <= 1:
        raise SettingError(f"interval_fpr is an FPR from 0 to 1, not {interval_fpr}")
    names, person, photos = np.unique(identities, return_inverse=True, return_counts=True)
    genuine = int((photos * (photos - 1)).sum()) // (2 if pairs == "first" else 1)
    impostor = int(_impostor_pairs(photos, len(distractors), pairs))
    if not genuine:
        raise DataError(f"no person has two photos among {len(probes)} (of {len(names)} people): no genuine pair")
    if not impostor:
        raise DataError("one person and no distractors: no impostor pair")

    dtype = computing_dtype(probes, gallery, distractors)
    searching, listed = unit_rows("probes", probes, dtype), unit_rows("gallery", gallery, dtype)
    person = person.astype(np.uint32)
    scores, ends = _genuine(searching, listed, person, photos, pairs)
    scores -= dtype.type(tie_margin(probes.shape[1], dtype))
    values, repeats = np.unique(scores, return_counts=True)
    wanted = min(MAX_TOP_SCORES, max(MIN_TOP_SCORES, TOP_SCORES_PER_FPR * interval_fpr * impostor))
    least = -np.inf
    if wanted < impostor:
        least = estimate_threshold(searching, listed, person, distractors, wanted / impostor)
    counts, top_scores, top_people = count_impostors(searching, listed, person, distractors, pairs, values, least)
    return Verification(
        genuine=genuine,
        impostor=impostor,
        genuine_scores=scores,
        genuine_ends=ends,
        thresholds=values[::-1],
        genuine_accepted=repeats[::-1].cumsum(),
        impostor_accepted=counts[:0:-1].cumsum(),
        identities=identities,
        distractors=len(distractors),
        pairs=pairs,
        top_impostor_scores=top_scores,
        top_impostor_people=top_people,
        top_is_full=wanted == MAX_TOP_SCORES,
    )


def _impostor_pairs(photos: np.ndarray, distractors: int, pairs: str) -> Any:
    """How many impostor pairs people with so many photos make, (..., P) -> (...), together and with distractors."""
    every = photos.sum(axis=-1)
    ordered = every**2 - (photos**2).sum(axis=-1)
    return (ordered // 2 if pairs == "first" else ordered) + every * distractors


def _allowed(fpr: Any, impostor: Any) -> np.ndarray:
    """The most impostor pairs that can be accepted at an FPR of at most `fpr`, as their division decides it."""
    count = np.floor(fpr * np.asarray(impostor)).astype(np.int64) + 1  # the product may be rounded either way
    for _ in range(2):
        count = count - (count / impostor > fpr)
    return count


def _draw(rng: np.random.Generator, resamples: int, size: int) -> np.ndarray:
    """(resamples, size): how often each of `size` is drawn in `size` draws with replacement."""
    if not size:
        return np.zeros((resamples, 0), np.int64)
    drawn = rng.integers(size, size=(resamples, size)) + size * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size)


def _genuine(
    probes: torch.Tensor, gallery: torch.Tensor, person: np.ndarray, photos: np.ndarray, pairs: str
) -> tuple[np.ndarray, np.ndarray]:
    """Genuine scores, person after person and ascending in each, and where each person's end."""
    scores = []
    for rows in np.split(np.argsort(person, kind="stable"), photos.cumsum()[:-1]):
        own = (probes[rows] @ gallery[rows].T).numpy()  # (M, M)
        made = np.triu(np.ones(own.shape, bool), k=1) if pairs == "first" else ~np.eye(len(own), dtype=bool)
        scores.append(np.sort(own[made]))
    return np.concatenate(scores), np.cumsum([len(own) for own in scores])


@numba.njit(nogil=True, cache=True)
def _accepted_weight(
    weights: Any, limits: Any, top: Any, first: Any, second: Any, whole: bool, genuine: Any, ends: Any
) -> Any:
    """(R,) weight of the genuine pairs accepted in each resample; -1 where the scores end before the limit is passed.

    weights: (R, P + K); limits: (R,) weight of impostor pairs allowed; top: (T,) impostor scores, descending; first,
    second: their people; whole: whether they are all there are, so that all is accepted where the limit is never
    passed; genuine: scores person after person, ascending in each; ends: (P,) where a person's end.
    """
    accepted = np.empty(len(weights), np.int64)
    for row in range(len(weights)):
        weight, false, at = weights[row], 0, 0
        while at < len(top):
            false += weight[first[at]] * weight[second[at]]
            if false > limits[row]:
                break
            at += 1
        accepted[row] = -1
        if at < len(top) or whole:
            accepted[row], start = 0, 0
            for person in range(len(ends)):
                scores = genuine[start : ends[person]]
                start = ends[person]
                better = len(scores)
                if at < len(top):  # this score is refused: genuine pairs must be strictly above it
                    better -= np.searchsorted(scores, top[at], side="right")
                accepted[row] += weight[person] * better
    return accepted

"""Verification as the paper has it (P1 and P2; Figs. 7 and 8): is this pair of photos the same person?

Every pair of two probes and every pair of a probe and a distractor is scored by the cosine and accepted at a score of
at least the threshold. Pairs of one person's photos are genuine, all others impostor.

    TPR   share of the genuine pairs that are accepted
    FPR   share of the impostor pairs that are accepted

The ROC is exact, over all thresholds and with ties, though scores are made a block at a time and never kept: TPR
changes only at a genuine score, so of an impostor score it matters just which genuine score it equals or which two it
lies between. That takes one counter for each; only the few genuine scores and the highest impostor scores stay, the
latter for intervals: the threshold is itself estimated from people, and is found anew in each bootstrap resample.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numba
import numpy as np
import torch

from rifr.evaluation.metrics import Interval
from rifr.evaluation.protocols._impostors import TAIL, count_impostors, estimate_cut
from rifr.evaluation.protocols.identification import _checked, _unit

__all__ = ["Verification", "evaluate", "interval_at"]

TAIL_LEAST = 2**18  # impostor scores kept in any case: small sets are kept whole
TAIL_MARGIN = 4  # kept for an FPR of f: the highest 4 f of the impostor scores, as resamples can need more than f
WEIGHTS = 2**20  # bootstrap weights drawn at a time


@dataclass(frozen=True)
class Verification:
    """The ROC of a verification run in whole numbers, and the rates that follow from it.

    genuine, impostor: pairs of each kind; thresholds: (V,) the distinct genuine scores, descending;
    genuine_accepted, impostor_accepted: (V,) pairs with at least that score; impostor_above: (V,) strictly above it;
    identities: (N,) of the probes, and distractors and pairs, as they were given;
    own: (genuine,) genuine scores, person after person (sorted identities), ascending in each; own_ends: (P,) ends;
    tail: (T,) the highest impostor scores, in no order; tail_people: (2, T) the pair: indices into the sorted
    identities, distractor d counting as P + d.
    """

    genuine: int
    impostor: int
    thresholds: np.ndarray = field(repr=False)
    genuine_accepted: np.ndarray = field(repr=False)
    impostor_accepted: np.ndarray = field(repr=False)
    impostor_above: np.ndarray = field(repr=False)
    identities: np.ndarray = field(repr=False)
    distractors: int
    pairs: str
    own: np.ndarray = field(repr=False)
    own_ends: np.ndarray = field(repr=False)
    tail: np.ndarray = field(repr=False)
    tail_people: np.ndarray = field(repr=False)

    @property
    def fpr(self) -> np.ndarray:
        """(points,) FPR of the ROC's corners, from 0 to 1: straight lines between them are the ROC."""
        return self._corners()[0] / self.impostor

    @property
    def tpr(self) -> np.ndarray:
        """(points,) TPR of the same corners."""
        return self._corners()[1] / self.genuine

    @property
    def least_fpr(self) -> float:
        """The least FPR that the impostor pairs resolve: one of them accepted."""
        return 1 / self.impostor

    def tpr_at(self, fpr):
        """The highest TPR of any threshold whose FPR is at most `fpr`: a float, or an array for several FPRs.

        Raises ValueError for an `fpr` outside (0, 1] or below `least_fpr`: nothing is extrapolated.
        """
        accepted = np.append(0, self.genuine_accepted)[self._accepting(fpr)] / self.genuine
        return float(accepted) if np.ndim(fpr) == 0 else accepted

    def threshold_at(self, fpr):
        """The threshold of `tpr_at`: the genuine score from which pairs are accepted, infinite where none may be."""
        found = np.append(np.inf, self.thresholds.astype(np.float64))[self._accepting(fpr)]
        return float(found) if np.ndim(fpr) == 0 else found

    def tpr_macro_at(self, fpr):
        """The mean over people (with two photos or more) of their own TPR at the common threshold of `fpr`."""
        thresholds = np.atleast_1d(self.threshold_at(fpr))
        shares = [
            1 - np.searchsorted(own, thresholds) / len(own)
            for own in np.split(self.own, self.own_ends[:-1])
            if len(own)
        ]
        mean = np.mean(shares, axis=0)
        return float(mean[0]) if np.ndim(fpr) == 0 else mean.reshape(np.shape(fpr))

    def _accepting(self, fpr) -> np.ndarray:
        """How many of the thresholds, from the highest, accept few enough impostors."""
        fpr = np.asarray(fpr, np.float64)
        if not np.all((fpr > 0) & (fpr <= 1)):
            raise ValueError(f"an FPR lies above 0 and is at most 1, not {fpr}")
        allowed = _allowed(fpr, self.impostor)
        if np.any(allowed < 1):
            raise ValueError(
                f"{self.impostor:,} impostor pairs resolve FPRs from {self.least_fpr:.3g}, "
                f"not {fpr.min():g}: ask for a higher FPR, or evaluate with more distractors"
            )
        return np.searchsorted(self.impostor_accepted, allowed, side="right")

    def _corners(self) -> np.ndarray:
        """(2, points) impostor and genuine pairs accepted, at each genuine score and just above it."""
        above = np.append(0, self.genuine_accepted[:-1])
        points = np.stack(
            [
                np.stack([self.impostor_above, self.impostor_accepted], axis=1).ravel(),
                np.stack([above, self.genuine_accepted], axis=1).ravel(),
            ]
        )
        points = np.concatenate([[[0], [0]], points, [[self.impostor], [self.genuine]]], axis=1)
        return points[:, np.append(True, np.any(np.diff(points), axis=0))]


def evaluate(
    probes: np.ndarray,
    gallery: np.ndarray,
    identities: np.ndarray,
    distractors: np.ndarray,
    pairs: str = "first",
    tail_fpr: float = 0.01,
) -> Verification:
    """Score all pairs of two probes and of a probe and a distractor, and count them along the ROC.

    probes, gallery: (N, D), row i of both is the same photo, at the probe's and at the gallery's face width (P1: the
        same array twice); identities: (N,) integers or strings; distractors: (K, D), may be a memory map of half
        precision, may be empty.
    pairs: which photo of a pair of probes is the degraded one. The paper does not say: "first", our choice, makes each
        pair once, the earlier row as the probe; "both" makes it twice, each in turn. In P1 the ROC is the same.
    tail_fpr: the highest FPR for which `interval_at` shall find its threshold; 0 keeps next to nothing for it.
    Arithmetic is in float64 if an input is, else in float32.

    Raises ValueError where shapes do not fit, for embeddings that are not finite or zero (with their rows), and where
    there is no genuine or no impostor pair.
    """
    probes, gallery, identities, distractors, dtype = _checked(probes, gallery, identities, distractors)
    if pairs not in ("first", "both"):
        raise ValueError(f'pairs is "first" or "both", not {pairs!r}')
    if not 0 <= tail_fpr <= 1:
        raise ValueError(f"tail_fpr is an FPR from 0 to 1, not {tail_fpr}")
    names, person, photos = np.unique(identities, return_inverse=True, return_counts=True)
    genuine = int((photos * (photos - 1)).sum()) // (2 if pairs == "first" else 1)
    impostor = int(_impostor_pairs(photos, len(distractors), pairs))
    if not genuine:
        raise ValueError(f"no person has two photos among {len(probes)} (of {len(names)} people): no genuine pair")
    if not impostor:
        raise ValueError("one person and no distractors: no impostor pair")

    probes, gallery = _unit("probes", probes, dtype), _unit("gallery", gallery, dtype)
    person = person.astype(np.uint32)
    own, own_ends = _genuine(probes, gallery, person, photos, pairs)
    values, repeats = np.unique(own, return_counts=True)
    kept = min(TAIL, max(TAIL_LEAST, TAIL_MARGIN * tail_fpr * impostor))
    cut = -np.inf
    if kept < impostor:
        cut = estimate_cut(probes, gallery, person, distractors, kept / impostor)
    bins, tail, tail_people = count_impostors(probes, gallery, person, len(names), distractors, pairs, values, cut)
    accepted = bins[::-1].cumsum()  # from above: between, equal, between, ...
    return Verification(
        genuine,
        impostor,
        values[::-1],
        repeats[::-1].cumsum(),
        accepted[1::2],
        accepted[:-1:2],
        identities,
        len(distractors),
        pairs,
        own,
        own_ends,
        tail,
        tail_people,
    )


def interval_at(
    found: Verification,
    fpr: float,
    other: Verification | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """TPR at `fpr` with its percentile bootstrap interval over people, or two networks' difference, paired.

    People are drawn again with all their photos, and distractors too, each as a person of its own; a pair then weighs
    the product of its two people's weights (copies of a person are not paired with each other), a genuine pair the
    weight of its person, and each resample has its own threshold. `other`: the run of a second network on the same
    photos and distractors in the same order; the answer is then `found` less `other` under the same weights.
    Resamples without a genuine or without an impostor pair, possible with very few people, are left out.

    Raises ValueError for an FPR that cannot be resolved or that the kept tail does not reach, for runs that do not
    belong together, and for fewer than two people.
    """
    runs = [found] if other is None else [found, other]
    estimates = [run.tpr_at(float(fpr)) for run in runs]
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level lies between 0 and 1 and resamples is at least 1, not {level} and {resamples}")
    if (other is not None and (found.distractors, found.pairs) != (other.distractors, other.pairs)) or not all(
        np.array_equal(found.identities, run.identities) for run in runs
    ):
        raise ValueError(
            "a paired difference needs two runs on the same photos, distractors and kind of pairs: found "
            + " and ".join(
                f"{len(run.identities)} photos, {run.distractors} distractors, {run.pairs!r}" for run in runs
            )
            + "; evaluate both networks on the same rows in one order"
        )
    photos = np.unique(found.identities, return_counts=True)[1]
    if len(photos) < 2:
        raise ValueError(f"a bootstrap over people needs at least two, not {len(photos)}")
    tails = []
    for run in runs:
        order = np.argsort(-run.tail)
        tails.append((run.tail[order], *run.tail_people[:, order]))

    rng = np.random.default_rng(seed)
    rates, step = [], max(1, WEIGHTS // (len(photos) + found.distractors))
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, resamples, step):
            count = min(step, resamples - start)
            weights = np.concatenate([_draw(rng, count, len(photos)), _draw(rng, count, found.distractors)], axis=1)
            people, genuine = weights[:, : len(photos)], np.diff(found.own_ends, prepend=0)
            totals = _impostor_pairs(people * photos, found.distractors, found.pairs)
            usable = (totals > 0) & (people @ genuine > 0)
            weights, limits = weights[usable], _allowed(float(fpr), totals[usable])
            tprs = []
            for run, tail in zip(runs, tails):
                whole = len(run.tail) == run.impostor
                hits = pool.map(
                    lambda part: _resample(*part, *tail, whole, run.own, run.own_ends),
                    zip(np.array_split(weights, threads), np.array_split(limits, threads)),
                )
                hits = np.concatenate(list(hits))
                if np.any(hits < 0):
                    raise ValueError(
                        f"in a resample the {len(run.tail):,} impostor scores that were kept do not reach "
                        f"an FPR of {fpr:g}: evaluate with a higher tail_fpr, or ask for a lower FPR"
                    )
                tprs.append(hits / (weights[:, : len(photos)] @ genuine))
            rates.append(tprs[0] - tprs[1] if other is not None else tprs[0])
    rates = np.concatenate(rates)
    if not len(rates):
        raise ValueError(
            f"none of {resamples} resamples of {len(photos)} people has genuine and impostor pairs: "
            "draw more resamples, or evaluate more people with two photos"
        )
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), estimates[0] - (estimates[1] if other is not None else 0.0), float(high))


def _impostor_pairs(photos: np.ndarray, distractors: int, pairs: str) -> np.ndarray:
    """How many impostor pairs people with so many photos make, (..., P) -> (...), together and with distractors."""
    every = photos.sum(axis=-1)
    ordered = every**2 - (photos**2).sum(axis=-1)
    return (ordered // 2 if pairs == "first" else ordered) + every * distractors


def _allowed(fpr: np.ndarray, impostor: np.ndarray) -> np.ndarray:
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
def _resample(weights, limits, tail, first, second, whole, own, own_ends):
    """(R,) weight of the genuine pairs accepted in each resample; -1 where the tail ends before the limit is passed.

    weights: (R, P + K); limits: (R,) weight of impostor pairs allowed; tail: (T,) descending; first, second: its
    people; whole: whether the tail is all there is, so that all is accepted where the limit is never passed.
    """
    accepted = np.empty(len(weights), np.int64)
    for row in range(len(weights)):
        weight, sum_, at = weights[row], 0, 0
        while at < len(tail):
            sum_ += weight[first[at]] * weight[second[at]]
            if sum_ > limits[row]:
                break
            at += 1
        accepted[row] = -1
        if at < len(tail) or whole:
            accepted[row], start = 0, 0
            for person in range(len(own_ends)):
                scores = own[start : own_ends[person]]
                start = own_ends[person]
                better = len(scores)
                if at < len(tail):  # this score is refused: genuine pairs must be strictly above it
                    better -= np.searchsorted(scores, tail[at], side="right")
                accepted[row] += weight[person] * better
    return accepted

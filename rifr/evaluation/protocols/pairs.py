"""Verification of listed pairs, as LFW has it: same person or not, by a threshold learnt on the other folds.

Embeddings are normalised and a pair is accepted as the same person where its squared Euclidean distance, 2 - 2 cosine,
is below a threshold. The threshold (of 0, 0.01, ..., 3.99; the first of those that do equally well) that does best on
nine folds of the pairs is applied to the tenth, each fold in turn. Folds are those that the list has, or consecutive
pairs in the order given: LFW's list is 10 folds of 600 pairs. A number of pairs that the folds do not divide makes the
first folds one pair longer, as scikit-learn's KFold does. Where consecutive pairs would leave a fold with one kind of
pair alone, as in lists with all same-person pairs first, each kind is divided by itself: `Pairs.balanced` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rifr.errors import DataError, SettingError
from rifr.evaluation import metrics
from rifr.evaluation.metrics import Interval, wilson_interval
from rifr.evaluation.protocols.embeddings import as_embeddings, computing_dtype, tie_margin, unit_rows

__all__ = ["THRESHOLDS", "Pairs", "divided", "evaluate"]

THRESHOLDS = np.arange(400) / 100  # squared distances, as the public evaluators have them
DEFAULT_FOLDS = 10


@dataclass(frozen=True)
class Pairs:
    """The outcome pair by pair and fold by fold.

    Attributes
    ----------
    right
        (N,) bool, whether each pair was decided correctly.
    fold
        (N,) its fold, from 0.
    thresholds
        (folds,) squared distances, each learnt on the other folds.
    balanced
        Whether each kind of pair was divided by itself.
    """

    right: np.ndarray = field(repr=False)
    fold: np.ndarray = field(repr=False)
    thresholds: np.ndarray = field(repr=False)
    balanced: bool = False

    @property
    def pairs(self) -> np.ndarray:
        """(folds,) how many pairs there are."""
        return np.bincount(self.fold, minlength=len(self.thresholds))

    @property
    def correct(self) -> np.ndarray:
        """(folds,) how many of them were decided correctly."""
        return np.bincount(self.fold[self.right], minlength=len(self.thresholds))

    @property
    def accuracies(self) -> np.ndarray:
        """(folds,) the share of pairs decided correctly."""
        return self.correct / self.pairs

    @property
    def accuracy(self) -> float:
        """The mean over folds."""
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        """The standard deviation of the folds' accuracies (ddof=0), as published evaluators print it.

        It is that of a fold, not the error of the mean.
        """
        return float(self.accuracies.std())

    @property
    def threshold(self) -> float:
        """The mean of the folds' thresholds, a squared distance."""
        return float(self.thresholds.mean())

    def interval(self, level: float = 0.95) -> Interval:
        """Wilson's interval for the share of all pairs decided correctly.

        It takes pairs for independent. Pairs that share people or photos are not, and the interval is then too narrow.
        """
        return wilson_interval(int(self.right.sum()), len(self.right), level)

    def difference(self, other: Pairs, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> Interval:
        """The share of pairs decided correctly minus that of `other` for the same pairs, with a bootstrap over pairs.

        What `interval` says of pairs that share people holds here too.

        Parameters
        ----------
        other
            A result for the same pairs in the same folds; else DataError.
        resamples, seed, level
            Of the bootstrap, and of its confidence.
        """
        if not np.array_equal(self.fold, other.fold):
            raise DataError("a paired difference needs the same pairs in the same folds in both results")
        trials = np.ones(len(self.right))
        return metrics.interval(self.right, trials, other.right, resamples=resamples, seed=seed, level=level)


def evaluate(first: np.ndarray, second: np.ndarray, same: np.ndarray, folds: int | np.ndarray = 10) -> Pairs:
    """Accuracy over folds of deciding whether two photos show the same person.

    Parameters
    ----------
    first, second
        (N, D) embeddings, row i of both is pair i.
    same
        (N,) whether it is one person (bool, or 0 and 1).
    folds
        How many runs of consecutive pairs (1, a list without folds as LFW's View 1: at most ten, each kind of pair
        divided by itself); or (N,) whole numbers, the fold of each pair.

    Raises
    ------
    DataError
        Where shapes do not fit, for embeddings that are not finite or zero (with their rows), and for `same` with
        other values, and for a list without folds that has fewer than two pairs of a kind.
    SettingError
        For fewer pairs than folds or fewer than two folds.
    """
    first, second, same = as_embeddings("first", first), as_embeddings("second", second), np.asarray(same)
    if first.shape != second.shape or same.shape != (len(first),):
        raise DataError(
            "first and second hold a row, and same an entry, for each pair: found shapes "
            f"{first.shape}, {second.shape} and {same.shape}"
        )
    if not np.isin(same, [0, 1]).all():
        raise DataError("same says of each pair whether it is one person: True and False, or 1 and 0")
    same = same.astype(bool)
    fold, balanced = divided(folds, same)

    margin = 2 * tie_margin(first.shape[1], computing_dtype(first, second))  # of 2 - 2 cosine
    one, other = (
        unit_rows(name, rows, np.dtype(np.float64), remedy="leave their pairs out").numpy()
        for name, rows in (("first", first), ("second", second))
    )
    distances = ((one - other) ** 2).sum(axis=1)
    distances = np.where(same, distances + margin, np.maximum(distances - margin, 0))  # ties count against the network
    numbers, fold = np.unique(fold, return_inverse=True)
    correct = np.stack([_correct(distances[fold == number], same[fold == number]) for number in range(len(numbers))])
    chosen = THRESHOLDS[(correct.sum(axis=0) - correct).argmax(axis=1)]  # argmax takes the first of equals
    return Pairs((distances < chosen[fold]) == same, fold, chosen, balanced)


def divided(folds: int | np.ndarray, same: np.ndarray) -> tuple[np.ndarray, bool]:
    """(N,) the fold of each pair, and whether each kind of pair had to be divided by itself; errors as `evaluate`."""
    if np.ndim(folds):
        fold = np.asarray(folds)
        if fold.shape != same.shape or fold.dtype.kind not in "iu" or len(np.unique(fold)) < 2:
            raise SettingError(
                f"folds has a whole number for each of {len(same)} pairs, and at least two folds: give pairs of more "
                "folds, or say how many to divide these into (--folds)"
            )
        return fold, False
    one_fold = not isinstance(folds, bool) and folds == 1
    if one_fold:
        fewest, kind = min((int(same.sum()), "same-person"), (int((~same).sum()), "different-person"))
        if fewest < 2:
            raise DataError(
                f"the list holds {fewest} {kind} pair{'s' * (fewest != 1)} of {len(same)}: an accuracy needs two of "
                "each kind, one of them to learn the threshold from"
            )
        folds = min(DEFAULT_FOLDS, fewest)
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or not 2 <= folds <= len(same):
        raise SettingError(
            f"folds is a whole number from 2 to the number of pairs, {len(same)}, not {folds!r}: "
            "ask for fewer folds (--folds), or give more pairs"
        )
    fold = _consecutive(len(same), folds)
    kinds = [same, ~same]
    one_kind = one_fold or any(len(np.unique(same[fold == number])) == 1 for number in range(folds))
    fewest = min(int(kind.sum()) for kind in kinds)
    if not fewest:
        raise DataError(
            f"all {len(same)} pairs of the list are of one kind ({'same' if same.all() else 'different'}-person): an "
            "embedder that gives every face the same would be always right; give pairs of both kinds"
        )
    if not one_kind or fewest < folds:
        return fold, False
    for those in kinds:
        fold[those] = _consecutive(int(those.sum()), folds)
    return fold, True


def _consecutive(pairs: int, folds: int) -> np.ndarray:
    """(pairs,) 0, 0, ..., 1, 1, ...: as equal runs as can be, the first ones longer."""
    return np.repeat(np.arange(folds), [len(part) for part in np.array_split(np.arange(pairs), folds)])


def _correct(distances: np.ndarray, same: np.ndarray) -> np.ndarray:
    """(thresholds,) how many pairs each threshold decides correctly."""
    accepted = np.searchsorted(np.sort(distances[same]), THRESHOLDS)  # "left": strictly below the threshold
    wrongly = np.searchsorted(np.sort(distances[~same]), THRESHOLDS)
    return accepted + (~same).sum() - wrongly

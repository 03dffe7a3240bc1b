"""Genuine and impostor pairs from folders of people, and how sure an accuracy on them is.

Nobody is in two folds: people are divided, and an impostor pair is of two people of one fold, so that the threshold
that judges a pair was learnt on others. There are as many impostor pairs as genuine ones, where a fold has so many.

The accuracy is the mean of the shares of genuine and of impostor pairs that are decided correctly. Its interval draws
people again: a genuine pair then weighs as often as its person was drawn, an impostor pair the product of its two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rifr.errors import DataError, SettingError
from rifr.evaluation.metrics import Interval, drawn_again, percentile_interval
from rifr.evaluation.protocols import pairs as protocol
from rifr.evaluation.protocols.embeddings import as_identities

__all__ = ["FacePairs", "draw"]

FOLDS = 10
FEWEST_PEOPLE = 4  # two folds of two


@dataclass(frozen=True)
class FacePairs:
    """Pairs of the photos of a pack.

    Attributes
    ----------
    photos
        (M,) the rows of the photos that are used.
    first, second
        (N,) the photos of each pair, as places in `photos`.
    people
        (N, 2) whose they are, as numbers from 0.
    same
        (N,) whether it is one person.
    fold
        (N,) its fold, from 0.
    left_out
        People with one photo alone.
    """

    photos: np.ndarray = field(repr=False)
    first: np.ndarray = field(repr=False)
    second: np.ndarray = field(repr=False)
    people: np.ndarray = field(repr=False)
    same: np.ndarray = field(repr=False)
    fold: np.ndarray = field(repr=False)
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.same)

    @property
    def persons(self) -> int:
        """How many people there are."""
        return int(self.people.max()) + 1

    @property
    def folds(self) -> int:
        """Into how many folds they are divided."""
        return int(self.fold.max()) + 1

    def decided(self, features: np.ndarray) -> protocol.Pairs:
        """Each pair decided by the threshold learnt on the other folds.

        Parameters
        ----------
        features
            (M, D) of the photos in use.
        """
        return protocol.evaluate(features[self.first], features[self.second], self.same, self.fold)

    def accuracy(self, right: np.ndarray) -> float:
        """The mean of the shares of genuine and of impostor pairs that are right.

        Parameters
        ----------
        right
            (N,) bool.
        """
        return float((right[self.same].mean() + right[~self.same].mean()) / 2)

    def resampled(self, right: np.ndarray, resamples: int = 2000, seed: int = 0) -> np.ndarray:
        """The accuracies of several settings on the same people, drawn again.

        Parameters
        ----------
        right
            (S, N) bool, of each setting which pairs are right.
        resamples, seed
            R, and of the drawing.

        Returns
        -------
        (S, R') float64; draws without a pair of either kind, possible with very few people, are left out.
        """
        parts = []
        for drawn in drawn_again(self.persons, resamples, seed, width=len(self)):  # (R, P)
            rates = []
            for genuine in (True, False):
                kind = self.same == genuine
                one, other = self.people[kind].T
                weights = drawn[:, one] if genuine else drawn[:, one] * drawn[:, other]  # (R, pairs)
                total = weights.sum(axis=1)
                with np.errstate(invalid="ignore"):
                    rates.append(weights @ right[:, kind].T.astype(float) / total[:, None])  # (R, S)
            parts.append((rates[0] + rates[1]) / 2)
        accuracies = np.concatenate(parts)
        return accuracies[np.isfinite(accuracies).all(axis=1)].T

    def interval(self, right: np.ndarray, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> Interval:
        """The accuracy of one setting, `right` (N,), with its interval over people."""
        drawn = self.resampled(right[None], resamples, seed)[0]
        return percentile_interval(drawn, self.accuracy(right), level, self.persons)


def draw(identities: Sequence[str] | np.ndarray, people: int = 200, photos: int = 4, seed: int = 0) -> FacePairs:
    """Draw pairs: all pairs of up to `photos` photos of each of up to `people` people, and as many of strangers.

    Parameters
    ----------
    identities
        Of the photos of a pack.
    people, photos
        At most so many people, and photos of each, the first ones.
    seed
        Of the drawing.

    Raises
    ------
    DataError
        For fewer than four people with two photos.
    SettingError
        For numbers out of range.
    """
    if people < FEWEST_PEOPLE or photos < 2:
        raise SettingError(
            f"pairs are made of at least {FEWEST_PEOPLE} people with 2 photos, not of {people} with {photos}"
        )
    identities = as_identities("identities", identities)
    names, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts > 1)
    left_out = tuple(names[counts == 1].tolist())
    if len(several) < FEWEST_PEOPLE:
        raise DataError(
            f"{len(several)} of {len(names)} people have two photos or more: pairs need {FEWEST_PEOPLE} such people at "
            "least, and some dozens to tell settings apart. Give a folder that holds a folder of photos for each person"
        )
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(several)[:people]  # in an order of their own: folds are runs of it
    rows = [np.flatnonzero(person == one)[:photos] for one in chosen]
    folds = np.array_split(np.arange(len(chosen)), min(FOLDS, len(chosen) // 2))
    of_whom = np.repeat(np.arange(len(chosen)), [len(of) for of in rows])  # (M,)
    pairs, fold = [], []
    for number, members in enumerate(folds):
        inside = np.flatnonzero(np.isin(of_whom, members))
        one, other = np.triu_indices(len(inside), 1)
        one, other = inside[one], inside[other]
        genuine = np.flatnonzero(of_whom[one] == of_whom[other])
        strangers = np.flatnonzero(of_whom[one] != of_whom[other])
        strangers = rng.choice(strangers, min(len(genuine), len(strangers)), replace=False)
        taken = np.concatenate([genuine, strangers])
        pairs.append(np.stack([one[taken], other[taken]]))
        fold.append(np.full(len(taken), number))
    first, second = np.concatenate(pairs, axis=1)
    whom = np.stack([of_whom[first], of_whom[second]], axis=1)
    return FacePairs(
        np.concatenate(rows), first, second, whom, whom[:, 0] == whom[:, 1], np.concatenate(fold), left_out
    )

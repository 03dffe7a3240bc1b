"""Angles between features, and likeness of softmax weights: Fig. 3 as data.

The paper argues with directions: HR and LR features of one person are drawn to one softmax weight, and the weights of
a network that sees both lie between those of two that see one. The functions on features take (N, D) and give degrees.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rifr.errors import DataError
from rifr.evaluation.metrics import Interval, drawn_again, percentile_interval
from rifr.evaluation.protocols.embeddings import as_identities

__all__ = ["Likeness", "by_person", "centred", "degrees", "likeness", "same_image", "same_person", "separation", "unit"]


def unit(features: np.ndarray) -> np.ndarray:
    """The rows of (N, D) at length one; DataError where a row has no direction."""
    features = np.asarray(features, np.float64)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise DataError(f"rows {bad[:5].tolist()} have no direction: they are zero or not finite")
    return features / lengths


def degrees(cosines: np.ndarray) -> np.ndarray:
    """The angles of cosines, rounding errors beyond +-1 taken as +-1."""
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def same_image(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """(N,) the angle between the features of each photo at high and at low resolution, row by row."""
    return degrees((unit(high) * unit(low)).sum(1))


def same_person(high: np.ndarray, low: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles to another photo of the same person, and to other people, for each person with two photos or more.

    Parameters
    ----------
    high, low
        (N, D) features of the photos at high and at low resolution.
    identities
        (N,).

    Returns
    -------
    (P,), (P,)
        The mean angle, in degrees, between HR features of one photo and LR features of another of the same person, and
        of the HR features to the LR features of other people.

    Raises
    ------
    DataError
        For photos of fewer than two people.
    """
    angles, identities = degrees(unit(high) @ unit(low).T), as_identities("identities", identities)
    same = identities[:, None] == identities
    other_photo = same & ~np.eye(len(identities), dtype=bool)
    people, photos = np.unique(identities, return_counts=True)
    _refuse_one_person(people)
    rows = [identities == person for person in people[photos > 1]]
    return (
        np.array([angles[own][other_photo[own]].mean() for own in rows]),
        np.array([angles[own][~same[own]].mean() for own in rows]),
    )


def _refuse_one_person(people: np.ndarray) -> None:
    if len(people) < 2:
        raise DataError(f"the photos are of {len(people)} people, who are told from nobody: give photos of two or more")


def by_person(values: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """(P,) the mean of (N,) values over each person's photos, people sorted."""
    _, place = np.unique(as_identities("identities", identities), return_inverse=True)
    return np.bincount(place, values) / np.bincount(place)


def separation(
    high: np.ndarray, low: np.ndarray, identities: np.ndarray, resamples: int = 2000, seed: int = 0
) -> tuple[float, Interval]:
    """How well angles tell a person's other photos from other people's: the mean gap, and the gap over the spread.

    Parameters
    ----------
    high, low, identities
        As for `same_person`; each person has two photos or more, or is left out.
    resamples, seed
        Of the bootstrap over the people of the first photo.

    Returns
    -------
    gap, d_prime
        The difference of the two mean angles in degrees; and d', this difference over the root of the mean of the two
        variances, with its 95 % interval. Where one person alone has two photos its ends are NaN.

    Raises
    ------
    DataError
        For photos of fewer than two people, and where nobody has two photos.
    """
    angles, identities = degrees(unit(high) @ unit(low).T), as_identities("identities", identities)
    same = identities[:, None] == identities
    own, others = same & ~np.eye(len(identities), dtype=bool), ~same
    sums = [np.where(kind, power, 0).sum(1) for kind in (own, others) for power in (1, angles, angles**2)]
    people, person = np.unique(identities, return_inverse=True)
    _refuse_one_person(people)
    by = np.stack([np.bincount(person, values) for values in sums], axis=1)  # (P, 6)
    by = by[by[:, 0] > 0]
    if not len(by):
        raise DataError(f"none of {len(people)} people has two photos: give more photos")
    gap, estimate = _gap_and_d_prime(by.sum(0))
    if len(by) == 1:
        return float(gap), Interval(np.nan, float(estimate), np.nan)
    drawn = np.concatenate([weights @ by for weights in drawn_again(len(by), resamples, seed)])
    return float(gap), percentile_interval(_gap_and_d_prime(drawn)[1], float(estimate))


def _gap_and_d_prime(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From (..., 6) sums of powers 0, 1, 2 of angles to the own person's photos, and to others'."""
    count, first, second = (sums[..., [power, power + 3]] for power in range(3))
    mean = first / count
    variance = np.maximum(second / count - mean**2, 0)
    gap = mean[..., 1] - mean[..., 0]
    return gap, gap / np.sqrt(variance.mean(-1))


def centred(weights: np.ndarray) -> np.ndarray:
    """Softmax weights (K, D) minus their mean over the classes, which no probability depends on."""
    return weights - np.mean(weights, axis=0)


@dataclass(frozen=True)
class Likeness:
    """How alike the softmax layers of several networks arrange the same people.

    Attributes
    ----------
    value, drawn
        By pair of networks, in both orders: the correlation, and (R,) correlations in resamples of the people, the
        same people for all pairs.
    people
        How many were compared.
    """

    value: dict[tuple[str, str], float]
    drawn: dict[tuple[str, str], np.ndarray]
    people: int

    def interval(self, pair: tuple[str, str]) -> Interval:
        """The correlation of two networks with its 95 % interval over people."""
        return percentile_interval(self.drawn[pair], self.value[pair])

    def difference(self, pair: tuple[str, str], other: tuple[str, str]) -> Interval:
        """The correlation of one pair minus that of another, with its interval."""
        return percentile_interval(self.drawn[pair] - self.drawn[other], self.value[pair] - self.value[other])


def likeness(weights: Mapping[str, np.ndarray], resamples: int = 500, seed: int = 0, most: int = 2000) -> Likeness:
    """Correlate the cosines between people's softmax weights, pair by pair of networks.

    The cosine of two people's weights says how alike a network holds them to be, and no turn of the feature space
    changes it: networks whose axes have nothing to do with one another can be compared.

    Parameters
    ----------
    weights
        (K, D) by network; the same people in the same order.
    resamples, seed
        Of the bootstrap over people.
    most
        So many people at most are compared, evenly chosen.
    """
    count = len(next(iter(weights.values())))
    chosen = np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))
    cosines = {}
    for name, own in weights.items():
        directions = unit(centred(np.asarray(own, np.float64))[chosen])
        cosines[name] = directions @ directions.T
        np.fill_diagonal(cosines[name], 0)
    people = len(chosen)
    times = np.concatenate([np.ones((1, people)), *drawn_again(people, resamples, seed)])

    def total(matrix: np.ndarray) -> np.ndarray:  # over pairs of different people, as often as both were drawn
        return ((times @ matrix) * times).sum(1)

    pairs = total(1 - np.eye(people))
    mean = {name: total(matrix) / pairs for name, matrix in cosines.items()}
    spread = {name: np.sqrt(total(matrix**2) / pairs - mean[name] ** 2) for name, matrix in cosines.items()}
    value, drawn = {}, {}
    for one, two in itertools.combinations(cosines, 2):
        together = total(cosines[one] * cosines[two]) / pairs - mean[one] * mean[two]
        found = together / (spread[one] * spread[two])
        for pair in ((one, two), (two, one)):
            value[pair], drawn[pair] = float(found[0]), found[1:]
    return Likeness(value, drawn, people)

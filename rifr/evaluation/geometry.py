"""Angles between features: Fig. 3 as data.

The paper argues with directions: HR and LR features of one person are drawn to one softmax weight. These functions
measure the directions; all take features (N, D) and give degrees.
"""

from __future__ import annotations

import numpy as np

from rifr.errors import DataError

__all__ = ["by_person", "degrees", "same_image", "same_person", "unit"]


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
    """
    angles, identities = degrees(unit(high) @ unit(low).T), np.asarray(identities)
    same = identities[:, None] == identities
    other_photo = same & ~np.eye(len(identities), dtype=bool)
    people, photos = np.unique(identities, return_counts=True)
    rows = [identities == person for person in people[photos > 1]]
    return (
        np.array([angles[own][other_photo[own]].mean() for own in rows]),
        np.array([angles[own][~same[own]].mean() for own in rows]),
    )


def by_person(values: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """(P,) the mean of (N,) values over each person's photos, people sorted."""
    _, place = np.unique(identities, return_inverse=True)
    return np.bincount(place, values) / np.bincount(place)

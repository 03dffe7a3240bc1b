"""Angles between features: Fig. 3 as data.

The paper argues with directions: HR and LR features of one person are drawn to one softmax weight. These functions
measure the directions; all take features (N, D) and give degrees.
"""

from __future__ import annotations

import numpy as np

from rifr.errors import DataError


def unit(features: np.ndarray) -> np.ndarray:
    """The rows of (N, D) at length one; ValueError where a row has no direction."""
    features = np.asarray(features, np.float64)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    if not np.all(np.isfinite(length)) or np.any(length == 0):
        bad = np.flatnonzero(~np.isfinite(length[:, 0]) | (length[:, 0] == 0))
        raise DataError(f"rows {bad[:5].tolist()} have no direction: they are zero or not finite.")
    return features / length


def degrees(cosines: np.ndarray) -> np.ndarray:
    """The angles of cosines, rounding errors beyond +-1 taken as +-1."""
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def same_image(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """(N,) the angle between the features of each photo at high and at low resolution, row by row."""
    return degrees((unit(high) * unit(low)).sum(1))


def same_person(high: np.ndarray, low: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P,), (P,): for each person with two photos or more, the mean angle between HR features of one photo and LR
    features of another of the same person, and of the HR features to the LR features of other people."""
    angles = degrees(unit(high) @ unit(low).T)
    identities = np.asarray(identities)
    same = identities[:, None] == identities[None, :]
    other_photo = same & ~np.eye(len(identities), dtype=bool)
    people = [person for person in np.unique(identities) if (identities == person).sum() > 1]
    own = [angles[(identities == person)][other_photo[identities == person]].mean() for person in people]
    others = [angles[(identities == person)][~same[identities == person]].mean() for person in people]
    return np.array(own), np.array(others)


def by_person(values: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """(P,) the mean of (N,) values over each person's photos, people sorted."""
    _, place = np.unique(identities, return_inverse=True)
    return np.bincount(place, values) / np.bincount(place)

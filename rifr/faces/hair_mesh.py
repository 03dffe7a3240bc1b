"""The hair shell: a grid around the mean head, each vertex tied to the point of the skin that lies below it."""

from __future__ import annotations

import numpy as np

HAIR_COLUMNS, HAIR_ROWS, HAIR_HANGING = 48, 14, 9
"""The hair shell: columns around the head, rows from the crown down to the ears, and rows that hang from the lowest."""

HAIR_LENGTH = 0.17
"""How far the lowest row of the hair shell hangs below the ears, in metres."""


def hair_shell(mean: np.ndarray, axis: float, skin: np.ndarray) -> tuple[np.ndarray, ...]:
    """Anchors, weights, directions, drops, texture places and triangles of the shell around the mean head (V, 3) with
    skin triangles (T, 3); `axis` is the y of the head's vertical axis. For shapes see `head.Head`."""
    centre = np.array([0.0, axis + 0.005, 0.905])
    away = np.abs(mean[:, 0]) > 0.079  # the ears stand out beyond the skull
    ears = away & (mean[:, 2] < 0.93) & (mean[:, 1] > -0.09)
    usable = skin[~ears[skin].any(axis=1)]
    azimuths = np.linspace(-np.pi, np.pi, HAIR_COLUMNS, endpoint=False)
    elevations = np.linspace(np.deg2rad(86), np.deg2rad(2), HAIR_ROWS)
    anchor, weight, direction, drop, place = [], [], [], [], []
    for row in range(HAIR_ROWS + HAIR_HANGING):
        elevation = elevations[min(row, HAIR_ROWS - 1)]
        for azimuth in azimuths:
            way = np.array(
                [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
            )
            corner, share = _strike(centre, way, mean, usable)
            hangs = max(0, row - HAIR_ROWS + 1) / HAIR_HANGING
            anchor.append(corner)
            weight.append(share)
            direction.append(way)
            drop.append(hangs)
            place.append([azimuth, (share @ mean[corner])[2] - HAIR_LENGTH * hangs])
    rows = HAIR_ROWS + HAIR_HANGING
    triangles = []
    for row in range(rows - 1):
        for column in range(HAIR_COLUMNS):
            a, b = row * HAIR_COLUMNS + column, row * HAIR_COLUMNS + (column + 1) % HAIR_COLUMNS
            triangles += [[a, a + HAIR_COLUMNS, b], [b, a + HAIR_COLUMNS, b + HAIR_COLUMNS]]
    single = np.float32
    return (
        np.array(anchor, np.uint32),
        np.array(weight, single),
        np.array(direction, single),
        np.array(drop, single),
        np.array(place, single),
        np.array(triangles, np.uint32),
    )


def _strike(
    origin: np.ndarray, way: np.ndarray, points: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The outermost triangle that a ray meets: its corners and barycentric weights (Moeller and Trumbore's test)."""
    a, b, c = points[triangles[:, 0]], points[triangles[:, 1]], points[triangles[:, 2]]
    first, second = b - a, c - a
    cross = np.cross(way, second)
    determinant = (first * cross).sum(axis=1)
    determinant = np.where(np.abs(determinant) < 1e-15, 1e-15, determinant)
    offset = origin - a
    u = (offset * cross).sum(axis=1) / determinant
    turned = np.cross(offset, first)
    v = (turned @ way) / determinant
    distance = (second * turned).sum(axis=1) / determinant
    distance = np.where((u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6) & (distance > 0), distance, -1)
    best = int(np.argmax(distance))
    if distance[best] < 0:  # a gap where the ear was cut away: the nearest corner by direction
        toward = points - origin
        cosine = toward @ way / np.linalg.norm(toward, axis=1)
        near = np.unique(triangles)
        vertex = int(near[np.argmax(cosine[near])])
        return np.array([vertex] * 3), np.array([1.0, 0.0, 0.0])
    return triangles[best], np.array([1 - u[best] - v[best], u[best], v[best]])

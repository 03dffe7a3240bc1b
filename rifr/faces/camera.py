"""From the head to the picture: pose, perspective, and the similarity that aligns five landmarks with the template.

Camera axes: x to the right, y away from the camera, z up. Pixel coordinates: x right, y down, (0, 0) the centre of the
first pixel, as OpenCV counts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

PIVOT = (0.0, -0.075, 0.885)
"""The head turns about this point and the camera looks at it."""


@njit(cache=True, nogil=True)
def rotation(yaw, pitch, roll):
    """(3, 3) float32: the head turned by `yaw` (positive: its nose moves to the viewer's right), then nodded by `pitch`
    (positive: up), then tilted by `roll` (positive: clockwise as seen)."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    nod = np.array([[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]])
    tilt = np.array([[cr, 0.0, sr], [0.0, 1.0, 0.0], [-sr, 0.0, cr]])
    return (tilt @ nod @ turn).astype(np.float32)


@njit(cache=True, nogil=True)
def to_camera(points, turn, distance, out):
    """Turn points (V, 3) about the pivot and place them `distance` metres ahead of the camera."""
    for v in range(points.shape[0]):
        x, y, z = points[v, 0] - PIVOT[0], points[v, 1] - PIVOT[1], points[v, 2] - PIVOT[2]
        out[v, 0] = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
        out[v, 1] = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z + distance
        out[v, 2] = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z


@njit(cache=True, nogil=True)
def similarity(source, target):
    """(a, b, tx, ty) of the map x' = a x - b y + tx, y' = b x + a y + ty that takes points (n, 2) closest to others."""
    n = source.shape[0]
    mx, my, nx, ny = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        mx += source[i, 0] / n
        my += source[i, 1] / n
        nx += target[i, 0] / n
        ny += target[i, 1] / n
    dot, cross, square = 0.0, 0.0, 0.0
    for i in range(n):
        x, y = source[i, 0] - mx, source[i, 1] - my
        u, v = target[i, 0] - nx, target[i, 1] - ny
        dot += x * u + y * v
        cross += x * v - y * u
        square += x * x + y * y
    a, b = dot / square, cross / square
    return a, b, nx - a * mx + b * my, ny - b * mx - a * my

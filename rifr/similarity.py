"""The similarity between two sets of points, in plain loops, so that the renderer can compile the same lines."""

from __future__ import annotations

import numpy as np

__all__ = ["least_squares"]


def least_squares(source: np.ndarray, target: np.ndarray) -> tuple[float, float, float, float]:
    """Fit the map x' = a x - b y + tx, y' = b x + a y + ty that takes points closest to others (Umeyama, 1991).

    With complex numbers x + iy about the two centres, the best turn and scale a + ib is one number:
    sum(conj(source) target) / sum |source|^2. It never mirrors.

    Parameters
    ----------
    source, target
        (K, 2) floating point; the source's points are not all in one place.

    Returns
    -------
    tuple
        (a, b, tx, ty).
    """
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

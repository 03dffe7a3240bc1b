"""From the head to the picture: pose, perspective, and the similarity that aligns five landmarks with the template.

Camera axes: x to the right, y away from the camera, z up. Pixel coordinates: x right, y down, (0, 0) the centre of the
first pixel, as OpenCV counts.
"""

from __future__ import annotations

import numpy as np

from rifr.faces._jit import compiled
from rifr.similarity import least_squares

SAMPLES = 2
"""Samples along each side of a pixel."""

PIVOT = (0.0, -0.075, 0.885)
"""The head turns about this point and the camera looks at it."""


@compiled
def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(3, 3) float32: the head turned by `yaw` (positive: its nose moves to the viewer's right), then nodded by `pitch`
    (positive: up), then tilted by `roll` (positive: clockwise as seen)."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    nod = np.array([[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]])
    tilt = np.array([[cr, 0.0, sr], [0.0, 1.0, 0.0], [-sr, 0.0, cr]])
    return (tilt @ nod @ turn).astype(np.float32)


@compiled
def to_camera(points: np.ndarray, turn: np.ndarray, distance: float, out: np.ndarray) -> None:
    """Turn points (V, 3) about the pivot and place them `distance` metres ahead of the camera."""
    for v in range(points.shape[0]):
        x, y, z = points[v, 0] - PIVOT[0], points[v, 1] - PIVOT[1], points[v, 2] - PIVOT[2]
        out[v, 0] = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
        out[v, 1] = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z + distance
        out[v, 2] = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z


similarity = compiled(least_squares)
"""(a, b, tx, ty) of the similarity that takes points (n, 2) closest to others, as `rifr.align` fits it."""


@compiled
def find_points(
    vertices: np.ndarray, eye_weights: np.ndarray, landmark_vertices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The centres of the eyes (2, 3), and the five landmarks (5, 3): the fronts of the eyeballs (the viewer's left one
    first), the tip of the nose, the corners of the mouth."""
    eyes, points = np.zeros((2, 3), np.float32), np.zeros((5, 3), np.float32)
    radii = np.zeros(2)
    for side in range(2):
        for v in range(vertices.shape[0]):
            w = eye_weights[side, v]
            if w != 0.0:
                for axis in range(3):
                    eyes[side, axis] += w * vertices[v, axis]
        number = 0
        for v in range(vertices.shape[0]):
            if eye_weights[side, v] != 0.0:
                x, y, z = vertices[v, 0] - eyes[side, 0], vertices[v, 1] - eyes[side, 1], vertices[v, 2] - eyes[side, 2]
                radii[side] += np.sqrt(x * x + y * y + z * z)
                number += 1
        radii[side] /= number
    for side in range(2):
        eye = side if eyes[0, 0] < eyes[1, 0] else 1 - side
        points[side] = eyes[eye]
        points[side, 1] -= radii[eye]
    for k in range(3):
        points[2 + k] = vertices[landmark_vertices[k]]
    return eyes, points


@compiled
def to_screen(posed: np.ndarray, a: float, b: float, tx: float, ty: float) -> tuple[np.ndarray, np.ndarray]:
    """Camera coordinates (n, 3) to samples (n, 2) of the picture and depths (n,): perspective, then the similarity."""
    screen, depth = np.empty((posed.shape[0], 2), np.float32), np.empty(posed.shape[0], np.float32)
    for v in range(posed.shape[0]):
        x, y = posed[v, 0] / posed[v, 1], -posed[v, 2] / posed[v, 1]
        screen[v, 0] = (a * x - b * y + tx + 0.5) * SAMPLES
        screen[v, 1] = (b * x + a * y + ty + 0.5) * SAMPLES
        depth[v] = posed[v, 1]
    return screen, depth

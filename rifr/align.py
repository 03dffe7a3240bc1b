"""Landmarks -> the aligned 112x112 face: the closest similarity to the template, and the picture warped by it.

    five points     left eye, right eye, nose, left and right mouth corner, as the viewer sees them
    four points     left eye, right eye, nose, mouth centre (SCface), held against the middle of the template's corners

A similarity turns, scales and moves, so that a face keeps its proportions. Pixel (0, 0) is the centre of the first
pixel, as OpenCV counts. An *aligner* is any function from a picture (h, w, 3) uint8 RGB of one face to the aligned face
(112, 112, 3); the readers of unaligned sets take one.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

__all__ = ["FOUR", "Aligner", "face", "resized", "similarity", "transform"]

Aligner = Callable[[np.ndarray], np.ndarray]

FACE_SIZE = 112
"""The side of an aligned face in pixels."""

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""The five landmarks of an aligned face in pixels: left eye, right eye, nose, left and right mouth corner (as seen)."""

FOUR = np.concatenate([TEMPLATE[:3], TEMPLATE[3:].mean(axis=0, keepdims=True)])
"""(4, 2) the template for sets that mark the centre of the mouth instead of its corners."""

LEAST = 1e-6
"""Points whose spread, or whose agreement with the template, is a smaller share than this have no similarity."""


def similarity(points: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
    """The similarity that takes `points` closest to `target` in the least-squares sense, (2, 3) float64 (Umeyama, 1991).

    points: (K, 2) in pixels; target: (K, 2), by default the template of five points or of four (K = 5 or 4).
    A mirrored face is not mirrored back: a similarity here never flips.

    Raises ValueError for a wrong shape, for points that are not finite, and for degenerate ones: all in one place, or
    such that every turn fits equally badly.
    """
    points = np.asarray(points, np.float64)
    if target is None:
        if points.shape not in ((5, 2), (4, 2)):
            raise ValueError(f"landmarks are (5, 2), or (4, 2) with the mouth's centre last, not {points.shape}")
        target = TEMPLATE if len(points) == 5 else FOUR
    target = np.asarray(target, np.float64)
    if points.ndim != 2 or points.shape != target.shape or points.shape[1] != 2 or len(points) < 2:
        raise ValueError(
            f"points and target are both (K, 2) with K of at least 2, not {points.shape} and {target.shape}"
        )
    if not (np.isfinite(points).all() and np.isfinite(target).all()):
        raise ValueError(f"landmarks are not finite: {points.tolist()}. Leave the picture out, or find them anew")
    centre, goal = points.mean(axis=0), target.mean(axis=0)
    source, wanted = points - centre, target - goal
    spread = np.square(source).sum()
    # With complex numbers x + iy the best turn and scale is one number: sum(conj(source) wanted) / sum |source|^2.
    dot = (source * wanted).sum() / spread if spread else 0.0
    cross = (source[:, 0] * wanted[:, 1] - source[:, 1] * wanted[:, 0]).sum() / spread if spread else 0.0
    size = max(np.abs(points).max(), 1.0)
    if np.sqrt(spread) <= LEAST * size or np.hypot(dot, cross) * np.sqrt(spread) <= LEAST * np.sqrt(
        np.square(wanted).sum()
    ):
        raise ValueError(
            f"landmarks are degenerate, no turn and scale fits them best: {points.tolist()}. "
            "Leave the picture out, or find them anew"
        )
    turn = np.array([[dot, -cross], [cross, dot]])
    return np.column_stack([turn, goal - turn @ centre])


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (..., 2) where the map `matrix` (2, 3) takes them."""
    return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


def face(image: np.ndarray, landmarks: np.ndarray, side: int = FACE_SIZE) -> np.ndarray:
    """The aligned face (side, side, 3) uint8 in a picture, from its five or four landmarks; black beyond the border.

    image: (h, w, 3) uint8 of any size; landmarks: (5, 2) or (4, 2) in its pixels. Bilinear, as the field's packs are
    made; bicubic where the face becomes larger, as small faces are enlarged in all of this library.
    Raises ValueError for another shape or dtype and for what `similarity` refuses.
    """
    image = _checked(image)
    matrix = similarity(landmarks)
    if side != FACE_SIZE:  # the template's pixel centres, scaled with the picture
        scale = side / FACE_SIZE
        matrix = matrix * scale
        matrix[:, 2] += (scale - 1) / 2
    enlarged = np.hypot(matrix[0, 0], matrix[1, 0]) > 1.01
    return cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_CUBIC if enlarged else cv2.INTER_LINEAR, borderValue=0
    )


def resized(image: np.ndarray) -> np.ndarray:
    """The aligner that does not align: the whole picture, bicubic to 112x112, whatever its proportions."""
    return cv2.resize(_checked(image), (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC)


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a picture is (h, w, 3) uint8, not {image.shape} {image.dtype}: read it as RGB")
    return np.ascontiguousarray(image)

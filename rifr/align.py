"""Landmarks -> the aligned 112x112 face: the closest similarity to the template, and the picture warped by it.

Five points are the left eye, right eye, nose, left and right mouth corner, as the viewer sees them. Four points are the
left eye, right eye, nose and mouth centre (SCface), held against the middle of the template's corners.

A similarity turns, scales and moves, so that a face keeps its proportions. Pixel (0, 0) is the centre of the first
pixel, as OpenCV counts. An *aligner* is any function from a picture (h, w, 3) uint8 RGB of one face to the aligned face
(112, 112, 3); the readers of unaligned sets take one.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from rifr.errors import DataError
from rifr.similarity import least_squares

__all__ = ["FACE_SIZE", "FOUR", "TEMPLATE", "Aligner", "face", "resized", "similarity", "transform"]

Aligner = Callable[[np.ndarray], np.ndarray]

FACE_SIZE = 112
"""The side of an aligned face in pixels."""

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""The five landmarks of an aligned face in pixels: left eye, right eye, nose, left and right mouth corner (as seen)."""

FOUR = np.concatenate([TEMPLATE[:3], TEMPLATE[3:].mean(axis=0, keepdims=True)])
"""(4, 2) the template for sets that mark the centre of the mouth instead of its corners."""

EPSILON = 1e-6
"""Points whose spread, or whose agreement with the template, is a smaller fraction than this have no similarity."""

AREA_BELOW = 0.5
"""A face that is reduced further than this is averaged over area first: four neighbours alone would alias."""


def similarity(points: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
    """Fit the similarity that takes points closest to others in the least-squares sense (Umeyama, 1991).

    A mirrored face is not mirrored back: a similarity here never flips.

    Parameters
    ----------
    points
        (K, 2) in pixels.
    target
        (K, 2); by default the template of five points or of four, for K = 5 or 4.

    Returns
    -------
    numpy.ndarray
        (2, 3) float64, the map from `points` to `target`.

    Raises
    ------
    DataError
        For another shape, for points that are not finite, and for degenerate ones: all in one place, or such that every
        turn fits them equally badly.
    """
    points = np.asarray(points, np.float64)
    if target is None:
        if points.shape not in ((5, 2), (4, 2)):
            raise DataError(f"landmarks are (5, 2), or (4, 2) with the mouth's centre last, not {points.shape}")
        target = TEMPLATE if len(points) == 5 else FOUR
    target = np.asarray(target, np.float64)
    if points.ndim != 2 or points.shape != target.shape or points.shape[1] != 2 or len(points) < 2:
        raise DataError(
            f"points and target are both (K, 2) with K of at least 2, not {points.shape} and {target.shape}"
        )
    if not (np.isfinite(points).all() and np.isfinite(target).all()):
        raise DataError(f"landmarks are not finite: {points.tolist()}. Leave the picture out, or find them anew")
    spread = np.linalg.norm(points - points.mean(axis=0))
    if spread > EPSILON * max(np.abs(points).max(), 1.0):
        a, b, tx, ty = least_squares(points, target)
        if np.hypot(a, b) * spread > EPSILON * np.linalg.norm(target - target.mean(axis=0)):
            return np.array([[a, -b, tx], [b, a, ty]])
    raise DataError(
        f"landmarks are degenerate, no turn and scale fits them best: {points.tolist()}. "
        "Leave the picture out, or find them anew"
    )


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (..., 2) where the map `matrix` (2, 3) takes them."""
    return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


def face(image: np.ndarray, landmarks: np.ndarray, side: int = FACE_SIZE) -> np.ndarray:
    """Cut the aligned face out of a picture; it is black beyond the picture's border.

    Bilinear, as the field's packs are made; averaged over area first where the face becomes less than half as large,
    and bicubic where it becomes larger, as small faces are enlarged in all of this library.

    Parameters
    ----------
    image
        (h, w, 3) uint8 of any size.
    landmarks
        (5, 2) or (4, 2) in its pixels.
    side
        Of the result.

    Returns
    -------
    numpy.ndarray
        (side, side, 3) uint8.

    Raises
    ------
    DataError
        For an image of another shape or dtype, and for landmarks that `similarity` refuses.
    """
    image = _check_image(image)
    matrix = similarity(landmarks)
    if side != FACE_SIZE:  # the template's pixel centres, scaled with the picture
        matrix = _scaled(matrix, side / FACE_SIZE)
    scale = np.hypot(matrix[0, 0], matrix[1, 0])
    if scale < AREA_BELOW:
        image, matrix = _reduced(image, matrix, scale)
    method = cv2.INTER_CUBIC if scale > 1.01 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, matrix, (side, side), flags=method, borderValue=0)


def resized(image: np.ndarray) -> np.ndarray:
    """Resize the whole picture to 112x112 whatever its proportions: the aligner that does not align.

    Averaged over area where both sides become less than half as long, else bicubic.

    Parameters
    ----------
    image
        (h, w, 3) uint8 of any size.

    Returns
    -------
    numpy.ndarray
        (112, 112, 3) uint8.

    Raises
    ------
    DataError
        For another shape or dtype.
    """
    image = _check_image(image)
    reduces = min(image.shape[:2]) * AREA_BELOW > FACE_SIZE
    return cv2.resize(image, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA if reduces else cv2.INTER_CUBIC)


def _scaled(matrix: np.ndarray, scale: float) -> np.ndarray:
    """The map `matrix` into a picture `scale` times as large: corners, not pixel centres, are what is scaled."""
    matrix = matrix * scale
    matrix[:, 2] += (scale - 1) / 2
    return matrix


def _reduced(image: np.ndarray, matrix: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The image averaged over area to about `scale` of its size, and the map from it instead of from the image."""
    height, width = image.shape[:2]
    small = max(1, round(width * scale)), max(1, round(height * scale))
    ratio = np.array(small) / (width, height)  # x, y: sides are whole numbers, so that each axis has its own
    linear = matrix[:, :2] / ratio
    offset = matrix[:, 2] + linear @ (0.5 - 0.5 * ratio)
    return cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.column_stack([linear, offset])


def _check_image(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"a picture is (h, w, 3) uint8, not {image.shape} {image.dtype}: read it as RGB")
    return np.ascontiguousarray(image)

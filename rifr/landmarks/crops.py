"""Squares cut loosely around faces, and the way back: from points in the square to points in the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from rifr import align, camera
from rifr.align import FACE_SIZE
from rifr.landmarks.cnn6 import CENTRE, INPUT
from rifr.presets import LandmarkTraining

MIRROR = [1, 0, 2, 4, 3]  # the landmarks of a mirrored face


def boxes_of(landmarks: np.ndarray) -> np.ndarray:
    """The face boxes of (N, 5, 2) landmarks: (N, 3), the centre x, y and the face width in pixels."""
    boxes = np.empty((len(landmarks), 3))
    for row, points in enumerate(landmarks):
        matrix = align.similarity(points)
        scale = math.hypot(matrix[0, 0], matrix[1, 0])
        boxes[row, :2] = np.linalg.solve(matrix[:, :2], CENTRE - matrix[:, 2])
        boxes[row, 2] = FACE_SIZE / scale
    return boxes


def cut(
    picture: np.ndarray,
    centre: ArrayLike,
    side: float,
    rotation: float = 0.0,
    pixels: float = math.inf,
    size: int = INPUT,
) -> tuple[np.ndarray, np.ndarray]:
    """A square cut out of a picture.

    Parameters
    ----------
    picture
        (h, w, 3) uint8.
    centre
        x, y in the picture's pixels.
    side
        In the picture's pixels.
    rotation
        Radians by which the square is turned.
    pixels
        The square is brought down to so many pixels first, and up again (bicubic), where that is fewer than `size` and
        than `side`.
    size
        Of the result.

    Returns
    -------
    square
        (size, size, 3) uint8.
    matrix
        (2, 3) the map from the picture's pixels to the square's.
    """
    at_once = max(2, round(side))
    scale = at_once / side
    c, s = scale * math.cos(rotation), scale * math.sin(rotation)
    turned = np.array([[c, s], [-s, c]])
    middle = (at_once - 1) / 2
    matrix = np.column_stack([turned, middle - turned @ np.asarray(centre, float)])
    square = cv2.warpAffine(picture, matrix, (at_once, at_once), flags=cv2.INTER_LINEAR, borderValue=0)
    if pixels < min(size, at_once):
        few = max(2, round(pixels))
        square = cv2.resize(square, (few, few), interpolation=cv2.INTER_AREA)
    square = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if len(square) > size else cv2.INTER_CUBIC)
    ratio = size / at_once
    to_size = matrix * ratio
    to_size[:, 2] += (ratio - 1) / 2
    return square, to_size


def small_picture(picture: np.ndarray, landmarks: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """A picture brought down (bicubic) so that its face is `width` pixels wide; a narrower one stays as it is.

    Parameters
    ----------
    picture
        (h, w, 3) uint8 RGB.
    landmarks
        (5, 2) in its pixels.
    width
        Of the aligned face, in pixels.

    Returns
    -------
    The smaller picture, and the landmarks in it.
    """
    scale = width / boxes_of(landmarks[None])[0, 2]
    if scale >= 1:
        return picture, landmarks
    height, across = (max(2, round(side * scale)) for side in picture.shape[:2])
    # Each axis by its own ratio, as the sides are whole numbers; pixel centres, not corners, are what is scaled.
    ratio = np.array([across / picture.shape[1], height / picture.shape[0]])
    return (cv2.resize(picture, (across, height), interpolation=cv2.INTER_CUBIC), (landmarks + 0.5) * ratio - 0.5)


@dataclass(frozen=True)
class View:
    """How a face is cut out for training.

    Attributes
    ----------
    crop_scale
        The square's side in face widths.
    offset
        x, y by which its centre is off the face's, in face widths.
    rotation
        Radians.
    mirrored
        Whether it is mirrored.
    width
        To how many pixels a face width is brought down; infinite: not at all.
    camera
        The seed of the camera that does so; None: by averaging alone.
    """

    crop_scale: float
    offset: tuple[float, float]
    rotation: float
    mirrored: bool
    width: float
    camera: int | None = None

    @classmethod
    def draw(cls, training: LandmarkTraining, draw: np.random.Generator) -> View:
        """A view drawn as a training's settings say."""
        crop_scale, rotation = draw.uniform(*training.crop_scale), draw.normal(0, training.rotation_std)
        offset = draw.uniform(-training.center_jitter, training.center_jitter, 2)
        mirrored, is_small = draw.random() < 0.5, draw.random() < 0.5
        width, by_camera, seed = (
            math.exp(draw.uniform(*np.log(training.widths))),
            draw.random() < 0.5,
            draw.integers(2**32),
        )
        if not (training.low and is_small):
            width, by_camera = math.inf, False
        return cls(crop_scale, (offset[0], offset[1]), rotation, mirrored, width, int(seed) if by_camera else None)

    def of(self, picture: np.ndarray, landmarks: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The square (64, 64, 3) uint8 and the landmarks (5, 2) in it."""
        centre, side = box[:2] + np.multiply(self.offset, box[2]), self.crop_scale * box[2]
        square, matrix = cut(picture, centre, side, self.rotation, self.width * self.crop_scale)
        few = max(2, round(min(self.width * self.crop_scale, side)))
        if self.camera is not None and few < INPUT:
            large, _ = cut(picture, centre, side, self.rotation, size=max(few, round(side)))
            small = camera.degrade_picture(large, (few, few), np.random.default_rng(self.camera))
            square = cv2.resize(small, (INPUT, INPUT), interpolation=cv2.INTER_CUBIC)
        points = align.transform(landmarks, matrix)
        if self.mirrored:
            square, points = np.ascontiguousarray(square[:, ::-1]), (points * [-1, 1] + [INPUT - 1, 0])[MIRROR]
        return square, points


def in_pictures(points: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Points in squares, where they lie in the pictures that the squares were cut from.

    Parameters
    ----------
    points
        (N, 5, 2) in pixels of the squares.
    matrices
        N maps (2, 3) from picture to square, as `cut` gives them.
    """
    return np.stack(
        [
            np.linalg.solve(matrix[:, :2], (found - matrix[:, 2]).T).T
            for found, matrix in zip(points, matrices, strict=True)
        ]
    )

"""Photos changed anew in each epoch: in light, colour, turn, size and place, and in nothing that takes resolution away.

A network that sees a photo twenty times learns the photo; one that sees it in another light each time learns who is on
it. The paper names no augmentation. The deviations are those of `rifr.faces.capture`'s everyday camera: what photos
from anywhere differ in, and by how much a face detector's alignment is off. Blur, noise and compression are left out,
because resolution is what the paper's networks differ in.
"""

from __future__ import annotations

import cv2
import numpy as np

from rifr import align
from rifr.align import FACE_SIZE, TEMPLATE

__all__ = ["changed", "misaligned"]

GAMMA = 2.2  # of the pictures that come in
EXPOSURE, DISPLAY, WHITE = 0.30, 0.18, 0.11
"""Deviations of the logarithms of the light, of the display curve, and of red against blue."""

CONTRAST, SATURATION, GREY = 0.14, 0.16, 0.03
"""Deviations of contrast and saturation; the share of photos without colour."""

SCALE, TURN, SHIFT = 0.03, 0.04, 1.6
"""Deviations of the alignment: of the logarithm of the size, in radians, in pixels."""

MOST = 2.5  # deviations: what lies beyond is cut
LUMA = np.array([0.299, 0.587, 0.114])
LINEAR = (np.arange(256) / 255) ** GAMMA


def changed(image: np.ndarray, strength: float, draw: np.random.Generator) -> np.ndarray:
    """A photo as another camera and another alignment would give it.

    Parameters
    ----------
    image
        (112, 112, 3) uint8 RGB, aligned.
    strength
        Times the deviations; 0 changes nothing.
    draw
        Generator of the changes.

    Returns
    -------
    numpy.ndarray
        (112, 112, 3) uint8.
    """
    normal = np.clip(draw.normal(size=10), -MOST, MOST) * strength
    grey = draw.random() < GREY * strength
    moved = _moved(image, alignment(*normal[:4]))
    toned = cv2.LUT(moved, tones(*normal[4:9])[:, None])
    saturation = 0.0 if grey else max(0.3, 1 + SATURATION * normal[9])
    return cv2.transform(toned, saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1)))


def misaligned(image: np.ndarray, error: float, draw: np.random.Generator) -> np.ndarray:
    """An aligned face as landmarks that are off would have aligned it.

    Parameters
    ----------
    image
        (112, 112, 3) uint8, aligned.
    error
        The deviation of each landmark's coordinates, in pixels: landmarks are off by 1.25 times as much on average.
    draw
        Generator of the errors.

    Returns
    -------
    numpy.ndarray
        (112, 112, 3) uint8; what lies beyond the border is mirrored.
    """
    return _moved(image, align.similarity(TEMPLATE + draw.normal(0, error, TEMPLATE.shape)))


def _moved(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A photo (112, 112, 3) whose pixels are where the map (2, 3) takes them; beyond the border it is mirrored."""
    size = FACE_SIZE, FACE_SIZE
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def alignment(size: float, turn: float, right: float, down: float) -> np.ndarray:
    """(2, 3) the map of a photo's pixels to those of the changed one, from deviations: about the photo's middle."""
    scale, angle, middle = np.exp(SCALE * size), TURN * turn, (FACE_SIZE - 1) / 2
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    rotation = np.array([[cos, -sin], [sin, cos]])
    shift = middle - rotation @ [middle, middle] + [SHIFT * right, SHIFT * down]
    return np.column_stack([rotation, shift])


def tones(exposure: float, display: float, warmth: float, tint: float, contrast: float) -> np.ndarray:
    """(256, 3) uint8: what becomes of each grey level in red, green and blue, from deviations.

    The light is multiplied, with a colour of its own, then shown along a display curve and stretched about mid-grey.
    """
    white = np.exp(WHITE * np.array([warmth, tint / 3, -warmth]))
    light = LINEAR[:, None] * np.exp(EXPOSURE * exposure) * white
    shown = light ** (np.exp(DISPLAY * display) / GAMMA)
    stretched = 0.5 + max(0.4, 1 + CONTRAST * contrast) * (shown - 0.5)
    return np.clip(np.rint(255 * stretched), 0, 255).astype(np.uint8)

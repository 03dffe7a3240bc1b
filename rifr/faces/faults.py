"""Faults of a camera that take resolution away: shake, poor focus, a small file, compression."""

from __future__ import annotations

import cv2
import numpy as np


def with_faults(image: np.ndarray, shot: np.ndarray) -> np.ndarray:
    """A photo (size, size, 3) uint8 with the faults of its `SHOT` record; the photo itself where it has none."""
    if shot["shrink"] < 1:
        side = max(4, round(float(shot["shrink"]) * len(image)))
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if shot["defocus"] > 0:
        image = cv2.GaussianBlur(image, (0, 0), float(shot["defocus"]))
    if shot["motion"] > 0:
        image = cv2.filter2D(image, -1, streak(float(shot["motion"]), float(shot["motion_turn"])))
    if shot["quality"] > 0:
        coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(shot["quality"])])[1]
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]
    return image


def streak(length: float, turn: float) -> np.ndarray:
    """(7, 7) float32 of sum 1: a line through the middle."""
    rows, columns = np.mgrid[-3:4, -3:4]
    along = columns * np.cos(turn) + rows * np.sin(turn)
    across = np.abs(rows * np.cos(turn) - columns * np.sin(turn))
    line = np.clip(1 - across, 0, 1) * np.clip(length / 2 + 0.5 - np.abs(along), 0, 1)
    return (line / line.sum()).astype(np.float32)

"""From light to a picture: exposure, film's soft shoulder, colour, the noise of a sensor, 8 bits."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rifr.faces._jit import compiled

GREY = 0.20
"""What the camera's exposure makes of an average picture, in 0..1 of the linear range."""


@functools.cache
def encoding(entries: int = 16384) -> np.ndarray:
    """(entries,) float32: sRGB of evenly spaced linear values from 0 to 1."""
    value = np.linspace(0, 1, entries)
    return np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055).astype(np.float32)


def linear(colour: np.ndarray) -> np.ndarray:
    """sRGB in 0..255 to linear RGB in 0..1."""
    colour = np.asarray(colour, np.float64) / 255
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


@compiled
def next_random(state: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The next state of a 64-bit generator (splitmix64) and 64 random bits."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, z ^ (z >> np.uint64(31))


@compiled
def grain(bits: np.uint64, channel: int) -> float:
    """A roughly normal number of deviation 1: three numbers of seven bits summed, another three for each channel."""
    bits = bits >> np.uint64(21 * channel)
    seven = np.uint64(127)
    total = int(bits & seven) + int((bits >> np.uint64(7)) & seven) + int((bits >> np.uint64(14)) & seven)
    return (total - 190.5) * 0.015625


@compiled
def shoulder(value: float) -> float:
    """Film's soft shoulder: highlights are compressed instead of cut off; 1 becomes 0.8 and 4 becomes 0.98."""
    return value * (1 + 0.06 * value) / (1 + 0.32 * value + 0.06 * value * value)


@compiled
def develop(pixels: np.ndarray, shot: Any, encode: np.ndarray, size: int, image: np.ndarray) -> None:
    """Expose the linear pixels (size, size, 3), soften them, add noise and encode as sRGB by the table `encode`."""
    edge = 0.16 * shot.blur
    middle = 1 / (1 + 4 * edge)
    last = encode.shape[0] - 1
    value = np.empty(3)
    state = np.uint64(shot.seed)
    root, total = 0.0, 0.0
    for row in range(size):
        for column in range(size):
            grey = 0.3 * pixels[row, column, 0] + 0.6 * pixels[row, column, 1] + 0.1 * pixels[row, column, 2]
            x, y = column / size - 0.5, row / size - 0.5
            weight = 1.0 / (0.08 + x * x + y * y)  # the middle counts most
            root += weight * np.sqrt(max(grey, 0.0))
            total += weight
    exposure = shot.exposure * GREY / max((root / total) ** 2, 0.01)  # by the picture, as cameras do
    for row in range(size):
        up, down = max(row - 1, 0), min(row + 1, size - 1)
        for column in range(size):
            left, right = max(column - 1, 0), min(column + 1, size - 1)
            grey = 0.0
            for channel in range(3):
                cross = (
                    pixels[up, column, channel]
                    + pixels[down, column, channel]
                    + pixels[row, left, channel]
                    + pixels[row, right, channel]
                )
                v = shoulder((pixels[row, column, channel] + edge * cross) * middle * exposure * shot.white[channel])
                v = encode[int(min(max(v, 0.0), 1.0) * last + 0.5)] ** shot.gamma
                value[channel] = 0.5 + (v - 0.5) * shot.contrast
                grey += value[channel] / 3
            state, bits = next_random(state)
            for channel in range(3):
                v = grey + (value[channel] - grey) * shot.saturation + shot.noise * grain(bits, channel)
                image[row, column, channel] = np.uint8(min(max(v * 255 + 0.5, 0.0), 255.0))

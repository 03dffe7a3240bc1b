"""The skin of a person: MakeHuman's skins on a tone of our own, with lips, marks, wrinkles, beard and scalp.

It is painted in canonical coordinates, azimuth and height on the mean head, so that a brow sits on the brow whatever
the shape of the head below it. Lengths along the face are azimuth times RADIUS. Colours are linear RGB.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rifr.faces._jit import compiled
from rifr.faces.assets import CHART, STEPS
from rifr.faces.head import AZIMUTH, BOTTOM, TOP

SKIN_SIZE = CHART
RADIUS = 0.10


@functools.cache
def noise() -> np.ndarray:
    """(4, 256, 256) float32 wrapping noise of mean 0 and deviation 1: broad, middling, fine, and grain."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.Generator(np.random.PCG64(20190712))
    layers = []
    for width in (16.0, 5.0, 1.6, 0.7):
        layer = gaussian_filter(rng.normal(size=(256, 256)), width, mode="wrap")
        layers.append((layer - layer.mean()) / layer.std())
    return np.array(layers, np.float32)


@compiled
def step(low: float, high: float, value: float) -> float:
    """Zero below `low`, one above `high`, smooth between."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@compiled
def bump(centre: float, width: float, value: float) -> float:
    """A bell of height one, close to exp(-((value - centre) / width)^2) and zero beyond twice the width."""
    t = (value - centre) / width
    t = max(1.0 - 0.25 * t * t, 0.0)
    t *= t
    return t * t


@compiled
def look_up(layer: np.ndarray, x: float, y: float) -> float:
    """Noise at texel coordinates, interpolated, wrapping."""
    column, row = np.floor(x), np.floor(y)
    a, b = x - column, y - row
    i, j = np.uint32(int(row) & 255), np.uint32(int(column) & 255)
    k, m = np.uint32((i + 1) & 255), np.uint32((j + 1) & 255)
    upper = layer[i, j] * (1 - a) + layer[i, m] * a
    lower = layer[k, j] * (1 - a) + layer[k, m] * a
    return upper * (1 - b) + lower * b


@compiled
def hairline(look: Any, azimuth: float) -> float:
    """Height on the mean head above which hair grows, at an azimuth; the fringe is not part of it."""
    a = abs(azimuth)
    height = look.hairline - 0.006 * look.hair_peak * bump(0.0, 0.14, a)
    height += look.hair_recession * (0.010 + 0.012 * bump(0.52, 0.26, a))
    side = step(0.68, 1.15, a)
    height = height * (1 - side) + 0.912 * side
    burn = step(1.14, 1.26, a) * (1 - step(1.46, 1.54, a))
    height -= burn * (0.012 + 0.035 * look.sideburn)
    behind = step(1.75, 2.1, a)
    return height * (1 - behind) + 0.835 * behind


@compiled
def paint_skin(look: Any, layers: np.ndarray, relief: np.ndarray, texture: np.ndarray) -> None:
    """Paint the (SKIN_SIZE, SKIN_SIZE, 4) float32 texture of a `LOOK` record, RGB and the cover of the day's paint;
    row 0 is the lowest."""
    size = texture.shape[0]
    style = int(look.hair_style)
    bearded = look.bearded > 0
    for row in range(size):
        z = np.float32(BOTTOM + (TOP - BOTTOM) * (row + 0.5) / size)
        for column in range(size):
            azimuth = np.float32((2 * (column + 0.5) / size - 1) * AZIMUTH)
            s = azimuth * RADIUS
            a: Any = abs(s)
            u, v = look.noise_x + s * 1000.0, look.noise_y + z * 1000.0
            broad = look_up(layers[0], u, v)
            middle = look_up(layers[1], u, v)
            fine = look_up(layers[2], u * 1.3, v * 1.3)
            line = hairline(look, azimuth)
            if style == 0:  # the scalps of others are painted dark: on a bald head theirs begins lower
                line = 0.952 - 0.050 * step(0.45, 1.10, abs(azimuth))
            bare = 1 - step(-0.014, 0.012, z - line)
            red = look.skin[0] * (1 + bare * (relief[row, column, 0] - 1))
            green = look.skin[1] * (1 + bare * (relief[row, column, 1] - 1))
            blue = look.skin[2] * (1 + bare * (relief[row, column, 2] - 1))
            paint = 0.0

            value = 1 + look.mottle * (0.035 * broad + 0.025 * middle + 0.02 * fine)
            flush = look.redness * (
                bump(0.047, 0.022, a) * bump(0.860, 0.020, z)
                + 0.8 * bump(0.0, 0.016, a) * bump(0.862, 0.014, z)
                + 0.4 * bump(0.0, 0.03, a) * bump(0.795, 0.015, z)
            )
            flush += 0.10 * look.redness * middle
            shadow = look.eye_shadow * bump(0.030, 0.017, a) * bump(0.887, 0.0075, z)
            socket = 0.5 * bump(0.032, 0.020, a) * bump(0.909, 0.006, z)
            value *= 1 - 0.14 * shadow - 0.05 * socket
            red *= value
            green *= value * (1 - 0.20 * flush - 0.03 * shadow)
            blue *= value * (1 - 0.20 * flush + 0.02 * shadow)

            if look.freckles > 0 and z < 0.945:
                grain = look_up(layers[2], u * 0.9 + 91, v * 0.9 + 37)
                where = bump(0.0, 0.06, a) * bump(0.868, 0.026, z) + 0.25
                spot = step(1.45, 2.1, grain + 0.35 * broad) * look.freckles * min(where, 1.0)
                red *= 1 - 0.30 * spot
                green *= 1 - 0.45 * spot
                blue *= 1 - 0.55 * spot

            crease = 0.0
            if look.wrinkles > 0 and a < 0.072 and z > 0.82 and z < 0.97:
                wave = 0.0015 * broad
                for line in range(4):
                    centre = 0.930 + 0.0095 * line + wave
                    crease += 0.6 * bump(centre, 0.0011, z) * bump(0.0, 0.036, a) * step(-0.6, 0.6, middle + broad)
                fold = 0.018 + (0.862 - z) * 0.50 + 0.001 * broad
                crease += 1.0 * bump(fold, 0.0016, a) * step(0.823, 0.832, z) * (1 - step(0.854, 0.864, z))
                for line in range(3):
                    centre = 0.9035 + (line - 1) * 0.0055 + (line - 1) * (a - 0.052) * 0.35
                    crease += 0.6 * bump(centre, 0.0009, z) * step(0.050, 0.053, a) * (1 - step(0.058, 0.068, a))
                under = 0.8845 + 0.25 * abs(a - 0.033)
                crease += 0.6 * bump(under, 0.0012, z) * bump(0.032, 0.014, a)
                crease += 0.5 * bump(0.0065, 0.0009, a) * bump(0.917, 0.008, z)
                crease = min(crease, 1.0) * look.wrinkles
            value = 1 - 0.28 * crease
            red *= value
            green *= value * (1 - 0.06 * crease)
            blue *= value * (1 - 0.06 * crease)

            for m in range(look.marks.shape[0]):
                radius = look.marks[m, 2]
                if radius > 0 and abs(z - look.marks[m, 1]) < 2 * radius:
                    distance = np.sqrt((s - look.marks[m, 0] * RADIUS) ** 2 + (z - look.marks[m, 1]) ** 2)
                    if distance < 2 * radius:
                        spot = look.marks[m, 3] * (1 - step(radius * 0.6, radius * 1.4, distance))
                        red *= 1 - 0.60 * spot
                        green *= 1 - 0.72 * spot
                        blue *= 1 - 0.75 * spot

            # lips
            reach = a / 0.0265
            if reach < 1 and z > 0.80 and z < 0.85:
                arc = np.sqrt(1 - reach * reach)
                dip = 0.0014 * bump(0.0, 0.0045, a)
                above = 0.8305 + (0.0078 * look.lip_upper * (1 - reach**1.6) - dip) + 0.0003
                below = 0.8305 - 0.0118 * look.lip_lower * arc
                lip = step(below - 0.0011, below + 0.0011, z) * (1 - step(above - 0.0009, above + 0.0009, z))
                paint = lip
                lip *= 0.45 * look.lip_contrast
                tint = 1 + 0.06 * look_up(layers[2], u * 2.5, v * 0.7)
                red += lip * (look.lip[0] * tint - red)
                green += lip * (look.lip[1] * tint - green)
                blue += lip * (look.lip[2] * tint - blue)

            # make-up: lips, cheeks, lids; those with a beard have it painted over below
            paint = max(paint, 0.30 * bump(0.050, 0.026, a) * bump(0.862, 0.026, z))
            paint = max(paint, 0.35 * bump(0.033, 0.020, a) * bump(0.9065, 0.009, z))

            # beard
            if bearded:
                paint = 0.0
            if bearded and z < 0.90 and z > 0.77 and a < 0.15:
                top = 0.838 + look.beard_top + step(0.035, 0.115, a) * 0.045
                jaw = 1 - step(top - 0.006, top + 0.006, z + 0.002 * broad)
                jaw *= 1 - step(0.138, 0.150, a)
                jaw *= step(0.772, 0.790, z)
                lip_zone = step(0.8165, 0.8185, z) * (1 - step(0.838, 0.840, z)) * (1 - step(0.024, 0.029, a))
                tache = (
                    step(0.8365, 0.8395, z + 0.25 * max(a - 0.012, 0.0))
                    * (1 - step(0.848, 0.853, z))
                    * (1 - step(0.024, 0.031, a))
                )
                tache *= 0.55 + 0.45 * step(0.002, 0.006, a)
                chin = (1 - step(0.024, 0.036, a)) * (1 - step(0.811, 0.818, z)) * step(0.772, 0.790, z)
                chin = max(
                    chin,
                    step(0.025, 0.029, a)
                    * (1 - step(0.034, 0.040, a))
                    * (1 - step(0.842, 0.850, z))
                    * step(0.79, 0.80, z)
                    * step(0.05, 0.2, look.moustache),
                )
                whole = max(jaw, tache) * (1 - lip_zone)
                cover = max(0.08 * look.stubble * whole, look.moustache * tache)
                cover = max(cover, look.chin_beard * chin * (1 - lip_zone))
                cover = max(cover, look.cheek_beard * jaw * (1 - lip_zone))
                hair = look_up(layers[3], u * 1.2, v * 0.8)
                paint = min(0.55 * (0.35 + look.stubble) * whole * (0.9 + 0.2 * hair), 0.8)
                cover *= 0.90 + 0.16 * hair + 0.06 * middle
                cover = min(max(cover, 0.0), 0.94)
                red += cover * (look.brow[0] * 1.1 - red)
                green += cover * (look.brow[1] * 1.1 - green)
                blue += cover * (look.brow[2] * 1.1 - blue)

            # scalp under the hair, and what is left of a bald head's
            if style == 0 and a > 0.07:
                cover = (
                    step(0.80, 1.30, abs(azimuth))
                    * (1 - step(0.965, 0.990, z))
                    * step(0.0, 0.012, z - hairline(look, azimuth))
                )
                cover *= 0.9 * max(look.hair_density - 0.55, 0.0) * (1 + 0.10 * middle + 0.10 * fine)
                red += cover * (look.hair[0] * 0.7 - red)
                green += cover * (look.hair[1] * 0.7 - green)
                blue += cover * (look.hair[2] * 0.7 - blue)
            if style > 0 and (z > 0.94 or a > 0.09):
                line = hairline(look, azimuth)
                cover = step(line - 0.003, line + 0.010, z + 0.0022 * middle + 0.0012 * fine)
                cover *= (0.80 if style == 1 else 0.95) * look.hair_density
                cover = min(cover, 0.97)
                red += cover * (look.hair[0] * 0.7 - red)
                green += cover * (look.hair[1] * 0.7 - green)
                blue += cover * (look.hair[2] * 0.7 - blue)
            texture[row, column, 0] = min(max(red, 0.0), 1.0)
            texture[row, column, 1] = min(max(green, 0.0), 1.0)
            texture[row, column, 2] = min(max(blue, 0.0), 1.0)
            texture[row, column, 3] = min(max(paint, 0.0), 1.0)


@compiled
def pack(texture: np.ndarray, out: np.ndarray) -> None:
    """A texture (rows, columns, 4) of values in 0..1 as square roots in uint8, to `out`."""
    for row in range(texture.shape[0]):
        for column in range(texture.shape[1]):
            for channel in range(4):
                value = min(max(texture[row, column, channel], 0.0), 1.0)
                out[row, column, channel] = np.uint8(np.sqrt(value) * 255.0 + 0.5)


def texture(look: Any, skins: np.ndarray) -> np.ndarray:
    """The skin (SKIN_SIZE, SKIN_SIZE, 4) of a `LOOK` record, uint8 by `pack`, from the charts of `assets.Assets`.

    Its fourth channel is how much the paint of the day covers, beard or make-up.
    """
    painted, packed = np.empty((SKIN_SIZE, SKIN_SIZE, 4), np.float32), np.empty((SKIN_SIZE, SKIN_SIZE, 4), np.uint8)
    paint_skin(look, noise(), relief(look, skins), painted)
    pack(painted, packed)
    return packed


def relief(look: Any, skins: np.ndarray) -> np.ndarray:
    """(SKIN_SIZE, SKIN_SIZE, 3) float32: what the skin's colour is multiplied by, from two skins of others."""
    shares = np.array([look["relief_share"], 1 - look["relief_share"]], np.float32) * (look["relief_gain"] / STEPS)
    logarithm = np.zeros(skins.shape[1:], np.float32)
    for number, share, mirror in zip(
        (look["relief_first"], look["relief_second"]), shares, look["relief_mirror"], strict=True
    ):
        chart = skins[int(number)]
        logarithm += share * (chart[:, ::-1] if mirror else chart).astype(np.float32)
    return np.exp(logarithm - 128 * shares.sum())

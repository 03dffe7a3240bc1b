"""Light on skin, hair, eyes and backdrop: a lamp, a fill and the sky."""

from __future__ import annotations

from typing import Any

import numpy as np

from rifr.faces._jit import Attributes, compiled
from rifr.faces.head import AZIMUTH, BOTTOM, TOP
from rifr.faces.occluders import cover_surface
from rifr.faces.textures import HAIR_BOTTOM, HAIR_TOP, step


@compiled
def sample_texture(texture: np.ndarray, x: float, y: float, out: np.ndarray) -> None:
    """The four channels of a texture at 0..1 coordinates, interpolated and clamped at its edges, written to `out`.

    Textures hold square roots in 8 bits (see `textures.pack`), so that one fits into a processor's cache.
    """
    height, width = texture.shape[0], texture.shape[1]
    x = min(max(x * width - 0.5, 0.0), width - 1.001)
    y = min(max(y * height - 0.5, 0.0), height - 1.001)
    j, i = np.uint32(x), np.uint32(y)
    a, b = np.float32(x - j), np.float32(y - i) * np.float32(1 / 255)
    rest = np.float32(1 / 255) - b
    second, fourth = a * rest, a * b
    first, third = rest - second, b - fourth
    for channel in range(4):
        root = (
            first * texture[i, j, channel]
            + second * texture[i, j + 1, channel]
            + third * texture[i + 1, j, channel]
            + fourth * texture[i + 1, j + 1, channel]
        )
        out[channel] = root * root


@compiled
def backdrop(shot: Any, layers: np.ndarray, x: float, y: float, out: np.ndarray) -> None:
    """The background at picture coordinates in 0..1: two colours that run into each other unevenly."""
    broad = layers[0, int(shot.occluder_a * 200 + y * 67) & 255, int(shot.occluder_b * 200 + x * 67) & 255]
    mix = min(max(y + 0.35 * shot.background_mix * broad, 0.0), 1.0)
    for channel in range(3):
        out[channel] = shot.background_top[channel] * (1 - mix) + shot.background_bottom[channel] * mix


@compiled
def clothes(shot: Any, x: float, z: float, out: np.ndarray) -> None:
    """Shoulders below the neck, for the line of sight that meets the plane of the body at (x, z) in metres."""
    a = abs(x)
    if a < 0.23 and z < 0.800 - 0.40 * max(a - 0.06, 0.0) - 5.0 * max(a - 0.13, 0.0) ** 2 and z < 0.785 + 2.0 * a * a:
        shade = (0.55 + 0.45 * step(0.23, 0.10, a)) * (0.55 + 0.45 * (1 - shot.ambient) * max(0.0, -shot.light[1]))
        for channel in range(3):
            out[channel] = shot.clothes[channel] * shade


@compiled
def light_skin(
    point: Attributes, skin: np.ndarray, look: Any, shot: Any, half: np.ndarray, key: float, out: np.ndarray
) -> bool:
    """Linear colour of skin at a point (normal, azimuth, height, open sky, rim); True where cloth covers it."""
    length = np.sqrt(point[0] ** 2 + point[1] ** 2 + point[2] ** 2) + 1e-9
    nx, ny, nz = point[0] / length, point[1] / length, point[2] / length
    azimuth, z, sky, rim = point[3], point[4], point[5], point[6]
    sample_texture(skin, azimuth / (2 * AZIMUTH) + 0.5, (z - BOTTOM) / (TOP - BOTTOM), out)
    if rim > 0:
        dark = min(rim * (0.45 + 0.35 * look.lashes) * (0.55 + 0.45 * step(0.897, 0.904, z) + 0.3 * look.liner), 0.92)
        for channel in range(3):
            out[channel] *= 1 - dark
    cloth = cover_surface(shot, azimuth, z, out)
    lambert = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
    wrapped = max(0.0, (lambert + 0.22) / 1.22) * (0.35 + 0.65 * sky)
    filling = max(0.0, nx * shot.fill[0] + ny * shot.fill[1] + nz * shot.fill[2])
    ambient = shot.ambient * 1.15 * sky * (0.72 + 0.20 * nz + 0.22 * filling)
    shine = 0.0
    glance = nx * half[0] + ny * half[1] + nz * half[2]
    if not cloth and glance > 0.6:
        glance = glance * glance
        glance = glance * glance
        glance = glance * glance
        shine = key * 0.05 * look.gloss * (1 - rim) * glance * np.sqrt(glance)  # the twelfth power of the cosine
    edge = max(0.0, 0.35 - abs(lambert))  # light that has passed through skin is red
    for channel in range(3):
        lit = key * wrapped * shot.light_colour[channel] + ambient * shot.ambient_colour[channel]
        out[channel] = out[channel] * lit * (1 + 0.10 * (1 - 0.5 * channel) * edge) + shine * shot.light_colour[channel]
    return cloth


@compiled
def light_hair(
    point: Attributes, hair: np.ndarray, shot: Any, half: np.ndarray, key: float, out: np.ndarray
) -> tuple[float, float]:
    """Linear colour of the hair at a point (normal, azimuth, height) to out[:3]; returns its coverage, and the coverage
    where nothing but the background is behind: beside the temples one sees no daylight under the edge of the hair."""
    azimuth, z = point[3], point[4]
    u = azimuth / (2 * np.pi) + 0.5
    sample_texture(hair, u - np.floor(u), (z - HAIR_BOTTOM) / (HAIR_TOP - HAIR_BOTTOM), out)
    cover = out[3]
    alone = 1.0 if abs(azimuth) > 0.5 and abs(azimuth) < 1.6 and z > 0.895 else cover
    if alone < 0.01:
        return 0.0, 0.0
    length = np.sqrt(point[0] ** 2 + point[1] ** 2 + point[2] ** 2) + 1e-9
    nx, ny, nz = point[0] / length, point[1] / length, point[2] / length
    cap = cover_surface(shot, azimuth, z, out)
    lambert = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
    wrapped = max(0.0, (lambert + 0.35) / 1.35)
    glance = max(0.0, nx * half[0] + ny * half[1] + nz * half[2])
    shine = 0.0 if cap else key * 0.05 * glance**8
    for channel in range(3):
        lit = (
            key * wrapped * shot.light_colour[channel]
            + shot.ambient * (0.75 + 0.25 * nz) * shot.ambient_colour[channel]
        )
        out[channel] = out[channel] * lit + shine * (0.3 + out[channel])
    return cover, alone


@compiled
def light_tongue(shot: Any, key: float, out: np.ndarray) -> None:
    out[0] = 0.30 * (0.25 * key + 0.3 * shot.ambient)
    out[1] = out[2] = 0.32 * out[0]


@compiled
def look_direction(shot: Any, turn: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """(2, 3) float32: where the two eyes look, in camera coordinates."""
    gaze = np.empty((2, 3), np.float32)
    for e in range(2):
        x, z = shot.gaze_x + (0.03 if eyes[e, 0] < 0 else -0.03), shot.gaze_y
        for axis in range(3):
            gaze[e, axis] = turn[axis, 0] * x - turn[axis, 1] * np.sqrt(1 - x * x - z * z) + turn[axis, 2] * z
    return gaze


@compiled
def light_eye(
    point: np.ndarray,
    gaze: np.ndarray,
    turn: np.ndarray,
    look: Any,
    shot: Any,
    half: np.ndarray,
    key: float,
    out: np.ndarray,
) -> None:
    """Linear colour of an eyeball at a point given from its centre: white, iris, pupil, the lid's shadow, glint."""
    length = np.sqrt(point[0] ** 2 + point[1] ** 2 + point[2] ** 2) + 1e-9
    nx, ny, nz = point[0] / length, point[1] / length, point[2] / length
    cosine = nx * gaze[0] + ny * gaze[1] + nz * gaze[2]
    angle = np.arccos(min(max(cosine, -1.0), 1.0))
    iris = 1 - step(look.iris_radius - 0.03, look.iris_radius + 0.03, angle)
    pupil = 1 - step(0.13, 0.18, angle)
    ring = 0.55 + 0.45 * (1 - step(look.iris_radius - 0.14, look.iris_radius, angle))
    lid = 1 - 0.5 * step(-0.05, 0.42, nx * turn[0, 2] + ny * turn[1, 2] + nz * turn[2, 2])
    lambert = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
    wrapped = max(0.0, (lambert + 0.22) / 1.22) * 0.84
    ambient = shot.ambient * 0.86 * (0.78 + 0.2 * nz)
    glance = max(0.0, nx * half[0] + ny * half[1] + nz * half[2])
    shine = key * 0.5 * glance**120
    for channel in range(3):
        white = look.sclera[channel] * (0.92 - 0.2 * step(0.5, 0.8, angle))
        shade = (white + iris * (look.iris[channel] * ring - white)) * (1 - 0.93 * pupil) * lid
        lit = key * wrapped * shot.light_colour[channel] + ambient * shot.ambient_colour[channel]
        out[channel] = shade * lit + shine

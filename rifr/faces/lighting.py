"""Light on skin, strands, eyes and backdrop: a lamp that casts shadows, and the sky of a photographed place all around.

Light from the sky varies slowly over a face: it is found for the vertices, by nine numbers a colour (`assets.Assets`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rifr.faces._jit import Attributes, compiled
from rifr.faces.assets import IRIS
from rifr.faces.head import AZIMUTH, BOTTOM, TOP
from rifr.faces.occluders import cover_surface
from rifr.faces.rasterizer import fill
from rifr.faces.textures import step

TEETH_SHADE = 0.6
"""The share of light that reaches the teeth between the lips."""

SHADOW = 72
"""Side of the lamp's view of the head."""


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
def backdrop(shot: Any, sky: np.ndarray, x: float, y: float, out: np.ndarray) -> None:
    """The background at picture coordinates in 0..1: a window of the panorama (rows, columns, 3) about its horizon."""
    rows, columns = sky.shape[0], sky.shape[1]
    u = (shot.sky_x + (x - 0.5) * shot.sky_window) * columns
    v = min(max((0.5 + shot.sky_y + (y - 0.5) * shot.sky_window * 2) * rows, 0.0), rows - 1.001)
    j, i = int(np.floor(u)), int(v)
    a, b = u - j, v - i
    first, second = j % columns, (j + 1) % columns
    for channel in range(3):
        upper = sky[i, first, channel] * (1 - a) + sky[i, second, channel] * a
        lower = sky[i + 1, first, channel] * (1 - a) + sky[i + 1, second, channel] * a
        out[channel] = upper * (1 - b) + lower * b


@compiled
def sky_light(x: float, y: float, z: float, around: np.ndarray, channel: int) -> float:
    """Light from all around on a surface that faces (x, y, z), by the weights (9, 3) of `assets.harmonics`."""
    value = around[0, channel] + around[1, channel] * x + around[2, channel] * y + around[3, channel] * z
    value += around[4, channel] * x * y + around[5, channel] * y * z + around[6, channel] * (3 * z * z - 1)
    return max(value + around[7, channel] * x * z + around[8, channel] * (x * x - y * y), 0.05)


@compiled
def turned_sky(around: np.ndarray, turn: float) -> np.ndarray:
    """The weights (9, 3) of a sky that is turned about the vertical."""
    c, s, c2, s2 = np.cos(turn), np.sin(turn), np.cos(2 * turn), np.sin(2 * turn)
    out = around.copy()
    for channel in range(3):
        x, y = around[1, channel], around[2, channel]
        out[1, channel], out[2, channel] = c * x - s * y, s * x + c * y
        x, y = around[7, channel], around[5, channel]
        out[7, channel], out[5, channel] = c * x - s * y, s * x + c * y
        x, y = around[8, channel], 0.5 * around[4, channel]
        out[8, channel], out[4, channel] = c2 * x - s2 * y, 2 * (s2 * x + c2 * y)
    return out


@compiled
def lamp_reaches(
    points: np.ndarray,
    normals: np.ndarray,
    triangles: np.ndarray,
    strands: np.ndarray,
    solid: np.ndarray,
    light: np.ndarray,
    lit: np.ndarray,
) -> None:
    """How much of the lamp reaches the points of the head (V, 3), to lit (V,), past the head and the strands (N, 3).

    What is nearer to the lamp by less than a few millimetres is no shadow, nor what a slope explains within a window.
    """
    upright = np.array([0.0, 0.0, 1.0]) if abs(light[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    right = np.array(
        [
            upright[1] * light[2] - upright[2] * light[1],
            upright[2] * light[0] - upright[0] * light[2],
            upright[0] * light[1] - upright[1] * light[0],
        ]
    )
    right /= np.sqrt(right[0] ** 2 + right[1] ** 2 + right[2] ** 2)
    up = np.array(
        [
            light[1] * right[2] - light[2] * right[1],
            light[2] * right[0] - light[0] * right[2],
            light[0] * right[1] - light[1] * right[0],
        ]
    )
    middle = points[0].astype(np.float64)
    nearest = np.full((SHADOW, SHADOW), np.float32(1e9))
    owner, weights = np.empty((SHADOW, SHADOW), np.int32), np.empty((SHADOW, SHADOW, 2), np.float32)
    flat, depth = _seen_from(points, middle, right, up, light)
    fill(flat, depth, triangles, True, nearest, owner, weights)
    flat_strands, depth_strands = _seen_from(strands, middle, right, up, light)
    fill(flat_strands, depth_strands, solid, True, nearest, owner, weights)
    for v in range(points.shape[0]):
        column, row = int(flat[v, 0]), int(flat[v, 1])
        facing = normals[v, 0] * light[0] + normals[v, 1] * light[1] + normals[v, 2] * light[2]
        slope = np.sqrt(max(1.0 - facing * facing, 0.0)) / max(facing, 0.15)
        beyond = depth[v] - 0.004 - 1.5 * (0.36 / SHADOW) * slope
        reached = 0
        for i in range(row - 1, row + 2):
            for j in range(column - 1, column + 2):
                outside = i < 0 or j < 0 or i >= SHADOW or j >= SHADOW
                if outside or beyond < nearest[i, j]:
                    reached += 1
        lit[v] = reached / 9


@compiled
def _seen_from(
    points: np.ndarray, middle: np.ndarray, right: np.ndarray, up: np.ndarray, light: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    flat, depth = np.empty((points.shape[0], 2), np.float32), np.empty(points.shape[0], np.float32)
    for v in range(points.shape[0]):
        x, y, z = points[v, 0] - middle[0], points[v, 1] - middle[1], points[v, 2] - middle[2]
        flat[v, 0] = (x * right[0] + y * right[1] + z * right[2]) * (SHADOW / 0.36) + SHADOW / 2
        flat[v, 1] = (x * up[0] + y * up[1] + z * up[2]) * (SHADOW / 0.36) + SHADOW / 2
        depth[v] = -(x * light[0] + y * light[1] + z * light[2])
    return flat, depth


@compiled
def light_strands(
    points: np.ndarray,
    tint: np.ndarray,
    dyed: int,
    middle: np.ndarray,
    shot: Any,
    around: np.ndarray,
    half: np.ndarray,
    key: float,
) -> np.ndarray:
    """(N, 3) float32 linear colour of strands at points (N, 3) around the middle of a head (3,); the first `dyed` are
    hair of the day's colour, the others teeth in the shade of the mouth."""
    out = np.empty((points.shape[0], 3), np.float32)
    for n in range(points.shape[0]):
        x, y, z = points[n, 0] - middle[0], points[n, 1] - middle[1], points[n, 2] - middle[2]
        length = np.sqrt(x * x + y * y + z * z) + 1e-9
        x, y, z = x / length, y / length, z / length
        lambert = max(0.0, (x * shot.light[0] + y * shot.light[1] + z * shot.light[2] + 0.25) / 1.25)
        glance = max(0.0, x * half[0] + y * half[1] + z * half[2])
        glance *= glance
        glance *= glance
        shine = 0.05 * key * glance * glance
        for channel in range(3):
            lit = key * lambert * shot.light_colour[channel]
            lit += 0.8 * shot.ambient * sky_light(x, y, z, around, channel)
            base = tint[n, channel] * (shot.hair_tint[channel] if n < dyed else TEETH_SHADE)
            out[n, channel] = base * lit + shine * (0.25 + base) * shot.light_colour[channel]
    return out


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
    """Linear colour of skin at a point (`photograph.ATTRIBUTES`); True where cloth covers it."""
    length = np.sqrt(point[0] ** 2 + point[1] ** 2 + point[2] ** 2) + 1e-9
    nx, ny, nz = point[0] / length, point[1] / length, point[2] / length
    azimuth, z, rim, lit_by_lamp = point[3], point[4], point[5], point[6]
    sample_texture(skin, azimuth / (2 * AZIMUTH) + 0.5, (z - BOTTOM) / (TOP - BOTTOM), out)
    if look.bearded > 0:
        paint = out[3] * shot.beard
        for channel in range(3):
            out[channel] += paint * (look.brow[channel] * 1.1 - out[channel])
    elif shot.makeup > 0:
        paint = 0.8 * out[3] * shot.makeup * min(1.0, 2.0 * look.gender)
        for channel in range(3):
            out[channel] += paint * (shot.makeup_colour[channel] - out[channel])
    if rim > 0:
        dark = min(rim * (0.35 + 0.25 * look.lashes) * (0.55 + 0.45 * step(0.897, 0.904, z) + 0.3 * look.liner), 0.92)
        for channel in range(3):
            out[channel] *= 1 - dark
    cloth = cover_surface(shot, azimuth, z, out)
    lambert = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
    shine = 0.0
    glance = nx * half[0] + ny * half[1] + nz * half[2]
    if not cloth and glance > 0.6:
        glance = glance * glance
        glance = glance * glance
        glance = glance * glance
        a = abs(azimuth)
        oily = 0.6 + 0.8 * (1 - step(0.06, 0.30, a)) * step(0.80, 0.86, z) + 0.5 * step(0.925, 0.945, z)
        shine = key * 0.035 * look.gloss * oily * (1 - rim) * glance * np.sqrt(glance) * lit_by_lamp
    for channel in range(3):
        soft = 0.30 - 0.10 * channel  # light that has passed through skin is red: its shadows begin later and softer
        wrapped = max(0.0, (lambert + soft) / (1 + soft))
        through = lit_by_lamp + (0.10 - 0.04 * channel) * (1 - lit_by_lamp)
        lit = key * wrapped * through * shot.light_colour[channel] + point[7 + channel]
        out[channel] = out[channel] * lit + shine * shot.light_colour[channel]
    return cloth


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
    picture: np.ndarray,
    shot: Any,
    half: np.ndarray,
    key: float,
    around: np.ndarray,
    iris: np.ndarray,
    out: np.ndarray,
) -> None:
    """Linear colour of an eyeball at a point given from its centre: white, iris with its pupil, the lid's shadow,
    glint. picture (EYE, EYE, 4) is that of `Assets.irises`, iris (4,) room for a sample of it."""
    length = np.sqrt(point[0] ** 2 + point[1] ** 2 + point[2] ** 2) + 1e-9
    nx, ny, nz = point[0] / length, point[1] / length, point[2] / length
    cosine = nx * gaze[0] + ny * gaze[1] + nz * gaze[2]
    angle = np.arccos(min(max(cosine, -1.0), 1.0))
    rx, ry = gaze[1] * turn[2, 2] - gaze[2] * turn[1, 2], gaze[2] * turn[0, 2] - gaze[0] * turn[2, 2]
    rz = gaze[0] * turn[1, 2] - gaze[1] * turn[0, 2]  # to one side of where the eye looks, and upwards from it
    across = nx * rx + ny * ry + nz * rz
    up = nx * (ry * gaze[2] - rz * gaze[1]) + ny * (rz * gaze[0] - rx * gaze[2]) + nz * (rx * gaze[1] - ry * gaze[0])
    scale = 0.5 * IRIS[2] / IRIS[3] / np.sin(look.iris_radius)
    if cosine > 0:
        sample_texture(picture, 0.5 + scale * across, 0.5 - scale * up, iris)
    else:
        iris[3] = 0.0
    lid = 1 - 0.5 * step(-0.05, 0.42, nx * turn[0, 2] + ny * turn[1, 2] + nz * turn[2, 2])
    lambert = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
    wrapped = max(0.0, (lambert + 0.22) / 1.22) * 0.60
    glance = max(0.0, nx * half[0] + ny * half[1] + nz * half[2])
    shine = key * 0.5 * glance**120
    for channel in range(3):
        white = look.sclera[channel] * (0.92 - 0.2 * step(0.5, 0.8, angle))
        shade = (white + iris[3] * (look.iris[channel] * iris[channel] - white)) * lid
        lit = key * wrapped * shot.light_colour[channel] + 0.42 * shot.ambient * sky_light(nx, ny, nz, around, channel)
        out[channel] = shade * lit + shine

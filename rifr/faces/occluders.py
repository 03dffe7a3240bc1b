"""What hides part of a face: cloth that lies on it (mask, scarf, cap) and things that stand before it (glasses, hand).

Cloth is a region of canonical coordinates. Glasses and hands lie in a plane that turns with the head; a sample's line
of sight is cut with that plane.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rifr.faces._jit import compiled
from rifr.faces.textures import step

DARK_GLASSES, CLEAR_GLASSES, MASK, SCARF, HAND, CAP = 1, 2, 3, 4, 5, 6


CUFF = 0.024
"""How wide the rim of a cap is, in metres."""


@compiled
def cap_edge(shot: Any) -> float:
    """The height to which a cap is drawn down over the middle of the forehead."""
    return 0.934 + 0.014 * shot.occluder_a


@compiled
def cover_surface(shot: Any, azimuth: float, z: float, colour: np.ndarray) -> bool:
    """Paint cloth over the surface point at these canonical coordinates; True where it did."""
    kind = int(shot.occluder)
    a = abs(azimuth)
    if kind in (DARK_GLASSES, CLEAR_GLASSES):  # their arms
        arm = a > 0.66 and abs(z - 0.907) < 0.0017
        if arm:
            for channel in range(3):
                colour[channel] = 0.12 * shot.occluder_colour[channel] + 0.01
        return arm
    if kind < MASK or kind == HAND:
        return False
    inside = False
    if kind == MASK:
        top = 0.882 - 0.020 * step(0.10, 0.9, a) - 0.010 * shot.occluder_a
        inside = z < top and z > 0.770 and a < 1.20
        inside = inside or (a >= 1.20 and a < 1.55 and abs(z - 0.868 + 0.05 * (a - 1.2)) < 0.0012)
    elif kind == SCARF:
        top = 0.806 + 0.040 * shot.occluder_a + 0.010 * np.sin(azimuth * 3 + 6 * shot.occluder_b)
        inside = z < top
    else:
        inside = z - 0.006 * a > cap_edge(shot)
    if inside:
        fold = 1 + 0.12 * np.sin(z * 700 + azimuth * 3)
        if kind == CAP:  # knitted ribs, and a rim turned up
            up = z - 0.006 * a - cap_edge(shot)
            seam = 1 - 0.45 * step(CUFF - 0.003, CUFF, up) * (1 - step(CUFF, CUFF + 0.004, up))
            fold = 0.62 * seam * (1 + (0.10 + 0.08 * (up < CUFF)) * np.sin(azimuth * 80) + 0.02 * np.sin(z * 1500))
        for channel in range(3):
            colour[channel] = shot.occluder_colour[channel] * fold
    return inside


@compiled
def stands_before(shot: Any) -> bool:
    """Whether the occluder of a photo stands before the face instead of lying on it."""
    return shot.occluder == DARK_GLASSES or shot.occluder == CLEAR_GLASSES or shot.occluder == HAND


@compiled
def plane_point(shot: Any, turn: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A point (3,) in camera coordinates of the plane in which glasses or a hand lie; points (5, 3) are the landmarks
    there."""
    p = np.empty(3)
    for axis in range(3):
        if shot.occluder == HAND:
            p[axis] = points[2, axis] - 0.012 * turn[axis, 1]
        else:
            p[axis] = 0.5 * (points[0, axis] + points[1, axis]) - 0.016 * turn[axis, 1]
    return p


@compiled
def cover_view(
    shot: Any,
    look: Any,
    turn: np.ndarray,
    p: np.ndarray,
    rx: float,
    ry: float,
    front: float,
    key: float,
    colour: np.ndarray,
) -> bool:
    """Lay glasses or a hand over a line of sight (rx, 1, -ry); True where the view is hidden.

    The plane through p (3,) has the head's own axes: right (x), forward (-y), up (z); `front` is the depth of what the
    sample sees so far.
    """
    kind = int(shot.occluder)
    across = turn[0, 1] * rx + turn[1, 1] - turn[2, 1] * ry
    if abs(across) < 1e-6:
        return False
    depth = (turn[0, 1] * p[0] + turn[1, 1] * p[1] + turn[2, 1] * p[2]) / across
    if depth <= 0 or depth > front:
        return False
    dx, dy, dz = rx * depth - p[0], depth - p[1], -ry * depth - p[2]
    x = turn[0, 0] * dx + turn[1, 0] * dy + turn[2, 0] * dz
    z = turn[0, 2] * dx + turn[1, 2] * dy + turn[2, 2] * dz
    if kind == HAND:
        return _hand(shot, look, x, z, key, colour)
    return _glasses(shot, x, z, kind, colour)


@compiled
def _glasses(shot: Any, x: float, z: float, kind: int, colour: np.ndarray) -> bool:
    a = abs(x)
    wide, high = 0.024 + 0.005 * shot.occluder_a, 0.017 + 0.007 * shot.occluder_b
    power = 2.0 + 2.5 * shot.occluder_c
    u, v = abs(a - 0.033) / wide, abs(z + 0.003) / high
    rim = 0.0016 if kind == CLEAR_GLASSES else 0.0022
    edge = rim / high
    outside = max(u, v) > 1 + edge  # of both lenses, whatever their shape
    reach = 2.0 if outside else (u**power + v**power) ** (1 / power)
    frame = abs(reach - 1) < edge or (a < 0.033 - wide and abs(z - 0.002) < rim)
    if frame:
        for channel in range(3):
            colour[channel] = 0.12 * shot.occluder_colour[channel] + 0.01
        return True
    if reach < 1:
        tint = 0.10 if kind == DARK_GLASSES else 0.93
        for channel in range(3):
            colour[channel] = colour[channel] * tint + (0.012 if kind == DARK_GLASSES else 0.006)
        return kind == DARK_GLASSES
    return False


@compiled
def _hand(shot: Any, look: Any, x: float, z: float, key: float, colour: np.ndarray) -> bool:
    """Four fingers and a palm that reach in from below or from a side."""
    tilt = (shot.occluder_a - 0.5) * 1.8
    c, s = np.cos(tilt), np.sin(tilt)
    shift_x, shift_z = (shot.occluder_b - 0.5) * 0.05, -0.060 + 0.035 * shot.occluder_c
    u, v = c * (x - shift_x) + s * (z - shift_z), -s * (x - shift_x) + c * (z - shift_z)
    if abs(u) > 0.041 or v > 0.076:  # beyond palm and fingers
        return False
    best = 2.0
    for finger in range(4):
        centre = (finger - 1.5) * 0.0185
        length = 0.066 - 0.006 * abs(finger - 1.3) ** 1.5
        along = min(max(v, -0.02), length)
        distance = np.sqrt((u - centre * (1 + 1.5 * along)) ** 2 + (v - along) ** 2) / 0.0088
        best = min(best, distance)
    if v < 0.0:
        distance = abs(u) / 0.040
        if distance < best:
            best = distance
    if best >= 1:
        return False
    shade = np.sqrt(max(1 - best * best, 0.0)) * 0.45 + 0.5
    for channel in range(3):
        colour[channel] = look.skin[channel] * shade * (0.62 * key + 0.75 * shot.ambient)
    return True

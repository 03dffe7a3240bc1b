"""Pixels: one photo of one person, from vertices and textures.

Two layers are drawn with a z-buffer at two by two samples a pixel, the head and the shell of hair before it; they are
lit, occluders are laid over them, and the samples are averaged, exposed and given the noise of a sensor.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rifr.align import FACE_SIZE
from rifr.faces._jit import Attributes, compiled
from rifr.faces.lighting import backdrop, clothes, light_eye, light_hair, light_skin, light_tongue, look_direction
from rifr.faces.occluders import cover_view, plane_point, stands_before
from rifr.faces.projection import PIVOT, SAMPLES, find_points, rotation, similarity, to_camera, to_screen
from rifr.faces.rasterizer import fill, normals
from rifr.faces.vertices import add_sparse

ALIGNED = float(FACE_SIZE)
LID = 0.003
ATTRIBUTES = 7
"""Numbers kept for a vertex: its normal, then what `surface` or `hair_place` holds."""

OPAQUE = 0.998
"""Hair that covers at least this much hides what is behind it."""


@functools.cache
def encoding(entries: int = 16384) -> np.ndarray:
    """(entries,) float32: sRGB of evenly spaced linear values from 0 to 1."""
    value = np.linspace(0, 1, entries)
    return np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055).astype(np.float32)


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


def buffers(size: int) -> tuple[np.ndarray, ...]:
    """Working space for photos of one size: nearest depths, owners and weights of the head's and of the hair's samples,
    linear pixels."""
    side = size * SAMPLES
    owners, weights = ((side, side), np.int32), ((side, side, 2), np.float32)
    shapes = [((side, side), np.float32), owners, weights, owners, weights, ((size, size, 3), np.float32)]
    return tuple(np.zeros(shape, kind) for shape, kind in shapes)


@compiled
def photograph(
    rest: np.ndarray,
    hair_points: np.ndarray,
    starts: np.ndarray,
    indices: np.ndarray,
    deltas: np.ndarray,
    first_action: int,
    triangles: np.ndarray,
    part: np.ndarray,
    surface: np.ndarray,
    eye_weights: np.ndarray,
    landmark_vertices: np.ndarray,
    hair_anchor: np.ndarray,
    hair_weight: np.ndarray,
    hair_place: np.ndarray,
    hair_triangles: np.ndarray,
    look: Any,
    skin: np.ndarray,
    hair: np.ndarray,
    expression: np.ndarray,
    shot: Any,
    layers: np.ndarray,
    template: np.ndarray,
    encode: np.ndarray,
    size: int,
    scene: bool,
    samples: tuple[np.ndarray, ...],
    image: np.ndarray,
    landmarks: np.ndarray,
) -> float:
    """Take the photo `shot` of a person into image (size, size, 3) uint8 and landmarks (5, 2) float32.

    rest (V, 3) and hair_points (H, 3) are the person's head at rest and the offsets of the hair from its anchors, skin
    and hair the textures, surface (V, 4) what no person changes (azimuth, height, open sky, rim of the lids), template
    (5, 2) the aligned landmarks, encode the table of `encoding`, samples those of `buffers`; the others are `Head`'s.
    Returns the fraction of the face that an occluder covers.
    """
    vertices = rest.copy()
    add_sparse(vertices, starts, indices, deltas, first_action, expression)
    shell = hair_points.copy()
    for h in range(shell.shape[0]):
        for axis in range(3):
            for corner in range(3):
                shell[h, axis] += hair_weight[h, corner] * vertices[hair_anchor[h, corner], axis]
    eyes, points = find_points(vertices, eye_weights, landmark_vertices)

    turn = rotation(shot.yaw, shot.pitch, shot.roll)
    posed, posed_shell, posed_points = np.empty_like(vertices), np.empty_like(shell), np.empty_like(points)
    posed_eyes = np.empty_like(eyes)
    to_camera(vertices, turn, shot.distance, posed)
    to_camera(shell, turn, shot.distance, posed_shell)
    to_camera(points, turn, shot.distance, posed_points)
    to_camera(eyes, turn, shot.distance, posed_eyes)

    flat = np.empty((5, 2))
    for k in range(5):
        flat[k, 0], flat[k, 1] = posed_points[k, 0] / posed_points[k, 1], -posed_points[k, 2] / posed_points[k, 1]
    a, b, tx, ty = similarity(flat, template)
    if scene:  # upright camera, the face loose in the picture
        part_of_side = 0.25 + 0.35 * shot.scene_scale
        a, b = np.sqrt(a * a + b * b) * part_of_side * size / ALIGNED, 0.0
        room = size * (0.5 - 0.45 * part_of_side)
        tx, ty = size / 2 + shot.scene_x * room, size / 2 + shot.scene_y * room
    for k in range(5):
        landmarks[k, 0] = a * flat[k, 0] - b * flat[k, 1] + tx
        landmarks[k, 1] = b * flat[k, 0] + a * flat[k, 1] + ty

    screen, depth = to_screen(posed, a, b, tx, ty)
    for v in range(depth.shape[0]):
        if eye_weights[0, v] != 0.0 or eye_weights[1, v] != 0.0:
            depth[v] += LID  # a closed lid hides the eyeball even where the two meshes touch
    attributes = np.zeros((posed.shape[0], ATTRIBUTES), np.float32)
    normals(posed, triangles, attributes)
    attributes[:, 3:] = surface
    nearest, owner, weights, owner_hair, weights_hair, pixels = samples
    nearest[:] = np.float32(1e9)
    owner[:] = -1
    owner_hair[:] = -1
    fill(screen, depth, triangles, False, nearest, owner, weights)

    attributes_hair = np.zeros((posed_shell.shape[0], ATTRIBUTES), np.float32)
    if look.hair_style > 0:
        screen, depth = to_screen(posed_shell, a, b, tx, ty)
        normals(posed_shell, hair_triangles, attributes_hair)
        attributes_hair[:, 3:5] = hair_place
        fill(screen, depth, hair_triangles, look.hair_style >= 3, nearest, owner_hair, weights_hair)

    gaze = look_direction(shot, turn, eyes)
    half = shot.light.copy()  # half way between the lamp and the camera
    half[1] -= 1
    half /= np.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    key = (1 - shot.ambient) * 1.75
    bright = 0.3 * look.skin[0] + 0.6 * look.skin[1] + 0.1 * look.skin[2]
    exposure = shot.exposure * (0.25 / bright) ** 0.28 / (0.35 + 0.65 * (shot.ambient + 0.9 * (1 - shot.ambient)))
    square = a * a + b * b
    in_view, plane = stands_before(shot), plane_point(shot, turn, posed_points)

    face, covered = 0, 0
    behind, eye, light, colour = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    skin_colour, hair_colour = np.zeros(4), np.zeros(4)
    hair_part = np.zeros(hair_triangles.shape[0], np.int8)
    full = SAMPLES * SAMPLES
    for row in range(size):
        for column in range(size):
            # the samples of a pixel that see skin are lit together, and so are those that see hair
            seen_hair, cover, alone = 0, 0.0, 0.0
            if look.hair_style > 0:
                point, seen_hair, _ = gather(
                    attributes_hair, hair_triangles, hair_part, owner_hair, weights_hair, row, column
                )
                if seen_hair > 0:
                    cover, alone = light_hair(point, hair, shot, half, key, hair_colour)
            point, seen, empty = gather(attributes, triangles, part, owner, weights, row, column)
            on_face, cloth = False, False
            if seen > 0 and (seen_hair < full or cover < OPAQUE):
                on_face = abs(point[3]) < 1.3 and point[4] < 0.965 and point[4] > 0.785
                cloth = light_skin(point, skin, look, shot, half, key, skin_colour)
            if empty > 0:
                backdrop(shot, layers, column / size, row / size, behind)
                if scene:
                    clothes(shot, (column - tx) / a * shot.distance, (ty - row) / a * shot.distance + PIVOT[2], behind)
            if (seen == full or empty == full) and (seen_hair == 0 or seen_hair == full) and not in_view:
                opacity = cover if seen == full else alone
                for channel in range(3):
                    value = skin_colour[channel] if seen == full else behind[channel]
                    value += opacity * (hair_colour[channel] - value)
                    pixels[row, column, channel] = shoulder(value * exposure)
                face += full * on_face
                covered += full * (on_face and cloth)
                continue
            for channel in range(3):
                light[channel] = 0.0
            for i in range(row * SAMPLES, (row + 1) * SAMPLES):
                for j in range(column * SAMPLES, (column + 1) * SAMPLES):
                    t = owner[i, j]
                    is_face, hidden = False, False
                    if t < 0:
                        colour[0], colour[1], colour[2] = behind[0], behind[1], behind[2]
                    elif part[t] == 0:
                        colour[0], colour[1], colour[2] = skin_colour[0], skin_colour[1], skin_colour[2]
                        is_face, hidden = on_face, cloth
                    elif part[t] == 1:
                        light_tongue(shot, key, colour)
                    else:
                        e = part[t] - 2
                        wa, wb = weights[i, j, 0], weights[i, j, 1]
                        for axis in range(3):
                            eye[axis] = (
                                wa * posed[triangles[t, 0], axis]
                                + wb * posed[triangles[t, 1], axis]
                                + (1 - wa - wb) * posed[triangles[t, 2], axis]
                                - posed_eyes[e, axis]
                            )
                        light_eye(eye, gaze[e], turn, look, shot, half, key, colour)
                        is_face = True
                    if alone > 0 and owner_hair[i, j] >= 0:
                        opacity = alone if t < 0 else cover
                        for channel in range(3):
                            colour[channel] += opacity * (hair_colour[channel] - colour[channel])
                    if in_view:
                        x, y = (j + 0.5) / SAMPLES - 0.5 - tx, (i + 0.5) / SAMPLES - 0.5 - ty
                        rx, ry = (a * x + b * y) / square, (a * y - b * x) / square
                        hidden = cover_view(shot, look, turn, plane, rx, ry, nearest[i, j], key, colour) or hidden
                    face += is_face
                    covered += is_face and hidden
                    for channel in range(3):
                        light[channel] += shoulder(colour[channel] * exposure)
            for channel in range(3):
                pixels[row, column, channel] = light[channel] / full
    develop(pixels, shot, encode, size, image)
    return covered / max(face, 1)


@compiled
def blend(attributes: np.ndarray, t: int, triangles: np.ndarray, a: float, b: float) -> Attributes:
    """The attributes of a point of triangle t with barycentric weights a and b of its first two corners."""
    i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    c = np.float32(1.0) - a - b
    return (
        a * attributes[i, 0] + b * attributes[j, 0] + c * attributes[k, 0],
        a * attributes[i, 1] + b * attributes[j, 1] + c * attributes[k, 1],
        a * attributes[i, 2] + b * attributes[j, 2] + c * attributes[k, 2],
        a * attributes[i, 3] + b * attributes[j, 3] + c * attributes[k, 3],
        a * attributes[i, 4] + b * attributes[j, 4] + c * attributes[k, 4],
        a * attributes[i, 5] + b * attributes[j, 5] + c * attributes[k, 5],
        a * attributes[i, 6] + b * attributes[j, 6] + c * attributes[k, 6],
    )


@compiled
def half_way(p: Attributes, q: Attributes) -> Attributes:
    """The mean of two tuples of attributes."""
    h = np.float32(0.5)
    return (
        h * (p[0] + q[0]),
        h * (p[1] + q[1]),
        h * (p[2] + q[2]),
        h * (p[3] + q[3]),
        h * (p[4] + q[4]),
        h * (p[5] + q[5]),
        h * (p[6] + q[6]),
    )


@compiled
def gather(
    attributes: np.ndarray,
    triangles: np.ndarray,
    part: np.ndarray,
    owner: np.ndarray,
    weights: np.ndarray,
    row: int,
    column: int,
) -> tuple[Attributes, int, int]:
    """The mean attributes of the samples of a pixel that see triangles of part 0 (a tuple: it stays in registers), how
    many samples do, and how many see no triangle at all.

    Two samples on a diagonal are enough for the mean, or whichever one sees such a triangle.
    """
    nought = np.float32(0.0)
    mean = (nought, nought, nought, nought, nought, nought, nought)
    seen, used, empty = 0, 0, 0
    for i in range(row * SAMPLES, (row + 1) * SAMPLES):
        for j in range(column * SAMPLES, (column + 1) * SAMPLES):
            t = owner[i, j]
            if t < 0:
                empty += 1
            elif part[t] == 0:
                seen += 1
                if (i + j) % 2 == 0 or used == 0:
                    point = blend(attributes, np.uint32(t), triangles, weights[i, j, 0], weights[i, j, 1])
                    mean = half_way(mean, point) if used else point
                    used += 1
    return mean, seen, empty


@compiled
def shoulder(value: float) -> float:
    """Film's soft shoulder: highlights are compressed instead of cut off."""
    return value / (1 + 0.12 * value * value)


@compiled
def develop(pixels: np.ndarray, shot: Any, encode: np.ndarray, size: int, image: np.ndarray) -> None:
    """Soften the linear pixels (size, size, 3), add noise and encode as sRGB by the table `encode`."""
    edge = 0.16 * shot.blur
    middle = 1 / (1 + 4 * edge)
    last = encode.shape[0] - 1
    value = np.empty(3)
    state = np.uint64(shot.seed)
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
                v = (pixels[row, column, channel] + edge * cross) * middle
                v = encode[int(min(max(v, 0.0), 1.0) * last + 0.5)]
                value[channel] = 0.5 + (v - 0.5) * shot.contrast
                grey += value[channel] / 3
            state, bits = next_random(state)
            for channel in range(3):
                v = grey + (value[channel] - grey) * shot.saturation + shot.noise * grain(bits, channel)
                image[row, column, channel] = np.uint8(min(max(v * 255 + 0.5, 0.0), 255.0))

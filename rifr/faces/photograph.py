"""Pixels: one photo of one person, from vertices and textures.

The head is drawn with a z-buffer at two by two samples a pixel, and hair, brows, lashes and teeth as veils before it;
they are lit, occluders are laid over them, and the samples are averaged, exposed and given the faults of a camera.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rifr.align import FACE_SIZE
from rifr.faces._jit import Attributes, compiled
from rifr.faces.film import develop
from rifr.faces.lighting import (
    backdrop,
    clothes,
    lamp_reaches,
    light_eye,
    light_skin,
    light_strands,
    light_tongue,
    look_direction,
    sky_light,
    turned_sky,
)
from rifr.faces.occluders import CAP, CUFF, cap_edge, cover_view, plane_point, stands_before
from rifr.faces.projection import PIVOT, SAMPLES, find_points, rotation, similarity, to_camera, to_screen
from rifr.faces.rasterizer import fill, normals
from rifr.faces.textures import step
from rifr.faces.vertices import add_sparse
from rifr.faces.worn import GATHERED, hang, veil

ALIGNED = float(FACE_SIZE)
LID = 0.003
ATTRIBUTES = 10
"""Numbers kept for a vertex: normal (3), azimuth, height, rim of the lids, share of the lamp, light of the sky (3)."""

FRINGE_REACHES, FOREHEAD = 0.060, -0.090
"""How far below its edge a cap holds a fringe, and where the forehead begins (metres; the face looks towards -y)."""

OPAQUE = 0.998
"""Hair that covers at least this much hides what is behind it."""


def buffers(size: int) -> tuple[np.ndarray, ...]:
    """Working space for photos of one size: nearest depths, owners and weights of the samples, strands before them,
    linear pixels."""
    side = size * SAMPLES
    shapes: list[tuple[tuple[int, ...], type]] = [
        ((side, side), np.float32),
        ((side, side), np.int32),
        ((side, side, 2), np.float32),
        ((side, side, GATHERED), np.float32),
        ((size, size, 3), np.float32),
    ]
    return tuple(np.zeros(shape, kind) for shape, kind in shapes)


@compiled
def photograph(
    rest: np.ndarray,
    worn: Any,
    starts: np.ndarray,
    indices: np.ndarray,
    deltas: np.ndarray,
    first_action: int,
    triangles: np.ndarray,
    part: np.ndarray,
    surface: np.ndarray,
    eye_weights: np.ndarray,
    landmark_vertices: np.ndarray,
    look: Any,
    skin: np.ndarray,
    iris: np.ndarray,
    expression: np.ndarray,
    shot: Any,
    light: np.ndarray,
    sky: np.ndarray,
    template: np.ndarray,
    encode: np.ndarray,
    size: int,
    scene: bool,
    samples: tuple[np.ndarray, ...],
    image: np.ndarray,
    landmarks: np.ndarray,
) -> float:
    """Take the photo `shot` of a person into image (size, size, 3) uint8 and landmarks (5, 2) float32.

    rest (V, 3) is the person's head at rest, worn a `Worn`, skin the texture, iris (EYE, EYE, 4) the picture of an eye,
    surface (V, 4) what no person changes (azimuth, height, open sky, rim of the lids), light (9, 3) and sky (rows,
    columns, 3) those of the surroundings, template (5, 2) the aligned landmarks, encode the table of `encoding`,
    samples those of `buffers`; the others are `Head`'s.
    Returns the fraction of the face that an occluder covers.
    """
    vertices = rest.copy()
    add_sparse(vertices, starts, indices, deltas, first_action, expression)
    edge = cap_edge(shot)
    if shot.occluder == CAP:
        pull_over(vertices, surface, edge)
    strands = hang(worn, vertices)
    if shot.occluder == CAP:
        press(strands, worn, edge)
    eyes, points = find_points(vertices, eye_weights, landmark_vertices)

    turn = rotation(shot.yaw, shot.pitch, shot.roll)
    posed, posed_strands, posed_points = np.empty_like(vertices), np.empty_like(strands), np.empty_like(points)
    posed_eyes = np.empty_like(eyes)
    to_camera(vertices, turn, shot.distance, posed)
    to_camera(strands, turn, shot.distance, posed_strands)
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
    else:  # the errors of a detector
        c, d = shot.align_scale * np.cos(shot.align_turn), shot.align_scale * np.sin(shot.align_turn)
        a, b, tx, ty = (
            c * a - d * b,
            c * b + d * a,
            c * (tx - size / 2) - d * (ty - size / 2) + size / 2 + shot.align_x,
            d * (tx - size / 2) + c * (ty - size / 2) + size / 2 + shot.align_y,
        )
    for k in range(5):
        landmarks[k, 0] = a * flat[k, 0] - b * flat[k, 1] + tx
        landmarks[k, 1] = b * flat[k, 0] + a * flat[k, 1] + ty

    screen, depth = to_screen(posed, a, b, tx, ty)
    for v in range(depth.shape[0]):
        if eye_weights[0, v] != 0.0 or eye_weights[1, v] != 0.0:
            depth[v] += LID  # a closed lid hides the eyeball even where the two meshes touch
    key = (1 - shot.ambient) * 1.9
    half = shot.light.copy()  # half way between the lamp and the camera
    half[1] -= 1
    half /= np.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    around = turned_sky(light, shot.sky_turn)
    attributes = np.zeros((posed.shape[0], ATTRIBUTES), np.float32)
    normals(posed, triangles, attributes)
    lamp_reaches(posed, attributes[:, :3], triangles, posed_strands, worn.solid, shot.light, attributes[:, 6])
    for v in range(posed.shape[0]):
        attributes[v, 3], attributes[v, 4], attributes[v, 5] = surface[v, 0], surface[v, 1], surface[v, 3]
        x, y, z = attributes[v, 0], attributes[v, 1], attributes[v, 2]
        for channel in range(3):
            attributes[v, 7 + channel] = shot.ambient * surface[v, 2] * sky_light(x, y, z, around, channel)
    nearest, owner, weights, gathered, pixels = samples
    nearest[:] = np.float32(1e9)
    owner[:] = -1
    gathered[:] = 0
    gathered[:, :, 4] = 1
    fill(screen, depth, triangles, False, nearest, owner, weights)

    middle = np.empty(3)
    for axis in range(3):
        middle[axis] = 0.5 * (posed_eyes[0, axis] + posed_eyes[1, axis]) + 0.085 * turn[axis, 1] + 0.01 * turn[axis, 2]
    colours = light_strands(posed_strands, worn.tint, worn.dyed, middle, shot, around, half, key)
    screen, depth = to_screen(posed_strands, a, b, tx, ty)
    hidden_strands = np.zeros(depth.shape[0], np.bool_)
    if shot.occluder == CAP:
        hidden_strands = under_cap(strands, worn, edge)
    veil(screen, depth, colours, hidden_strands, worn, nearest, shot.distance - 0.10, gathered)

    gaze = look_direction(shot, turn, eyes)
    square = a * a + b * b
    in_view, plane = stands_before(shot), plane_point(shot, turn, posed_points)

    face, covered = 0, 0
    behind, eye, light_sum, colour = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    skin_colour, hair_colour, iris_colour = np.zeros(4), np.zeros(4), np.zeros(4)
    full = SAMPLES * SAMPLES
    for row in range(size):
        for column in range(size):
            through = veiled(gathered, row, column, hair_colour)
            point, seen, empty = gather(attributes, triangles, part, owner, weights, row, column)
            on_face, cloth = False, False
            if seen > 0 and through > 1 - OPAQUE:  # the samples of a pixel that see skin are lit together
                on_face = abs(point[3]) < 1.3 and point[4] < 0.965 and point[4] > 0.785
                cloth = light_skin(point, skin, look, shot, half, key, skin_colour)
            if empty > 0:
                backdrop(shot, sky, column / size, row / size, behind)
                clothes(shot, (column - tx) / a * shot.distance, (ty - row) / a * shot.distance + PIVOT[2], behind)
            if (seen == full or empty == full) and not in_view:
                for channel in range(3):
                    value = skin_colour[channel] if seen == full else behind[channel]
                    pixels[row, column, channel] = through * value + hair_colour[channel]
                face += full * on_face
                covered += full * (on_face and cloth)
                continue
            for channel in range(3):
                light_sum[channel] = 0.0
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
                        light_eye(eye, gaze[e], turn, look, iris, shot, half, key, around, iris_colour, colour)
                        is_face = True
                    strand = gathered[i, j]
                    if strand[3] > 0:
                        for channel in range(3):
                            colour[channel] *= strand[4]
                            colour[channel] += (1 - strand[4]) * strand[channel] / strand[3]
                    if in_view:
                        x, y = (j + 0.5) / SAMPLES - 0.5 - tx, (i + 0.5) / SAMPLES - 0.5 - ty
                        rx, ry = (a * x + b * y) / square, (a * y - b * x) / square
                        hidden = cover_view(shot, look, turn, plane, rx, ry, nearest[i, j], key, colour) or hidden
                    face += is_face
                    covered += is_face and hidden
                    for channel in range(3):
                        light_sum[channel] += colour[channel]
            for channel in range(3):
                pixels[row, column, channel] = light_sum[channel] / full
    develop(pixels, shot, encode, size, image)
    return covered / max(face, 1)


@compiled
def pull_over(vertices: np.ndarray, surface: np.ndarray, edge: float) -> None:
    """A cap's thickness above its edge, more at the rim: move the top of a head (V, 3) outwards, in place."""
    for v in range(vertices.shape[0]):
        up = surface[v, 1] - 0.006 * abs(surface[v, 0]) - edge
        raised = 0.011 * step(-0.004, 0.010, up) - 0.003 * step(CUFF - 0.002, CUFF + 0.008, up)
        if raised > 0:
            x, y, z = vertices[v, 0], vertices[v, 1] + 0.06, vertices[v, 2] - 0.90
            length = np.sqrt(x * x + y * y + z * z) + 1e-9
            vertices[v, 0] += raised * x / length
            vertices[v, 1] += raised * y / length
            vertices[v, 2] += raised * z / length


@compiled
def press(strands: np.ndarray, worn: Any, edge: float) -> None:
    """Lay hair (N, 3) to the head below a cap's edge, in place."""
    for n in range(worn.hair):
        near = 0.85 * step(edge - 0.060, edge - 0.005, worn.height[n])
        for axis in range(3):
            strands[n, axis] -= near * worn.offsets[n, axis]


@compiled
def under_cap(strands: np.ndarray, worn: Any, edge: float) -> np.ndarray:
    """(N,) bool: the hair (N, 3) that a cap hides, with a fringe below its edge."""
    hidden = np.zeros(strands.shape[0], np.bool_)
    for n in range(worn.hair):
        hidden[n] = worn.height[n] > edge - (FRINGE_REACHES if strands[n, 1] < FOREHEAD else 0.0)
    return hidden


@compiled
def veiled(gathered: np.ndarray, row: int, column: int, out: np.ndarray) -> float:
    """The strands' share of a pixel's light to out[:3]; returns how much of what is behind they let through."""
    through = 0.0
    for channel in range(3):
        out[channel] = 0.0
    for i in range(row * SAMPLES, (row + 1) * SAMPLES):
        for j in range(column * SAMPLES, (column + 1) * SAMPLES):
            strand = gathered[i, j]
            through += strand[4]
            if strand[3] > 0:
                for channel in range(3):
                    out[channel] += (1 - strand[4]) * strand[channel] / strand[3]
    for channel in range(3):
        out[channel] /= SAMPLES * SAMPLES
    return through / (SAMPLES * SAMPLES)


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
        a * attributes[i, 7] + b * attributes[j, 7] + c * attributes[k, 7],
        a * attributes[i, 8] + b * attributes[j, 8] + c * attributes[k, 8],
        a * attributes[i, 9] + b * attributes[j, 9] + c * attributes[k, 9],
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
        h * (p[7] + q[7]),
        h * (p[8] + q[8]),
        h * (p[9] + q[9]),
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
    mean = (nought, nought, nought, nought, nought, nought, nought, nought, nought, nought)
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

"""Pixels: one photo of one person, from vertices and textures.

Two layers are drawn with a z-buffer at two by two samples a pixel, the head and the shell of hair before it; each
sample is lit by a lamp, a fill and the sky, occluders are laid over it, and the samples are averaged, exposed and
given the noise of a sensor.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rifr.faces.camera import rotation, similarity, to_camera
from rifr.faces.head import AZIMUTH, BOTTOM, TOP
from rifr.faces.occluders import cover_surface, cover_view
from rifr.faces.paint import HAIR_BOTTOM, HAIR_TOP, step
from rifr.faces.raster import fill, normals
from rifr.faces.shape import add_sparse

SAMPLES = 2
"""Samples along each side of a pixel."""


@njit(cache=True, nogil=True, inline="always")
def sample_texture(texture, x, y, channel):
    """A texture at 0..1 coordinates, interpolated, clamped at its edges."""
    height, width = texture.shape[0], texture.shape[1]
    x = min(max(x * width - 0.5, 0.0), width - 1.001)
    y = min(max(y * height - 0.5, 0.0), height - 1.001)
    j, i = int(x), int(y)
    a, b = x - j, y - i
    upper = texture[i, j, channel] * (1 - a) + texture[i, j + 1, channel] * a
    lower = texture[i + 1, j, channel] * (1 - a) + texture[i + 1, j + 1, channel] * a
    return upper * (1 - b) + lower * b


@njit(cache=True, nogil=True, inline="always")
def random_normal(state):
    """A roughly normal number (the sum of four uniform ones) and the next state of a 64-bit mixing generator."""
    total = 0.0
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    for shift in range(4):
        total += float((z >> np.uint64(16 * shift)) & np.uint64(65535)) / 65535.0
    return (total - 2.0) * 1.7320508, state


@njit(cache=True, nogil=True)
def photograph(
    rest, hair_points, starts, indices, deltas, first_action, triangles, part, canonical, occlusion, margin, eye_weights,
    landmark_vertices, hair_anchor, hair_weight, hair_place, hair_triangles, look, skin, hair, expression, shot, layers,
    template, size, scene, image, landmarks,
):  # fmt: skip
    """Take the photo `shot` of a person into image (size, size, 3) uint8 and landmarks (5, 2) float32.

    rest (V, 3) and hair_points (H, 3) are the person's head at rest and the offsets of the hair from its anchors, skin
    and hair the textures, template (5, 2) the aligned landmarks; the other arrays are those of `Head`. Returns the share
    of the face that an occluder covers.
    """
    vertices = rest.copy()
    add_sparse(vertices, starts, indices, deltas, first_action, expression)
    count = vertices.shape[0]
    shell = np.empty((hair_points.shape[0], 3), np.float32)
    for h in range(shell.shape[0]):
        for axis in range(3):
            value = hair_points[h, axis]
            for corner in range(3):
                value += hair_weight[h, corner] * vertices[hair_anchor[h, corner], axis]
            shell[h, axis] = value
    # the eyes: centres and radii, and the points of the five landmarks
    points = np.zeros((5, 3), np.float32)
    eyes = np.zeros((2, 3), np.float32)
    radii = np.zeros(2)
    for side in range(2):
        for v in range(count):
            w = eye_weights[side, v]
            if w != 0.0:
                for axis in range(3):
                    eyes[side, axis] += w * vertices[v, axis]
        total, number = 0.0, 0
        for v in range(count):
            if eye_weights[side, v] != 0.0:
                d = vertices[v] - eyes[side]
                total += np.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
                number += 1
        radii[side] = total / number
    for side in range(2):  # the viewer's left eye is the person's right one
        other = side if eyes[0, 0] < eyes[1, 0] else 1 - side
        points[side] = eyes[other]
        points[side, 1] -= radii[other]
    for k in range(3):
        points[2 + k] = vertices[landmark_vertices[k]]

    turn = rotation(shot.yaw, shot.pitch, shot.roll)
    posed = np.empty_like(vertices)
    to_camera(vertices, turn, shot.distance, posed)
    posed_hair = np.empty_like(shell)
    to_camera(shell, turn, shot.distance, posed_hair)
    posed_points = np.empty_like(points)
    to_camera(points, turn, shot.distance, posed_points)
    posed_eyes = np.empty_like(eyes)
    to_camera(eyes, turn, shot.distance, posed_eyes)

    flat = np.empty((5, 2))
    for k in range(5):
        flat[k, 0] = posed_points[k, 0] / posed_points[k, 1]
        flat[k, 1] = -posed_points[k, 2] / posed_points[k, 1]
    a, b, tx, ty = similarity(flat, template)
    if scene:  # loose in a larger picture: upright camera, face 25 to 60 % of the side
        a = size * (0.25 + 0.35 * shot.scene_scale) / 112.0 * np.sqrt(a * a + b * b)
        b = 0.0
        room = size * (0.5 - 0.36 * (0.25 + 0.35 * shot.scene_scale) * 1.3)
        tx = size / 2 + shot.scene_x * room
        ty = size / 2 + shot.scene_y * room
    for k in range(5):
        landmarks[k, 0] = a * flat[k, 0] - b * flat[k, 1] + tx
        landmarks[k, 1] = b * flat[k, 0] + a * flat[k, 1] + ty

    side = size * SAMPLES
    screen = np.empty((count, 2), np.float32)
    depth = np.empty(count, np.float32)
    for v in range(count):
        x, y = posed[v, 0] / posed[v, 1], -posed[v, 2] / posed[v, 1]
        screen[v, 0] = (a * x - b * y + tx + 0.5) * SAMPLES
        screen[v, 1] = (b * x + a * y + ty + 0.5) * SAMPLES
        depth[v] = posed[v, 1]
    screen_hair = np.empty((shell.shape[0], 2), np.float32)
    depth_hair = np.empty(shell.shape[0], np.float32)
    for v in range(shell.shape[0]):
        x, y = posed_hair[v, 0] / posed_hair[v, 1], -posed_hair[v, 2] / posed_hair[v, 1]
        screen_hair[v, 0] = (a * x - b * y + tx + 0.5) * SAMPLES
        screen_hair[v, 1] = (b * x + a * y + ty + 0.5) * SAMPLES
        depth_hair[v] = posed_hair[v, 1]

    normal = np.empty_like(posed)
    normals(posed, triangles, normal)
    normal_hair = np.empty_like(posed_hair)
    normals(posed_hair, hair_triangles, normal_hair)
    nearest = np.full((side, side), np.float32(1e9), np.float32)
    owner = np.full((side, side), np.int32(-1), np.int32)
    weights = np.zeros((side, side, 2), np.float32)
    fill(screen, depth, triangles, False, nearest, owner, weights)
    nearest_hair = nearest.copy()
    owner_hair = np.full((side, side), np.int32(-1), np.int32)
    weights_hair = np.zeros((side, side, 2), np.float32)
    if look.hair_style > 0:
        fill(screen_hair, depth_hair, hair_triangles, True, nearest_hair, owner_hair, weights_hair)

    gaze = np.empty((2, 3), np.float32)
    for e in range(2):
        inward = 0.03 if eyes[e, 0] < 0 else -0.03
        gx, gz = shot.gaze_x + inward, shot.gaze_y
        for axis in range(3):
            gaze[e, axis] = turn[axis, 0] * gx - turn[axis, 1] * np.sqrt(1 - gx * gx - gz * gz) + turn[axis, 2] * gz
    key = (1 - shot.ambient) * 1.75
    half = shot.light.copy()
    half[1] -= 1
    half /= np.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    exposure = shot.exposure / (0.35 + 0.65 * (shot.ambient + 0.9 * (1 - shot.ambient)))
    inverse_a, inverse_b = a / (a * a + b * b), -b / (a * a + b * b)

    linear = np.zeros((side, side, 3), np.float32)
    face, covered = 0, 0
    colour = np.zeros(3)
    light = np.zeros(3)
    for row in range(side):
        for column in range(side):
            px, py = (column + 0.5) / SAMPLES - 0.5, (row + 0.5) / SAMPLES - 0.5
            mix = row / side
            broad = layers[0, int(shot.occluder_a * 200 + py * 0.6 * 112 / size) & 255, int(shot.occluder_b * 200 + px * 0.6 * 112 / size) & 255]
            mix = min(max(mix + 0.35 * shot.background_mix * broad, 0.0), 1.0)
            for channel in range(3):
                colour[channel] = shot.background_top[channel] * (1 - mix) + shot.background_bottom[channel] * mix
            t = owner[row, column]
            is_face = False
            hidden = False
            if t >= 0:
                i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                wa, wb = weights[row, column, 0], weights[row, column, 1]
                wc = 1 - wa - wb
                nx = wa * normal[i, 0] + wb * normal[j, 0] + wc * normal[k, 0]
                ny = wa * normal[i, 1] + wb * normal[j, 1] + wc * normal[k, 1]
                nz = wa * normal[i, 2] + wb * normal[j, 2] + wc * normal[k, 2]
                open_sky = wa * occlusion[i] + wb * occlusion[j] + wc * occlusion[k]
                gloss, sharp = 0.0, 0.0
                if part[t] == 0:
                    azimuth = wa * canonical[i, 0] + wb * canonical[j, 0] + wc * canonical[k, 0]
                    z = wa * canonical[i, 1] + wb * canonical[j, 1] + wc * canonical[k, 1]
                    u, v = azimuth / (2 * AZIMUTH) + 0.5, (z - BOTTOM) / (TOP - BOTTOM)
                    for channel in range(3):
                        colour[channel] = sample_texture(skin, u, v, channel)
                    rim = wa * margin[i] + wb * margin[j] + wc * margin[k]
                    dark = rim * (0.45 + 0.35 * look.lashes) * (0.55 + 0.45 * step(0.897, 0.904, z) + 0.3 * look.liner)
                    dark = min(dark, 0.92)
                    for channel in range(3):
                        colour[channel] *= 1 - dark
                    gloss = 0.05 * look.gloss * (1 - rim)
                    is_face = abs(azimuth) < 1.3 and z < 0.965 and z > 0.785
                    hidden = cover_surface(shot, azimuth, z, colour)
                    if hidden:
                        gloss = 0.0
                elif part[t] == 1:
                    colour[0], colour[1], colour[2] = 0.30, 0.10, 0.10
                    open_sky = min(open_sky, 0.35)
                else:
                    e = part[t] - 2
                    ex = wa * posed[i, 0] + wb * posed[j, 0] + wc * posed[k, 0] - posed_eyes[e, 0]
                    ey = wa * posed[i, 1] + wb * posed[j, 1] + wc * posed[k, 1] - posed_eyes[e, 1]
                    ez = wa * posed[i, 2] + wb * posed[j, 2] + wc * posed[k, 2] - posed_eyes[e, 2]
                    length = np.sqrt(ex * ex + ey * ey + ez * ez)
                    nx, ny, nz = ex / length, ey / length, ez / length
                    cosine = nx * gaze[e, 0] + ny * gaze[e, 1] + nz * gaze[e, 2]
                    angle = np.arccos(min(max(cosine, -1.0), 1.0))
                    lid = step(-0.05, 0.42, nz * turn[2, 2] + ny * turn[1, 2] + nx * turn[0, 2])
                    iris = 1 - step(look.iris_radius - 0.03, look.iris_radius + 0.03, angle)
                    pupil = 1 - step(0.13, 0.18, angle)
                    ring = 0.55 + 0.45 * (1 - step(look.iris_radius - 0.14, look.iris_radius, angle))
                    for channel in range(3):
                        white = look.sclera[channel] * (0.92 - 0.2 * step(0.5, 0.8, angle))
                        shade = white + iris * (look.iris[channel] * ring - white)
                        colour[channel] = shade * (1 - 0.93 * pupil) * (1 - 0.5 * lid)
                    open_sky = 0.75
                    sharp = 0.5
                    is_face = True
                lambert = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
                wrapped = max(0.0, (lambert + 0.22) / 1.22) * (0.35 + 0.65 * open_sky)
                filling = max(0.0, nx * shot.fill[0] + ny * shot.fill[1] + nz * shot.fill[2])
                sky = open_sky * (0.72 + 0.20 * nz + 0.22 * filling)
                near_half = max(0.0, nx * half[0] + ny * half[1] + nz * half[2])
                shine = key * (gloss * near_half ** 14 + sharp * near_half ** 120)
                for channel in range(3):
                    reddening = (0.10 * (1 - channel * 0.5)) * max(0.0, 0.35 - abs(lambert)) if part[t] == 0 else 0.0
                    light[channel] = key * wrapped * shot.light_colour[channel] + shot.ambient * 1.15 * sky * shot.ambient_colour[channel]
                    colour[channel] = colour[channel] * light[channel] * (1 + reddening) + shine * shot.light_colour[channel]
            elif scene:
                pass
            if owner_hair[row, column] >= 0:
                t = owner_hair[row, column]
                i, j, k = hair_triangles[t, 0], hair_triangles[t, 1], hair_triangles[t, 2]
                wa, wb = weights_hair[row, column, 0], weights_hair[row, column, 1]
                wc = 1 - wa - wb
                first, second, third = hair_place[i, 0], hair_place[j, 0], hair_place[k, 0]
                if max(first, second, third) - min(first, second, third) > 3:  # the seam at the back
                    first, second, third = first % (2 * np.pi), second % (2 * np.pi), third % (2 * np.pi)
                azimuth = wa * first + wb * second + wc * third
                z = wa * hair_place[i, 1] + wb * hair_place[j, 1] + wc * hair_place[k, 1]
                u, v = azimuth / (2 * np.pi) + 0.5, (z - HAIR_BOTTOM) / (HAIR_TOP - HAIR_BOTTOM)
                u = u - np.floor(u)
                cover = sample_texture(hair, u, v, 3)
                if cover > 0.01:
                    nx = wa * normal_hair[i, 0] + wb * normal_hair[j, 0] + wc * normal_hair[k, 0]
                    ny = wa * normal_hair[i, 1] + wb * normal_hair[j, 1] + wc * normal_hair[k, 1]
                    nz = wa * normal_hair[i, 2] + wb * normal_hair[j, 2] + wc * normal_hair[k, 2]
                    lambert = nx * shot.light[0] + ny * shot.light[1] + nz * shot.light[2]
                    wrapped = max(0.0, (lambert + 0.35) / 1.35)
                    near_half = max(0.0, nx * half[0] + ny * half[1] + nz * half[2])
                    shine = key * 0.05 * near_half ** 8
                    hair_colour = np.empty(3)
                    for channel in range(3):
                        hair_colour[channel] = sample_texture(hair, u, v, channel)
                    cap = cover_surface(shot, azimuth, z, hair_colour)
                    for channel in range(3):
                        lit = key * wrapped * shot.light_colour[channel] + shot.ambient * (0.75 + 0.25 * nz) * shot.ambient_colour[channel]
                        shone = hair_colour[channel] * lit + (0.0 if cap else shine * (0.3 + hair_colour[channel]))
                        colour[channel] += cover * (shone - colour[channel])
            # occluders that stand before the face: where does the ray through this sample meet their plane?
            if shot.occluder > 0:
                qx, qy = px - tx, py - ty
                rx = inverse_a * qx - inverse_b * qy
                ry = inverse_b * qx + inverse_a * qy
                front = nearest_hair[row, column]
                if cover_view(shot, look, turn, posed_points, rx, ry, front, key, colour):
                    hidden = True
            if is_face:
                face += 1
                if hidden:
                    covered += 1
            for channel in range(3):
                linear[row, column, channel] = colour[channel] * exposure

    develop(linear, shot, size, image)
    return covered / max(face, 1)


@njit(cache=True, nogil=True)
def develop(linear, shot, size, image):
    """Average the samples, soften, expose, add noise and encode as sRGB."""
    pixels = np.empty((size, size, 3), np.float32)
    for row in range(size):
        for column in range(size):
            for channel in range(3):
                total = 0.0
                for i in range(SAMPLES):
                    for j in range(SAMPLES):
                        value = linear[row * SAMPLES + i, column * SAMPLES + j, channel]
                        total += value / (1 + 0.12 * value * value)
                pixels[row, column, channel] = total / (SAMPLES * SAMPLES)
    edge = 0.16 * shot.blur
    state = np.uint64(shot.seed)
    for row in range(size):
        up, down = max(row - 1, 0), min(row + 1, size - 1)
        for column in range(size):
            left, right = max(column - 1, 0), min(column + 1, size - 1)
            grey = 0.0
            value = np.empty(3)
            for channel in range(3):
                cross = pixels[up, column, channel] + pixels[down, column, channel] + pixels[row, left, channel] + pixels[row, right, channel]
                v = (pixels[row, column, channel] + edge * cross) / (1 + 4 * edge)
                v = min(max(v, 0.0), 1.0)
                v = 12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055
                value[channel] = 0.5 + (v - 0.5) * shot.contrast
                grey += value[channel] / 3
            for channel in range(3):
                grain, state = random_normal(state)
                v = grey + (value[channel] - grey) * shot.saturation + shot.noise * grain
                image[row, column, channel] = np.uint8(min(max(v * 255 + 0.5, 0.0), 255.0))

"""Vertices: the head of a person, the hair around it, and an expression on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rifr.faces._jit import compiled
from rifr.faces.hair_mesh import HAIR_LENGTH
from rifr.faces.head import Head
from rifr.faces.identity import Identity
from rifr.faces.projection import find_points
from rifr.faces.textures import hair_cover, step

EDGE = 0.03
"""Triangles of the hair shell whose corners all lie this far outside the hair are not drawn, in metres."""

EYES = (0.0, -0.129, 0.904)
"""Where the middle between the eyes is placed, in metres."""


def person_vertices(head: Head, identity: Identity) -> np.ndarray:
    """(V, 3) float32: the person's head at rest."""
    vertices = head.template.copy()
    _add_dense(vertices, head.phenotype, head.phenotype_weights(identity.shares))
    controls = identity.controls
    weights = np.zeros(2 * len(controls), np.float32)
    weights[0::2], weights[1::2] = np.maximum(controls, 0), np.maximum(-controls, 0)
    add_sparse(vertices, head.starts, head.indices, head.deltas, 0, weights)
    eyes = find_points(vertices, head.eye_weights, head.landmarks)[0]
    middle = (eyes[0] + eyes[1]) / 2
    return vertices - (middle - np.array(EYES, np.float32))  # people of all heights before one camera


@compiled
def _add_dense(vertices: np.ndarray, shapes: np.ndarray, weights: np.ndarray) -> None:
    for p in range(shapes.shape[0]):
        w = weights[p]
        if w != 0.0:
            for v in range(vertices.shape[0]):
                vertices[v, 0] += w * shapes[p, v, 0]
                vertices[v, 1] += w * shapes[p, v, 1]
                vertices[v, 2] += w * shapes[p, v, 2]


@compiled
def add_sparse(
    vertices: np.ndarray, starts: np.ndarray, indices: np.ndarray, deltas: np.ndarray, first: int, weights: np.ndarray
) -> None:
    """Add the sparse shapes first, first + 1, ... with their weights to the vertices, in place and in order."""
    for k in range(weights.shape[0]):
        w = weights[k]
        if w != 0.0:
            for e in range(starts[first + k], starts[first + k + 1]):
                v = indices[e]
                vertices[v, 0] += w * deltas[e, 0]
                vertices[v, 1] += w * deltas[e, 1]
                vertices[v, 2] += w * deltas[e, 2]


@compiled
def hair_offsets(
    look: Any, direction: np.ndarray, drop: np.ndarray, place: np.ndarray, out: np.ndarray, depths: np.ndarray
) -> None:
    """Offsets (H, 3) of the hair shell's vertices from their anchors, and how deep (H,) in the hair each one lies."""
    for h in range(direction.shape[0]):
        azimuth, z = place[h, 0], place[h, 1]
        depth = hair_cover(look, azimuth, z)
        depths[h] = depth
        a = abs(azimuth)
        full = look.hair_thickness
        upright = step(0.3, 0.9, direction[h, 2])
        thick = full * (look.hair_side * (1 - upright) + upright)
        ramp = 0.012 + 1.2 * full if z > 0.93 else 0.055  # the edge of the hair lies close to the skin
        temple = step(0.6, 0.9, a) * (1 - step(1.4, 1.7, a))
        thick = thick * (0.10 + 0.90 * step(-0.006, ramp, depth * (1 - 0.6 * temple) - 0.004 * temple))
        if look.hair_style >= 3 and z < 0.93:
            ear = step(1.25, 1.5, a) * (1 - step(2.0, 2.4, a))
            thick = max(thick, 0.020 * ear)
        wave = 0.10 * np.sin(azimuth * 7 + look.noise_x) * look.hair_curl + 0.05 * np.sin(
            azimuth * 13 + z * 300 + look.noise_y
        )
        thick = max(thick * (1 + wave), 0.0012)
        thick -= 0.020 * step(0.05, 0.6, drop[h]) * step(2.0, 1.4, a)  # beside the cheeks it falls inwards
        out[h, 0] = direction[h, 0] * thick
        out[h, 1] = direction[h, 1] * thick
        out[h, 2] = direction[h, 2] * thick - HAIR_LENGTH * drop[h]


def hair_shell(head: Head, identity: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (H, 3) float32 of the shell from its anchors, and the triangles (n, 3) of it on which there is hair."""
    offsets = np.empty_like(head.hair_direction)
    depths = np.empty(len(offsets), np.float32)
    hair_offsets(identity.look[()], head.hair_direction, head.hair_drop, head.hair_place, offsets, depths)
    return offsets, head.hair_triangles[depths[head.hair_triangles].max(axis=1) > -EDGE]

"""Vertices: the head of a person, and an expression on it."""

from __future__ import annotations

import numpy as np

from rifr.faces._jit import compiled
from rifr.faces.head import Head
from rifr.faces.identity import Identity
from rifr.faces.projection import find_points

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

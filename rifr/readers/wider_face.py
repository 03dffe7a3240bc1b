"""WIDER FACE with five landmarks a face: every face of a photo, or each cut out loosely as a square scene.

    train/images/0--Parade/x.jpg    train/label.txt    and the same below val/
    # 0--Parade/x.jpg               in label.txt: the photo, then a line for each of its faces
    x y w h  x y v  x y v  x y v  x y v  x y v  blur

The points are the left eye, right eye, nose, left and right mouth corner, as seen; all are -1 where nobody marked them,
and the lines of val hold the box alone. A pack of scenes has the form of rendered ones (`rifr.faces`, scenes=True), so
that a network that finds landmarks learns from either.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from rifr.bars import progress_bar
from rifr.errors import DataError, SettingError
from rifr.packs import FacePack
from rifr.readers.images import decode
from rifr.readers.text import read_text

__all__ = ["Face", "faces", "read"]

LICENCE = "as the owner of the images states"


@dataclass(frozen=True)
class Face:
    """One face, in pixels of its photo; (0, 0) is the centre of the first.

    Parameters
    ----------
    path
        The photo.
    box
        (4,) float32: x, y, width, height.
    landmarks
        (5, 2) float32, or None where nobody marked them.
    blur
        As the list has it, or None.
    """

    path: Path
    box: np.ndarray
    landmarks: np.ndarray | None
    blur: float | None


def faces(root: str | Path, split: str = "train") -> list[Face]:
    """All faces of a split, in the order of its label.txt.

    Parameters
    ----------
    root
        The set's folder.
    split
        "train" or "val".

    Raises
    ------
    FileNotFoundError
        For a missing list and for photos that are missing (how many, and the first).
    SettingError
        For another split.
    DataError
        With its number, for a line that is neither a photo, nor 4 nor 20 finite numbers after one.
    """
    if split not in ("train", "val"):
        raise SettingError(f'split is "train" or "val", not {split!r}')
    labels, images = Path(root) / split / "label.txt", Path(root) / split / "images"
    lines = read_text(
        labels, "give the folder that holds train and val, each with its label.txt and images"
    ).splitlines()
    listed: list[Face] = []
    photos: list[Path] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            photos.append(images / line[1:].strip())
        elif line.strip():
            if not photos:
                raise DataError(
                    f"{labels}, line {number}: a face before the first photo (`# 0--Parade/x.jpg`). Get "
                    "the whole list again"
                )
            listed.append(Face(photos[-1], *_values(labels, number, line)))
    missing = [photo.relative_to(images).as_posix() for photo in photos if not photo.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(photos)} photos in {labels} are missing in {images}, the "
            f"first: {missing[0]}. Unpack the photos of this split there"
        )
    return listed


def read(
    root: str | Path,
    out: str | Path,
    split: str = "train",
    side: int = 224,
    margin: float = 2.2,
    min_pixels: int = 40,
    part: str = "all",
    licence: str = LICENCE,
    progress: bool = True,
) -> FacePack:
    """Write each face with landmarks as a scene of side x side pixels with the landmarks moved along.

    A scene is the square about the middle of the face's box, `margin` times the box's longer side wide (to the nearest
    pixel), black beyond the photo's border. At 2.2 the face takes as much of the scene as in the middle one of rendered
    scenes, and always lies in its centre: move it when training.

    Parameters
    ----------
    root
        The folder that holds train and val.
    out
        The folder of the pack.
    split
        "train" or "val".
    side
        Of a scene, in pixels.
    margin
        The side of the square, in longer sides of the box.
    min_pixels
        The longer side of the smallest box.
    part
        "all" photos, "most", or the tenth that is "held out" to measure on: which it is is in the photo's name.
    licence
        What the manifest says of it.
    progress
        Whether to show a progress bar.

    Returns
    -------
    FacePack
        Identities are the photo's name and the face's place in it ("0--Parade/x.jpg#2"); attributes are `file`, `box`
        (N, 4) in the photo, and `blur`.

    Raises
    ------
    FileNotFoundError, DataError
        As `faces` does, and DataError where no face has landmarks and is large enough, and for a corrupt photo.
    SettingError
        For options out of range.
    """
    whole = isinstance(side, (int, np.integer)) and not isinstance(side, bool)
    if not whole or side < 32 or margin < 1 or min_pixels < 1:
        raise SettingError(
            f"side is a whole number from 32, margin and min_pixels at least 1: not {side!r}, {margin} and {min_pixels}"
        )
    if part not in ("all", "most", "held out"):
        raise SettingError(f'part is "all", "most" or "held out", not {part!r}')
    listed = faces(root, split)
    images = Path(root) / split / "images"
    chosen, names = [], []
    for path, of_photo in groupby(listed, key=lambda face: face.path):
        held_out = zlib.crc32(path.relative_to(images).as_posix().encode()) % 10 == 0
        if part != "all" and held_out != (part == "held out"):
            continue
        for place, face in enumerate(of_photo, start=1):
            if face.landmarks is not None and face.box[2:].max() >= min_pixels:
                chosen.append(face)
                names.append(f"{path.relative_to(images).as_posix()}#{place}")
    annotated = sum(face.landmarks is not None for face in listed)
    if not chosen:
        raise DataError(
            f"none of the {len(listed)} faces in {images.parent / 'label.txt'} can be used: {annotated} "
            f"have landmarks, none of these a box of {min_pixels} pixels. Landmarks come with the "
            "train split"
        )
    landmarks = np.stack([_moved(face, side, margin) for face in chosen])
    attributes = {
        "file": np.array([face.path.relative_to(images).as_posix() for face in chosen]),
        "box": np.stack([face.box for face in chosen]),
        "blur": np.array([face.blur for face in chosen], np.float32),
    }
    return FacePack.write(
        out,
        _scenes(chosen, int(side), margin, progress),
        names,
        landmarks,
        attributes,
        source=f"photos in WIDER FACE's tree at {Path(root).resolve().name}",
        licence=licence,
        spec={
            "reader": "widerface",
            "split": split,
            "scenes": True,
            "size": int(side),
            "margin": margin,
            "min_pixels": min_pixels,
            "part": part,
            "faces": len(listed),
            "with_landmarks": annotated,
        },
    )


def _values(labels: Path, number: int, line: str) -> tuple[np.ndarray, np.ndarray | None, float | None]:
    """Box, landmarks and blur of a line."""
    try:
        values = np.array([float(field) for field in line.split()], np.float32)
    except ValueError:
        values = np.array([np.nan])
    if len(values) not in (4, 20) or not np.isfinite(values).all():
        raise DataError(
            f"{labels}, line {number}: {line.strip()!r} is neither a box of 4 numbers nor one with five "
            "landmarks and blur, 20 numbers. Mend or remove it"
        )
    if len(values) == 4:
        return values, None, None
    points = values[4:19].reshape(5, 3)[:, :2]
    unmarked = np.all(points == -1, axis=1).any()
    return values[:4], None if unmarked else points, float(values[19])


def _square(face: Face, margin: float) -> tuple[int, int, int]:
    """Left, top and side of the face's scene in whole pixels of the photo."""
    x, y, width, height = face.box.astype(np.float64)
    side = max(1, round(margin * max(width, height)))
    return round(x + width / 2 - side / 2), round(y + height / 2 - side / 2), side


def _moved(face: Face, side: int, margin: float) -> np.ndarray:
    """(5, 2) float32: the landmarks in the face's scene."""
    left, top, span = _square(face, margin)
    return ((np.asarray(face.landmarks) - [left, top] + 0.5) * (side / span) - 0.5).astype(np.float32)


def _scenes(chosen: list[Face], side: int, margin: float, progress: bool) -> Iterator[np.ndarray]:
    """Photo by photo, (n, side, side, 3) uint8."""
    with progress_bar(total=len(chosen), desc="cutting out faces", unit="face", show=progress) as bar:
        for path, of_photo in groupby(chosen, key=lambda face: face.path):
            try:
                photo = decode(path)
            except DataError as error:
                raise DataError(f"{error}: unpack it again, or take it off label.txt") from error
            scenes = [_scene(photo, *_square(face, margin), side) for face in of_photo]
            bar.update(len(scenes))
            yield np.stack(scenes)


def _scene(photo: np.ndarray, left: int, top: int, span: int, side: int) -> np.ndarray:
    height, width = photo.shape[:2]
    cut = np.zeros((span, span, 3), np.uint8)
    rows, columns = slice(max(0, top), min(height, top + span)), slice(max(0, left), min(width, left + span))
    if rows.start < rows.stop and columns.start < columns.stop:
        cut[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = photo[rows, columns]
    return cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA if span > side else cv2.INTER_CUBIC)

"""Whole folders of pictures aligned: `python -m rifr align DIR OUT --model FILE`.

Each written face carries, as a text of its PNG file, what made it: the digest of the photo and of the finder of
landmarks. A face whose photo and finder are the same is kept; any other is made again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from rifr import align, similarity, storage
from rifr.bars import progress_bar
from rifr.errors import DataError, SettingError
from rifr.readers import images
from rifr.readers.images import ENDINGS, Listing, decode, first_few, list_people

__all__ = ["ON_MISSING", "Report", "Unaligned", "align_folder"]

ON_MISSING = ("leave-out", "crop", "refuse")
"""What becomes of a picture in which no face is found."""
CENTRE = 0.5
"""The fraction of a picture's shorter side that a centre crop takes: about a face in a photo such as LFW's."""
SHORTEST, THIN, THIN_BELOW = 6, 8, 64
"""Too thin for a face: fewer than 6 px on a side, or 8 times as long as short where that is fewer than 64 px."""

MARK, METHOD = "rifr-align", "rifr-method"
Find = Callable[[np.ndarray], np.ndarray | None]


@dataclass(frozen=True)
class Unaligned:
    """A file that was not aligned.

    Attributes
    ----------
    file
        Its name below the folder.
    outcome, reason
        What became of it, and why.
    """

    file: str
    outcome: str
    reason: str


@dataclass
class Report:
    """What became of a folder.

    Parameters
    ----------
    aligned, kept
        Faces that were written, and that are there from before; centre crops among them.
    unaligned
        Every file without a landmark: left out, or cropped in the centre.
    orphans
        Faces of an earlier run whose picture is gone; they are not removed.
    written_list
        The CSV file that names all of `unaligned` and `orphans`; None where there are none.
    """

    aligned: int = 0
    kept: int = 0
    unaligned: list[Unaligned] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    written_list: Path | None = None

    def __str__(self) -> str:
        lines = [f"{self.aligned:,} faces aligned" + (f", {self.kept:,} kept from before" if self.kept else "")]
        for outcome, number in Counter(one.outcome for one in self.unaligned).items():
            named = [f"{one.file} ({one.reason})" for one in self.unaligned if one.outcome == outcome]
            lines.append(f"{outcome}: {number:,} files: {first_few(named)}")
        if self.orphans:
            lines.append(f"there from before, their picture gone: {first_few(self.orphans)}")
        if self.written_list:
            lines.append(f"all of them, with the reasons, are in {self.written_list}")
        return "\n".join(lines)


def align_folder(
    folder: str | Path, out: str | Path, find: Find, key: str, on_missing: str = "leave-out", progress: bool = True
) -> Report:
    """Align the pictures of a folder per person into the same tree of 112x112 PNG files.

    Each file is written atomically. A face that the same photo and the same `key` made is kept, so that an interrupted
    run goes on; after a photo or the finder has changed it is made again. All files that were not aligned are listed
    with the reason in `<out>-unaligned.csv`. `rifr.readers.folder` (or `python -m rifr prepare`) makes a pack of `out`.

    Parameters
    ----------
    folder
        Holds a folder of pictures for each person.
    out
        The folder to write to, neither within `folder` nor around it.
    find
        From a picture (h, w, 3) uint8 RGB to the main face's landmarks (5, 2), or None where there is no face.
    key
        What decides the landmarks that `find` gives, such as `Yunet.key`.
    on_missing
        What becomes of a picture without a face. "leave-out": nothing is written; "crop": the centre of the picture, a
        square of half its shorter side; "refuse": a DataError once all pictures are done.

    Returns
    -------
    Report

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        For a missing folder.
    DataError
        For a folder without pictures or with pictures beside the people's folders, where two pictures would become one
        file, where `out` holds a picture that this function did not make, and with on_missing="refuse".
    SettingError
        For an unknown `on_missing`, or an `out` that is `folder`, within it or around it.
    """
    folder, out = Path(folder), Path(out)
    if on_missing not in ON_MISSING:
        raise SettingError(f"on_missing is one of {', '.join(ON_MISSING)}, not {on_missing!r}")
    within, around = out.resolve().is_relative_to(folder.resolve()), folder.resolve().is_relative_to(out.resolve())
    if within or around:
        raise SettingError(f"{out} and {folder} lie within each other: align into a folder of its own")
    listing = list_people(folder)
    targets = _targets(folder, out, listing)
    key = storage.digest(key, storage.sources_digest(align, similarity, images, sys.modules[__name__]))
    report = Report()
    for target, file in progress_bar(targets.items(), desc=f"aligning {folder.name}", unit="picture", show=progress):
        _align_file(file, target, find, key, on_missing == "crop", report)
    missing = list(report.unaligned)
    report.unaligned += [Unaligned(name, "left out", reason) for name, reason in listing.left_out]
    report.orphans = sorted(f"{path.parent.name}/{path.name}" for path in out.glob("*/*.png") if path not in targets)
    report.written_list = _write_list(out, report)
    if on_missing == "refuse" and missing:
        first = missing[0]
        raise DataError(
            f"{len(missing):,} pictures of {folder} cannot be aligned, the first: {first.file}, {first.reason}. "
            f"All are in {report.written_list}; leave them out, or crop them in the centre (--on-missing)"
        )
    return report


def _targets(folder: Path, out: Path, listing: Listing) -> dict[Path, Path]:
    """The picture that each file to be is made of."""
    if listing.loose:
        raise DataError(
            f"{folder} holds {len(listing.loose)} pictures beside the people's folders: {first_few(listing.loose)}. "
            "Move each into the folder of its person"
        )
    if not listing.images:
        raise DataError(
            f"{folder} holds no pictures: it should hold a folder for each person, with files in {', '.join(ENDINGS)}"
        )
    targets: dict[Path, Path] = {}
    for file in listing.images:
        target = out / file.parent.name / f"{file.stem}.png"
        if target in targets:
            raise DataError(f"{file} and {targets[target].name} would both become {target.name}: rename one")
        targets[target] = file
    return targets


def _align_file(file: Path, target: Path, find: Find, key: str, crop: bool, report: Report) -> None:
    """Write one face, or keep it, or put its file among the unaligned; add to `report`."""
    name = f"{file.parent.name}/{file.name}"
    earlier = _made_by(target)
    try:
        content = file.read_bytes()
        mark = storage.digest(hashlib.sha256(content).hexdigest(), key)
        if earlier.get(MARK) == mark and (earlier[METHOD] == "landmarks" or crop):
            report.kept += 1
            if earlier[METHOD] == "crop":
                report.unaligned.append(Unaligned(name, "centre crop", "no face found"))
            return
        picture = decode(content, name)
        face, reason = _face(picture, find)
        if face is None and crop and not _is_thin(picture):
            face = _centre(picture)
    except (DataError, OSError) as error:
        face, reason = None, str(error).removeprefix(f"{name}: ")
    if reason:
        report.unaligned.append(Unaligned(name, "left out" if face is None else "centre crop", reason))
    if face is None:
        target.unlink(missing_ok=True)
        return
    text = PngImagePlugin.PngInfo()
    text.add_text(MARK, mark)
    text.add_text(METHOD, "crop" if reason else "landmarks")
    encoded = io.BytesIO()
    Image.fromarray(face).save(encoded, format="PNG", pnginfo=text)
    storage.atomic_write(target, encoded.getvalue())
    report.aligned += 1


def _face(picture: np.ndarray, find: Find) -> tuple[np.ndarray | None, str]:
    """The aligned face, or None and the reason."""
    if _is_thin(picture):
        return None, f"too thin for a face, {picture.shape[1]}x{picture.shape[0]} px"
    landmarks = find(picture)
    if landmarks is None:
        return None, "no face found"
    try:
        return align.face(picture, landmarks), ""
    except DataError:
        return None, "its landmarks are degenerate"


def _is_thin(picture: np.ndarray) -> bool:
    shorter, longer = sorted(picture.shape[:2])
    return shorter < SHORTEST or (shorter < THIN_BELOW and longer > THIN * shorter)


def _centre(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture, a square of `CENTRE` of its shorter side, as an aligned face."""
    height, width = picture.shape[:2]
    side = max(1, round(CENTRE * min(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    method = cv2.INTER_AREA if side > align.FACE_SIZE else cv2.INTER_CUBIC
    size = align.FACE_SIZE, align.FACE_SIZE
    return cv2.resize(picture[top : top + side, left : left + side], size, interpolation=method)


def _made_by(target: Path) -> dict[str, str]:
    """The texts of a face that is there already; DataError for a picture that is none of ours."""
    if not target.exists():
        return {}
    try:
        with Image.open(target) as image:
            texts = {name: str(image.info[name]) for name in (MARK, METHOD) if name in image.info}
    except OSError:
        texts = {}
    if set(texts) != {MARK, METHOD}:
        raise DataError(f"{target} was not made by this command: align into an empty folder, or delete it")
    return texts


def _write_list(out: Path, report: Report) -> Path | None:
    """Write the list of what was not aligned beside `out`; remove an earlier one where there is nothing to list."""
    out = Path(os.path.abspath(out))  # "." has no name
    path = out.with_name(f"{out.name}-unaligned.csv")
    rows = [(one.file, one.outcome, one.reason) for one in report.unaligned]
    rows += [(name, "there from before", "its picture is gone") for name in report.orphans]
    if not rows:
        path.unlink(missing_ok=True)
        return None
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "outcome", "reason"), *rows])
    storage.atomic_write(path, text.getvalue())
    return path

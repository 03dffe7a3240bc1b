"""TinyFace's two lists of who is who, as MATLAB files.

    probe_img_ID_pairs.mat           probe_set: names of files in Probe; probe_ids: whose they are
    gallery_match_img_ID_pairs.mat   gallery_set: names of files in Gallery_Match; gallery_ids

They lie in Testing_Set or in Face_Identification_Evaluation.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from scipy.io import loadmat, savemat

from rifr import storage
from rifr.errors import DataError

__all__ = ["LIST_FILES", "TEST", "Lists", "lists", "write_lists"]

TEST, LIST_FOLDERS = "Testing_Set", ("Testing_Set", "Face_Identification_Evaluation")
LIST_FILES = {
    "probes": ("probe_img_ID_pairs.mat", "probe_set", "probe_ids"),
    "gallery": ("gallery_match_img_ID_pairs.mat", "gallery_set", "gallery_ids"),
}
"""Of probes and gallery: the file, and its fields of file names and of ids."""


@dataclass(frozen=True)
class Lists:
    """The two published lists.

    Attributes
    ----------
    probe_files, gallery_files
        Names of the files in Probe and in Gallery_Match.
    probe_ids, gallery_ids
        (N,) int64: whose they are.
    """

    probe_files: tuple[str, ...]
    probe_ids: np.ndarray
    gallery_files: tuple[str, ...]
    gallery_ids: np.ndarray


def lists(root: str | Path) -> Lists:
    """Read the lists of the set at `root`; whether their photos are there is not looked at.

    Raises
    ------
    FileNotFoundError
        Where a list is in neither folder.
    DataError
        For a file that is no .mat or lacks a field (with the fields that it has), and for ids that are no whole numbers
        or not one for each file.
    """
    root = Path(root)
    return Lists(*_list(root, "probes"), *_list(root, "gallery"))


def write_lists(
    root: str | Path,
    gallery_files: Sequence[str],
    gallery_ids: Sequence[int],
    probe_files: Sequence[str],
    probe_ids: Sequence[int],
) -> None:
    """Write the two lists into root/Testing_Set as the set has them, so that other faces can take its form.

    Raises
    ------
    DataError
        For an empty list, and for ids that are no whole numbers or not one for each file.
    """
    for kind, files, ids in (("probes", probe_files, probe_ids), ("gallery", gallery_files, gallery_ids)):
        name, set_field, id_field = LIST_FILES[kind]
        path = Path(root) / TEST / name
        if not len(files):
            raise DataError(f"{path} would list no photo: give at least one")
        numbers = _ids(path, id_field, np.asarray(ids), len(files))
        cells = np.empty((len(files), 1), object)
        cells[:, 0] = [str(file) for file in files]
        fits = numbers.min() >= 0 and numbers.max() <= np.iinfo(np.uint16).max  # the published ids are uint16
        fields = {set_field: cells, id_field: numbers.astype(np.uint16 if fits else np.int64)[:, None]}
        storage.atomic_write(path, functools.partial(_save, fields))


def _save(fields: dict[str, np.ndarray], file: BinaryIO) -> None:
    savemat(file, fields)


def _list(root: Path, kind: str) -> tuple[tuple[str, ...], np.ndarray]:
    name, set_field, id_field = LIST_FILES[kind]
    path = next((file for folder in LIST_FOLDERS if (file := root / folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{name} is neither in {root / LIST_FOLDERS[0]} nor in {root / LIST_FOLDERS[1]}: "
            "put TinyFace's own list into one of them"
        )
    try:
        fields = loadmat(path)
    except Exception as error:  # what SciPy raises for damaged files is not specified
        raise DataError(f"{path} cannot be read as a .mat file ({error}): get it again from TinyFace") from error
    for field in (set_field, id_field):
        if field not in fields:
            fields_there = ", ".join(sorted(key for key in fields if not key.startswith("__"))) or "nothing"
            raise DataError(f"{path} has no field {field!r}, it holds {fields_there}: get TinyFace's own list")
    cells = [np.ravel(cell) for cell in np.ravel(fields[set_field])]
    nameless = [row for row, cell in enumerate(cells) if cell.shape != (1,) or cell.dtype.kind != "U"]
    if nameless or not cells:
        raise DataError(
            f"{path}: {set_field} holds {f'no file name in row {nameless[0]}' if nameless else 'nothing'}: "
            "get TinyFace's own list"
        )
    return tuple(str(cell[0]) for cell in cells), _ids(path, id_field, np.ravel(fields[id_field]), len(cells))


def _ids(path: Path, field: str, ids: np.ndarray, files: int) -> np.ndarray:
    if ids.shape != (files,) or ids.dtype.kind not in "iu":
        raise DataError(
            f"{path}: {field} are whole numbers, one for each of {files} files, not {ids.dtype} {ids.shape}"
        )
    return ids.astype(np.int64)

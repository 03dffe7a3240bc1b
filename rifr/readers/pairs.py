"""A list of pairs of photos, of one person or not, as a pack of the photos: each once, however many pairs show it.

    lfw.bin                     InsightFace's verification file: the photos lie in it
    pairs.txt and a folder      LFW's list: the photos lie in a folder for each person

LFW's list:

    10<TAB>300                     ten folds, each of 300 pairs of the same person, then 300 of two people
    Abel_Pacheco  1  4             photos 1 and 4 of one person
    Abdul_Majeed_Shobokshi 1 Abdullah 1
                                   photo 1 of each of two people

Photos are files `<root>/<Name>/<Name>_0001.jpg`, or with another ending of an image. Fields are separated by tabs or
spaces. The development lists (pairsDevTrain.txt), whose first line is the number of pairs alone, are one fold.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rifr import storage
from rifr.align import FACE_SIZE
from rifr.errors import DataError, SettingError
from rifr.packs import FacePack
from rifr.readers import insightface_bin
from rifr.readers.images import ENDINGS, decode, first_few, list_images
from rifr.readers.text import read_text

__all__ = ["FOLDS", "FilePairs", "PairList", "read", "read_list"]

FOLDS = 10
"""Of LFW's list, and of InsightFace's files, which do not say."""

Photo = tuple[str, int]


@dataclass(frozen=True)
class PairList:
    """Pairs of photos.

    Parameters
    ----------
    photos
        The distinct photos, as a pack in memory.
    first, second
        (N,) the rows of a pair's two photos in it.
    same
        (N,) bool, whether they show one person.
    folds
        Into how many consecutive parts the list is divided, as its first line says.
    left_out
        A line on each pair that was left out because a photo of it is missing.
    fold
        (N,) from 0, the fold that the whole list has each pair in; None where it does not say: for a file of
        InsightFace's, a list of one fold, and one with a part that holds one kind of pair alone.
    """

    photos: FacePack
    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    folds: int = FOLDS
    left_out: tuple[str, ...] = ()
    fold: np.ndarray | None = None


@dataclass(frozen=True)
class FilePairs:
    """What a list as LFW's names.

    Attributes
    ----------
    first, second
        The paths of each pair's two photos.
    same
        (N,) bool: do they show one person?
    folds
        As the list's first line has it.
    left_out
        A line on each pair of which a photo is missing.
    fold
        As in `PairList`.
    """

    first: list[Path]
    second: list[Path]
    same: np.ndarray
    folds: int
    left_out: tuple[str, ...] = ()
    fold: np.ndarray | None = None


def read(path: str | Path, images: str | Path | None = None, on_missing: str = "refuse") -> PairList:
    """Read pairs with their photos.

    Parameters
    ----------
    path
        An InsightFace `.bin`, or a list as LFW's pairs.txt.
    images
        For a list: the folder that holds a folder for each person, of aligned 112x112 images.
    on_missing
        "refuse" raises where photos of the list are missing; "leave out" leaves out their pairs and names them.

    Raises
    ------
    SettingError
        For a list without its folder, and for another `on_missing`.
    FileNotFoundError
        For a missing file or folder, and for missing photos with on_missing="refuse".
    DataError
        For photos that are unreadable or not 112x112, and for what `read_list` and `insightface_bin.read` refuse.
    """
    path = Path(path)
    if path.suffix.lower() == ".bin":
        stack, same = insightface_bin.read(path)
        digests = [hashlib.sha256(photo.tobytes()).hexdigest() for photo in stack]
        _, kept, row_of = np.unique(digests, return_index=True, return_inverse=True)
        return PairList(_pack(stack[kept], path), row_of[0::2], row_of[1::2], same)
    if not images:
        raise SettingError(
            f"{path.name} lists names of photos: say where they lie (images=, --images), "
            "a folder that holds a folder for each person"
        )
    listed = read_list(path, images, on_missing)
    rows = {file: row for row, file in enumerate(sorted({*listed.first, *listed.second}))}
    try:
        stack = np.stack([decode(file, side=FACE_SIZE) for file in rows])
    except DataError as error:
        raise DataError(f"{error}: mend it, align it, or take its pairs off the list") from error
    first, second = (np.array([rows[file] for file in side]) for side in (listed.first, listed.second))
    return PairList(_pack(stack, path), first, second, listed.same, listed.folds, listed.left_out, listed.fold)


def read_list(path: str | Path, root: str | Path, on_missing: str = "refuse") -> FilePairs:
    """Read a list as LFW's pairs.txt, in its order; the photos are looked for and not opened.

    Parameters
    ----------
    path, root
        The list, and the folder per person that it names.
    on_missing
        Pairs of which a photo is missing: "refuse" the list, or "leave out" and name them.

    Raises
    ------
    FileNotFoundError
        For a missing list or folder, and, with on_missing="refuse", for missing photos (how many, and the first).
    DataError
        For lines that are no pairs, by number, for more or fewer pairs than the first line says, and where no pair is
        left.
    """
    if on_missing not in ("refuse", "leave out"):
        raise SettingError(f'on_missing is "refuse" or "leave out", not {on_missing!r}')
    path, root = Path(path), Path(root)
    folds, listed = _listed(path)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: give the one that holds a folder for each person")
    photos = dict.fromkeys(photo for pair in listed for photo in pair)
    people = {name: _photos(root / name) for name, _ in photos}
    files = {photo: people[photo[0]].get(_stem(photo)) for photo in photos}
    missing = [f"{photo[0]}/{_stem(photo)}{ENDINGS[0]}" for photo, file in files.items() if file is None]
    if missing and on_missing == "refuse":
        raise FileNotFoundError(
            f"{len(missing)} of {len(photos)} photos are missing in {root}: {first_few(missing, 5)} (or with another "
            'ending of an image). Is it the folder that holds a folder for each person? on_missing="leave out" '
            "(--on-missing leave-out) leaves out their pairs"
        )
    there = np.array([all(files[photo] for photo in pair) for pair in listed])
    if not there.any():
        raise DataError(f"no pair of {path} is left: all of them show one of the {len(missing)} missing photos")
    left_out = tuple(
        f"{_stem(pair[0])} and {_stem(pair[1])}: no photo {' and '.join(absent)}"
        for pair in listed
        if (absent := [_stem(photo) for photo in pair if files[photo] is None])
    )
    kept = [pair for pair, whole in zip(listed, there) if whole]
    first, second = ([file for pair in kept if (file := files[pair[side]])] for side in (0, 1))
    same = np.array([one[0] == other[0] for one, other in listed])
    fold = _fold(folds, same)
    return FilePairs(first, second, same[there], folds, left_out, None if fold is None else fold[there])


def _fold(folds: int, same: np.ndarray) -> np.ndarray | None:
    """(N,) the fold of each pair of a whole list; None for one fold, and for a fold of one kind of pair alone."""
    kinds = same.reshape(folds, -1)
    if folds == 1 or (kinds == kinds[:, :1]).all(axis=1).any():
        return None
    return np.repeat(np.arange(folds), kinds.shape[1])


def _listed(path: Path) -> tuple[int, list[tuple[Photo, Photo]]]:
    """The number of folds, and the pairs of (name, number)."""
    lines = read_text(path, "give the path of LFW's pairs.txt").splitlines()
    header = re.fullmatch(r"\s*(?:(\d+)\s+)?(\d+)\s*", lines[0]) if lines else None
    if not header:
        raise DataError(
            f"{path}, line 1: found {lines[0] if lines else 'nothing'!r}, wanted the number of folds "
            "and of pairs, such as 10<TAB>300. Give LFW's own list"
        )
    folds, half = int(header[1] or 1), int(header[2])
    pairs, malformed = [], []
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            pair = _pair(line.split())
            if pair is None:
                malformed.append(number)
            else:
                pairs.append(pair)
    if malformed:
        raise DataError(
            f"{path}: {len(malformed)} lines are neither `name i j` nor `name1 i name2 j` with two people: lines "
            f"{first_few([str(number) for number in malformed])} (the first: {lines[malformed[0] - 1]!r}). "
            "Mend or remove them"
        )
    if not pairs or len(pairs) != 2 * folds * half:
        raise DataError(
            f"{path} holds {len(pairs)} pairs, and its first line says {folds} x 2 x {half}: get the whole list again"
        )
    return folds, pairs


def _pair(fields: list[str]) -> tuple[Photo, Photo] | None:
    """((name, number), (name, number)), or None for what is no pair."""
    if len(fields) == 3:
        fields = [fields[0], fields[1], fields[0], fields[2]]
    elif len(fields) != 4 or fields[0] == fields[2]:
        return None
    one, first, other, second = fields
    if not all(re.fullmatch("[0-9]{1,9}", number) for number in (first, second)):
        return None
    if any("/" in name or "\\" in name for name in (one, other)):
        return None
    return (one, int(first)), (other, int(second))


def _stem(photo: Photo) -> str:
    return f"{photo[0]}_{photo[1]:04d}"


def _photos(folder: Path) -> dict[str, Path]:
    """A person's photos by their names without the ending; of two of one name, the ending that `ENDINGS` has first."""
    files = list_images(folder)[0] if folder.is_dir() else []
    return {
        file.stem: file for file in sorted(files, key=lambda file: ENDINGS.index(file.suffix.lower()), reverse=True)
    }


def _pack(stack: np.ndarray, path: Path) -> FacePack:
    return FacePack(
        stack,
        np.arange(len(stack)).astype(str),
        manifest={
            "source": f"the photos of {path.name}",
            "checksum": storage.digest(hashlib.sha256(stack.tobytes()).hexdigest()),
        },
    )

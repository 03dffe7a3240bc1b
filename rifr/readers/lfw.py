"""LFW's list of pairs (pairs.txt): which photos to compare, fold after fold, and whether they show the same person.

    10<TAB>300                     ten folds, each of 300 pairs of the same person, then 300 of two people
    Abel_Pacheco  1  4             photos 1 and 4 of one person
    Abdul_Majeed_Shobokshi 1 Abdullah 1
                                   photo 1 of each of two people

Photos are files `<root>/<Name>/<Name>_0001.jpg`, or .png. Fields are separated by tabs or spaces. The development lists
(pairsDevTrain.txt), whose first line is the number of pairs alone, are one fold.
"""

import re
from pathlib import Path

import numpy as np

__all__ = ["pairs"]

ENDINGS = (".jpg", ".png")
LISTED = 5  # missing photos that are named; the rest is counted


def pairs(list_path: str | Path, root: str | Path) -> tuple[list[Path], list[Path], np.ndarray]:
    """The paths of the first and of the second photos, in the list's order, and (N,) bool: the same person?

    Raises FileNotFoundError for a missing list or folder and for photos that are missing (how many, and the first), and
    ValueError for lines that are no pairs, by number, and for more or fewer pairs than the first line says.
    """
    list_path, root = Path(list_path), Path(root)
    if not list_path.is_file():
        raise FileNotFoundError(f"{list_path} does not exist: give the path of LFW's pairs.txt")
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: give the one that holds a folder for each person")
    try:
        lines = list_path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{list_path} is no text: give the path of LFW's pairs.txt") from error
    header = re.fullmatch(r"\s*(?:(\d+)\s+)?(\d+)\s*", lines[0]) if lines else None
    if not header:
        raise ValueError(
            f"{list_path}, line 1: found {lines[0] if lines else 'nothing'!r}, wanted the number of folds "
            "and of pairs, such as 10<TAB>300. Give LFW's own list"
        )
    folds, half = int(header[1] or 1), int(header[2])

    named, malformed = [], []
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            pair = _pair(line.split())
            if pair is None:
                malformed.append(number)
            named.append(pair)
    if malformed:
        listed = ", ".join(map(str, malformed[:10])) + (", ..." if len(malformed) > 10 else "")
        raise ValueError(
            f"{list_path}: {len(malformed)} lines are neither `name i j` nor `name1 i name2 j` with two "
            f"people: lines {listed} (the first: {lines[malformed[0] - 1]!r}). Mend or remove them"
        )
    if not named or len(named) != 2 * folds * half:
        raise ValueError(
            f"{list_path} holds {len(named)} pairs, and its first line says {folds} x 2 x {half}: "
            "get the whole list again"
        )
    ones = [one for one, _ in named]
    others = [other for _, other in named]
    found = {photo: _file(root, *photo) for photo in dict.fromkeys(ones + others)}
    missing = [f"{name}/{name}_{number:04d}{ENDINGS[0]}" for (name, number), path in found.items() if path is None]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(found)} photos are missing in {root}: "
            f"{', '.join(missing[:LISTED])}{', ...' if len(missing) > LISTED else ''} (or "
            f"{ENDINGS[1]}). Is it the folder that holds a folder for each person?"
        )
    same = np.array([one[0] == other[0] for one, other in named])
    return [found[one] for one in ones], [found[other] for other in others], same


def _pair(fields: list[str]) -> tuple[tuple[str, int], tuple[str, int]] | None:
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


def _file(root: Path, name: str, number: int) -> Path | None:
    stem = f"{name}_{number:04d}"
    return next((path for ending in ENDINGS if (path := root / name / f"{stem}{ending}").is_file()), None)

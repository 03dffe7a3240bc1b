"""What the readers of MegaFace and FaceScrub share: the MegaFace devkit's lists, and the images that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rifr.align import FACE_SIZE
from rifr.errors import DataError, SettingError
from rifr.packs import FacePack
from rifr.readers.images import BadImages
from rifr.readers.text import read_text
from rifr.readers.writing import Origin, Spool

__all__ = ["Noise", "image_root", "read_lists", "read_noise", "refuse_absent", "write_images"]


@dataclass(frozen=True)
class Noise:
    """A list of photos known to be wrong, and what to do with them.

    Parameters
    ----------
    path
        The list; None where there is none.
    names
        The photos that it names, as the reader compares them.
    action
        "exclude" leaves them out, "keep" takes them in and marks them.
    """

    path: str | Path | None
    names: frozenset[str]
    action: str

    def __post_init__(self) -> None:
        if self.action not in ("exclude", "keep"):
            raise SettingError(f'noise is "exclude" or "keep", not {self.action!r}')

    @property
    def marked(self) -> bool:
        """Whether photos are in the pack that its attribute `noise` marks."""
        return self.path is not None and self.action == "keep"

    def spec(self, count: int) -> dict[str, Any]:
        """What a manifest says of it, where `count` of the photos are noise."""
        if self.path is None:
            return {"noise_list": None}
        done = "noise_excluded" if self.action == "exclude" else "noise_kept"
        return {"noise_list": Path(self.path).name, "noise": self.action, "noise_entries": len(self.names), done: count}


def read_lists(path: str | Path, *keys: str) -> dict[str, list[Any]]:
    """Read a devkit list (JSON): its lists by key, `path` among them, of one length.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    DataError
        For a file that is no such list, for a path that stands in it twice, and for paths that would lead out of the
        images' folder.
    """
    remedy = "give a list of the MegaFace devkit's templatelists"
    try:
        content = json.loads(read_text(path, remedy))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error}): {remedy}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        raise DataError(f"{path} does not hold lists by the names {' and '.join(keys)}: {remedy}")
    lengths = {key: len(content[key]) for key in keys}
    if len(set(lengths.values())) > 1 or not lengths["path"]:
        raise DataError(
            f"{path} holds lists of {' and '.join(map(str, lengths.values()))} entries "
            f"({' and '.join(keys)}), and should hold one or more, as many in each: {remedy}"
        )
    _check_paths(content["path"], path)
    return {key: content[key] for key in keys}


def _check_paths(paths: Collection[Any], source: str | Path) -> None:
    """Refuse entries that are no relative paths, that lead out of their folder, or that stand there twice."""
    seen = set()
    for place, path in enumerate(paths):
        fault = None
        if not isinstance(path, str) or not path or "\0" in path:
            fault = "is no path"
        elif path[0] in "/\\" or re.match("[A-Za-z]:", path) or ".." in re.split(r"[/\\]", path):
            fault = "leads out of the folder that it should lie in"
        elif path in seen:
            fault = "stands there a second time"
        if fault:
            raise DataError(f"{source}: path {place}, {path!r}, {fault}: remove it from the list")
        seen.add(path)


def read_noise(path: str | Path, pattern: str, wanted: str) -> list[str]:
    """Read a list of noise: the last fields of its lines, without comments and empty lines.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    DataError
        For lines that are not `wanted`, by number, and where nothing is listed.
    """
    entries = []
    for number, line in enumerate(read_text(path, "give the path of the list of noise").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            entry = line.split("\t")[-1].strip()
            if not re.fullmatch(pattern, entry, re.IGNORECASE):
                raise DataError(f"{path}, line {number}: found {line[:80]!r}, wanted {wanted}. Mend or remove it")
            entries.append(entry)
    if not entries:
        raise DataError(f"{path} lists no noise: get the list again")
    return entries


def image_root(root: str | Path) -> Path:
    """The folder of the images, resolved. Raises FileNotFoundError where it is none."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: give the one that holds the aligned 112x112 images")
    return root.resolve()


def refuse_absent(absent: list[str], wanted: Collection[str], root: Path, on_bad: str) -> None:
    """Raise FileNotFoundError where listed images are absent and on_bad is "refuse"."""
    if absent and on_bad == "refuse":
        raise FileNotFoundError(
            f"{len(absent)} of {len(wanted)} listed images are missing in {root}: {absent[0]}"
            f"{', ...' if len(absent) > 1 else ''}. Give the folder that the list's paths start "
            'from, or pass on_bad="skip"'
        )


def write_images(
    out: str | Path,
    root: Path,
    photos: Iterable[tuple[str, Path, str]],
    noisy: Collection[str] | None,
    bad: BadImages,
    origin: Origin,
) -> FacePack:
    """Decode the listed images and write those that are good as a pack, in their order.

    Parameters
    ----------
    out
        The folder of the pack.
    root
        The folder that the names of files in the pack are relative to.
    photos
        The name that the list gives an image, its file, and who is in it.
    noisy
        The names of noise, to be marked in the attribute `noise`; None for no such attribute.
    bad, origin
        What is skipped, and what the manifest says.

    Raises
    ------
    DataError
        For a bad image with on_bad="refuse", and where no image is left.
    """
    with Spool(Path(out).parent) as spool:
        good = [photo for photo in photos if spool.add_decoded(bad, photo[1], photo[0], FACE_SIZE)]
        if not good:
            raise DataError(f"{origin.nobody} and {len(bad.lines)} bad{bad.first()}")
        attributes = {"file": np.array([file.relative_to(root).as_posix() for _, file, _ in good])}
        if noisy is not None:
            attributes["noise"] = np.array([name in noisy for name, _, _ in good])
        return origin.write(out, spool.parts(), [identity for _, _, identity in good], attributes, **bad.spec())

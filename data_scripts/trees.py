"""A set's files as a script finds them: in a folder, or in an archive that stays packed until a pack is made."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rifr import storage
from rifr.readers import archive
from rifr.readers.images import is_image, is_litter


@dataclass(frozen=True)
class Tree:
    """The bytes of a set's files by their paths below its root, of a folder, or of an archive that stays packed.

    inside: the folder of the archive that is the root."""

    path: Path
    files: dict[str, int]
    inside: str = ""

    @property
    def folder(self) -> Path | None:
        """The root, unless it still lies in an archive."""
        return None if archive.is_archive(self.path) else self.path

    def images(self, below: str = "") -> list[str]:
        """The paths of the images below a folder of the tree."""
        start = f"{below}/" if below else ""
        return [
            path
            for path in self.files
            if path.startswith(start) and is_image(path) and not any(map(is_litter, PurePosixPath(path).parts))
        ]

    def people(self, below: str = "") -> Counter[str]:
        """How many images lie in each person's folder; images deeper down or beside the folders are passed over."""
        depth = len(PurePosixPath(below).parts) + 2
        parts = (PurePosixPath(path).parts for path in self.images(below))
        return Counter(names[-2] for names in parts if len(names) == depth)

    def unpacked(self, out: Path) -> Path:
        """The root as a folder; an archive is unpacked beside `out`, once."""
        if self.folder:
            return self.folder
        place = storage.found_or_made(*unpacked(self.path, out), lambda place: archive.unpack(self.path, place), Path)
        print(f"unpacked to {place}, which can be removed once the pack is made")
        return place / self.inside


def look(path: Path, marks: Collection[str] = ()) -> Tree:
    """The tree of a folder or archive. An archive's root may lie deeper: where one of `marks` lies, or people.

    Raises FileNotFoundError, NotADirectoryError for a file that is no archive, and what `archive.contents` raises.
    """
    if path.is_dir():
        return Tree(path, dict(_walk(path, "", ())))
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give the set's folder, or its archive")
    if not archive.is_archive(path):
        raise NotADirectoryError(
            f"{path} is a file and no archive ({', '.join(archive.ENDINGS)}): give the folder in which it lies"
        )
    files = archive.contents(path)
    inside = _root_inside(files, marks)
    return Tree(
        path, {name.removeprefix(inside): size for name, size in files.items() if name.startswith(inside)}, inside
    )


def _root_inside(files: Collection[str], marks: Collection[str]) -> str:
    """The folder of an archive that is the set's root: where one of `marks` lies, or the folders of people."""
    inside = ""
    while True:
        below = [PurePosixPath(name[len(inside) :]).parts for name in files if name.startswith(inside)]
        images = [parts for parts in below if is_image(parts[-1])]
        tops = {parts[0] for parts in images or below}
        depth = min(map(len, images or below))
        if {parts[0] for parts in below} & set(marks) or len(tops) > 1 or depth < (3 if images else 2):
            return inside
        inside += f"{tops.pop()}/"


def unpacked(path: Path, out: Path) -> tuple[str, str, str]:
    """Folder, name and key (`storage.place`) of an unpacked archive: beside `out`, each file of a name elsewhere."""
    known = path.stat()
    key = storage.digest(str(path.resolve()), known.st_size, known.st_mtime_ns)
    return str(out.absolute().parent), path.name.split(".")[0], key


def _walk(folder: Path, start: str, above: tuple[Path, ...]) -> Iterator[tuple[str, int]]:
    """The paths and bytes of all files; links to folders are followed, but not in circles."""
    above += (folder.resolve(),)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                if Path(entry.path).resolve() not in above:
                    yield from _walk(Path(entry.path), f"{start}{entry.name}/", above)
            elif entry.is_file():
                yield start + entry.name, entry.stat().st_size

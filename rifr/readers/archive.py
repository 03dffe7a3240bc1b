"""An archive of a face set (.zip, .tar, .tar.gz, .tgz, .tar.bz2) into a new folder, whole or not at all.

Archives come from anywhere and are not trusted: an entry that would lie outside of the folder, a link, a device or a
second file of one name is refused, and so is an archive whose end is missing. All entries are looked at before the
first is written. A plain .tar has no checksums of its contents: damage within a file shows only when it is decoded.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rifr import storage

__all__ = ["ENDINGS", "contents", "free_disk", "is_archive", "unpack"]

ENDINGS = {".zip": "", ".tar": "r:", ".tar.gz": "r:gz", ".tgz": "r:gz", ".tar.bz2": "r:bz2"}
"""The formats by the endings of their names, with tarfile's word for each."""

CHUNK = 1 << 20
REMEDY = "get the archive again from its makers"
CAREFUL = f"do not use it; {REMEDY}"


def is_archive(path: str | Path) -> bool:
    """Whether a file's name ends as an archive's does; capitals do not matter."""
    return Path(path).name.lower().endswith(tuple(ENDINGS))


def contents(path: str | Path) -> dict[str, int]:
    """The bytes of each file of an archive by its path in it, in its order; nothing is written.

    Raises FileNotFoundError, and ValueError, which names the archive and the entry, for an unknown format, for one that
    is damaged, cut short or empty, and for entries that `unpack` refuses.
    """
    found = {"/".join(entry.parts): entry.size for entry in _entries(Path(path)) if not entry.is_folder}
    if not found:
        raise ValueError(f"{path} holds no file: {REMEDY}")
    return found


def unpack(path: str | Path, out: str | Path, progress: bool = True) -> Path:
    """Unpack an archive into the new folder `out` and return it; a kill or an error at any point leaves no folder.

    Raises FileExistsError where `out` is there already, and what `contents` raises: ValueError, which names the archive
    and the entry, for names that lead out of the folder (absolute, "..", drive letters, backslashes), links, devices,
    encrypted files, a name that stands there twice, and damage; also for more bytes than the disk has free.
    """
    path, out = Path(path), Path(out)
    if out.exists():
        raise FileExistsError(f"{out} is there already: give a new folder, or remove it")
    total, free = sum(contents(path).values()), free_disk(out)
    if total > free:
        raise ValueError(
            f"{path} unpacks to {total:,} bytes, and the disk of {out} has {free:,} free: make room, or "
            "unpack it elsewhere"
        )
    with (
        storage.atomic_directory(out) as folder,
        tqdm(
            total=total, desc=f"unpacking {path.name}", unit="B", unit_scale=True, disable=None if progress else True
        ) as bar,
    ):
        for entry in _entries(path):
            target = folder.joinpath(*entry.parts)
            (target if entry.is_folder else target.parent).mkdir(parents=True, exist_ok=True)
            if not entry.is_folder:
                _write(path, entry, target)
                bar.update(entry.size)
    return out


def free_disk(path: str | Path) -> int:
    """The free bytes of the disk on which a file or folder, which need not be there yet, lies or would lie."""
    path = Path(path).absolute()
    return shutil.disk_usage(next(place for place in (path, *path.parents) if place.exists())).free


@dataclass(frozen=True)
class _Entry:
    """What the archive says of a file or folder; `wrong` says why it cannot be taken, if so."""

    name: str
    is_folder: bool
    size: int
    open: Callable[[], Any]
    wrong: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.name.split("/") if part not in ("", "."))


def _entries(path: Path) -> Iterator[_Entry]:
    """The entries of an archive, each looked at before it is handed out."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: give the path of an archive ({', '.join(ENDINGS)})")
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise ValueError(f"{path} is in no known format: give an archive ({', '.join(ENDINGS)}), or unpack it yourself")
    unchecked = _of_zip(path) if ending == ".zip" else _of_tar(path, ENDINGS[ending])
    files: set[tuple[str, ...]] = set()
    folders: set[tuple[str, ...]] = set()
    while True:
        with _reading(path):
            entry = next(unchecked, None)
        if entry is None:
            return
        wrong = entry.wrong or _wrong_name(entry) or _wrong_place(entry, files, folders)
        if wrong:
            raise ValueError(f"{path}: entry {entry.name!r} {wrong}")
        yield entry


def _of_zip(path: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(path) as file:
        _require_all(path, len(file.infolist()))
        for info in file.infolist():
            kind, wrong = stat.S_IFMT(info.external_attr >> 16), ""
            if info.flag_bits & 1:
                wrong = "is encrypted: unpack the archive yourself, with its password, and give the folder"
            elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                wrong = f"is a link or a device: {CAREFUL}"
            elif info.is_dir() and info.file_size:
                wrong = f"is a folder with bytes of its own: {CAREFUL}"
            yield _Entry(info.orig_filename, info.is_dir(), info.file_size, partial(file.open, info), wrong)


def _require_all(path: Path, entries: int) -> None:
    """Compare the entries of a .zip's list with their number at its end: a damaged entry can swallow the next."""
    with open(path, "rb") as file:
        file.seek(-min(path.stat().st_size, 1 << 17), 2)
        end = file.read()
    place, large = end.rfind(b"PK\5\6"), end.rfind(b"PK\6\6")
    announced, size = struct.unpack_from("<H", end, place + 10)[0], 1 << 16
    if announced == size - 1 and large >= 0:
        announced, size = struct.unpack_from("<Q", end, large + 32)[0], 1 << 64
    if entries % size != announced:
        raise ValueError(f"it lists {entries} entries, and its end says {announced}")


def _of_tar(path: Path, mode: str) -> Iterator[_Entry]:
    with tarfile.open(path, mode) as file:
        end = -1
        while (info := file.next()) is not None:
            plain = info.isdir() or (info.isreg() and not info.issparse())
            wrong = "" if plain else f"is a link or a device: {CAREFUL}"
            if info.size < 0 or file.offset <= end:
                raise ValueError(f"the header of {info.name!r} sends the reader back")
            end = file.offset
            size = 0 if info.isdir() else info.size
            yield _Entry(info.name, info.isdir(), size, partial(file.extractfile, info), wrong)
            file.members.clear()  # it would remember a million of them
        # A header that is damaged ends the list without an error: whether this is the end is seen only here.
        file.fileobj.seek(file.offset)
        block = file.fileobj.read(tarfile.BLOCKSIZE)
        if len(block) < tarfile.BLOCKSIZE:
            raise ValueError("its end is missing")
        while block:
            if block.count(0) != len(block):
                raise ValueError(f"a header is damaged, or something follows the end, from byte {file.offset}")
            block = file.fileobj.read(CHUNK)


@contextlib.contextmanager
def _reading(path: Path, name: str = "") -> Iterator[None]:
    """Turns whatever a damaged archive raises, which is not specified, into one ValueError."""
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:
        where = f"{path}: entry {name!r}" if name else path
        raise ValueError(f"{where} is damaged or cut short ({type(error).__name__}: {error}): {REMEDY}") from error


def _wrong_name(entry: _Entry) -> str:
    name = entry.name
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in entry.parts:
        return f"would lie outside of the folder that the archive is unpacked to: {CAREFUL}"
    try:
        longest = max((len(part.encode()) for part in entry.parts), default=0)
    except UnicodeEncodeError:
        return "has a name that is no text: unpack the archive yourself, and give the folder"
    if re.search(r"[\x00-\x1f\x7f]", name) or longest > 255 or len(name.encode()) > 2000:
        return f"has a name that files cannot have: {CAREFUL}"
    if not entry.parts and not entry.is_folder:
        return f"is a file without a name: {CAREFUL}"
    return ""


def _wrong_place(entry: _Entry, files: set[tuple[str, ...]], folders: set[tuple[str, ...]]) -> str:
    """Adds the entry to the files or folders so far, unless it gets into their way."""
    above = {entry.parts[:depth] for depth in range(1, len(entry.parts))}
    if entry.parts in files or (entry.parts in folders and not entry.is_folder) or above & files:
        return f"stands there a second time, or lies in a file as in a folder: {CAREFUL}"
    folders |= above
    (folders if entry.is_folder else files).add(entry.parts)
    return ""


def _write(path: Path, entry: _Entry, target: Path) -> None:
    written = 0
    with _reading(path, entry.name):
        source = entry.open()
    with contextlib.closing(source), open(target, "xb") as file:
        while True:
            with _reading(path, entry.name):
                chunk = source.read(CHUNK)
            if not chunk:
                break
            file.write(chunk)
            written += len(chunk)
    if written != entry.size:
        raise ValueError(f"{path}: entry {entry.name!r} is cut short, {written} bytes of {entry.size}: {REMEDY}")

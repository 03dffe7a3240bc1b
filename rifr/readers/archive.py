"""An archive of a face set (.zip, .tar, .tar.gz, .tgz, .tar.bz2) into a new folder, whole or not at all.

Archives come from anywhere and are not trusted: a name that leads out of the folder, a link or a device is refused, and
so is an archive that is damaged or cut short, before the folder is there. A plain .tar has no checksums of its
contents: damage within a file shows only when it is decoded. What systems leave in archives (`__MACOSX`, `._x`) is
passed over.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rifr import storage
from rifr.bars import progress_bar
from rifr.errors import DataError
from rifr.readers.images import is_litter

__all__ = ["ENDINGS", "contents", "free_disk", "is_archive", "unpack"]

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2")

REMEDY = "get the archive again from its makers"


def is_archive(path: str | Path) -> bool:
    """Whether a file's name ends as an archive's does; capitals do not matter."""
    return Path(path).name.lower().endswith(ENDINGS)


def contents(path: str | Path) -> dict[str, int]:
    """List the bytes of each file of an archive by its path in it, in its order; nothing is written.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    DataError
        For an unknown format, an archive that is damaged, cut short or empty, a name that leads out of the folder
        (absolute, "..", drive letters, backslashes), links and devices.
    """
    with _open(Path(path)) as file:
        entries = _entries(file)
    files = {name: size for name, _, size in entries if size is not None}
    if not files:
        raise DataError(f"{path} holds no file: {REMEDY}")
    return files


def unpack(path: str | Path, out: str | Path, progress: bool = True) -> Path:
    """Unpack an archive into the new folder `out` and return it; a kill or an error at any point leaves no folder.

    Parameters
    ----------
    path
        The archive.
    out
        The folder to be.

    Raises
    ------
    FileExistsError
        Where `out` is there already.
    FileNotFoundError, DataError
        As `contents` does, and DataError for encrypted files.
    """
    path, out = Path(path), Path(out)
    if out.exists():
        raise FileExistsError(f"{out} is there already: give a new folder, or remove it")
    contents(path)
    with storage.atomic_directory(out) as folder, _open(path) as file:
        bar = progress_bar(_entries(file), desc=f"unpacking {path.name}", unit="file", show=progress)
        for _, info, _ in bar:
            if isinstance(file, tarfile.TarFile) and isinstance(info, tarfile.TarInfo):
                file.extract(info, folder, filter="data")
            elif isinstance(file, zipfile.ZipFile) and isinstance(info, zipfile.ZipInfo):
                file.extract(info, folder)
    return out


def free_disk(path: str | Path) -> int:
    """The free bytes of the disk on which a file or folder, which need not be there yet, lies or would lie."""
    path = Path(path).absolute()
    return shutil.disk_usage(next(place for place in (path, *path.parents) if place.exists())).free


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tarfile.TarFile | zipfile.ZipFile]:
    """The open archive; whatever a damaged one raises, which is not specified, becomes one DataError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: give the path of an archive")
    if not is_archive(path):
        raise DataError(f"{path} is in no known format: give an archive ({', '.join(ENDINGS)}), or unpack it yourself")
    try:
        with zipfile.ZipFile(path) if path.name.lower().endswith(".zip") else tarfile.open(path) as file:
            yield file
    except (PermissionError, FileExistsError):
        raise
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EIO):  # not of the archive
            raise
        raise DataError(
            f"{path} is damaged, cut short or encrypted ({type(error).__name__}: {error}): {REMEDY}, or unpack it "
            "yourself and give the folder"
        ) from error


def _entries(
    file: tarfile.TarFile | zipfile.ZipFile,
) -> list[tuple[str, tarfile.TarInfo | zipfile.ZipInfo, int | None]]:
    """The name, description and size (None for a folder) of each entry that is no litter."""
    entries: list[tuple[str, tarfile.TarInfo | zipfile.ZipInfo, int | None]] = []
    for info in _tar_entries(file) if isinstance(file, tarfile.TarFile) else _zip_entries(file):
        if isinstance(info, tarfile.TarInfo):
            name, plain, is_folder, size = info.name, info.isreg() or info.isdir(), info.isdir(), info.size
        else:
            kind = stat.S_IFMT(info.external_attr >> 16)
            plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            name, is_folder, size = info.orig_filename, info.is_dir(), info.file_size
        parts = PurePosixPath(name).parts
        if not plain:
            raise DataError(f"entry {name!r} is a link or a device: do not use the archive; {REMEDY}")
        if name.startswith("/") or ".." in parts or "\\" in name or (parts and ":" in parts[0]):
            raise DataError(f"entry {name!r} would lie outside of its folder: do not use the archive; {REMEDY}")
        if parts and not any(map(is_litter, parts)):
            entries.append(("/".join(parts), info, None if is_folder else size))
    return entries


def _zip_entries(file: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """All entries, compared with their number at the archive's end: a damaged entry can swallow the next."""
    entries = file.infolist()
    assert file.filename is not None
    with open(file.filename, "rb") as content:
        content.seek(-min(Path(file.filename).stat().st_size, 1 << 17), 2)
        end = content.read()
    place = end.rfind(b"PK\5\6") + 10
    announced = int.from_bytes(end[place : place + 2], "little")
    if announced not in (len(entries) % (1 << 16), (1 << 16) - 1):  # the greatest number stands for a longer record
        raise zipfile.BadZipFile(f"it lists {len(entries)} entries, and its end says {announced}")
    for info in entries:  # zipfile ends a name at a zero, and takes what ends in / for a folder
        if "\0" in info.orig_filename or (info.is_dir() and info.file_size):
            raise zipfile.BadZipFile(f"the name {info.orig_filename!r} is damaged")
    return entries


def _tar_entries(file: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """All entries. A header that is damaged or missing ends tarfile's list without an error: its end is looked at."""
    entries: list[tarfile.TarInfo] = []
    end = -1
    while (info := file.next()) is not None:
        if file.offset <= end:  # a size below zero would send the reader round and round
            raise tarfile.ReadError(f"the header of {info.name!r} sends the reader back")
        end = file.offset
        entries.append(info)
    assert file.fileobj is not None
    file.fileobj.seek(file.offset)
    rest = file.fileobj.read(tarfile.RECORDSIZE)
    if len(rest) < tarfile.BLOCKSIZE or any(rest):
        raise tarfile.ReadError(f"no end is at byte {file.offset}")
    return entries

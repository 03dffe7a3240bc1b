"""Writes that leave the old file or folder, or the new one, whatever happens to the process or the disk.

What is being written lies beside its place as `.<name>.tmp`, locked by the process that writes it. A lock ends with its
process, however that ends, so that the next writer knows what a killed one has left. Nothing is lost by a kill; against
a power cut files are safe and folders are not.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock

from rifr.errors import DataError, StorageError
from rifr.storage import interrupts

try:
    import fcntl
except ImportError:  # Windows refuses a second writer by itself
    fcntl = None  # type: ignore[assignment]

FULL = {number for name in ("ENOSPC", "EDQUOT", "EFBIG") if (number := getattr(errno, name, None))}
POLL_SECONDS = 0.05
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def readable_json(content: Any) -> str:
    """JSON for files that people read."""
    return json.dumps(content, indent=1, ensure_ascii=False, default=plain_number) + "\n"


def read_json(path: Path | str) -> Any:
    """What a JSON file holds. It is read as UTF-8, whatever the machine's language, as `atomic_write` writes it.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    DataError
        For a file that is no JSON in UTF-8; it names the file.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is damaged ({error}): delete it and make it again") from error


def plain_number(value: Any) -> Any:
    """Python's number for one of NumPy's, for `json.dumps(default=...)`."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r}, of type {type(value).__name__}, cannot be written as JSON")


def checkpoint_path(path: Path) -> Path:
    """Where the maker of `path` keeps what it has reached; `found_or_made` removes it once `path` is there."""
    return path.with_name(f"{path.name}.partial.pt")


def atomic_write(path: Path, content: bytes | str | Callable[[BinaryIO], Any]) -> None:
    """Write a file so that a kill or a full disk at any moment leaves the old file or the new one.

    Parameters
    ----------
    path
        The file; its folder is made where it is missing. Of two writers at once the second waits.
    content
        Bytes, text, or a function that writes to the open binary file.

    Raises
    ------
    StorageError
        Where the disk is full or the folder is closed to writing.
    """
    path = Path(path)
    with explain_os_error(path.parent), _locked_temporary(path, folder=False) as temporary:
        # Reading and writing ("w+b"): in a file that is write-only, NumPy would hide why the disk takes no more.
        with open(temporary, "w+b") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` when the block ends well and vanishes when it does not.

    An old folder makes way in two steps; killed between them, the next call for `path` takes the second.
    """
    path = Path(path)
    with explain_os_error(path.parent, reads_elsewhere=True), _locked_temporary(path, folder=True) as temporary:
        yield temporary
        retired = _retired(path)
        try:
            with explain_os_error(path.parent):
                if path.exists():
                    os.replace(path, retired)
                os.replace(temporary, path)
        except BaseException:
            if retired.exists() and not path.exists():
                os.replace(retired, path)
            raise
        finally:
            shutil.rmtree(retired, ignore_errors=True)


def require_writable(path: Path) -> None:
    """StorageError where no file can be written at `path`: known before hours of work that end in it."""
    if path.is_dir():
        raise StorageError(f"{path} is a folder: name a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise StorageError(f"{path} cannot be written: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        with explain_os_error(path.parent):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to `path`, and remove what a killed process has left half written there.

    Of two callers for one result the second waits and finds it made. Who holds the lock may ask for it again; a process
    that is killed lets go of it.
    """
    path = Path(path)
    with contextlib.ExitStack() as held:
        with explain_os_error(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(path.parent / f".{path.name}.lock", is_singleton=True))
            _remove_leftovers(path)
        yield


@contextlib.contextmanager
def _locked_temporary(path: Path, folder: bool) -> Iterator[Path]:
    """An empty file or folder beside `path` that this process alone writes; where the block fails, it is removed."""
    temporary, handle, made = _temporary(path), None, False
    try:
        with explain_os_error(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(path)
            while not made:
                with interrupts.shielded():  # made and not yet known to be locked, it would stay
                    temporary.mkdir(exist_ok=True) if folder else temporary.touch()
                    handle = _lock_now(temporary) if fcntl else None
                    made = handle is not None or fcntl is None
                if not made:  # another writes here
                    time.sleep(POLL_SECONDS)
        for entry in temporary.iterdir() if folder else ():
            _remove(entry)
        yield temporary
    except BaseException:
        with interrupts.shielded():
            if made and _is_at(temporary, handle):
                _remove(temporary)
        raise
    finally:
        if handle is not None:
            os.close(handle)


def _is_at(path: Path, handle: int | None) -> bool:
    """Whether what was locked still lies there: once it has its final name, the next writer's may."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return handle is None or os.path.samestat(os.fstat(handle), there)


def _lock_now(path: Path) -> int | None:
    """Lock a file or folder itself; None where it has meanwhile been moved, or is another's."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # a file system without locks
        return handle
    if _is_at(path, handle):
        return handle
    os.close(handle)
    return None


@interrupts.shielded()
def _remove_leftovers(path: Path) -> None:
    """Finish or remove the folder that a killed process was writing; a file is written over by its next writer."""
    temporary, retired = _temporary(path), _retired(path)
    leftover = temporary if temporary.is_dir() else retired
    if fcntl is None or not leftover.is_dir() or (handle := _lock_now(leftover)) is None:
        return
    if retired.exists() and not path.exists():  # killed between the two steps of `atomic_directory`
        os.replace(leftover, path)
    for folder in (temporary, retired):
        shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _retired(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


@contextlib.contextmanager
def explain_os_error(folder: Path, reads_elsewhere: bool = False) -> Iterator[None]:
    """Turn the errors of a full disk, and of a folder that may not be written to, into a StorageError.

    It names the folder and says what to do; other errors stay as they are.

    Parameters
    ----------
    folder
        Where the block writes.
    reads_elsewhere
        The block reads other folders too: only a full disk is surely about `folder`.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        number = _system_error(error)
        if number is not None and number in FULL:
            raise StorageError(
                f"{folder} can take no more ({os.strerror(number)}): free some space on its disk, or "
                f"{_another_folder(folder)}; what was finished is kept, the same command goes on from there"
            ) from error
        if number is not None and number in CLOSED and isinstance(error, OSError) and not reads_elsewhere:
            raise StorageError(
                f"{folder} cannot be written to ({os.strerror(number)}): change its permissions, or "
                f"{_another_folder(folder)}"
            ) from error
        raise


def _another_folder(folder: Path) -> str:
    from rifr.storage.cache import root

    inside = Path(folder).absolute().is_relative_to(root())
    return "set RIFR_STORE to another folder" if inside else "give another folder (--out)"


def _system_error(error: BaseException | None) -> int | None:
    """The system's number of an error, also where a library wraps it (torch) or writes it out (safetensors)."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        if written := re.search(r"\(os error (\d+)\)", str(error)):
            return int(written[1])
        error = error.__cause__ or error.__context__
    return None

"""Where results are kept, and how they are written: whole or not at all.

A name ends in a digest of what made the thing (`key`), so that a changed configuration, data set or source file asks
for a new one and an unchanged one is found again.

What is being written lies beside its place as `.<name>.<random>.tmp`, locked by its process for as long as that lives.
A lock ends with its process, however that ends: so the next call for the same name knows what a killed one has left,
and removes it. A kill loses nothing; against a power cut, files are safe and folders are not.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import inspect
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from filelock import FileLock

try:
    import fcntl
except ImportError:  # Windows: what a killed process leaves beside a name stays there
    fcntl = None

FULL = {number for name in ("ENOSPC", "EDQUOT", "EFBIG") if (number := getattr(errno, name, None))}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def root() -> Path:
    """The folder of all packs, runs and embeddings: `$RIFR_STORE`, else `store` in the checkout, else `~/.cache/rifr`."""
    if os.environ.get("RIFR_STORE"):
        return Path(os.environ["RIFR_STORE"]).expanduser().resolve()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").exists():
        return checkout / "store"
    return Path.home() / ".cache" / "rifr"


def digest(*things: Any) -> str:
    """A hexadecimal SHA-256 of the canonical JSON of `things` (dataclasses become dictionaries)."""
    text = json.dumps([_plain(thing) for thing in things], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def readable_json(thing: Any) -> str:
    """JSON for files that people read."""
    return json.dumps(thing, indent=1, ensure_ascii=False) + "\n"


def sources_digest(*modules: ModuleType) -> str:
    """A digest of the source files of `modules` (of a package, all of its files): other code, another result."""
    files = {}
    for module in modules:
        file = Path(inspect.getfile(module))
        parts = sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]
        files |= {f"{module.__name__}/{part.name}": part.read_text() for part in parts}
    return digest(files)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checkpoint(path: Path) -> Path:
    """Where the making of `path` keeps what it has reached; it goes once `path` is there."""
    return path.with_name(f"{path.name}.partial.pt")


def atomic_write(path: Path, content: bytes | str | Callable[[BinaryIO], Any]) -> None:
    """Write a file so that a kill or a full disk at any moment leaves the old file or the new one.

    `content` is the bytes or text, or a function that writes to the open binary file. Raises what `telling` says.
    """
    path = Path(path)
    with _beside(path, folder=False) as temporary, telling(path.parent):
        # Read and write ("w+b"): numpy would write past a file that is write-only, and hide why the disk takes no more.
        with open(temporary, "w+b") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` when the block ends well and vanishes when it does not.

    An old folder makes way in two steps. Killed between them, the next call for `path` takes the second.
    """
    path = Path(path)
    with _beside(path, folder=True) as temporary:
        os.chmod(temporary, 0o755)
        with telling(path.parent, of_others=True):
            yield temporary
        retired = temporary.with_suffix(".old")
        try:
            with telling(path.parent):
                if path.exists():
                    os.replace(path, retired)
                os.replace(temporary, path)
        except BaseException:
            if retired.exists() and not path.exists():
                os.replace(retired, path)
            raise
        finally:
            shutil.rmtree(retired, ignore_errors=True)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to `path`: of two askers for one result, the second waits and finds it made.

    Who holds it may ask for it again. A process that is killed lets go of it.
    """
    path = Path(path)
    with contextlib.ExitStack() as held:
        with telling(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(path.parent / f".{path.name}.lock", is_singleton=True))
            _tidy(path)
        yield


@contextlib.contextmanager
def telling(folder: Path, of_others: bool = False) -> Iterator[None]:
    """Turns the errors of a disk that is full, and of a folder that may not be written to, into an OSError (or
    PermissionError) that names the folder and says what to do; other errors stay as they are.

    of_others: the block reads other folders too, so that only a full disk is surely ours.
    """
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number in FULL:
            raise OSError(
                f"{folder} can take no more ({os.strerror(number)}): free some space on its disk, or "
                f"{_elsewhere(folder)}; what was finished is kept, the same command goes on from there"
            ) from error
        if number in CLOSED and isinstance(error, OSError) and not of_others:
            raise PermissionError(
                f"{folder} cannot be written to ({os.strerror(number)}): change its permissions, or "
                f"{_elsewhere(folder)}"
            ) from error
        raise


def _elsewhere(folder: Path) -> str:
    inside = Path(folder).absolute().is_relative_to(root())
    return "set RIFR_STORE to another folder" if inside else "give another folder (--out)"


def _number(error: BaseException | None) -> int | None:
    """The system's number of an error, also where a library wraps it (torch) or writes it out (safetensors)."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        if written := re.search(r"\(os error (\d+)\)", str(error)):
            return int(written[1])
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def _beside(path: Path, folder: bool) -> Iterator[Path]:
    """A new file or folder beside `path`, locked for as long as this process lives; after the block it is gone, unless
    it was moved."""
    temporary = handle = None
    try:
        with telling(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            _tidy(path)
            while handle is None:
                temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # known before it is made: an
                temporary.mkdir() if folder else temporary.touch(exist_ok=False)  # interrupt finds it to remove
                if fcntl is None:
                    break
                with contextlib.suppress(FileNotFoundError):
                    handle = os.open(temporary, os.O_RDONLY)
                    if _claim(handle) is False or not temporary.exists():
                        # In the moment before it was locked, another process has taken it for a dead one's.
                        os.close(handle)
                        handle = None
        yield temporary
    finally:
        if temporary is not None:
            _remove(temporary)
        if handle is not None:
            os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _claim(handle: int) -> bool | None:
    """Whether the lock of an open file or folder is ours now; None where the file system has no such locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _tidy(path: Path) -> None:
    """Finish or remove what processes that were killed have left beside `path`; nothing of a living one is touched."""
    ours = re.compile(re.escape(f".{path.name}.") + r"\w{8}\.(old|tmp)")
    with os.scandir(path.parent) as entries:
        left = sorted(path.parent / entry.name for entry in entries if ours.fullmatch(entry.name))  # .old before .tmp
    for one in left if fcntl else []:
        new = one.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            handle = os.open(new if new.exists() else one, os.O_RDONLY)
            try:
                if _claim(handle):
                    if one != new and new.exists() and not path.exists():  # between the steps of `atomic_directory`
                        os.replace(new, path)
                    _remove(one)
            finally:
                os.close(handle)


def _plain(thing: Any) -> Any:
    if is_dataclass(thing) and not isinstance(thing, type):
        return {"type": type(thing).__name__, **asdict(thing)}
    return thing

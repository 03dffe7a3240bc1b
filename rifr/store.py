"""Where results are kept, and how they are written: whole or not at all.

A name ends in a digest of what made the thing (`key`), so that a changed configuration, data set or source file asks
for a new one and an unchanged one is found again.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from filelock import FileLock


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


def atomic_write(path: Path, content: bytes | str | Callable[[BinaryIO], Any]) -> None:
    """Write a file so that a kill or a full disk at any moment leaves the old file or the new one.

    `content` is the bytes or text, or a function that writes to the open binary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` when the block ends well and vanishes when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    os.chmod(temporary, 0o755)
    try:
        yield temporary
        if path.exists():
            retired = temporary.with_suffix(".old")
            os.replace(path, retired)
            os.replace(temporary, path)
            shutil.rmtree(retired)
        else:
            os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to `path`: of two askers for one result, the second waits and finds it made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / f".{path.name}.lock"):
        yield


def _plain(thing: Any) -> Any:
    if is_dataclass(thing) and not isinstance(thing, type):
        return {"type": type(thing).__name__, **asdict(thing)}
    return thing

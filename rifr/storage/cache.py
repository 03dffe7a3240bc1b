"""Results that are found again by what made them: `<root>/<kind>/<name>-<key>`.

The key is a digest of everything that decides the result: settings, seeds, the contents of what was read, and the code
that made it (`sources_digest`). Another key is another place: nothing is ever found that something else has made.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import inspect
import json
import os
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from rifr.errors import DataError, RifrError, SettingError
from rifr.storage.atomic import checkpoint_path, lock, plain_number

T = TypeVar("T")

PARSING = threading.Lock()
"""Python 3.11 cannot parse sources in several threads at once (SystemError)."""


PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of this library's code."""


def checkout() -> Path:
    """The repository that this library is imported from: its book, its data scripts.

    Raises
    ------
    SettingError
        For a library that was installed without its repository.
    """
    if (PACKAGE.parent / "pyproject.toml").is_file():
        return PACKAGE.parent
    raise SettingError(
        f"{PACKAGE} is installed without its book: clone the repository, `pip install --editable .` there, and do this "
        "in the clone."
    )


def root() -> Path:
    """The folder of packs, runs and features: `$RIFR_STORE`, else `store` in the checkout, else the user's cache."""
    if os.environ.get("RIFR_STORE"):
        return Path(os.environ["RIFR_STORE"]).expanduser().resolve()
    try:
        return checkout() / "store"
    except SettingError:
        return user_cache()


def user_cache() -> Path:
    """What belongs to the installed packages and not to a store: `$XDG_CACHE_HOME/rifr`, else `~/.cache/rifr`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rifr"


def place(kind: str, name: str, key: str, ending: str = "") -> Path:
    """Where a result lies that `key` (a hexadecimal digest) has made; `ending` is that of a single file."""
    return root() / kind / f"{name}-{key[:12]}{ending}"


def found_or_made(
    kind: str,
    name: str,
    key: str,
    make: Callable[[Path], Any],
    open: Callable[[Path], T],
    ending: str = "",
    missing: Callable[[Path], contextlib.AbstractContextManager[bool]] | None = None,
) -> T:
    """Open the stored result of `key`, made first where it is missing; of two callers the second waits.

    Parameters
    ----------
    kind, name, key, ending
        Where it lies: `<root>/<kind>/<name>-<key[:12]><ending>`; an absolute `kind` is a folder outside of the root.
        `key` is a digest of all that decides the result.
    make
        Writes the result to the path that it is given, atomically (`atomic_write`, `atomic_directory`,
        `FacePack.write`). A long one may keep what it has reached in `checkpoint_path(path)`, and go on from there.
    open
        Reads it from that path.
    missing
        A context manager that yields whether the path is still to be made, and in whose block it is. By default the
        lock of the path; where several processes make one result together, the one in which they agree.

    Raises
    ------
    DataError
        Where what is stored cannot be opened; it names the file and says to delete it.
    StorageError
        Where the disk is full or the folder is closed to writing.
    """
    path = place(kind, name, key, ending)
    with (missing or _missing)(path) as to_be_made:
        if to_be_made:
            make(path)
    if path.exists():  # a checkpoint may outlive a kill in the moment after its result was written
        with contextlib.suppress(OSError):
            checkpoint_path(path).unlink(missing_ok=True)
    note_use(path)
    try:
        return open(path)
    except RifrError:
        raise
    except (ValueError, OSError, LookupError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError) as error:
        raise DataError(f"{path} is damaged ({error}): delete it, and it is made again.") from error


_used: dict[Path, None] = {}


def note_use(path: Path) -> None:
    """Remember that this process has opened a stored result."""
    _used[path] = None


def used() -> list[Path]:
    """The stored results that this process has opened through `found_or_made` or noted, in the order of first use."""
    return list(_used)


@contextlib.contextmanager
def _missing(path: Path) -> Iterator[bool]:
    if path.exists():
        yield False
        return
    with lock(path):
        yield not path.exists()


def stored(kind: str) -> list[Path]:
    """The finished results of one kind, oldest first; what is being made, checkpoints and locks are left out."""
    folder = root() / kind
    entries = folder.iterdir() if folder.is_dir() else ()
    finished = [path for path in entries if not path.name.startswith(".") and ".partial" not in path.name]
    return sorted(finished, key=lambda path: (path.stat().st_mtime_ns, path.name))


def digest(*content: Any) -> str:
    """A hexadecimal SHA-256 of the canonical JSON of `content`.

    Dataclasses become dictionaries, and NumPy's numbers Python's: both have one digest.
    """
    plain = [_plain(item) for item in content]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), default=plain_number)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path | str) -> str:
    """The SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path | str, contents: bool = False) -> str:
    """A digest of all files in a folder, at any depth.

    By their names, sizes and times of change, which is quick for a million files and takes a copy for another folder;
    or, with `contents`, by their names and bytes.
    """
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    if contents:
        return digest([[name, file_digest(path)] for name, path in zip(names, files, strict=True)])
    states = [path.stat() for path in files]
    return digest([[name, state.st_size, state.st_mtime_ns] for name, state in zip(names, states, strict=True)])


def sources_digest(*modules: ModuleType) -> str:
    """A digest of the code of `modules`, of a package that of all modules below it: other code, another result.

    Comments, docstrings and layout do not count.
    """
    code = {}
    for module in modules:
        file = Path(inspect.getfile(module))
        package = file.name == "__init__.py"
        for part in file.parent.rglob("*.py") if package else [file]:
            name = part.relative_to(file.parent).as_posix()
            with PARSING:
                code[f"{module.__name__}/{name}"] = _code_digest(part, part.stat().st_mtime_ns)
    return digest(code)


@functools.cache
def _code_digest(file: Path, _changed: int) -> str:
    """A digest of a source file's code; a text that stands alone is a docstring."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for block in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, block, None), list):
                setattr(node, block, [one for one in statements if not _is_text(one)] or statements[:1])
    return digest(_without_layout(tree))


def _without_layout(node: Any) -> Any:
    """A syntax tree as lists of names and texts, the same in every Python: what is not used is left out, for a newer
    Python has more fields, and writes a tree as other text."""
    if isinstance(node, ast.AST):
        used = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
        if isinstance(node, ast.JoinedStr):  # some Pythons end a format with an empty text
            used = [("values", [part for part in node.values if getattr(part, "value", part) != ""])]
        return [type(node).__name__, *([name, _without_layout(value)] for name, value in used)]
    return [_without_layout(part) for part in node] if isinstance(node, list) else repr(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _plain(item: Any) -> Any:
    if is_dataclass(item) and not isinstance(item, type):
        return {"type": type(item).__name__, **asdict(item)}
    return item

"""InsightFace's verification files (lfw.bin, agedb_30.bin, ...): aligned pairs with their answers, in one pickle.

The pickle holds `(bins, issame)`: 2N encoded images, of which 2i and 2i + 1 make pair i, and N answers. A pickle is a
program, and these files come from anywhere: here it can do nothing but put together bytes, lists, tuples, bools and
numbers. Even NumPy's own helpers, which the published files name, are replaced by ones that hold bytes.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from rifr.errors import DataError
from rifr.readers.images import decode

__all__ = ["read"]

REMEDY = "get the file again from its publisher"


def read(path: str | Path, size: int = 112) -> tuple[np.ndarray, np.ndarray]:
    """Read the images and answers of a verification file.

    Parameters
    ----------
    path
        The file.
    size
        The side of its images in pixels.

    Returns
    -------
    images : numpy.ndarray
        (2N, size, size, 3) uint8 RGB, of which rows 2i and 2i + 1 make pair i.
    same : numpy.ndarray
        (N,) bool: do they show one person?

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    DataError
        With the file and the entry: for a pickle that asks for anything but data (it is not run), that is truncated or
        holds something else, and for an image that is corrupt, truncated or of another size.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the path of a verification file, such as lfw.bin")
    bins, same = _contents(path, path.read_bytes())
    images = np.empty((len(bins), size, size, 3), np.uint8)
    for entry, data in enumerate(bins):
        try:
            images[entry] = decode(data, f"{path}: image {entry} (of pair {entry // 2})", size)
        except DataError as error:
            raise DataError(f"{error}: {REMEDY}, or give its size") from error
    return images, same


def _contents(path: Path, data: bytes) -> tuple[list[bytes], np.ndarray]:
    """The encoded images and the answers."""
    try:
        for step, argument, _ in pickletools.genops(data):
            # A place in the memo beyond any that the file could use: memory would be set aside up to there.
            if step.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(data):
                raise ValueError(f"memo place {argument}")
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except _Refused as error:
        raise DataError(f"{path} {error}: it was not run. Do not use it; {REMEDY}") from error
    except Exception as error:  # what a damaged pickle raises is not specified
        raise DataError(f"{path} is no whole pickle ({type(error).__name__}: {error}): {REMEDY}") from error
    if not isinstance(content, (tuple, list)) or len(content) != 2:
        raise DataError(f"{path} does not hold (images, answers): {REMEDY}")
    bins, answers = (_entries(part) for part in content)
    if bins is None or answers is None:
        raise DataError(f"{path} does not hold a list of images and a list of answers: {REMEDY}")
    if not bins or len(bins) != 2 * len(answers):
        raise DataError(f"{path} holds {len(bins)} images for {len(answers)} answers, not two for each: {REMEDY}")
    encoded, same = [_bytes(entry) for entry in bins], [_answer(entry) for entry in answers]
    for kind, entries, wanted in (("image", encoded, "encoded bytes"), ("answer", same, "True or False")):
        if None in entries:
            raise DataError(f"{path}: {kind} {entries.index(None)} is not {wanted}: {REMEDY}")
    return [data for data in encoded if data is not None], np.array(same, bool)


class _Refused(Exception):
    """The pickle asks for something that is not data."""


class _Type:
    """Replaces numpy.dtype: its code ("u1", "b1", "i8")."""

    def __init__(self, code: Any, *_: Any):
        self.code = code.decode() if isinstance(code, bytes) else str(code)

    def __setstate__(self, state: Any) -> None:
        if state[1] in (">", b">"):
            raise ValueError("big-endian numbers")


class _Array:
    """Replaces numpy.ndarray: type and bytes."""

    def __init__(self, data: Any = None, type: Any = None):
        self.data, self.type = data, type

    def __setstate__(self, state: Any) -> None:
        _, _, self.type, _, self.data = state


def _latin(text: str, codec: Any) -> bytes:
    """How Python 3 spells bytes for Python 2."""
    if codec not in ("latin1", b"latin1"):
        raise ValueError(f"codec {codec!r}")
    return text.encode("latin1")


REPLACEMENTS = {
    ("_codecs", "encode"): _latin,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy.core.multiarray", "scalar"): lambda type, data: _Array(data, type),
    ("numpy.core.numeric", "_frombuffer"): lambda data, type, *_: _Array(data, type),
}


class _Unpickler(pickle.Unpickler):
    """Finds the replacements, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        where = re.sub(r"^numpy\._core\b", "numpy.core", module)
        if (where, name) not in REPLACEMENTS:
            raise _Refused(f"asks for {module}.{name}, which no list of images needs")
        return REPLACEMENTS[where, name]


def _entries(part: Any) -> list[Any] | None:
    """The items of a list, or of an array of whole numbers; None for anything else."""
    if isinstance(part, (list, tuple)):
        return list(part)
    if (
        not isinstance(part, _Array)
        or not isinstance(part.type, _Type)
        or not isinstance(part.data, (bytes, bytearray))
    ):
        return None
    if not re.fullmatch("b1|[iu][1248]", part.type.code) or len(part.data) % int(part.type.code[1]):
        return None
    return np.frombuffer(part.data, "<" + part.type.code.replace("b1", "u1")).tolist()


def _bytes(entry: Any) -> bytes | None:
    if isinstance(entry, _Array) and isinstance(entry.type, _Type) and entry.type.code in ("u1", "i1"):
        entry = entry.data
    return bytes(entry) if isinstance(entry, (bytes, bytearray)) else None


def _answer(entry: Any) -> bool | None:
    if isinstance(entry, _Array):
        items = _entries(entry)
        entry = items[0] if items and len(items) == 1 else None
    return bool(entry) if isinstance(entry, int) and entry in (0, 1) else None

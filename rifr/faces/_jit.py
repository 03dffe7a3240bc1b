"""Compiling to machine code, kept between runs for exactly the sources that it was made from.

numba keeps a compiled function for as long as the function's own file does not change, also when a function that it
calls changes in another file. The folder of kept code is therefore named after all files of the package, and
after the file of the function that it shares with `rifr.align`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

from rifr import storage

Attributes = tuple[Any, ...]
"""Seven numbers of a point of the surface, as a tuple stays in registers: normal (3), azimuth, height, two more."""


def folder() -> Path:
    """Where compiled code is kept: in the user's cache, by a digest of these files."""
    package = Path(__file__).parent
    files = [*sorted(package.glob("*.py")), package.parent / "similarity.py"]
    digest = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()
    return storage.user_cache() / "numba" / digest[:12]


_FOLDER = str(folder())
settings: Any = config  # numba gives it its names as the program begins
REORDER = {"contract", "reassoc", "arcp", "afn", "nsz"}
"""What the compiler may reorder, as it is the same in real numbers; infinities and NaN keep their meaning."""


def compiled(function: Callable[..., Any]) -> Any:
    """`function` as machine code that runs without Python's lock; compiled at its first call. Divisions by
    zero give infinities, as in numpy; sums and products may be taken in another order than written."""
    before = settings.CACHE_DIR
    settings.CACHE_DIR = _FOLDER
    try:
        return njit(cache=True, nogil=True, error_model="numpy", fastmath=REORDER)(function)
    finally:
        settings.CACHE_DIR = before

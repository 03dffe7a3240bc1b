"""What long work says of itself: one progress bar for all, and a line where nothing can be counted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(items: Iterable[Any] | None = None, *, show: bool = True, **options: Any) -> tqdm:
    """A bar over the items, or one to be moved by hand, on a terminal; nowhere with TQDM_DISABLE or without `show`.

    Other options are tqdm's.
    """
    hidden = True if _silent(show) else None  # None: hidden where there is no terminal
    return tqdm(items, disable=hidden, **options)


def announce(line: str, *, show: bool = True) -> None:
    """A line on standard error before long work without a bar; nowhere with TQDM_DISABLE or without `show`."""
    if not _silent(show):
        print(line, file=sys.stderr)


def _silent(show: bool) -> bool:
    return not show or bool(os.environ.get("TQDM_DISABLE"))

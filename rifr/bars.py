"""The one progress bar of all long work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(items: Iterable[Any] | None = None, *, show: bool = True, **options: Any) -> tqdm:
    """A bar over the items, or one to be moved by hand, on a terminal; nowhere with TQDM_DISABLE or without `show`.

    Other options are tqdm's.
    """
    hidden = True if not show or os.environ.get("TQDM_DISABLE") else None  # None: hidden where there is no terminal
    return tqdm(items, disable=hidden, **options)

"""Some rows of an array on disk, without a copy of them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Rows"]


class Rows:
    """Some rows of images that stay on disk, in an order of their own; indexed and converted as an array is."""

    def __init__(self, images: np.ndarray | Rows, which: np.ndarray):
        self._images, self._which = images, which
        self.dtype: np.dtype = images.dtype
        self.shape: tuple[int, ...] = (len(which), *images.shape[1:])
        self.ndim: int = images.ndim

    def __len__(self) -> int:
        return len(self._which)

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        found = np.asarray(self._images[self._which[first]])
        return (
            found[(slice(None), *rest)] if rest and found.ndim == self.ndim else found[tuple(rest)] if rest else found
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

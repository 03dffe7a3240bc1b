"""Features of faces, stored by embedder, faces and width: the next protocol or chapter reads them from disk."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from rifr import degrade, networks, storage
from rifr.align import FACE_SIZE
from rifr.evaluation import embed, onnx
from rifr.evaluation.embed import Embedder
from rifr.packs import FacePack
from rifr.training import runs

__all__ = ["features"]


def features(
    embedder: Embedder, pack: FacePack, width: int = FACE_SIZE, mirror: bool = True, progress: bool = True
) -> np.ndarray:
    """The features of a pack's images at a face width, found in the store or computed.

    Those of a function are not stored: nothing says whether it is the same function the next time.

    Parameters
    ----------
    embedder, width, mirror, progress
        As `rifr.embed` takes them.
    pack : FacePack
        The faces.

    Returns
    -------
    (N, D) float32
        Not normalised; where they are stored, a memory map that is read as it is used.
    """
    if isinstance(embedder, (str, Path)):
        embedder = onnx.Onnx(Path(embedder))
    key = getattr(embedder, "key", None)
    if key is None:
        return embed.embed(embedder, pack.images, width, mirror=mirror, progress=progress)

    def compute(path: Path) -> None:
        computed = embed.embed(embedder, pack.images, width, mirror=mirror, progress=progress)
        storage.atomic_write(path, lambda file: np.save(file, computed))

    sources = storage.sources_digest(embed, onnx, degrade, runs, networks)
    digest = storage.digest(key, pack.checksum, width, mirror, sources)
    name = f"{getattr(embedder, 'name', 'network')}-{width}px"
    read = partial(np.load, mmap_mode="r", allow_pickle=False)
    return storage.found_or_made("features", name, digest, compute, read, ".npy")

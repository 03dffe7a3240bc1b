"""A list of pairs of photos, same person or not, as the photos' own pack: each photo once, however many pairs show it.

lfw.bin                     InsightFace's verification file: the photos lie in it
pairs.txt and a folder      LFW's list: the photos lie in a folder a person
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rifr import storage
from rifr.align import FACE_SIZE
from rifr.packs import FacePack
from rifr.readers import lfw, verification_bin

__all__ = ["PairList", "read"]


@dataclass(frozen=True)
class PairList:
    """photos: the distinct ones, as a pack in memory; first, second: (N,) the rows of a pair's two photos in it;
    same: (N,) bool, whether they show one person."""

    photos: FacePack
    first: np.ndarray
    second: np.ndarray
    same: np.ndarray


def read(path: str | Path, images: str | Path | None = None) -> PairList:
    """Read an InsightFace `.bin`, or a list as LFW's pairs.txt with `images`, the folder of the people's folders.

    Raises FileNotFoundError, and ValueError for a list without its folder, for photos that are missing, unreadable or
    not 112x112, and for what the readers of the two formats refuse.
    """
    path = Path(path)
    if path.suffix.lower() == ".bin":
        stack, same = verification_bin.read(path)
        prints = [hashlib.sha256(photo.tobytes()).hexdigest() for photo in stack]
        _, kept, rows = np.unique(prints, return_index=True, return_inverse=True)
        stack, first, second = stack[kept], rows[0::2], rows[1::2]
    else:
        if not images:
            raise ValueError(
                f"{path.name} lists names of photos: say where they lie (images=, --images), "
                "a folder that holds a folder a person"
            )
        one, other, same = lfw.pairs(path, images)
        row = {file: i for i, file in enumerate(sorted({*one, *other}))}
        stack = np.stack([_photo(file) for file in row])
        first, second = (np.array([row[file] for file in side]) for side in (one, other))
    checksum = storage.digest(hashlib.sha256(stack).hexdigest())
    pack = FacePack(
        stack,
        np.arange(len(stack)).astype(str),
        manifest={"source": f"the photos of {path.name}", "checksum": checksum},
    )
    return PairList(pack, first, second, np.asarray(same, bool))


def _photo(file: str | Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            photo = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} cannot be read ({error}): mend it, or take its pairs off the list") from error
    if photo.shape != (FACE_SIZE, FACE_SIZE, 3):
        raise ValueError(
            f"{file} is {photo.shape[1]}x{photo.shape[0]} pixels, not {FACE_SIZE}x{FACE_SIZE}: align the faces first"
        )
    return photo

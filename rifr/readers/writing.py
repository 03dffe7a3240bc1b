"""The images of a pack to be: kept in a file until it is known which are good, then written with what is said of them.

`Spool` keeps them, `Origin` writes them, and `write_people` chooses people by their number of good images.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from rifr import storage
from rifr.errors import DataError, SettingError
from rifr.packs import FacePack
from rifr.readers.images import MANIFEST_NAMES, BadImages

__all__ = ["Limits", "Origin", "Spool", "align_photos", "write_people"]

IMAGES_PER_PART = 1024  # copied at a time

Item = TypeVar("Item")


class Spool:
    """Images that wait in a temporary file, beside the pack to be, until it is known which are good.

    They may be more than memory holds. Use as a context manager: leaving it removes the file.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._shape: tuple[int, ...] = ()
        self.count = 0

    def __enter__(self) -> Spool:
        with contextlib.ExitStack() as held:
            held.enter_context(storage.explain_os_error(self._folder, reads_elsewhere=True))
            with storage.explain_os_error(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = held.enter_context(tempfile.TemporaryFile(dir=self._folder))
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return self._held.__exit__(kind, error, trace)

    def add(self, image: np.ndarray) -> None:
        """Append a uint8 image; all have one shape."""
        if self._shape not in ((), image.shape):
            raise ValueError(f"images of {image.shape} and {self._shape} cannot be in one pack")
        self._shape = image.shape
        self._file.write(image.tobytes())
        self.count += 1

    def add_decoded(self, bad: BadImages, source: Path | bytes, name: str, side: int) -> bool:
        """Decode and append an image of side x side pixels; False where it is bad and was skipped."""
        image = bad.decode(source, name, side)
        if image is not None:
            self.add(image)
        return image is not None

    def parts(self) -> Iterator[np.ndarray]:
        """Yield them again in parts of (n, *shape)."""
        self._file.seek(0)
        for start in range(0, self.count, IMAGES_PER_PART):
            number = min(IMAGES_PER_PART, self.count - start)
            content = self._file.read(number * int(np.prod(self._shape)))
            yield np.frombuffer(content, np.uint8).reshape(number, *self._shape)


@dataclass(frozen=True)
class Origin:
    """What the manifest of a pack says of where its images are from.

    Attributes
    ----------
    source, licence, spec
        As in `FacePack.write`.
    nobody
        The error where no image is left.
    """

    source: str
    licence: str
    spec: dict[str, Any]
    nobody: str = ""

    def write(
        self,
        out: str | Path,
        images: np.ndarray | Iterable[np.ndarray],
        identities: Sequence[str],
        attributes: dict[str, np.ndarray],
        **counts: Any,
    ) -> FacePack:
        """Write the images as a pack; `counts` is what else its manifest says."""
        return FacePack.write(
            out,
            images,
            identities,
            attributes=attributes,
            source=self.source,
            licence=self.licence,
            spec={**self.spec, **counts},
        )


def align_photos(
    photos: Iterable[tuple[Path, str]],
    align: Callable[[np.ndarray, Path], np.ndarray],
    add: Callable[[np.ndarray], None],
    bad: BadImages,
) -> tuple[list[int], np.ndarray]:
    """Decode photos, align each and add its face somewhere.

    Parameters
    ----------
    photos
        Files with their names in messages.
    align
        From a photo (h, w, 3) uint8 and its file to the face (112, 112, 3).
    add
        Takes each face.
    bad
        Takes those that cannot be read.

    Returns
    -------
    tuple
        Which photos are good, and (n, 2) int32 the height and width of each of them.
    """
    good, sizes = [], []
    for row, (path, name) in enumerate(photos):
        photo = bad.decode(path, name)
        if photo is not None:
            add(align(photo, path))
            good.append(row)
            sizes.append(photo.shape[:2])
    return good, np.array(sizes, np.int32)


@dataclass(frozen=True)
class Limits:
    """What a person and a pack may hold; SettingError out of range.

    Attributes
    ----------
    min_images, max_images
        Good images of a person who is taken; None: any number.
    max_people
        How many people are taken.
    """

    min_images: int = 1
    max_images: int | None = None
    max_people: int | None = None

    def __post_init__(self) -> None:
        most, people = self.max_images, self.max_people
        too_few = (most is not None and most < self.min_images) or (people is not None and people < 1)
        if self.min_images < 1 or too_few:
            raise SettingError(
                "min_images and max_people are at least 1, max_images at least min_images: not "
                f"{self.min_images}, {people} and {most}"
            )


def write_people(
    out: str | Path,
    people: Iterable[tuple[str, Sequence[Item]]],
    decode: Callable[[Item], np.ndarray | None],
    attribute: tuple[str, Callable[[Item], Any]],
    limits: Limits,
    bad: BadImages,
    origin: Origin,
    once: bool = False,
) -> FacePack:
    """Write the people that are within the limits as a pack, in their order.

    Parameters
    ----------
    out
        The folder of the pack.
    people
        Each identity and what its images are decoded from.
    decode
        Gives an image (112, 112, 3), or None for one that is bad.
    attribute
        The name of an attribute of the images, and what gives it.
    limits, bad, origin
        Who is taken, what is skipped, and what the manifest says.
    once
        Whether an image that shows one of a taken person again, or the same person's, is bad.

    Raises
    ------
    DataError
        Where nobody is left.
    """
    identities: list[str] = []
    taken: list[Item] = []
    left_out: list[str] = []
    shown: dict[bytes, str] = {}  # by the digest of each image of those who are taken, its name
    own: dict[bytes, str] = {}  # of the person being read
    number = 0

    def fresh(item: Item) -> np.ndarray | None:
        image = decode(item)
        if image is None or not once:
            return image
        name, digest = str(attribute[1](item)), hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        first = shown.get(digest) or own.setdefault(digest, name)
        if first == name:
            return image
        bad.add(f"{name}: the image of {first} again")
        return None

    with Spool(Path(out).parent) as spool:
        for person, items in people:
            own.clear()
            good = _good_images(items, fresh, limits)
            if isinstance(good, str):
                left_out.append(f"{person}: {good}")
                continue
            shown |= own
            for item, image in good:
                spool.add(image)
                taken.append(item)
                identities.append(person)
            number += 1
            if number == limits.max_people:
                break
        if not identities:
            more = f" or more than {limits.max_images}" if limits.max_images else ""
            raise DataError(
                f"{origin.nobody}, {len(left_out)} with fewer than {limits.min_images} good images{more}; "
                f"{len(bad.lines)} images bad{bad.first()}"
            )
        names = {"people_left_out": len(left_out), "people_left_out_names": left_out[:MANIFEST_NAMES]}
        attributes = {attribute[0]: np.array([attribute[1](item) for item in taken])}
        return origin.write(out, spool.parts(), identities, attributes, **asdict(limits), **bad.spec(), **names)


def _good_images(
    items: Sequence[Item], decode: Callable[[Item], np.ndarray | None], limits: Limits
) -> list[tuple[Item, np.ndarray]] | str:
    """A person's good images, or why the person is left out."""
    if len(items) < limits.min_images:
        return f"{len(items)} images"
    good: list[tuple[Item, np.ndarray]] = []
    for item in items:
        image = decode(item)
        if image is not None:
            good.append((item, image))
        if limits.max_images is not None and len(good) > limits.max_images:
            return f"more than {limits.max_images} images"
    return good if len(good) >= limits.min_images else f"{len(good)} good images"

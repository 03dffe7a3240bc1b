"""A folder for each person, of aligned 112x112 images, into a face pack.

    faces/Ada/1.jpg  faces/Ada/2.png  faces/Bea/x.JPG  ...

People and images are taken in the order of their names, so that the same files make the same pack.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rifr import packs, storage
from rifr.align import FACE_SIZE
from rifr.errors import DataError, SettingError
from rifr.packs import FacePack
from rifr.readers import images
from rifr.readers.images import BadImages, Listing, Spool, first_few, list_people, named_and_counted

__all__ = ["read", "require_people"]


LICENCE = "as the owner of the images states"


def read(
    folder: str | Path,
    out: str | Path,
    min_images: int = 1,
    max_images: int | None = None,
    max_people: int | None = None,
    exclude: Collection[str] = (),
    on_bad: str = "skip",
    licence: str = LICENCE,
    progress: bool = True,
    overwrite: bool = False,
) -> FacePack:
    """Write the people of `folder` as a pack; a person's identity is the name of their folder.

    A pack that is there already and was made from the same files (names, sizes, times) by the same options is opened,
    unless it is to be overwritten; of two processes at once the second waits and opens the first one's.

    Parameters
    ----------
    folder
        Holds a folder for each person, of images as `rifr.readers.images` decodes them, 112x112 pixels.
    out
        The folder of the pack.
    min_images, max_images
        Take people with at least and at most so many good images: `min_images=5` to train on, `max_images=1` for
        distractors.
    max_people
        Stop after so many people.
    exclude
        Names of people to leave out.
    on_bad
        "skip" leaves out files that are unreadable, truncated or not 112x112; "refuse" raises at the first.
    licence
        What the manifest says of it.
    progress
        Whether to show a progress bar.
    overwrite
        Make the pack again where there is one.

    Returns
    -------
    FacePack
        Its manifest's `spec` holds the options, and counts and names what it does not hold: who was excluded
        (`excluded`), who had too few or too many images (`people_left_out`), images that are bad (`skipped`), and
        other files and folders, such as `1.heic` (`left_out`).

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        Where `folder` is none.
    FileExistsError
        Where something that is no pack is at `out`.
    SettingError
        For options out of range.
    DataError
        Where images lie beside the people's folders, where two folders' names are one name written differently
        (capitals, or an accent as one sign or two), where nobody is left, and for a bad file with on_bad="refuse".
    """
    folder, out = Path(folder), Path(out)
    bad = BadImages(on_bad)
    if min_images < 1 or (max_images or min_images) < min_images or (max_people is not None and max_people < 1):
        raise SettingError(
            "min_images is at least 1, max_images at least min_images, max_people at least 1: not "
            f"{min_images}, {max_images} and {max_people}"
        )
    if isinstance(exclude, str):
        raise SettingError(f"exclude is a list of names, not the text {exclude!r}: write [{exclude!r}]")
    listing = require_people(folder)
    excluded = [person for person in listing.people if person in set(exclude)]
    candidates = {person: files for person, files in listing.people.items() if person not in set(exclude)}
    spec = {
        "reader": "folder",
        "folder": folder.resolve().name,
        "min_images": min_images,
        "max_images": max_images,
        "max_people": max_people,
        "on_bad": on_bad,
        "people_found": len(listing.people),
        "excluded": excluded,
        **named_and_counted("left_out", listing.left_out),
    }
    files = [
        (f"{person}/{file.name}", file.stat().st_size, file.stat().st_mtime_ns)
        for person, files in candidates.items()
        for file in files
    ]
    spec["key"] = storage.digest(spec, licence, files, storage.sources_digest(sys.modules[__name__], images))
    packs.require_place(out)
    with storage.lock(out):
        pack = None if overwrite else packs.found(out, {"key": spec["key"]})
        return _read(folder, out, candidates, spec, bad, licence, progress) if pack is None else pack


def _read(
    folder: Path,
    out: Path,
    candidates: dict[str, list[Path]],
    spec: dict[str, Any],
    bad: BadImages,
    licence: str,
    progress: bool,
) -> FacePack:
    identities: list[str] = []
    names: list[str] = []
    left_out: list[str] = []
    taken = 0
    with Spool(out.parent) as spool:
        for person, files in tqdm(
            candidates.items(), desc=f"reading {folder.name}", unit="person", disable=None if progress else True
        ):
            good = _good_images(person, files, spec["min_images"], spec["max_images"], bad)
            if isinstance(good, str):
                left_out.append(good)
                continue
            for name, image in good:
                spool.add(image)
                names.append(f"{person}/{name}")
                identities.append(person)
            taken += 1
            if taken == spec["max_people"]:
                break
        if not identities:
            raise DataError(
                f"nobody is left of the {spec['people_found']} people in {folder}: {len(spec['excluded'])} excluded, "
                f"{len(left_out)} with fewer than {spec['min_images']} good images"
                + (f" or more than {spec['max_images']}" if spec["max_images"] else "")
                + f"; {len(bad.lines)} images bad, {spec['left_out']} other files or folders"
                + (f" ({first_few(spec['left_out_files'], 3)})" if spec["left_out"] else "")
                + bad.first()
            )
        return FacePack.write(
            out,
            spool.parts(),
            identities,
            attributes={"file": np.array(names)},
            source=f"images in the folder {folder.resolve().name}",
            licence=licence,
            spec={
                **spec,
                **bad.spec(),
                "people_left_out": len(left_out),
                "people_left_out_names": left_out[: images.MANIFEST_NAMES],
            },
        )


def require_people(folder: Path) -> Listing:
    """List the images of each person, and refuse a folder that does not hold a folder for each person.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        Where `folder` is none.
    DataError
        Where it holds no folder, images of its own, or two folders with one name written differently.
    """
    listing = list_people(folder)
    if listing.loose:
        raise DataError(
            f"{len(listing.loose)} images lie in {folder} itself ({listing.loose[0]}, ...): whose are they? "
            "Put each into a folder named after the person"
        )
    if not listing.people:
        raise DataError(f"{folder} holds no folder: it should hold a folder for each person")
    written: dict[str, str] = {}
    for name in listing.people:
        other = written.setdefault(unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()), name)
        if other != name:
            unlike = "" if (other + name).isascii() else f" ({other!a} and {name!a})"  # they may look alike
            raise DataError(
                f"{folder} holds two people under one name, or one under two: {other} and {name}{unlike}. "
                "Rename one of the folders, or put their images into one"
            )
    return listing


def _good_images(
    person: str, files: list[Path], min_images: int, max_images: int | None, bad: BadImages
) -> list[tuple[str, np.ndarray]] | str:
    """A person's good images by file name, or why the person is left out."""
    if len(files) < min_images:
        return f"{person}: {len(files)} images"
    good = []
    for file in files:
        image = bad.decode(file, f"{person}/{file.name}", FACE_SIZE)
        if image is not None:
            good.append((file.name, image))
        if max_images is not None and len(good) > max_images:
            return f"{person}: more than {max_images} images"
    return good if len(good) >= min_images else f"{person}: {len(good)} good images"

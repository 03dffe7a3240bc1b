"""A folder for each person, of aligned 112x112 images, into a face pack.

    faces/Ada/1.jpg  faces/Ada/2.png  faces/Bea/x.JPG  ...

People and images are taken in the order of their names, so that the same files make the same pack.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Collection
from pathlib import Path

from rifr import packs, storage
from rifr.align import FACE_SIZE
from rifr.bars import progress_bar
from rifr.errors import DataError
from rifr.packs import FacePack
from rifr.readers import images, writing
from rifr.readers.images import BadImages, Listing, check_names, file_states, first_few, list_people, named_and_counted
from rifr.readers.writing import Limits, Origin, write_people

__all__ = ["open_pack", "read", "require_people"]


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
        "skip" leaves out files that are unreadable, truncated or not 112x112, and those that show an image again,
        whoever's: pairs of a photo with itself would count as recognised; "refuse" raises at the first.
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
    bad, limits = BadImages(on_bad), Limits(min_images, max_images, max_people)
    check_names(exclude)
    listing = require_people(folder)
    people = {person: files for person, files in listing.people.items() if person not in set(exclude)}
    excluded = [person for person in listing.people if person not in people]
    spec = {
        "reader": "folder",
        "folder": folder.resolve().name,
        "people_found": len(listing.people),
        "excluded": excluded,
        **named_and_counted("left_out", listing.left_out),
    }
    states = [(person, file_states(files)) for person, files in people.items()]
    sources = storage.sources_digest(sys.modules[__name__], images, writing)
    spec["key"] = storage.digest(spec, limits, on_bad, licence, states, sources)
    others = f" ({first_few([str(file) for file in listing.left_out], 3)})" if listing.left_out else ""
    nobody = (
        f"nobody is left of the {len(listing.people)} people in {folder}, which holds {len(listing.left_out)} other "
        f"files or folders{others}: {len(excluded)} excluded"
    )
    packs.require_place(out)
    with storage.lock(out):
        pack = None if overwrite else packs.found(out, {"key": spec["key"]})
        if pack is not None:
            return pack
        return write_people(
            out,
            progress_bar(people.items(), desc=f"reading {folder.name}", unit="person", show=progress),
            lambda file: bad.decode(file, _name(file), FACE_SIZE),
            ("file", _name),
            limits,
            bad,
            Origin(f"images in the folder {folder.resolve().name}", licence, spec, nobody),
            once=True,
        )


def open_pack(path: str | Path, progress: bool = True) -> FacePack:
    """The pack at a path, or that of a folder that holds a folder per person of aligned 112x112 images.

    Parameters
    ----------
    path
        The pack or the folder; a folder's pack is kept in the store.
    progress
        Whether to show a progress bar.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, DataError
        As `read` and `FacePack.open`.
    """
    path = Path(path)
    if (path / "manifest.json").exists():
        return FacePack.open(path)
    name = f"folder-{path.resolve().name}-{storage.digest(str(path.resolve()))[:12]}"
    return read(path, storage.root() / "packs" / name, progress=progress)


def _name(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


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

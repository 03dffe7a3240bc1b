"""A folder for each person, of aligned 112x112 images, into a face pack.

    faces/Ada/1.jpg  faces/Ada/2.png  faces/Bea/x.JPG  ...

People and images are taken in the order of their names, so that the same files make the same pack.
"""

import sys
import tempfile
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from rifr import packs, storage
from rifr.align import FACE_SIZE
from rifr.packs import FacePack

__all__ = ["read"]

ENDINGS = {".jpg", ".jpeg", ".png"}
LISTED = 100  # bad files that the manifest names; the rest is counted
PART = 1024  # images copied at a time


def read(
    folder: str | Path,
    out: str | Path,
    fewest: int = 1,
    most: int | None = None,
    people: int | None = None,
    exclude: Collection[str] = (),
    on_bad: str = "skip",
    licence: str = "as the owner of the images states",
    progress: bool = True,
    again: bool = False,
) -> FacePack:
    """Write the people of `folder` as a pack at `out`; a person's identity is the name of their folder.

    A pack that is there already and was made from the same files (names, sizes, times) by the same options is opened,
    unless it is to be made `again`; of two askers at once the second waits and finds it.

    fewest, most: take people with at least and at most so many good images (fewest=5 to train on, most=1 for
        distractors); people: stop after so many; exclude: names to leave out.
    on_bad: "skip" leaves out files that are unreadable, truncated, not 112x112, or in colours other than RGB (alpha,
        palette, CMYK) and names them in the manifest; "refuse" raises at the first. Greyscale is taken as RGB with
        three equal channels.

    The manifest's `spec` holds the options, the names that were excluded, and the files skipped. Files that do not end
    in .jpg, .jpeg or .png (in any case), and names that begin with a dot, are passed over.

    Raises FileNotFoundError or NotADirectoryError, FileExistsError where something that is no pack is at `out`, what
    `storage.explain_os_error` says of a disk that is full, and ValueError where images lie beside the people's folders, where
    two folders' names are one name written differently (capitals, or an accent as one sign or two), where nobody is
    left, and for a bad file with on_bad="refuse".
    """
    folder, out = Path(folder), Path(out)
    if on_bad not in ("skip", "refuse"):
        raise ValueError(f'on_bad is "skip" or "refuse", not {on_bad!r}')
    if fewest < 1 or (most is not None and most < fewest) or (people is not None and people < 1):
        raise ValueError(
            f"fewest is at least 1, most at least fewest, people at least 1: not {fewest}, {most} and {people}"
        )
    if isinstance(exclude, str):
        raise ValueError(f"exclude is a list of names, not the text {exclude!r}: write [{exclude!r}]")
    everyone = _people(folder)
    exclude = set(exclude)
    excluded = [person.name for person in everyone if person.name in exclude]
    candidates = [person for person in everyone if person.name not in exclude]

    listing = [
        (f"{person.name}/{file.name}", file.stat().st_size, file.stat().st_mtime_ns)
        for person in candidates
        for file in _files(person)
    ]
    spec = {
        "reader": "folder",
        "folder": folder.resolve().name,
        "fewest": fewest,
        "most": most,
        "people": people,
        "on_bad": on_bad,
        "people_found": len(everyone),
        "excluded": excluded,
    }
    spec["key"] = storage.digest(spec, licence, listing, storage.sources_digest(sys.modules[__name__]))
    packs.require_place(out)
    with storage.lock(out):
        made = None if again else packs.found(out, {"key": spec["key"]})
        return _read(folder, out, candidates, spec, licence, progress) if made is None else made


def _read(
    folder: Path, out: Path, candidates: list[Path], spec: dict[str, Any], licence: str, progress: bool
) -> FacePack:
    fewest, most, people, on_bad = (spec[name] for name in ("fewest", "most", "people", "on_bad"))
    identities, files, bad = [], [], []
    # Which images are good is known once all are decoded: they wait in a file, for they may be more than memory holds.
    with storage.explain_os_error(out.parent, reads_elsewhere=True), tempfile.TemporaryFile(dir=out.parent) as waiting:
        taken = 0
        for person in tqdm(
            candidates, desc=f"reading {folder.name}", unit="person", disable=None if progress else True
        ):
            images = _images(person, fewest, most, on_bad, bad)
            if images:
                waiting.write(b"".join(image.tobytes() for _, image in images))
                identities += [person.name] * len(images)
                files += [f"{person.name}/{name}" for name, _ in images]
                taken += 1
                if taken == people:
                    break
        if not identities:
            raise ValueError(
                f"nobody is left of the {spec['people_found']} people in {folder}: "
                f"{len(spec['excluded'])} excluded, {len(bad)} files bad, the others with fewer than "
                f"{fewest} good images" + (f" or more than {most}" if most else "") + _first(bad)
            )
        waiting.flush()
        return FacePack.write(
            out,
            _parts(waiting, len(identities)),
            identities,
            attributes={"file": np.array(files)},
            source=f"images in the folder {folder.resolve().name}",
            licence=licence,
            spec={**spec, "skipped": len(bad), "skipped_files": bad[:LISTED]},
        )


def _people(folder: Path) -> list[Path]:
    if not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist: give a folder that holds a folder for each person")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: give a folder that holds a folder for each person")
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    loose = [entry.name for entry in entries if entry.is_file() and entry.suffix.lower() in ENDINGS]
    if loose:
        raise ValueError(
            f"{len(loose)} images lie in {folder} itself ({loose[0]}, ...): whose are they? "
            "Put each into a folder named after the person"
        )
    people = [entry for entry in entries if entry.is_dir()]
    if not people:
        raise ValueError(f"{folder} is empty: it should hold a folder for each person")
    _refuse_one_name_twice(folder, [person.name for person in people])
    return people


def _refuse_one_name_twice(folder: Path, names: list[str]) -> None:
    written: dict[str, str] = {}
    for name in names:
        other = written.setdefault(unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()), name)
        if other != name:
            unlike = "" if (other + name).isascii() else f" ({other!a} and {name!a})"  # they may look alike
            raise ValueError(
                f"{folder} holds two people under one name, or one under two: {other} and {name}{unlike}. "
                "Rename one of the folders, or put their images into one"
            )


def _files(person: Path) -> list[Path]:
    return sorted(
        file
        for file in person.iterdir()
        if file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()
    )


def _images(person: Path, fewest: int, most: int | None, on_bad: str, bad: list[str]) -> list[tuple[str, np.ndarray]]:
    """A person's good images by file name, or none where they are too few or too many; adds to `bad` what is not."""
    files = _files(person)
    if len(files) < fewest:
        return []
    images = []
    for file in files:
        try:
            images.append((file.name, _decode(file)))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            reason = str(error).replace(str(file), file.name)
            if on_bad == "refuse":
                raise ValueError(f'{file}: {reason}. Mend or delete it, or pass on_bad="skip"') from error
            bad.append(f"{person.name}/{file.name}: {reason}")
        if most is not None and len(images) > most:
            return []
    return images if len(images) >= fewest else []


def _decode(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        if image.size != (FACE_SIZE, FACE_SIZE):
            raise ValueError(f"{image.width}x{image.height} pixels, not {FACE_SIZE}x{FACE_SIZE}")
        if image.mode not in ("RGB", "L"):
            raise ValueError(f"colours are {image.mode}, not RGB or greyscale")
        return np.asarray(image.convert("RGB"))  # decodes, and fails on a truncated file


def _parts(waiting, count: int) -> Iterator[np.ndarray]:
    waiting.seek(0)
    for start in range(0, count, PART):
        number = min(PART, count - start)
        yield np.frombuffer(waiting.read(number * FACE_SIZE * FACE_SIZE * 3), np.uint8).reshape(
            number, FACE_SIZE, FACE_SIZE, 3
        )


def _first(bad: list[str]) -> str:
    return f". The first bad file: {bad[0]}" if bad else ""

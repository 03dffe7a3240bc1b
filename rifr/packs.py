"""FacePack: aligned faces on disk, the one data type that every other room takes.

A pack is a folder:

    images.npy        (N, 112, 112, 3) uint8 RGB, read as a memory map
    people.npz        identities (N,) str, landmarks (N, 5, 2) float32 if known, attributes as `attribute.<name>`
    manifest.json     source, licence, the spec that made it, checksums, versions
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import platform
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np

import rifr
from rifr import storage
from rifr.align import FACE_SIZE
from rifr.errors import DataError, SettingError, first_few
from rifr.storage.rows import Rows

PART = 1024
"""Images written at a time."""
IN_MEMORY = 2**30
"""Bytes of images that `FacePack.take` copies into memory: a part of a large pack stays on disk."""
ACCENTED = ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW")
"""How Unicode's names of the letters begin that people write with and without their marks."""


@dataclass(frozen=True)
class FacePack:
    """Aligned faces with their identities; `open` one from disk, `write` one, `take` a part.

    Attributes
    ----------
    images
        (N, 112, 112, 3) uint8, RGB: a memory map where the pack was opened from disk.
    identities
        (N,) str.
    landmarks
        (N, 5, 2) float32 in pixels, x to the right and y down, or None.
    attributes
        Ground truth by name, each (N, ...).
    manifest
        Source, licence, spec, checksums and versions.
    """

    images: np.ndarray
    identities: np.ndarray
    landmarks: np.ndarray | None = None
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def people(self) -> list[str]:
        """The names of the people in the pack, sorted."""
        return sorted(set(self.identities.tolist()))

    @property
    def points(self) -> np.ndarray:
        """(N, 5, 2) float32: the landmarks, of a pack that needs them; DataError where it has none."""
        if self.landmarks is None:
            raise DataError(
                f"the pack of {self.manifest.get('source', 'these faces')} holds no landmarks, which are needed"
            )
        return self.landmarks

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: the place of each image's identity in `people`."""
        return np.unique(self.identities, return_inverse=True)[1].astype(np.int64)

    @functools.cached_property
    def checksum(self) -> str:
        """A digest of the images and identities: two packs with one checksum hold the same faces.

        Of a pack in memory whose manifest has none, it is computed at the first use.
        """
        if known := self.manifest.get("checksum"):
            return known
        pixels = hashlib.sha256()
        for start in range(0, len(self.images), PART):
            pixels.update(np.ascontiguousarray(self.images[start : start + PART]).data)
        return storage.digest(pixels.hexdigest(), self.identities.tolist())

    @classmethod
    def open(cls, path: Path | str) -> FacePack:
        """Open a pack; the images stay on disk until they are used.

        What is measured is found again by the pack's checksum, so files that this user has not opened as they are now
        are read in full once, and compared with it.

        Raises FileNotFoundError where there is no pack, and DataError where a file of it is damaged, changed or
        missing, or its files contradict one another.
        """
        path = Path(path)
        file = path / "manifest.json"
        if not file.is_file():
            raise FileNotFoundError(
                f"{path} is no face pack: it has no manifest.json. Make one with "
                f"`python -m rifr render` or `python -m rifr prepare`."
            )
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(manifest, dict) or not isinstance(manifest.get("spec", {}), dict):
                raise ValueError("it does not hold what `FacePack.write` writes")
            file = path / "images.npy"
            images = np.load(file, mmap_mode="r")
            file = path / "people.npz"
            with open(file, "rb") as content, np.load(content, allow_pickle=False) as people:
                identities = people["identities"]
                landmarks = people.get("landmarks")
                attributes = {
                    name.removeprefix("attribute."): people[name]
                    for name in people.files
                    if name.startswith("attribute.")
                }
        except PermissionError:
            raise
        except Exception as error:  # what damaged files raise is not specified
            raise DataError(f"{file} is damaged ({error}): delete {path} and make it again.") from error
        pack = cls(images, identities, landmarks, attributes, manifest)
        pack._check(str(path))
        known = _verified(path, manifest)
        if not known.exists():
            pack.verify(path)
            _remember(known)
        return pack

    @classmethod
    def write(
        cls,
        path: Path | str,
        images: np.ndarray | Iterable[np.ndarray],
        identities: Iterable[str],
        landmarks: np.ndarray | None = None,
        attributes: dict[str, np.ndarray] | None = None,
        *,
        source: str,
        licence: str,
        spec: dict[str, Any] | None = None,
        versions: dict[str, str] | None = None,
    ) -> FacePack:
        """Write a pack, whole or not at all, and open it.

        Parameters
        ----------
        path
            The folder to be; a pack that is there is replaced.
        images
            One (N, 112, 112, 3) uint8 array, or an iterable of such arrays that follow one another: a pack may be
            larger than memory.
        identities, landmarks, attributes
            As a pack has them.
        source, licence
            What the faces are, and on what terms they may be used.
        spec, versions
            What else the manifest says: how the faces were made, and by which libraries.

        Raises
        ------
        DataError
            On a wrong shape or dtype, an empty pack, or lengths that differ.
        FileExistsError
            Where something else is in the way.
        """
        path = Path(path)
        require_place(path)
        identities = list(identities)
        unknown = [row for row, one in enumerate(identities) if not isinstance(one, (str, int, np.integer))]
        if unknown:
            raise DataError(
                f"{path} was not written: identities are names or whole numbers, and {len(unknown)} are neither (rows "
                f"{first_few([str(row) for row in unknown])}): leave out the photos of unknown people"
            )
        identities = np.asarray(identities, dtype=np.str_)
        if not len(identities):
            raise DataError(f"{path} would hold no image: give at least one.")
        landmarks = None if landmarks is None else np.asarray(landmarks, np.float32)
        attributes = {name: np.asarray(values) for name, values in (attributes or {}).items()}
        with storage.atomic_directory(path) as folder:
            _stream_images(folder / "images.npy", images, (len(identities), _side(spec)), str(path))
            arrays: dict[str, Any] = {
                "identities": identities,
                **{f"attribute.{name}": array for name, array in attributes.items()},
            }
            if landmarks is not None:
                arrays["landmarks"] = landmarks
            np.savez_compressed(folder / "people.npz", **arrays)
            checksums = {name: storage.file_digest(folder / name) for name in ("images.npy", "people.npz")}
            manifest = {
                "source": source,
                "licence": licence,
                "spec": spec or {},
                "colour": "RGB",
                "images": len(identities),
                "people": len(set(identities.tolist())),
                "checksum": storage.digest(checksums["images.npy"], identities.tolist()),
                "checksums": checksums,
                "versions": {
                    "rifr": rifr.__version__,
                    "python": platform.python_version(),
                    "numpy": np.__version__,
                    **(versions or {}),
                },
            }
            cls(np.load(folder / "images.npy", mmap_mode="r"), identities, landmarks, attributes, manifest)._check(
                str(path)
            )
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
        _remember(_verified(path, manifest))
        return cls.open(path)

    def verify(self, path: Path | str) -> None:
        """Read the files of `path` in full and compare their checksums; raises ValueError naming the damaged file."""
        for name, expected in self.manifest.get("checksums", {}).items():
            if storage.file_digest(Path(path) / name) != expected:
                raise DataError(
                    f"{Path(path) / name} is damaged or was changed (its checksum differs): delete the pack and make "
                    "it again."
                )

    def take(self, which: np.ndarray) -> FacePack:
        """The images of an index array or a boolean mask, with their identities, landmarks, attributes.

        They are in memory, but for more than `IN_MEMORY` bytes of a pack on disk, which stay there (`Rows`). A mask of
        another length than the pack's is a SettingError.
        """
        which = np.asarray(which)
        if which.dtype == bool:
            if which.shape != (len(self),):
                raise SettingError(f"a mask says of each of {len(self)} images whether it is taken: not {which.shape}")
            which = np.flatnonzero(which)
        elif not which.size:  # NumPy makes floats of an empty list
            which = which.astype(np.int64)
        large = isinstance(self.images, (np.memmap, Rows)) and len(which) * self.images[:1].nbytes > IN_MEMORY
        identities = self.identities[which]
        return FacePack(
            cast("np.ndarray", Rows(self.images, which)) if large else np.asarray(self.images[which]),
            identities,
            None if self.landmarks is None else self.landmarks[which],
            {name: values[which] for name, values in self.attributes.items()},
            {
                **self.manifest,
                "checksum": storage.digest(self.checksum, which.tolist()),
                "images": len(which),
                "people": len(set(identities.tolist())),
            },
        )

    def _check(self, name: str) -> None:
        count, side = len(self.identities), _side(self.manifest.get("spec"))
        if self.images.dtype != np.uint8 or self.images.shape != (count, side, side, 3):
            raise DataError(
                f"{name}: images must be ({count}, {side}, {side}, 3) uint8 for {count} identities, "
                f"found {self.images.shape} {self.images.dtype}."
            )
        if self.landmarks is not None and self.landmarks.shape != (count, 5, 2):
            raise DataError(f"{name}: landmarks must be ({count}, 5, 2), found {self.landmarks.shape}.")
        for key, values in self.attributes.items():
            if len(values) != count:
                raise DataError(f"{name}: attribute {key!r} has {len(values)} rows for {count} images.")


def require_place(path: Path) -> None:
    """Refuse a path at which no pack can be written: something lies there, neither a pack nor an empty folder."""
    if path.exists() and not (path / "manifest.json").exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"{path} is there and is no face pack: give another folder, or move it away.")


def found(path: Path, made_by: dict[str, Any]) -> FacePack | None:
    """The pack at `path` if its spec holds what `made_by` holds and it can be opened, else None."""
    try:
        pack = FacePack.open(path)
    except (FileNotFoundError, ValueError):
        return None
    spec = pack.manifest.get("spec", {})
    return pack if spec | made_by == spec else None


def name_key(name: str) -> str:
    """A person's name as it is compared: "Alec Baldwin", "alec_baldwin" and "ALEC-BALDWIN" are one, and so are "José"
    and "Jose", 007 and 7.

    Accents and points are left out where people leave them out (`ACCENTED`); elsewhere marks are vowels or make other
    consonants, as in Thai, Devanagari and kana.
    """
    if name.isdecimal():
        return str(int(name))
    kept, marked = [], False
    for sign in unicodedata.normalize("NFKD", name):
        if not unicodedata.category(sign).startswith("M"):
            marked = sign.isalnum() and not unicodedata.name(sign, "").startswith(ACCENTED)
            kept.append(sign if sign.isalnum() else " ")
        elif marked:
            kept.append(sign)
    words = " ".join("".join(kept).casefold().split())
    return unicodedata.normalize("NFC", words) or name


def naming(identities: Iterable[str]) -> str:
    """What identities are: "names", "label numbers", or what stands before the colon of all ("megaface:...")."""
    identities = list(identities)
    if all(identity.isdecimal() for identity in identities):
        return "label numbers"
    prefixes = {identity.partition(":")[0] if ":" in identity else "" for identity in identities}
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    return f"identities of {prefix}" if prefix else "names"


def require_disjoint(**packs: FacePack) -> str:
    """Refuse people who are in two of the packs: `require_disjoint(train=..., probes=..., distractors=...)`.

    Returns
    -------
    str
        What was compared: names and label numbers say nothing of one another, so of packs that differ in this nothing
        is claimed.

    Raises
    ------
    DataError
        With the people who are in two packs, however their names are spelled.
    """
    people = {split: {name_key(name): name for name in pack.people} for split, pack in packs.items()}
    kinds = {split: naming(pack.people) for split, pack in packs.items()}
    compared, unlike = [], []
    for first, second in combinations(packs, 2):
        if kinds[first] != kinds[second]:
            unlike.append(
                f"The people of {first} go by {kinds[first]} and those of {second} by {kinds[second]}: they cannot be "
                "compared, so that a person may be in both."
            )
            continue
        both = sorted(people[first].keys() & people[second].keys())
        if both:
            names = [people[second][key] for key in both]
            raise DataError(
                f"{len(both)} people are in {first} and in {second}: {first_few(names)}. Exclude them from one of the "
                "two."
            )
        kind = {"names": "name", "label numbers": "label number"}.get(kinds[first], "identity")
        compared.append(f"No {kind} is in both {first} and {second}.")
    if len(set(kinds.values())) == 1 and len(packs) > 2:
        kind = compared[0].split(" is in ")[0]
        return f"{kind} is in two of {', '.join(list(packs)[:-1])} and {list(packs)[-1]}."
    return " ".join(compared + unlike)


def _verified(path: Path, manifest: dict[str, Any]) -> Path:
    """The mark that a pack's files were compared with their checksums as they are now."""
    files = [path.resolve() / name for name in manifest.get("checksums", {})]
    states = [[str(file), (state := file.stat()).st_size, state.st_mtime_ns, state.st_ino] for file in files]
    return storage.place("verified", path.name, storage.digest(states, manifest.get("checksums")))


def _remember(mark: Path) -> None:
    if storage.root().is_dir():  # to look at a pack makes no store
        with contextlib.suppress(OSError):  # one that is closed to writing remembers nothing
            mark.parent.mkdir(exist_ok=True)
            mark.touch()


def _side(spec: dict[str, Any] | None) -> int:
    """The side of a pack's pictures in pixels: FACE_SIZE, unless they are scenes, whose spec names their size."""
    return spec["size"] if spec and spec.get("scenes") else FACE_SIZE


def _stream_images(path: Path, images: np.ndarray | Iterable[np.ndarray], shape: tuple[int, int], name: str) -> None:
    """Write images to a .npy file part by part; `shape` is their number and their side.

    Written, not mapped: on a full disk a write is an error, and a page of a map that finds no room kills the process.
    """
    count, side = shape
    parts = [images] if isinstance(images, (np.ndarray, Rows)) else images
    filled = 0
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            if part.dtype != np.uint8 or part.shape[1:] != (side, side, 3):
                raise DataError(
                    f"{name}: images must be (n, {side}, {side}, 3) uint8, found {part.shape} {part.dtype}."
                )
            if filled + len(part) > count:
                raise DataError(f"{name}: more images than the {count} identities.")
            for start in range(0, len(part), PART):
                file.write(np.ascontiguousarray(part[start : start + PART]).data)
            filled += len(part)
    if filled != count:
        raise DataError(f"{name}: {filled} images for {count} identities.")

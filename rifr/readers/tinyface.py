"""TinyFace's own tree into three face packs: probes, their mates in the gallery, and the distractors.

    Testing_Set/Probe/*.jpg  Testing_Set/Gallery_Match/*.jpg  Testing_Set/Gallery_Distractor/*.jpg
    Training_Set/<id>/*.jpg                                     optional: people of their own to train on
    probe_img_ID_pairs.mat   gallery_match_img_ID_pairs.mat     in Testing_Set or in Face_Identification_Evaluation

The two lists say who is who. The number that a file's name begins with is not that person's id (photo 5_22.jpg is of
person 3). Photos are small and unaligned: an aligner (`rifr.align.Aligner`) makes 112x112 faces of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rifr import align, storage
from rifr.align import FACE_SIZE
from rifr.bars import progress_bar
from rifr.errors import DataError
from rifr.packs import FacePack
from rifr.readers.images import BadImages, LeftOutFile, file_states, list_images, list_people, named_and_counted
from rifr.readers.tinyface_lists import LIST_FILES, TEST, Lists, lists, write_lists
from rifr.readers.writing import Origin, Spool, align_photos

__all__ = [
    "DISTRACTOR",
    "EXPECTED",
    "FOLDERS",
    "LIST_FILES",
    "Lists",
    "TinyFaceSets",
    "aligned",
    "aligner_name",
    "counts",
    "lists",
    "read",
    "training",
    "write_lists",
]

DISTRACTOR = -100
"""The identity of every gallery photo that is nobody's mate."""

EXPECTED = {"probes": (3728, 2563), "gallery": (4443, 2569), "distractors": (153428, 1)}
"""Photos and ids of the published set; all distractors have the one id -100. Six gallery people have no probe."""

FOLDERS = {"probes": "Probe", "gallery": "Gallery_Match", "distractors": "Gallery_Distractor"}
LICENCE = "as the owner of the images states"


@dataclass(frozen=True)
class TinyFaceSets:
    """Packs of aligned faces, each with `id` (N,) int64, `file` (N,) and `size` (N, 2), the photo's height and width.

    Attributes
    ----------
    probes, gallery
        Photos of people; identities are ids as text.
    distractors
        Photos of others, all with the identity "-100".
    """

    probes: FacePack
    gallery: FacePack
    distractors: FacePack


def read(
    root: str | Path,
    out: str | Path,
    aligner: align.Aligner = align.resized,
    require_published_counts: bool = False,
    on_bad: str = "skip",
    licence: str = LICENCE,
    progress: bool = True,
) -> TinyFaceSets:
    """Write the packs out/probes, out/gallery and out/distractors of the set at `root`.

    Probes and gallery come in the order of the lists, distractors in that of their names. A pack that is there already
    and was made from the same photos (names, sizes, times of change) with the same options and aligner is opened, so
    that an interrupted run goes on with the next one. While the distractors are made they take their place on disk
    twice (the whole set: 2 x 5.8 GB).

    Parameters
    ----------
    root
        TinyFace's own tree.
    out
        The folder of the three packs.
    aligner
        Makes a 112x112 face of each photo.
    require_published_counts
        Whether other numbers of photos and ids than the published ones are an error.
    on_bad
        "skip" leaves corrupt photos out and names them in the manifest; "refuse" raises at the first.
    licence
        What the manifests say of it.
    progress
        Whether to show a progress bar.

    Raises
    ------
    FileNotFoundError
        For missing folders and lists, and for listed photos that are absent (how many, and the first).
    DataError
        For what `lists` refuses, for a corrupt photo with on_bad="refuse", where no photo is left, for an aligner that
        fails or returns another shape, and for a pack in the way that was made otherwise.
    """
    root, out = Path(root), Path(out)
    BadImages(on_bad)
    named = lists(root)
    parts = {
        "probes": _listed(root, "probes", named.probe_files, named.probe_ids),
        "gallery": _listed(root, "gallery", named.gallery_files, named.gallery_ids),
        "distractors": _distractors(root),
    }
    if require_published_counts:
        _require({name: part.attributes["id"] for name, part in parts.items()}, root)
    packs = {name: _pack(out / name, part, aligner, root, on_bad, licence, progress) for name, part in parts.items()}
    if require_published_counts:
        _require({name: pack.attributes["id"] for name, pack in packs.items()}, out)
    return TinyFaceSets(**packs)


def training(
    root: str | Path,
    out: str | Path,
    aligner: align.Aligner = align.resized,
    on_bad: str = "skip",
    licence: str = LICENCE,
    progress: bool = True,
) -> FacePack:
    """Write the people of Training_Set as one pack at `out`, found again as the packs of `read` are.

    A person's identity is "train-" and the folder's name: training folders and the test lists may count people
    differently, and one number in both need not be one person. Attributes are `file` and `size`. Parameters and errors
    are those of `read`.
    """
    root, folder = Path(root), Path(root) / "Training_Set"
    BadImages(on_bad)
    listing = list_people(_folder(folder))
    paths = listing.images
    if not paths:
        raise DataError(f"{folder} holds no photos: it should hold a folder for each person")
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    people = [f"train-{path.parent.name}" for path in paths]
    loose = [LeftOutFile(name, "an image beside the people's folders") for name in listing.loose]
    part = _Part("training", paths, names, people, {"file": np.array(names)}, loose + listing.left_out)
    return _pack(Path(out), part, aligner, root, on_bad, licence, progress)


def counts(sets: TinyFaceSets) -> list[str]:
    """What is missing or extra against the published set, a sentence for each difference; none for the whole set."""
    return _differences({name: getattr(sets, name).attributes["id"] for name in EXPECTED})


@dataclass(frozen=True)
class _Part:
    """The photos of one pack to be: paths, names for the manifest, identities and attributes, one row for each; and
    each file of their folder that is no photo."""

    kind: str
    paths: list[Path]
    names: list[str]
    identities: list[str]
    attributes: dict[str, np.ndarray]
    left_out: list[LeftOutFile] = field(default_factory=list)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is no folder: give as root TinyFace's own, which holds {TEST}")
    return path


def _listed(root: Path, kind: str, files: tuple[str, ...], ids: np.ndarray) -> _Part:
    folder = root / TEST / FOLDERS[kind]
    present = {path.name for path in _folder(folder).iterdir()}
    absent = [file for file in files if file not in present]
    if absent:
        raise FileNotFoundError(
            f"{len(absent)} of the {len(files)} photos in {LIST_FILES[kind][0]} are not in "
            f"{folder}, the first: {absent[0]}. Unpack the set again, whole"
        )
    return _Part(
        kind,
        [folder / file for file in files],
        list(files),
        [str(i) for i in ids],
        {"id": ids, "file": np.array(files)},
    )


def _distractors(root: Path) -> _Part:
    folder = root / TEST / FOLDERS["distractors"]
    paths, left_out = list_images(_folder(folder))
    if not paths:
        raise DataError(f"{folder} holds no photos: unpack the set again, whole")
    names = [path.name for path in paths]
    ids = np.full(len(paths), DISTRACTOR, np.int64)
    return _Part(
        "distractors", paths, names, [str(DISTRACTOR)] * len(paths), {"id": ids, "file": np.array(names)}, left_out
    )


def _differences(ids_of: dict[str, np.ndarray]) -> list[str]:
    sentences = []
    for name, ids in ids_of.items():
        for what, number, wanted in zip(("photos", "ids"), (len(ids), len(np.unique(ids))), EXPECTED[name]):
            if number != wanted:
                sentences.append(
                    f"The pack of {name} holds {number:,} {what}, {abs(wanted - number):,} "
                    f"{'fewer' if number < wanted else 'more'} than the published {wanted:,}."
                )
    return sentences


def _require(ids_of: dict[str, np.ndarray], where: Path) -> None:
    sentences = _differences(ids_of)
    if sentences:
        raise DataError(
            f"{where} is not the published set. {' '.join(sentences)} Unpack it again, whole, or pass "
            "require_published_counts=False"
        )


def _pack(
    out: Path, part: _Part, aligner: align.Aligner, root: Path, on_bad: str, licence: str, progress: bool
) -> FacePack:
    """Align the photos one by one into a pack, or open the one that is there if it was made from the same."""
    by, bad, spec = aligner_name(aligner), BadImages(on_bad), {"reader": "tinyface", "part": part.kind}
    key = storage.digest(spec, by, on_bad, licence, part.names, file_states(part.paths), part.identities)
    if out.exists():
        pack = FacePack.open(out)
        earlier = pack.manifest.get("spec", {})
        if earlier.get("key") != key:
            raise DataError(
                f"{out} holds a pack that was made from other photos, by another on_bad or licence, or by another "
                f"aligner ({earlier.get('aligner')}, now {by}): delete it, or give another folder"
            )
        return pack
    spec |= {"aligner": by, "key": key}
    origin = Origin(f"photos in TinyFace's tree at {root.resolve().name}", licence, spec)
    photos = progress_bar(
        list(zip(part.paths, part.names, strict=True)), desc=f"aligning {out.name}", unit="photo", show=progress
    )
    with Spool(out.parent) as spool:
        good, sizes = align_photos(photos, lambda photo, path: aligned(photo, path, aligner), spool.add, bad)
        if not good:
            raise DataError(f"{out} would hold no photo: all {len(bad.lines)} are corrupt{bad.first()}")
        identities = [part.identities[row] for row in good]
        attributes = {name: values[good] for name, values in part.attributes.items()} | {"size": sizes}
        left_out = named_and_counted("left_out", part.left_out)
        return origin.write(
            out, spool.parts(), identities, attributes, photos=len(part.paths), **bad.spec(), **left_out
        )


def aligner_name(aligner: Callable) -> str:
    """What a manifest calls an aligner: the name of the function or class, and its `key`, which says what made it.

    An aligner that depends on more than its name (a trained network, options) has a `key`: else another of the same
    name opens the packs of the first.
    """
    named = aligner if hasattr(aligner, "__qualname__") else type(aligner)
    name = f"{named.__module__}.{named.__qualname__}"
    return f"{name} {key}" if (key := getattr(aligner, "key", "")) else name


def aligned(photo: np.ndarray, path: Path, aligner: align.Aligner) -> np.ndarray:
    """The aligner's face of a photo, (112, 112, 3) uint8.

    Raises
    ------
    DataError
        With the file, where the aligner fails or gives another shape. Such a photo is never skipped: a set from which
        the hard ones are gone would look easier than it is.
    """
    try:
        face = np.asarray(aligner(photo))
    except ValueError as error:
        raise DataError(
            f"{path} cannot be aligned: {error}. An aligner answers for every photo; let it fall back on "
            "rifr.align.resized"
        ) from error
    if face.shape != (FACE_SIZE, FACE_SIZE, 3) or face.dtype != np.uint8:
        raise DataError(
            f"{path}: the aligner {aligner_name(aligner)} gave {face.shape} {face.dtype}, "
            f"not ({FACE_SIZE}, {FACE_SIZE}, 3) uint8"
        )
    return face

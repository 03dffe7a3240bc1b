"""TinyFace's own tree into three face packs: probes, their mates in the gallery, and the distractors.

    Testing_Set/Probe/*.jpg  Testing_Set/Gallery_Match/*.jpg  Testing_Set/Gallery_Distractor/*.jpg
    Training_Set/<id>/*.jpg                                     optional: people of their own to train on
    probe_img_ID_pairs.mat   gallery_match_img_ID_pairs.mat     in Testing_Set or in Face_Identification_Evaluation

The two lists say who is who. The number that a file's name begins with is not that person's id (photo 5_22.jpg is of
person 3). Photos are small and unaligned: an aligner (`rifr.align.Aligner`) makes 112x112 faces of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import loadmat, savemat
from tqdm import tqdm

from rifr import align, storage
from rifr.align import FACE_SIZE
from rifr.packs import FacePack
from rifr.protocols.tinyface import DISTRACTOR
from rifr.readers.folder import ENDINGS, LISTED, _parts

__all__ = ["EXPECTED", "Lists", "TinyFaceSets", "counts", "lists", "read", "training", "write_lists"]

EXPECTED = {"probes": (3728, 2563), "gallery": (4443, 2569), "distractors": (153428, 1)}
"""Photos and ids of the published set; all distractors have the one id -100. Six gallery people have no probe."""

TEST, LIST_FOLDERS = "Testing_Set", ("Testing_Set", "Face_Identification_Evaluation")
FOLDERS = {"probes": "Probe", "gallery": "Gallery_Match", "distractors": "Gallery_Distractor"}
LIST_FILES = {
    "probes": ("probe_img_ID_pairs.mat", "probe_set", "probe_ids"),
    "gallery": ("gallery_match_img_ID_pairs.mat", "gallery_set", "gallery_ids"),
}
LICENCE = "as the owner of the images states"


@dataclass(frozen=True)
class Lists:
    """The two published lists: names of files in Probe and Gallery_Match, and (N,) int64 whose they are."""

    probe_files: tuple[str, ...]
    probe_ids: np.ndarray
    gallery_files: tuple[str, ...]
    gallery_ids: np.ndarray


@dataclass(frozen=True)
class TinyFaceSets:
    """Packs of aligned faces. Identities are ids as text ("-100" for distractors); attributes are `id` (N,) int64,
    `file` (N,) str and `size` (N, 2), the photo's height and width before it was aligned."""

    probes: FacePack
    gallery: FacePack
    distractors: FacePack


def lists(root: str | Path) -> Lists:
    """The lists of the set at `root`; whether their photos are there is not looked at.

    Raises FileNotFoundError where a list is in neither folder, and ValueError for a file that is no .mat or lacks a
    field (with those found), and for ids that are no whole numbers or not one for each file.
    """
    root = Path(root)
    return Lists(*_list(root, "probes"), *_list(root, "gallery"))


def read(
    root: str | Path,
    out: str | Path,
    aligner: align.Aligner = align.resized,
    expected: bool = False,
    on_bad: str = "skip",
    licence: str = LICENCE,
    progress: bool = True,
) -> TinyFaceSets:
    """Write the packs out/probes, out/gallery and out/distractors of the set at `root`.

    Probes and gallery come in the order of the lists, distractors in that of their names. A pack that is there already
    and was made from the same photos by an aligner of the same name is opened, so that an interrupted run goes on with
    the next one. While the distractors are made they take their place on disk twice (the whole set: 2 x 5.8 GB).

    expected: whether anything but the published numbers of photos and ids is an error; stand-ins have fewer.
    on_bad: "skip" leaves corrupt photos out and names them in the manifest; "refuse" raises at the first.

    Raises FileNotFoundError for missing folders and for listed photos that are absent (how many, and the first), and
    ValueError for what `lists` refuses, for a corrupt photo with on_bad="refuse", where no photo is left, for an
    aligner that fails or returns another shape, and for a pack in the way that was made otherwise.
    """
    root, out = Path(root), Path(out)
    _check(on_bad)
    named = lists(root)
    parts = {
        "probes": _listed(root, "probes", named.probe_files, named.probe_ids),
        "gallery": _listed(root, "gallery", named.gallery_files, named.gallery_ids),
        "distractors": _distractors(root),
    }
    if expected:
        _require({name: part.attributes["id"] for name, part in parts.items()}, root)
    made = {
        name: _pack(out / name, part, aligner, {"reader": "tinyface", "part": name}, root, on_bad, licence, progress)
        for name, part in parts.items()
    }
    if expected:
        _require({name: pack.attributes["id"] for name, pack in made.items()}, out)
    return TinyFaceSets(**made)


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
    differently, and one number in both need not be one person. Attributes are `file` and `size`. Errors are those of
    `read`.
    """
    root, folder = Path(root), Path(root) / "Training_Set"
    _check(on_bad)
    paths = [path for person in sorted(_folder(folder).iterdir()) if person.is_dir() for path in _photos(person)]
    if not paths:
        raise ValueError(f"{folder} holds no photos: it should hold a folder for each person")
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    people = [f"train-{path.parent.name}" for path in paths]
    part = _Part(paths, names, people, {"file": np.array(names)})
    return _pack(Path(out), part, aligner, {"reader": "tinyface", "part": "training"}, root, on_bad, licence, progress)


def counts(sets: TinyFaceSets) -> list[str]:
    """What is missing or extra against the published set, a sentence for each difference; none for the whole set."""
    return _differences({name: getattr(sets, name).attributes["id"] for name in EXPECTED})


def write_lists(
    root: str | Path,
    gallery_files: Sequence[str],
    gallery_ids: Sequence[int],
    probe_files: Sequence[str],
    probe_ids: Sequence[int],
) -> None:
    """Write the two lists into root/Testing_Set as the set has them, so that other faces can take its form.

    Raises ValueError for an empty list, and for ids that are no whole numbers or not one for each file.
    """
    for kind, files, ids in (("probes", probe_files, probe_ids), ("gallery", gallery_files, gallery_ids)):
        name, set_field, id_field = LIST_FILES[kind]
        path = Path(root) / TEST / name
        if not len(files):
            raise ValueError(f"{path} would list no photo: give at least one")
        ids = _ids(path, id_field, np.asarray(ids), len(files))
        cells = np.empty((len(files), 1), object)
        cells[:, 0] = [str(file) for file in files]
        fits = ids.min() >= 0 and ids.max() <= np.iinfo(np.uint16).max  # the published ids are uint16
        fields = {set_field: cells, id_field: ids.astype(np.uint16 if fits else np.int64)[:, None]}
        storage.atomic_write(path, lambda file, fields=fields: savemat(file, fields))


@dataclass(frozen=True)
class _Part:
    """The photos of one pack to be: paths, names for the manifest, identities and attributes, a row for each."""

    paths: list[Path]
    names: list[str]
    identities: list[str]
    attributes: dict[str, np.ndarray]


def _check(on_bad: str) -> None:
    if on_bad not in ("skip", "refuse"):
        raise ValueError(f'on_bad is "skip" or "refuse", not {on_bad!r}')


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is no folder: give as root TinyFace's own, which holds {TEST}")
    return path


def _photos(folder: Path) -> list[Path]:
    return sorted(
        path for path in _folder(folder).iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")
    )


def _list(root: Path, kind: str) -> tuple[tuple[str, ...], np.ndarray]:
    name, set_field, id_field = LIST_FILES[kind]
    path = next((found for folder in LIST_FOLDERS if (found := root / folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{name} is neither in {root / LIST_FOLDERS[0]} nor in {root / LIST_FOLDERS[1]}: "
            "put TinyFace's own list into one of them"
        )
    try:
        fields = loadmat(path)
    except Exception as error:  # what SciPy raises for damaged files is not specified
        raise ValueError(f"{path} cannot be read as a .mat file ({error}): get it again from TinyFace") from error
    for field in (set_field, id_field):
        if field not in fields:
            found = ", ".join(sorted(key for key in fields if not key.startswith("__"))) or "nothing"
            raise ValueError(f"{path} has no field {field!r}, it holds {found}: get TinyFace's own list")
    cells = [np.ravel(cell) for cell in np.ravel(fields[set_field])]
    wrong = [row for row, cell in enumerate(cells) if cell.shape != (1,) or cell.dtype.kind != "U"]
    if wrong or not cells:
        raise ValueError(
            f"{path}: {set_field} holds {f'no file name in row {wrong[0]}' if wrong else 'nothing'}: "
            "get TinyFace's own list"
        )
    return tuple(str(cell[0]) for cell in cells), _ids(path, id_field, np.ravel(fields[id_field]), len(cells))


def _ids(path: Path, field: str, ids: np.ndarray, files: int) -> np.ndarray:
    if ids.shape != (files,) or ids.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: {field} are whole numbers, one for each of {files} files, not {ids.dtype} {ids.shape}"
        )
    return ids.astype(np.int64)


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
        [folder / file for file in files], list(files), [str(i) for i in ids], {"id": ids, "file": np.array(files)}
    )


def _distractors(root: Path) -> _Part:
    folder = root / TEST / FOLDERS["distractors"]
    paths = _photos(folder)
    if not paths:
        raise ValueError(f"{folder} holds no photos: unpack the set again, whole")
    names = [path.name for path in paths]
    ids = np.full(len(paths), DISTRACTOR, np.int64)
    return _Part(paths, names, [str(DISTRACTOR)] * len(paths), {"id": ids, "file": np.array(names)})


def _differences(found: dict[str, np.ndarray]) -> list[str]:
    sentences = []
    for name, ids in found.items():
        for what, number, wanted in zip(("photos", "ids"), (len(ids), len(np.unique(ids))), EXPECTED[name]):
            if number != wanted:
                sentences.append(
                    f"The pack of {name} holds {number:,} {what}, {abs(wanted - number):,} "
                    f"{'fewer' if number < wanted else 'more'} than the published {wanted:,}."
                )
    return sentences


def _require(found: dict[str, np.ndarray], where: Path) -> None:
    sentences = _differences(found)
    if sentences:
        raise ValueError(
            f"{where} is not the published set. {' '.join(sentences)} Unpack it again, whole, or pass expected=False"
        )


def _pack(
    out: Path, part: _Part, aligner: align.Aligner, spec: dict, root: Path, on_bad: str, licence: str, progress: bool
) -> FacePack:
    """Align the photos one by one into a pack, or open the one that is there if it was made from the same."""
    by = aligner_name(aligner)
    sizes = [path.stat().st_size for path in part.paths]
    key = storage.digest(spec, by, on_bad, part.names, sizes, part.identities)
    if out.exists():
        pack = FacePack.open(out)
        if pack.manifest["spec"].get("key") != key:
            raise ValueError(
                f"{out} holds a pack that was made from other photos, with another on_bad or by another "
                f"aligner ({pack.manifest['spec'].get('aligner')}, now {by}): delete it, or give another "
                "folder"
            )
        return pack
    good, native, bad = [], [], []
    out.parent.mkdir(parents=True, exist_ok=True)
    # Which photos are good is known once all are decoded: the faces wait in a file, they may be more than memory holds.
    with storage.explain_os_error(out.parent, reads_elsewhere=True), tempfile.TemporaryFile(dir=out.parent) as waiting:
        for row, path in enumerate(
            tqdm(part.paths, desc=f"aligning {out.name}", unit="photo", disable=None if progress else True)
        ):
            photo = decode(path, part.names[row], on_bad, bad)
            if photo is not None:
                waiting.write(aligned(photo, path, aligner).tobytes())
                good.append(row)
                native.append(photo.shape[:2])
        if not good:
            raise ValueError(f"{out} would hold no photo: all {len(bad)} are corrupt, the first: {bad[0]}")
        waiting.flush()
        attributes = {name: values[good] for name, values in part.attributes.items()}
        return FacePack.write(
            out,
            _parts(waiting, len(good)),
            [part.identities[row] for row in good],
            attributes={**attributes, "size": np.array(native, np.int32)},
            source=f"photos in TinyFace's tree at {root.resolve().name}",
            licence=licence,
            spec={
                **spec,
                "aligner": by,
                "on_bad": on_bad,
                "photos": len(part.paths),
                "skipped": len(bad),
                "skipped_files": bad[:LISTED],
                "key": key,
            },
        )


def aligner_name(aligner: Callable) -> str:
    """What a manifest calls an aligner: the qualified name of the function, or of the class of an object."""
    named = aligner if hasattr(aligner, "__qualname__") else type(aligner)
    return f"{named.__module__}.{named.__qualname__}"


def decode(path: Path, name: str, on_bad: str, bad: list[str]) -> np.ndarray | None:
    """The photo (h, w, 3) uint8 RGB; for a corrupt one None, with a line added to `bad`, or with on_bad="refuse" a
    ValueError. Other colours than RGB are converted, transparency is dropped."""
    try:
        with Image.open(path) as photo:
            return np.asarray(photo.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).replace(str(path), path.name)
        if on_bad == "refuse":
            raise ValueError(f'{path}: {reason}. Mend or delete it, or pass on_bad="skip"') from error
        bad.append(f"{name}: {reason}")
        return None


def aligned(photo: np.ndarray, path: Path, aligner: align.Aligner) -> np.ndarray:
    """The aligner's face (112, 112, 3) uint8; raises ValueError, naming the file, where it fails or has another shape.

    Such a photo is never skipped: a set from which the hard ones are gone would look easier than it is.
    """
    try:
        face = np.asarray(aligner(photo))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be aligned: {error}. An aligner answers for every photo; let it fall back on "
            "rifr.align.resized"
        ) from error
    if face.shape != (FACE_SIZE, FACE_SIZE, 3) or face.dtype != np.uint8:
        raise ValueError(
            f"{path}: the aligner {aligner_name(aligner)} gave {face.shape} {face.dtype}, not ({FACE_SIZE}, {FACE_SIZE}, 3) uint8"
        )
    return face

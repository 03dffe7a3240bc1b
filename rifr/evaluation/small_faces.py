"""Results on small faces: TinyFace, SCface, their surrogates, and probes as a camera would give them.

tiny_faces, filmed_faces   the sets, or their surrogates (`rifr.faces.surrogates`), read into packs of the store
search                     TinyFace's protocol for several networks (Table I)
surveillance               SCface's protocol, a distance at a time (Table II)
identify_by_camera         P1 and P2 as in `evaluate.identify`, the small faces by a simulated camera, not bicubic
VARIANTS                   the proposed student trained with tight crops, camera-like faces and wrong landmarks
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from rifr import align, camera, presets, readers, similarity, storage
from rifr.align import FACE_SIZE, Aligner
from rifr.errors import SettingError
from rifr.evaluation import evaluate, metrics
from rifr.evaluation.alignment import LANDMARK_ERROR
from rifr.evaluation.embed import Embedder
from rifr.evaluation.features import features
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import scface, tinyface
from rifr.evaluation.protocols.identification import Identification
from rifr.evaluation.protocols.scface import Scface
from rifr.evaluation.protocols.tinyface import TinyFace
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.readers import images
from rifr.readers import scface as scface_reader
from rifr.readers import tinyface as tinyface_reader
from rifr.readers.scface import METRES, ScfaceSets
from rifr.readers.tinyface import TinyFaceSets
from rifr.splits import FaceSplits
from rifr.training import variants
from rifr.training.parallel import Call
from rifr.training.runs import Run

__all__ = [
    "VARIANTS",
    "calls",
    "camera_pack",
    "effects",
    "eighty_of",
    "filmed_faces",
    "fit_variants",
    "identify_by_camera",
    "line_up",
    "one_person_each",
    "photos",
    "search",
    "surveillance",
    "tiny_faces",
]

VARIANTS: dict[str, dict[str, Any]] = {
    "proposed, tight": {"tight_crops": 0.5},
    "proposed, camera": {"low_kind": "camera"},
    "proposed, camera and tight": {"low_kind": "camera", "tight_crops": 0.5},
    "proposed, all three": {"low_kind": "camera", "tight_crops": 0.5, "landmark_error": LANDMARK_ERROR},
}
"""Students trained as the proposed one is, but for these fields of `presets.Training`."""


def tiny_faces(root: str | Path, aligner: Aligner = align.resized, progress: bool = True) -> TinyFaceSets:
    """TinyFace, or its surrogate, at `root`, aligned and kept in the store.

    Parameters
    ----------
    root : str or Path
        The set's own tree of folders.
    aligner : callable
        `align.resized`, or one with a `key` that says all that made it, such as `landmarks.fit(...).aligner()`: with
        another key there are other packs.
    progress : bool
        Show progress bars.

    Raises
    ------
    SettingError
        For an aligner without a key: packs of two aligners would be taken for one another.
    """
    root = Path(root)
    key = "resized" if aligner is align.resized else getattr(aligner, "key", "")
    if not key:
        raise SettingError(
            "this aligner has no key: give it one that says all that decides its faces (`aligner.key = ...`), for its "
            "packs are found by it"
        )
    out = storage.place("packs", f"tinyface-{root.name}", _key(root, key))
    with storage.lock(out):  # the reader goes on where it was interrupted
        return tinyface_reader.read(root, out, aligner=aligner, progress=progress and _is_terminal())


def filmed_faces(root: str | Path, progress: bool = True) -> ScfaceSets:
    """SCface, or its surrogate, at `root`, aligned by its own points and kept in the store."""
    root = Path(root)

    def write(path: Path) -> None:
        with storage.atomic_directory(path) as folder:
            scface_reader.read(root, folder, progress=progress and _is_terminal())

    return storage.found_or_made(
        "packs",
        f"scface-{root.name}",
        _key(root, "points"),
        write,
        lambda path: ScfaceSets(FacePack.open(path / "mugshots"), FacePack.open(path / "probes")),
    )


def photos(folder: str | Path, files: Sequence[str]) -> list[np.ndarray]:
    """Pictures as they come, (h, w, 3) uint8 RGB each, for a look at them."""
    return [images.decode(Path(folder) / file) for file in files]


def one_person_each(
    probes: FacePack, tinyface_root: str | Path, scface_root: str | Path, width: int = 20, count: int = 4
) -> dict[str, list[np.ndarray]]:
    """Small photos of one person of each set, as the paper's Fig. 1 has them: (h, w, 3) uint8 each, by set.

    Parameters
    ----------
    probes
        Aligned faces: those of the first person are brought down to `width` pixels.
    tinyface_root, scface_root
        The trees of the two sets, or of their surrogates.
    count
        Photos of each person, evenly chosen among those there are.
    """
    files = {
        "TinyFace": sorted(
            file for part in ("Probe", "Gallery_Match") for file in Path(tinyface_root, "Testing_Set", part).iterdir()
        ),
        "SCface": sorted(Path(scface_root).glob("surveillance_cameras_distance_*/cam_*/*")),
    }
    shown = {"synthetic": list(np.asarray(probes.images)[probes.identities == probes.identities[0]])}
    for name, paths in files.items():
        person = min(path.name.partition("_")[0] for path in paths)
        shown[name] = [images.decode(path) for path in paths if path.name.partition("_")[0] == person]
    evenly = {
        name: [pictures[place] for place in np.unique(np.linspace(0, len(pictures) - 1, count).astype(int))]
        for name, pictures in shown.items()
    }
    evenly["synthetic"] = [
        cv2.resize(face, (width, width), interpolation=cv2.INTER_CUBIC) for face in evenly["synthetic"]
    ]
    return evenly


def fit_variants(
    preset: str | Preset, seed: int, faces: FaceSplits, progress: bool = True, names: Sequence[str] = tuple(VARIANTS)
) -> dict[str, Run]:
    """The runs of `VARIANTS` by name, found or trained; all learn from the proposed student's own teacher."""
    return variants.fit(_of_variants(preset, names), seed, faces.train, progress)


def calls(
    preset: str | Preset, seed: int, faces: FaceSplits, progress: bool = True, names: Sequence[str] = tuple(VARIANTS)
) -> list[Call]:
    """The trainings that `fit_variants` still needs; none where they are too short for processes."""
    return variants.calls(_of_variants(preset, names), seed, faces.train, progress)


def _of_variants(preset: str | Preset, names: Sequence[str]) -> dict[str, tuple[str, Preset]]:
    return {name: ("proposed", presets.get(preset, **VARIANTS[name])) for name in names}


def search(
    embedders: Mapping[str, Embedder], faces: TinyFaceSets, preset: str | Preset = "", progress: bool = True
) -> Outcome[TinyFace]:
    """TinyFace's identification for several networks: features of image and mirror image, compared by the cosine.

    Parameters
    ----------
    embedders
        Networks by name.
    faces
        The set, or its surrogate.
    preset
        Gives the resamples.

    Returns
    -------
    Outcome
        By network: rank1 with its interval, rank20, rank50, mean_ap (trapezoids, official) and mean_ap_step in per
        cent; probes, people, gallery and the distractors in it.
    """
    preset = presets.get(preset)
    results: dict[tuple, TinyFace] = {}
    distractors = np.full(len(faces.distractors), tinyface.DISTRACTOR)
    for name, embedder in embedders.items():
        probes, gallery, others = (
            features(embedder, pack, FACE_SIZE, preset.mirror, progress and _is_terminal())
            for pack in (faces.probes, faces.gallery, faces.distractors)
        )
        results[name,] = tinyface.evaluate(
            probes,
            faces.probes.attributes["id"],
            np.concatenate([gallery, others]),
            np.concatenate([faces.gallery.attributes["id"], distractors]),
            metric="cosine",
        )
    return Outcome(results, preset.resamples, keys=("network",))


def surveillance(
    embedders: Mapping[str, Embedder],
    faces: ScfaceSets,
    preset: str | Preset = "",
    progress: bool = True,
    people: Sequence[str] | None = None,
) -> Outcome[Scface]:
    """SCface's identification for several networks: each distance's frames look for their person among the mugshots.

    Parameters are those of `search`; `people`: the identities to test, None for all (`eighty_of` gives 80 of them).

    Returns
    -------
    Outcome
        By network, distance (1 is the farthest) and metres: rank1 with its interval; probes, people, and how many are
        in the gallery.
    """
    preset = presets.get(preset)
    results: dict[tuple, Scface] = {}
    tested = faces.mugshots.people if people is None else people
    if unknown := sorted(set(tested) - set(faces.mugshots.people)):
        raise SettingError(f"no mugshot is of {', '.join(map(repr, unknown))}: choose among the identities of the set")
    listed, filmed = (np.isin(pack.identities, tested) for pack in (faces.mugshots, faces.probes))
    for name, embedder in embedders.items():
        probes, mugshots = (
            features(embedder, pack, FACE_SIZE, preset.mirror, progress and _is_terminal())
            for pack in (faces.probes, faces.mugshots)
        )
        for distance, metres in METRES.items():
            rows = np.flatnonzero(filmed & (faces.probes.attributes["distance"] == distance))
            if len(rows):
                results[name, distance, metres] = scface.evaluate(
                    probes[rows], faces.probes.identities[rows], mugshots[listed], faces.mugshots.identities[listed]
                )
    return Outcome(results, preset.resamples, keys=("network", "distance", "metres"))


def eighty_of(faces: ScfaceSets, seed: int = 0) -> list[str]:
    """The people of a set who are among 80 numbers drawn from SCface's 130, as in the literature's other protocol."""
    drawn = {f"{number:03d}" for number in scface_reader.eighty(seed)}
    return [str(name) for name in faces.mugshots.people if str(name) in drawn]


MEASURES = ("rank-1", "rank-20", "mAP")
"""What `effects` compares: at rank 1 few probes count, at rank 20 more, and in mAP all of them."""


def effects(aligned: Outcome[TinyFace], as_cropped: Outcome[TinyFace]) -> pd.DataFrame:
    """What camera-like training, tight crops and alignment do to the figures of TinyFace, paired by person.

    Parameters
    ----------
    aligned, as_cropped
        Outcomes of "proposed" and `VARIANTS` on aligned faces, and on the same faces as they were cropped.

    Returns
    -------
    DataFrame
        A row for each of them and each of `MEASURES`: what, measure, difference, low, high in percentage points.
    """
    tight, camera_like, both, three = VARIANTS
    pairs = {
        "tight crops, the paper's recipe": (tight, "proposed"),
        "camera-like training": (camera_like, "proposed"),
        "tight crops on top of camera-like training": (both, camera_like),
        "both together": (both, "proposed"),
        "wrong landmarks in training on top of both": (three, both),
        "all three together": (three, "proposed"),
    }
    new = aligned.results
    compared = {what: (new[first,], new[second,]) for what, (first, second) in pairs.items()} | {
        f"alignment, for {name}": (new[of,], as_cropped.results[of,])
        for name, of in (("proposed", "proposed"), (tight, tight), ("both together", both), ("all three", three))
    }
    return _in_all_measures(compared, aligned.resamples)


def against(outcome: Outcome[TinyFace], network: str, others: Sequence[str]) -> pd.DataFrame:
    """One network minus each of others, paired by person: what (the other), measure, difference, low, high."""
    found = outcome.results
    return _in_all_measures({other: (found[network,], found[other,]) for other in others}, outcome.resamples)


def _in_all_measures(compared: Mapping[str, tuple[TinyFace, TinyFace]], resamples: int) -> pd.DataFrame:
    """A row for each pair of results and each of `MEASURES`: what, measure, difference, low, high in points."""
    return pd.DataFrame(
        {"what": what, "measure": measure, **_changed(*results, measure, resamples).row("difference")}
        for what, results in compared.items()
        for measure in MEASURES
    )


def _changed(first: TinyFace, second: TinyFace, measure: str, resamples: int) -> metrics.Interval:
    """One result minus another of the same probes, paired by person, in one of `MEASURES`."""
    if measure != "mAP":
        return first.difference(second, int(measure.removeprefix("rank-")), resamples=resamples)
    _, person, probes = np.unique(first.probe_ids, return_inverse=True, return_counts=True)
    sums, others = (np.bincount(person, result.average_precisions()) for result in (first, second))
    return metrics.interval(sums, probes, others, resamples)


def line_up(faces: ScfaceSets, people: int) -> np.ndarray:
    """The mugshot of the first people and below it a frame of each distance, each of another camera:
    (4, people, 112, 112, 3) uint8."""
    names, attributes = faces.mugshots.people[:people], faces.probes.attributes
    rows = [[faces.mugshots.images[np.flatnonzero(faces.mugshots.identities == name)[0]] for name in names]]
    for distance in METRES:
        rows.append([])
        for place, name in enumerate(names):
            frames = np.flatnonzero((faces.probes.identities == name) & (attributes["distance"] == distance))
            rows[-1].append(faces.probes.images[frames[place % len(frames)]])
    return np.array(rows)


def camera_pack(pack: FacePack, width: int, seed: int = 0) -> FacePack:
    """A pack's faces as a camera would give them at a face width (simulated), in memory."""
    small = camera.simulate_camera(np.asarray(pack.images), width, np.random.default_rng([seed, width, len(pack)]))
    checksum = storage.digest(pack.checksum, "camera", width, seed, storage.sources_digest(camera))
    return replace(pack, images=small, manifest={**pack.manifest, "checksum": checksum})


def identify_by_camera(
    embedders: Mapping[str, Embedder],
    faces: FaceSplits,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Outcome[Identification]:
    """P1 and P2 of several networks with every small face as a camera would give it.

    Parameters are those of `evaluate.identify`; `seed` is of the camera's effects.
    """
    preset = presets.get(preset, widths=widths)
    results: dict[tuple, Identification] = {}
    for width in preset.widths:
        small = camera_pack(faces.probes, width, seed), camera_pack(faces.distractors, width, seed)
        results |= evaluate.identify(
            embedders, faces, preset, [width], progress and _is_terminal(), small=small
        ).results
    return Outcome(results, preset.resamples)


def _key(root: Path, aligner_key: str) -> str:
    """What the packs of the set at `root` are found by: its files, its aligner and the code that reads and decodes."""
    sources = storage.sources_digest(readers, align, similarity)
    return storage.digest(str(root.resolve()), storage.folder_digest(root), aligner_key, sources)


def _is_terminal() -> bool:
    """Whether a progress bar would be seen: in a notebook it would be text on standard error."""
    return sys.stderr.isatty()

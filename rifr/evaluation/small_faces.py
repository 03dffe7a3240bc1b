"""Results on pictures that are small by nature: TinyFace, SCface, their surrogates, and probes as a camera gives them.

tiny_faces, filmed_faces   the sets, or their surrogates (`rifr.faces.surrogates`), read into packs of the store
search                     TinyFace's protocol for several networks (Table I)
surveillance               SCface's protocol, a distance at a time (Table II)
identify_by_camera            P1 and P2 as in `evaluate.identify`, the small faces made by a camera, not bicubic
VARIANTS                   the proposed student trained with camera-like faces, and with tight crops too
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pandas as pd

from rifr import align, camera, presets, storage
from rifr.align import Aligner
from rifr.evaluation import metrics
from rifr.evaluation.evaluate import HIGH, Embedder, Outcome, features
from rifr.evaluation.protocols import identification, scface, tinyface
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.readers import scface as scface_reader
from rifr.readers import tinyface as tinyface_reader
from rifr.readers.scface import METRES, ScfaceSets
from rifr.readers.tinyface import TinyFaceSets
from rifr.splits import FaceSplits
from rifr.training import parallel, trainer
from rifr.training.parallel import Call
from rifr.training.runs import Run

VARIANTS = {
    "proposed, camera": {"low_kind": "camera"},
    "proposed, camera and tight": {"low_kind": "camera", "tight_crops": 0.5},
}
"""Students trained as the proposed one is, but for these fields of `presets.Training`."""


@dataclass(frozen=True)
class SearchOutcome:
    """TinyFace results by network."""

    found: dict[str, tinyface.TinyFace]
    resamples: int

    def table(self) -> pd.DataFrame:
        """A row a network: rank1 with low and high, rank20, rank50, mean_ap (trapezoids, official) and mean_ap_step in
        per cent; probes, people, gallery and the distractors in it. The interval is a bootstrap over people at 95 %."""
        rows = []
        for network, one in self.found.items():
            rate = one.interval(1, resamples=self.resamples)
            rows.append(
                {
                    "network": network,
                    "rank1": 100 * rate.estimate,
                    "low": 100 * rate.low,
                    "high": 100 * rate.high,
                    "rank20": 100 * one.rank(20),
                    "rank50": 100 * one.rank(50),
                    "mean_ap": 100 * one.mean_ap,
                    "mean_ap_step": 100 * one.mean_ap_step,
                    "probes": len(one.probe_ids),
                    "people": len(np.unique(one.probe_ids)),
                    "gallery": one.gallery,
                    "distractors": one.distractors,
                }
            )
        return pd.DataFrame(rows)

    def difference(self, network: str, other: str) -> pd.DataFrame:
        """`network` minus `other` in rank-1, paired by person, in percentage points: one row."""
        rate = self.found[network].difference(self.found[other], resamples=self.resamples)
        return pd.DataFrame([{"network": network, "other": other, **_points(rate)}])

    def change(self, of: SearchOutcome) -> pd.DataFrame:
        """Each network's rank-1 here minus its rank-1 in another outcome for the same probes: one row per network."""
        return pd.DataFrame(
            [
                {"network": network, **_points(one.difference(of.found[network], resamples=self.resamples))}
                for network, one in self.found.items()
                if network in of.found
            ]
        )


@dataclass(frozen=True)
class SurveillanceOutcome:
    """SCface results by (network, distance)."""

    found: dict[tuple[str, int], scface.Scface]
    resamples: int

    def table(self) -> pd.DataFrame:
        """A row a network and distance (1 is the farthest): rank1, low, high in per cent; metres, probes, people, and how
        many are in the gallery."""
        rows = []
        for (network, distance), one in self.found.items():
            rate = one.interval(resamples=self.resamples)
            rows.append(
                {
                    "network": network,
                    "distance": distance,
                    "metres": METRES[distance],
                    "rank1": 100 * rate.estimate,
                    "low": 100 * rate.low,
                    "high": 100 * rate.high,
                    "probes": one.n,
                    "people": one.people,
                    "gallery": one.gallery_people,
                }
            )
        return pd.DataFrame(rows)

    def difference(self, network: str, other: str) -> pd.DataFrame:
        """`network` minus `other` in rank-1, paired by person: one row per distance, in percentage points."""
        return pd.DataFrame(
            [
                {
                    "network": network,
                    "other": other,
                    "distance": distance,
                    **_points(one.difference(self.found[other, distance], resamples=self.resamples)),
                }
                for (name, distance), one in self.found.items()
                if name == network
            ]
        )


def tiny_faces(
    root: str | Path, aligner: Aligner = align.resized, aligner_key: str = "resized", progress: bool = True
) -> TinyFaceSets:
    """TinyFace, or its surrogate, at `root`, aligned and kept in the store.

    `aligner_key` says what made the aligner (`landmarks.fit(...).key`): another key, other packs.
    """
    root = Path(root)
    out = _packs_of(root, "tinyface", aligner_key, tinyface_reader)
    with storage.lock(out):
        return tinyface_reader.read(root, out, aligner=aligner, progress=progress and _is_terminal())


def filmed_faces(root: str | Path, progress: bool = True) -> ScfaceSets:
    """SCface, or its surrogate, at `root`, aligned by its own points and kept in the store."""
    root = Path(root)
    out = _packs_of(root, "scface", "points", scface_reader)
    with storage.lock(out):
        if (out / "probes").exists():  # written last
            return ScfaceSets(FacePack.open(out / "mugshots"), FacePack.open(out / "probes"))
        return scface_reader.read(root, out, progress=progress and _is_terminal())


def photos(folder: str | Path, files: Sequence[str]) -> list[np.ndarray]:
    """Pictures as they come, (h, w, 3) uint8 RGB each, for a look at them."""
    return [cv2.imread(str(Path(folder) / file))[..., ::-1] for file in files]


def fit_variants(
    preset: str | Preset, seed: int, faces: FaceSplits, progress: bool = True, names: Sequence[str] = tuple(VARIANTS)
) -> dict[str, Run]:
    """The runs of `VARIANTS` by name, found or trained; all learn from the proposed student's own teacher."""
    parallel.run(calls(preset, seed, faces, progress, names))
    return {
        name: trainer.fit("proposed", presets.get(preset, **VARIANTS[name]), seed, faces.train, progress)
        for name in names
    }


def calls(
    preset: str | Preset, seed: int, faces: FaceSplits, progress: bool = True, names: Sequence[str] = tuple(VARIANTS)
) -> list[Call]:
    """The trainings that `fit_variants` still needs; none where they are too short for processes."""
    return [
        call
        for name in names
        for call in trainer.calls(["proposed"], presets.get(preset, **VARIANTS[name]), seed, faces.train, progress)
        if call.keywords["recipe"] == "proposed"
    ]


def search(
    embedders: dict[str, Embedder], faces: TinyFaceSets, preset: str | Preset = "", progress: bool = True
) -> SearchOutcome:
    """TinyFace's identification for several networks: features of image and mirror image, compared by the cosine."""
    preset, found = presets.get(preset), {}
    ids = np.r_[faces.gallery.attributes["id"], np.full(len(faces.distractors), tinyface.DISTRACTOR)]
    for name, embedder in embedders.items():
        probes, gallery, distractors = (
            features(embedder, pack, HIGH, preset.mirror, progress and _is_terminal())
            for pack in (faces.probes, faces.gallery, faces.distractors)
        )
        found[name] = tinyface.evaluate(
            probes, faces.probes.attributes["id"], np.concatenate([gallery, distractors]), ids, metric="cosine"
        )
    return SearchOutcome(found, preset.resamples)


def surveillance(
    embedders: dict[str, Embedder], faces: ScfaceSets, preset: str | Preset = "", progress: bool = True
) -> SurveillanceOutcome:
    """SCface's identification for several networks: each distance's frames look for their person among the mugshots."""
    preset, found = presets.get(preset), {}
    for name, embedder in embedders.items():
        probes, mugshots = (
            features(embedder, pack, HIGH, preset.mirror, progress and _is_terminal())
            for pack in (faces.probes, faces.mugshots)
        )
        for distance in METRES:
            rows = np.flatnonzero(faces.probes.attributes["distance"] == distance)
            if len(rows):
                found[name, distance] = scface.evaluate(
                    probes[rows], faces.probes.identities[rows], mugshots, faces.mugshots.identities
                )
    return SurveillanceOutcome(found, preset.resamples)


def effects(aligned: SearchOutcome, as_cropped: SearchOutcome) -> pd.DataFrame:
    """What camera-like training, tight crops and alignment do to rank-1 on TinyFace, paired by person.

    A row each: what, difference, low, high in percentage points. The outcomes hold "proposed" and `VARIANTS`, on
    aligned faces and on the same faces as they were cropped.
    """
    camera_like, tight = VARIANTS
    pairs = {
        "camera-like training": (camera_like, "proposed"),
        "tight crops on top of it": (tight, camera_like),
        "both together": (tight, "proposed"),
    }
    rows = [
        {"what": what, **aligned.difference(*pair).iloc[0][["difference", "low", "high"]]}
        for what, pair in pairs.items()
    ]
    by_network = aligned.change(as_cropped).set_index("network")
    rows += [
        {"what": what, **by_network.loc[name]}
        for what, name in {
            "alignment, for proposed": "proposed",
            "alignment, for the one trained on tight crops": tight,
        }.items()
    ]
    return pd.DataFrame(rows)


def line_up(faces: ScfaceSets, people: int) -> np.ndarray:
    """The mugshot of the first people and below it a frame of each distance, each of another camera:
    (4, people, 112, 112, 3) uint8."""
    names, attributes = faces.mugshots.people[:people], faces.probes.attributes
    rows = [[faces.mugshots.images[np.flatnonzero(faces.mugshots.identities == name)[0]] for name in names]]
    for distance in METRES:
        rows.append([])
        for place, name in enumerate(names):
            found = np.flatnonzero((faces.probes.identities == name) & (attributes["distance"] == distance))
            rows[-1].append(faces.probes.images[found[place % len(found)]])
    return np.array(rows)


def camera_pack(pack: FacePack, width: int, seed: int = 0) -> FacePack:
    """A pack's faces as a camera gives them at a face width, in memory."""
    images = camera.simulate_camera(np.asarray(pack.images), width, np.random.default_rng([seed, width, len(pack)]))
    checksum = storage.digest(pack.checksum, "camera", width, seed, storage.sources_digest(camera))
    return replace(pack, images=images, manifest={**pack.manifest, "checksum": checksum})


def identify_by_camera(
    embedders: dict[str, Embedder],
    faces: FaceSplits,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Outcome:
    """P1 and P2 of several networks, every small face as a camera gives it: otherwise `evaluate.identify`."""
    preset, parts, kept = presets.get(preset, widths=widths), [], {}
    loud = progress and _is_terminal()
    for width in preset.widths:
        small = [camera_pack(pack, width, seed) for pack in (faces.probes, faces.distractors)]
        for name, embedder in embedders.items():
            low, low_strangers = (features(embedder, pack, HIGH, preset.mirror, loud) for pack in small)
            high, high_strangers = (
                features(embedder, pack, HIGH, preset.mirror, loud) for pack in (faces.probes, faces.distractors)
            )
            for protocol, gallery, strangers in (("P1", low, low_strangers), ("P2", high, high_strangers)):
                found = identification.evaluate(low, gallery, faces.probes.identities, strangers)
                parts.append(
                    pd.DataFrame(
                        {
                            "protocol": protocol,
                            "network": name,
                            "width": width,
                            "person": found.people,
                            "hits": found.hits,
                            "trials": found.trials_per_person,
                        }
                    )
                )
                kept[protocol, name, width] = found
    return Outcome(pd.concat(parts, ignore_index=True), preset.resamples, kept)


def change(to: Outcome, of: Outcome) -> pd.DataFrame:
    """Rank-1 of each network in one outcome minus its rank-1 in another, the same people: a row per protocol, network
    and width, in percentage points, paired by person. Rows that only one outcome has are left out."""
    rows, before = [], dict(list(of.counts.groupby(["protocol", "network", "width"], sort=False)))
    for key, part in to.counts.groupby(["protocol", "network", "width"], sort=False):
        if key in before:
            rate = metrics.interval(
                part.hits.to_numpy(),
                part.trials.to_numpy(),
                other_hits=before[key].hits.to_numpy(),
                resamples=to.resamples,
            )
            rows.append(dict(zip(("protocol", "network", "width"), key, strict=True)) | _points(rate))
    return pd.DataFrame(rows)


def _points(rate: metrics.Interval) -> dict[str, float]:
    return {"difference": 100 * rate.estimate, "low": 100 * rate.low, "high": 100 * rate.high}


def _packs_of(root: Path, name: str, aligner_key: str, reader: ModuleType) -> Path:
    """Where the packs of the set at `root` are kept: by its files, its aligner and the code that reads it."""
    sources = storage.sources_digest(reader, align)
    key = storage.digest(str(root.resolve()), storage.folder_digest(root), aligner_key, sources)
    return storage.place("packs", f"{name}-{root.name}", key)


def _is_terminal() -> bool:
    """Whether a progress bar would be seen: in a notebook it would be text on standard error."""
    return sys.stderr.isatty()

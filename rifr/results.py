"""From trained networks to tables: features of probes and distractors at each width, P1 and P2, intervals.

Features are stored by run, faces and width, so that the next protocol or chapter costs a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import entropy
from tqdm import tqdm

from rifr import degrade, embed, geometry, metrics, packs, presets, runs, store, train
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.protocols import identification
from rifr.runs import Run
from rifr.sets import FaceSets

PROTOCOLS = {"P1": "P1: LR-LR", "P2": "P2: LR-HR"}
HIGH = packs.SIDE
Embedder = Run | Path | str | Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """Identification results as counts by person, from which every average and interval follows.

    counts: a row per protocol, network, width and person, with `hits` at rank 1 and `trials`.
    """

    counts: pd.DataFrame
    resamples: int

    def table(self, average: str = "micro") -> pd.DataFrame:
        """A row per protocol, network and width: rank1, low, high in per cent, people, trials.

        The interval is a bootstrap over people at 95 %. `average` is "micro" (over trials) or "macro" (over people).
        """
        rows = []
        for (protocol, network, width), part in self.counts.groupby(["protocol", "network", "width"], sort=False):
            found = metrics.interval(part.hits.to_numpy(), part.trials.to_numpy(), resamples=self.resamples,
                                     average=average)
            rows.append({"protocol": protocol, "network": network, "width": width, "rank1": 100 * found.estimate,
                         "low": 100 * found.low, "high": 100 * found.high,
                         "people": len(part), "trials": int(part.trials.sum())})  # fmt: skip
        return pd.DataFrame(rows)

    def difference(self, network: str, other: str, average: str = "micro") -> pd.DataFrame:
        """`network` less `other`, paired by person: a row per protocol and width, in percentage points."""
        rows = []
        for (protocol, width), part in self.counts.groupby(["protocol", "width"], sort=False):
            ours, theirs = (part[part.network == name] for name in (network, other))
            found = metrics.interval(ours.hits.to_numpy(), ours.trials.to_numpy(), other_hits=theirs.hits.to_numpy(),
                                     resamples=self.resamples, average=average)
            rows.append({"protocol": protocol, "width": width, "difference": 100 * found.estimate,
                         "low": 100 * found.low, "high": 100 * found.high, "people": len(ours)})  # fmt: skip
        return pd.DataFrame(rows)


def fit_all(names: Iterable[str], preset: str | Preset, seed: int, faces: FaceSets, progress: bool = True) -> dict[str, Run]:
    """The runs of several recipes by name, found or trained."""
    return {name: train.fit(name, preset, seed, faces.train, progress) for name in names}


def features(embedder: Embedder, pack: FacePack, width: int = HIGH, mirror: bool = True,
             progress: bool = True) -> np.ndarray:  # fmt: skip
    """(N, D) float32: the features of a pack's images at a face width, found in the store or computed.

    `embedder` is a run, the path of an ONNX file, or a function (N, 112, 112, 3) uint8 -> (N, D). A function's features
    are not stored: nothing says whether it is the same function the next time.
    """
    if callable(embedder):
        return embed.embed(embedder, pack.images, width, mirror=mirror, progress=progress)
    name, made_by = ((embedder.recipe.name, embedder.key) if isinstance(embedder, Run)
                     else (Path(embedder).stem, store.file_digest(embedder)))
    key = store.digest(made_by, pack.checksum, width, mirror, store.sources_digest(embed, degrade, runs))
    path = store.root() / "features" / f"{name}-{width}px-{key[:16]}.npy"
    with store.lock(path):
        if not path.exists():
            found = embed.embed(embedder, pack.images, width, mirror=mirror, progress=progress)
            store.atomic_write(path, lambda file: np.save(file, found))
    return np.load(path, allow_pickle=False)


def identify(embedders: dict[str, Embedder], faces: FaceSets | tuple[FacePack, FacePack], preset: str | Preset = "",
             widths: Sequence[int] = (), progress: bool = True) -> Outcome:  # fmt: skip
    """P1 and P2 of several networks at the preset's widths (or `widths`), as counts by person.

    `embedders` are runs, ONNX files or functions by name; `faces` the sets of an experiment, or (probes, distractors).
    """
    preset = presets.get(preset, widths=tuple(widths))
    pair = (faces.probes, faces.distractors) if isinstance(faces, FaceSets) else faces
    identities, parts = pair[0].identities, []
    for name, run in tqdm(embedders.items(), desc="P1 and P2", unit="network", disable=None if progress else True):
        probes, distractors = (
            {width: features(run, pack, width, preset.mirror, progress) for width in sorted({HIGH, *preset.widths})}
            for pack in pair
        )
        for width in preset.widths:
            for protocol, gallery in (("P1", width), ("P2", HIGH)):
                found = identification.evaluate(probes[width], probes[gallery], identities, distractors[gallery], ranks=1)
                parts.append(pd.DataFrame({"protocol": protocol, "network": name, "width": width,
                                           "person": found.people, "hits": found.hits,
                                           "trials": found.trials_per_person}))  # fmt: skip
    return Outcome(pd.concat(parts, ignore_index=True), preset.resamples)


def angles(trained: dict[str, Run], faces: FaceSets, preset: str | Preset = "", progress: bool = True) -> pd.DataFrame:
    """Fig. 3 (a) as data: angles between features at 112 px and at each width, in degrees, by network and kind of pair.

    kind: "same photo", "same person" (two photos) or "other people"; `angle` is the mean over people with its interval.
    """
    preset = presets.get(preset)
    identities, rows = faces.probes.identities, []
    for name, run in trained.items():
        high = features(run, faces.probes, HIGH, preset.mirror, progress)
        for width in preset.widths:
            low = features(run, faces.probes, width, preset.mirror, progress)
            same, others = geometry.same_person(high, low, identities)
            photo = geometry.by_person(geometry.same_image(high, low), identities)
            for kind, values in {"same photo": photo, "same person": same, "other people": others}.items():
                rows.append({"network": name, "width": width, "kind": kind, **_mean_angle(values, preset)})
    return pd.DataFrame(rows)


def angles_to_teacher(trained: dict[str, Run], teacher: Run, faces: FaceSets, preset: str | Preset = "",
                      progress: bool = True) -> pd.DataFrame:  # fmt: skip
    """Fig. 3 (b) as data: the angle from each student's feature at each width to the teacher's at 112 px."""
    preset = presets.get(preset)
    target = features(teacher, faces.probes, HIGH, preset.mirror, progress)
    rows = []
    for name, run in trained.items():
        for width in preset.widths:
            found = geometry.same_image(target, features(run, faces.probes, width, preset.mirror, progress))
            values = geometry.by_person(found, faces.probes.identities)
            rows.append({"network": name, "width": width, **_mean_angle(values, preset)})
    return pd.DataFrame(rows)


def teacher_entropy(teacher: Run, pack: FacePack, photos: int = 1000) -> dict[str, float]:
    """What the teacher's softmax says of (up to) `photos` training photos, evenly spaced.

    "right": the mean probability of the right class; "entropy": its mean entropy in nats; "most": log K.
    """
    which = np.unique(np.linspace(0, len(pack) - 1, min(photos, len(pack))).astype(int))
    embedder, logits = teacher.embedder(), []
    for part in np.array_split(which, -(-len(which) // 256)):
        logits.append(embedder(np.asarray(pack.images[part])) @ teacher.softmax().numpy().T)
    p = softmax(np.concatenate(logits), axis=1)
    return {"right": float(p[np.arange(len(which)), pack.labels[which]].mean()),
            "entropy": float(entropy(p, axis=1).mean()), "most": float(np.log(p.shape[1]))}


def _mean_angle(values: np.ndarray, preset: Preset) -> dict[str, float]:
    """The mean over people of angles in degrees, with its bootstrap interval."""
    found = metrics.interval(values / 180, np.ones(len(values)), resamples=preset.resamples)
    return {"angle": 180 * found.estimate, "low": 180 * found.low, "high": 180 * found.high, "people": len(values)}

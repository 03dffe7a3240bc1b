"""From trained networks to tables: features of probes and distractors at each width, P1 and P2, intervals.

    identify    rank-1 and CMC (Figs. 5, 6, 9, 10)
    verify      TPR at a FPR, ROC (Figs. 7, 8)
    watch       open-set identification: FNIR at a FPIR

Features are stored by run, faces and width, so that the next protocol or chapter costs a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import entropy
from tqdm import tqdm

from rifr import degrade, networks, presets, storage
from rifr.align import FACE_SIZE
from rifr.evaluation import embed, geometry, metrics, onnx
from rifr.evaluation.protocols import identification, open_set, verification
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.splits import FaceSplits
from rifr.training import runs, trainer
from rifr.training.runs import Run

PROTOCOLS = {"P1": "P1: LR-LR", "P2": "P2: LR-HR"}
HIGH = FACE_SIZE
Embedder = Run | onnx.Onnx | Path | str | Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """Identification results as counts by person, from which every average and interval follows.

    counts: a row per protocol, network, width and person, with `hits` at rank 1 and `trials`; found: the protocol's own
    results by (protocol, network, width).
    """

    counts: pd.DataFrame
    resamples: int
    found: dict[tuple[str, str, int], identification.Identification] = field(default_factory=dict, repr=False)

    def table(self, average: str = "micro") -> pd.DataFrame:
        """A row per protocol, network and width: rank1, low, high in per cent, people, trials.

        The interval is a bootstrap over people at 95 %. `average` is "micro" (over trials) or "macro" (over people).
        """
        rows = []
        for (protocol, network, width), part in self.counts.groupby(["protocol", "network", "width"], sort=False):
            found = metrics.interval(
                part.hits.to_numpy(), part.trials.to_numpy(), resamples=self.resamples, average=average
            )
            rows.append(
                {
                    "protocol": protocol,
                    "network": network,
                    "width": width,
                    "rank1": 100 * found.estimate,
                    "low": 100 * found.low,
                    "high": 100 * found.high,
                    "people": len(part),
                    "trials": int(part.trials.sum()),
                }
            )
        return pd.DataFrame(rows)

    def difference(self, network: str, other: str, average: str = "micro") -> pd.DataFrame:
        """`network` less `other`, paired by person: a row per protocol and width, in percentage points."""
        rows = []
        for (protocol, width), part in self.counts.groupby(["protocol", "width"], sort=False):
            ours, theirs = (part[part.network == name] for name in (network, other))
            found = metrics.interval(
                ours.hits.to_numpy(),
                ours.trials.to_numpy(),
                other_hits=theirs.hits.to_numpy(),
                resamples=self.resamples,
                average=average,
            )
            rows.append(
                {
                    "protocol": protocol,
                    "width": width,
                    "difference": 100 * found.estimate,
                    "low": 100 * found.low,
                    "high": 100 * found.high,
                    "people": len(ours),
                }
            )
        return pd.DataFrame(rows)

    def cmc(self, average: str = "micro") -> pd.DataFrame:
        """Cumulative match characteristic: a row per protocol, network, width and rank: rate, low, high in per cent."""
        rows = []
        for (protocol, network, width), one in self.found.items():
            for rank in range(1, one.ranks + 1):
                rate = metrics.interval(
                    one.hits_at[:, rank - 1], one.trials_per_person, resamples=self.resamples, average=average
                )
                rows.append(
                    {"protocol": protocol, "network": network, "width": width, "rank": rank, **_percent("rate", rate)}
                )
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class RocOutcome:
    """Verification results, by (protocol, network, width)."""

    found: dict[tuple[str, str, int], verification.Verification]
    resamples: int

    def table(self, fprs: Sequence[float] = (1e-3, 1e-4)) -> pd.DataFrame:
        """A row per protocol, network, width and FPR: tpr, low, high in per cent, people, genuine and impostor pairs.

        The rates are NaN at a FPR that is below one impostor pair.
        """
        rows = []
        for (protocol, network, width), one in self.found.items():
            for fpr in fprs:
                rate = (
                    verification.interval_at(one, fpr, resamples=self.resamples)
                    if fpr >= one.min_resolvable_fpr
                    else metrics.Interval(np.nan, np.nan, np.nan)
                )
                rows.append(
                    {
                        "protocol": protocol,
                        "network": network,
                        "width": width,
                        "fpr": fpr,
                        **_percent("tpr", rate),
                        "people": len(one.genuine_ends),
                        "genuine": one.genuine,
                        "impostor": one.impostor,
                    }
                )
        return pd.DataFrame(rows)

    def difference(self, network: str, other: str, fpr: float) -> pd.DataFrame:
        """`network` less `other` in TPR at a FPR, paired: a row per protocol and width, in percentage points."""
        rows = []
        for (protocol, name, width), one in self.found.items():
            if name == network and fpr >= one.min_resolvable_fpr:
                found = verification.interval_at(
                    one, fpr, other=self.found[protocol, other, width], resamples=self.resamples
                )
                rows.append({"protocol": protocol, "width": width, "fpr": fpr, **_percent("difference", found)})
        return pd.DataFrame(rows)

    def curve(self, protocol: str, network: str, width: int) -> pd.DataFrame:
        """The ROC as shares: columns fpr and tpr."""
        one = self.found[protocol, network, width]
        return pd.DataFrame({"fpr": one.fpr, "tpr": one.tpr})


@dataclass(frozen=True)
class WatchOutcome:
    """Open-set results, by (protocol, network, width)."""

    found: dict[tuple[str, str, int], open_set.OpenSet]
    resamples: int

    def table(self, fpirs: Sequence[float] = (1e-1, 1e-2)) -> pd.DataFrame:
        """A row per protocol, network, width and FPIR: fnir, low, high in per cent, mated and unknown searches.

        The rates are NaN at a FPIR that is below one search of an unknown person.
        """
        rows = []
        for (protocol, network, width), one in self.found.items():
            for fpir in fpirs:
                rate = (
                    open_set.interval_at(one, fpir, resamples=self.resamples)
                    if fpir >= one.min_resolvable_fpir
                    else metrics.Interval(np.nan, np.nan, np.nan)
                )
                rows.append(
                    {
                        "protocol": protocol,
                        "network": network,
                        "width": width,
                        "fpir": fpir,
                        **_percent("fnir", rate),
                        "enrolled": one.enrolled,
                        "mated": one.mated,
                        "unknown": one.unknown,
                    }
                )
        return pd.DataFrame(rows)


def fit_all(
    names: Iterable[str], preset: str | Preset, seed: int, faces: FaceSplits, progress: bool = True
) -> dict[str, Run]:
    """The runs of several recipes by name, found or trained."""
    return trainer.fit_all(names, preset, seed, faces.train, progress)


def features(
    embedder: Embedder, pack: FacePack, width: int = HIGH, mirror: bool = True, progress: bool = True
) -> np.ndarray:
    """(N, D) float32: the features of a pack's images at a face width, found in the store or computed.

    `embedder` is a run, the path of an ONNX file, or a function (N, 112, 112, 3) uint8 -> (N, D). A function's features
    are not stored: nothing says whether it is the same function the next time.
    """
    if isinstance(embedder, (str, Path)):
        embedder = onnx.Onnx(embedder)
    if not hasattr(embedder, "key"):
        return embed.embed(embedder, pack.images, width, mirror=mirror, progress=progress)

    def make(path: Path) -> None:
        computed = embed.embed(embedder, pack.images, width, mirror=mirror, progress=progress)
        storage.atomic_write(path, lambda file: np.save(file, computed))

    sources = storage.sources_digest(embed, onnx, degrade, runs, networks)
    key = storage.digest(embedder.key, pack.checksum, width, mirror, sources)
    name = f"{embedder.name}-{width}px"
    return storage.found_or_made("features", name, key, make, lambda path: np.load(path, allow_pickle=False), ".npy")


def identify(
    embedders: Mapping[str, Embedder],
    faces: FaceSplits | tuple[FacePack, FacePack],
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    progress: bool = True,
    ranks: int = 1,
) -> Outcome:
    """P1 and P2 of several networks at the preset's widths (or `widths`), as counts by person.

    `embedders` are runs, ONNX files or functions by name; `faces` the sets of an experiment, or (probes, distractors);
    `ranks` is how deep to count for the CMC.
    """
    preset, parts, kept = presets.get(preset, widths=widths), [], {}
    for side in _sides(embedders, faces, preset, progress):
        found = identification.evaluate(side.probes, side.gallery, side.identities, side.distractors, ranks=ranks)
        protocol, network, width = side.key
        parts.append(
            pd.DataFrame(
                {
                    "protocol": protocol,
                    "network": network,
                    "width": width,
                    "person": found.people,
                    "hits": found.hits,
                    "trials": found.trials_per_person,
                }
            )
        )
        kept[side.key] = found
    return Outcome(pd.concat(parts, ignore_index=True), preset.resamples, kept)


def verify(
    embedders: Mapping[str, Embedder],
    faces: FaceSplits | tuple[FacePack, FacePack],
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    progress: bool = True,
    pairs: str = "first",
) -> RocOutcome:
    """Verification under P1 and P2 (section IV, Figs. 7 and 8): arguments as in `identify`; `pairs` says which photo of
    a probe-probe pair is the degraded one under P2, see `protocols.verification`."""
    preset = presets.get(preset, widths=widths)
    return RocOutcome(
        {
            side.key: verification.evaluate(side.probes, side.gallery, side.identities, side.distractors, pairs=pairs)
            for side in _sides(embedders, faces, preset, progress)
        },
        preset.resamples,
    )


def watch(
    embedders: Mapping[str, Embedder],
    faces: FaceSplits | tuple[FacePack, FacePack],
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    progress: bool = True,
) -> WatchOutcome:
    """Open-set identification: a photo of each probe person is enrolled, the distractors are people nobody looks for.

    Arguments as in `identify`. The distractors are searches here, so they have the probes' width, not the gallery's.
    """
    preset = presets.get(preset, widths=widths)
    return WatchOutcome(
        {
            side.key: open_set.evaluate(side.probes, side.gallery, side.identities, side.strangers)
            for side in _sides(embedders, faces, preset, progress)
        },
        preset.resamples,
    )


@dataclass(frozen=True)
class _Side:
    """What one protocol compares for one network and width; `strangers` are the distractors at the probes' width."""

    key: tuple[str, str, int]
    probes: np.ndarray
    gallery: np.ndarray
    identities: np.ndarray
    distractors: np.ndarray
    strangers: np.ndarray


def _sides(
    embedders: Mapping[str, Embedder], faces: FaceSplits | tuple[FacePack, FacePack], preset: Preset, progress: bool
) -> Iterator[_Side]:
    """P1 and P2 of each network at each width, with the features found in the store or computed."""
    pair = (faces.probes, faces.distractors) if isinstance(faces, FaceSplits) else faces
    for name, run in tqdm(embedders.items(), desc="P1 and P2", unit="network", disable=None if progress else True):
        probes, distractors = (
            {width: features(run, pack, width, preset.mirror, progress) for width in sorted({HIGH, *preset.widths})}
            for pack in pair
        )
        for width in preset.widths:
            for protocol, gallery in (("P1", width), ("P2", HIGH)):
                yield _Side(
                    (protocol, name, width),
                    probes[width],
                    probes[gallery],
                    pair[0].identities,
                    distractors[gallery],
                    distractors[width],
                )


def angles(
    trained: dict[str, Run], faces: FaceSplits, preset: str | Preset = "", progress: bool = True
) -> pd.DataFrame:
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


def angles_to_teacher(
    trained: dict[str, Run], teacher: Run, faces: FaceSplits, preset: str | Preset = "", progress: bool = True
) -> pd.DataFrame:
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
    return {
        "right": float(p[np.arange(len(which)), pack.labels[which]].mean()),
        "entropy": float(entropy(p, axis=1).mean()),
        "most": float(np.log(p.shape[1])),
    }


def _percent(name: str, found: metrics.Interval) -> dict[str, float]:
    return {name: 100 * found.estimate, "low": 100 * found.low, "high": 100 * found.high}


def _mean_angle(values: np.ndarray, preset: Preset) -> dict[str, float]:
    """The mean over people of angles in degrees, with its bootstrap interval."""
    found = metrics.interval(values / 180, np.ones(len(values)), resamples=preset.resamples)
    return {"angle": 180 * found.estimate, "low": 180 * found.low, "high": 180 * found.high, "people": len(values)}

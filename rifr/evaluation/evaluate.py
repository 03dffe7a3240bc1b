"""From trained networks to results: P1 and P2 of several embedders at each face width, with intervals.

identify    rank-1 and CMC (Figs. 5, 6, 9, 10)
verify      TPR at a FPR, ROC (Figs. 7, 8)
open_set    open-set identification: FNIR at a FPIR
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from rifr import presets, splits
from rifr.align import FACE_SIZE
from rifr.bars import progress_bar
from rifr.evaluation import geometry, metrics, soft_targets
from rifr.evaluation.embed import Embedder
from rifr.evaluation.features import features
from rifr.evaluation.metrics import Interval
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import identification, verification
from rifr.evaluation.protocols import open_set as open_set_protocol
from rifr.evaluation.protocols.identification import Identification
from rifr.evaluation.protocols.open_set import OpenSet
from rifr.evaluation.protocols.verification import Verification
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.splits import FaceSplits, ProbeSplits
from rifr.training import parallel, trainer
from rifr.training.parallel import Call
from rifr.training.runs import Run

__all__ = [
    "PROTOCOLS",
    "Side",
    "angles",
    "angles_to_teacher",
    "by_protocol",
    "features",
    "identify",
    "open_set",
    "separations",
    "store_features",
    "teacher_entropy",
    "verify",
]

PROTOCOLS = {"P1": "P1: LR-LR", "P2": "P2: LR-HR"}
Counted = TypeVar("Counted")
Faces = FaceSplits | ProbeSplits | tuple[FacePack, FacePack]
Roots = tuple[str | None, str | None, str | None]
MIN_IMAGES_FOR_SUBPROCESS = 5_000
"""Photos, of all networks together, from which embedding them is worth processes that import PyTorch anew."""


def store_features(
    trainings: Sequence[tuple[str, Preset, int]], roots: Roots = (None, None, None), progress: bool = True
) -> None:
    """Embed all that P1 and P2 ask of several networks, side by side where there is enough of it for processes.

    Parameters
    ----------
    trainings
        Recipe, preset and seed of each network, found or trained.
    roots
        Folders of their faces, as `splits.face_splits` takes them.
    progress
        Show progress bars.
    """
    told = {"roots": roots, "progress": progress}
    calls = [
        Call(__name__, "store_features_of", {"recipe": recipe, "preset": preset, "seed": seed, **told})
        for recipe, preset, seed in trainings
    ]
    images = [preset.probe_people * preset.probe_images + preset.distractor_people for _, preset, _ in trainings]
    parallel.run(calls, None if sum(images) >= MIN_IMAGES_FOR_SUBPROCESS else 1)


def store_features_of(recipe: str, preset: Preset, seed: int, roots: Roots, progress: bool) -> None:
    """`store_features` of one network."""
    faces = splits.face_splits(preset, seed, *roots, progress=progress)
    run = trainer.fit(recipe, preset, seed, faces.train, progress)
    for pack in (faces.probes, faces.distractors):
        for width in sorted({FACE_SIZE, *preset.widths}):
            features(run, pack, width, preset.mirror, progress)


def identify(
    embedders: Mapping[str, Embedder],
    faces: Faces,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    progress: bool = True,
    ranks: int = 1,
    small: tuple[FacePack, FacePack] | None = None,
) -> Outcome[Identification]:
    """Closed-set identification under P1 and P2 (section IV) of several networks.

    Parameters
    ----------
    embedders : dict
        Runs, ONNX files or functions (N, 112, 112, 3) uint8 -> (N, D), by name.
    faces : FaceSplits, ProbeSplits or (FacePack, FacePack)
        Probes, several photos of each person, and distractors.
    preset : str or Preset
        Has the widths, whether mirror images are added, and the resamples of intervals.
    widths : sequence of int, optional
        Face widths in pixels, other than the preset's.
    progress : bool
        Show progress bars.
    ranks : int
        How deep to count, for `Outcome.cmc`.
    small : (FacePack, FacePack), optional
        The same faces, small already (`small_faces.camera_pack`), in place of shrunk ones; of one width.

    Returns
    -------
    Outcome
        `table()`, `difference(network, other)`, `cmc()`.

    Raises
    ------
    DataError
        For features that no protocol can use: not finite, zero, nobody with two photos.
    """
    preset = presets.get(preset, widths=widths)
    results = by_protocol(
        lambda side: identification.evaluate(side.probes, side.gallery, side.identities, side.distractors, ranks=ranks),
        embedders,
        faces,
        preset,
        progress,
        small,
    )
    return Outcome(results, preset.resamples)


def verify(
    embedders: Mapping[str, Embedder],
    faces: Faces,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    progress: bool = True,
    pairs: str = "first",
    interval_fpr: float = verification.INTERVAL_FPR,
) -> Outcome[Verification]:
    """Verification under P1 and P2 (section IV, Figs. 7 and 8) of several networks.

    Parameters
    ----------
    embedders, faces, preset, widths, progress
        As in `identify`.
    pairs : {"first", "both"}
        Which photo of a probe-probe pair is the degraded one under P2, see `protocols.verification`.
    interval_fpr
        The highest FPR at which rates have intervals: so many impostor scores are kept.

    Returns
    -------
    Outcome
        `table(fprs)`, `difference(network, other, fpr)`, `curve(protocol, network, width)`.

    Raises
    ------
    DataError
        As `identify`.
    """
    preset = presets.get(preset, widths=widths)
    results = by_protocol(
        lambda side: verification.evaluate(
            side.probes, side.gallery, side.identities, side.distractors, pairs=pairs, interval_fpr=interval_fpr
        ),
        embedders,
        faces,
        preset,
        progress,
    )
    return Outcome(results, preset.resamples)


def open_set(
    embedders: Mapping[str, Embedder],
    faces: Faces,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    progress: bool = True,
) -> Outcome[OpenSet]:
    """Open-set identification of several networks: a photo of each probe person is enrolled, distractors are not.

    The distractors are searches here, so they have the probes' width, not the gallery's.

    Parameters
    ----------
    embedders, faces, preset, widths, progress
        As in `identify`.

    Returns
    -------
    Outcome
        `table(fpirs)`, `difference(network, other, fpir)`, `curve(protocol, network, width)`.

    Raises
    ------
    DataError
        As `identify`.
    """
    preset = presets.get(preset, widths=widths)
    results = by_protocol(
        lambda side: open_set_protocol.evaluate(side.probes, side.gallery, side.identities, side.non_mated),
        embedders,
        faces,
        preset,
        progress,
    )
    return Outcome(results, preset.resamples)


@dataclass(frozen=True)
class Side:
    """What one protocol compares for one network and width; `non_mated` are the distractors at the probes' width."""

    probes: np.ndarray
    gallery: np.ndarray
    identities: np.ndarray
    distractors: np.ndarray
    non_mated: np.ndarray


def by_protocol(
    measure: Callable[[Side], Counted],
    embedders: Mapping[str, Embedder],
    faces: Faces,
    preset: Preset,
    progress: bool,
    small: tuple[FacePack, FacePack] | None = None,
) -> dict[tuple, Counted]:
    """What `measure` gives for P1 and P2 of each network at each width; features of one width are held at a time."""
    large = faces if isinstance(faces, tuple) else (faces.probes, faces.distractors)
    results: dict[tuple, Counted] = {}

    def embedded(name: str, packs: tuple[FacePack, FacePack], width: int) -> list[np.ndarray]:
        return [features(embedders[name], pack, width, preset.mirror, progress) for pack in packs]

    for name in progress_bar(embedders, desc="P1 and P2", unit="network", show=progress):
        high = embedded(name, large, FACE_SIZE)
        for width in preset.widths:
            if small:
                low = embedded(name, small, FACE_SIZE)
            else:
                low = high if width == FACE_SIZE else embedded(name, large, width)
            for protocol, gallery in (("P1", low), ("P2", high)):
                side = Side(low[0], gallery[0], large[0].identities, gallery[1], low[1])
                results[protocol, name, width] = measure(side)
            del low, gallery, side  # before the next width's are computed
    return results


def angles(
    trained: Mapping[str, Run], faces: FaceSplits, preset: str | Preset = "", progress: bool = True
) -> pd.DataFrame:
    """Angles between features at 112 px and at each width.

    Parameters
    ----------
    trained
        Networks by name.
    faces
        Whose probes are compared.
    preset
        Gives widths and resamples.

    Returns
    -------
    DataFrame
        A row per network, width and `kind` ("same photo", "same person" for two photos, "other people"): `angle`, the
        mean over people in degrees, with low and high.
    """
    preset = presets.get(preset)
    identities, rows = faces.probes.identities, []
    for name, run in trained.items():
        high = features(run, faces.probes, FACE_SIZE, preset.mirror, progress)
        for width in preset.widths:
            low = features(run, faces.probes, width, preset.mirror, progress)
            same, others = geometry.same_person(high, low, identities)
            photo = geometry.by_person(geometry.same_image(high, low), identities)
            for kind, values in {"same photo": photo, "same person": same, "other people": others}.items():
                rows.append({"network": name, "width": width, "kind": kind, **_mean_angle(values, preset)})
    return pd.DataFrame(rows)


def angle_difference(
    run: Run, other: Run, faces: FaceSplits, width: int, preset: str | Preset = "", progress: bool = True
) -> Interval:
    """The mean angle in degrees between the features of one photo at 112 px and at the width: of one network minus
    that of another, paired by person."""
    preset = presets.get(preset)
    turned = []
    for network in (run, other):
        high, low = (features(network, faces.probes, size, preset.mirror, progress) for size in (FACE_SIZE, width))
        turned.append(geometry.by_person(geometry.same_image(high, low), faces.probes.identities))
    return _degrees(preset, *turned)


def angles_to_teacher(
    trained: Mapping[str, Run], teacher: Run, faces: FaceSplits, preset: str | Preset = "", progress: bool = True
) -> pd.DataFrame:
    """Fig. 3 (b) as data: the angle from each student's feature at each width to the teacher's at 112 px.

    Parameters are those of `angles`, with the teacher's run; so is the table, without `kind`.
    """
    preset = presets.get(preset)
    target = features(teacher, faces.probes, FACE_SIZE, preset.mirror, progress)
    rows = []
    for name, run in trained.items():
        for width in preset.widths:
            found = geometry.same_image(target, features(run, faces.probes, width, preset.mirror, progress))
            values = geometry.by_person(found, faces.probes.identities)
            rows.append({"network": name, "width": width, **_mean_angle(values, preset)})
    return pd.DataFrame(rows)


def separations(
    trained: Mapping[str, Run], faces: FaceSplits, preset: str | Preset, widths: Sequence[int], progress: bool = True
) -> pd.DataFrame:
    """How well each network's angles tell people apart, first photo at 112 px, second at each width.

    Returns
    -------
    DataFrame
        A row per network and width: `gap` in degrees; `d_prime`, the gap over the spread, with low and high.
    """
    preset = presets.get(preset)
    rows = []
    for name, run in trained.items():
        high = features(run, faces.probes, FACE_SIZE, preset.mirror, progress)
        for width in widths:
            low = features(run, faces.probes, width, preset.mirror, progress)
            gap, d = geometry.separation(high, low, faces.probes.identities, preset.resamples)
            rows.append({"network": name, "width": width, "gap": gap, **d.columns("d_prime")})
    return pd.DataFrame(rows)


def teacher_entropy(teacher: Run, pack: FacePack, photos: int = 1000) -> dict[str, float]:
    """What the teacher's softmax says of (up to) `photos` training photos, evenly spaced.

    "right": the mean probability of the right class; "entropy": its mean entropy in nats; "most": log K; "photos": how
    many it was asked about.
    """
    targets = soft_targets.of_teacher(teacher, pack, photos=photos)
    asked, classes = targets.logits.shape
    return {
        "right": float(targets.right.mean()),
        "entropy": float(targets.entropy.mean()),
        "most": float(np.log(classes)),
        "photos": asked,
    }


def _mean_angle(values: np.ndarray, preset: Preset) -> dict[str, float]:
    """The mean over people of angles in degrees, with its bootstrap interval."""
    return _degrees(preset, values).columns("angle") | {"people": len(values)}


def _degrees(preset: Preset, values: np.ndarray, other: np.ndarray | None = None) -> Interval:
    """The mean over people of angles in degrees, or the paired difference of two means, with its bootstrap interval."""
    less = 0 * values if other is None else other / 180  # a mean less nothing: not the rate of those who hit
    found = metrics.interval(values / 180, np.ones(len(values)), less, preset.resamples)
    return Interval(180 * found.low, 180 * found.estimate, 180 * found.high)

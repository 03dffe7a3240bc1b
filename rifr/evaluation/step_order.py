"""Aligned and then shrunk, or shrunk and then aligned: by how much the first flatters a network.

Synthetic tests are usually made in the first order; a camera allows the second alone. The paper finds landmarks on
small faces, in training and in tests, and calls the first order optimistic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rifr import presets
from rifr.align import FACE_SIZE
from rifr.bars import progress_bar
from rifr.evaluation import alignment, evaluate, metrics
from rifr.evaluation.embed import Embedder
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification
from rifr.landmarks import LandmarkRun
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.splits import FaceSplits
from rifr.training import variants
from rifr.training.parallel import Call
from rifr.training.runs import Run

__all__ = ["ORDERS", "WRONG", "calls", "fit_with_errors", "identify_in_both_orders", "order_of_steps"]

ORDERS = {
    "aligned, then small": "landmarks found on the large face, which is then brought down, as synthetic tests are made",
    "small, then aligned": "the picture brought down, landmarks found on the small face: what a camera allows",
    "small, large face's landmarks": "the same with the landmarks of the large face: what is left is not their doing",
}

WRONG = {"HR+LR, wrong landmarks": "hr+lr", "proposed, wrong landmarks": "proposed"}
"""Networks that have seen faces aligned by wrong landmarks, each with the recipe that they are of."""


def fit_with_errors(preset: str | Preset, seed: int, faces: FaceSplits, progress: bool = True) -> dict[str, Run]:
    """The runs of `WRONG` by name, found or trained with errors of `alignment.LANDMARK_ERROR`; large faces, too."""
    return variants.fit(_with_errors(preset), seed, faces.train, progress)


def calls(preset: str | Preset, seed: int, faces: FaceSplits, progress: bool = True) -> list[Call]:
    """The trainings that `fit_with_errors` still needs besides the teacher's; none too short for processes."""
    return variants.calls(_with_errors(preset), seed, faces.train, progress)


def _with_errors(preset: str | Preset) -> dict[str, tuple[str, Preset]]:
    plan = presets.get(preset, landmark_error=alignment.LANDMARK_ERROR)
    return {name: (recipe, plan) for name, recipe in WRONG.items()}


def order_of_steps(
    trained: Mapping[str, Run],
    finder: LandmarkRun,
    pack: FacePack,
    distractors: FacePack,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rank-1 under P2 for the three ways of `ORDERS`, and their differences, paired by person.

    `finder` is the landmark network; the others are those of `alignment.cost_of_errors`. The gallery is aligned by the
    network, large: a bias of its landmarks is then the same in probe and gallery.

    Returns
    -------
    tuple of DataFrame
        A row per network, order and width: rank1, low, high; and one per network and width: `optimism`, "aligned, then
        small" minus "small, then aligned" in points, low, high, and `landmarks`, the part of it that the large face's
        landmarks win back, with landmarks_low, landmarks_high.
    """
    preset = presets.get(preset)
    widths = preset.landmarks.test_widths if widths is None else tuple(widths)
    large = finder.predict(list(pack.images), alignment.loose_boxes(pack.points, seed))
    gallery = alignment.aligned_pack(pack.images, large, pack.identities)
    rates, apart = [], []
    for width in progress_bar(widths, desc="order of steps", unit="width", leave=False, show=progress):
        pictures, points = alignment.small_pictures(pack, width)
        own = finder.predict(pictures, alignment.loose_boxes(points, seed))
        ways = {
            "aligned, then small": (gallery, width),
            "small, then aligned": (alignment.aligned_pack(pictures, own, pack.identities), FACE_SIZE),
            "small, large face's landmarks": (
                alignment.aligned_pack(pictures, _scaled(large, pack.images, pictures), pack.identities),
                FACE_SIZE,
            ),
        }
        for name, run in trained.items():
            found = {
                way: alignment.identified(run, probes, at, gallery, distractors, preset, progress)
                for way, (probes, at) in ways.items()
            }
            for way, one in found.items():
                rates.append({"network": name, "order": way, "width": width} | alignment.rank1(one, preset))
            first, second, third = (found[way] for way in ORDERS)
            row = {"network": name, "width": width}
            for column, (one, other) in {"optimism": (first, second), "landmarks": (third, second)}.items():
                gap = metrics.interval(one.hits, one.trials_per_person, other.hits, resamples=preset.resamples)
                row |= gap.row(column, "" if column == "optimism" else f"{column}_")
            apart.append(row)
    return pd.DataFrame(rates), pd.DataFrame(apart)


def identify_in_both_orders(
    embedders: Mapping[str, Embedder],
    finder: LandmarkRun,
    probes: FacePack,
    distractors: FacePack,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Outcome[Identification], Outcome[Identification]]:
    """P1 and P2 with every small face aligned and then shrunk, and with every small face shrunk and then aligned.

    Probes, gallery and distractors are treated alike in both, by the same landmark network; large faces are aligned by
    the landmarks that it finds on them.

    Parameters
    ----------
    embedders
        Face networks by name.
    finder
        The landmark network.
    probes, distractors
        Scenes with landmarks, which say where the boxes are that the landmark network is given.
    preset, widths, seed, progress
        As for `evaluate.identify`; `seed` is of the boxes.

    Returns
    -------
    Outcome, Outcome
        Aligned first, and shrunk first, of the same faces: `first.change(last)` is what the first order flatters by.
    """
    preset = presets.get(preset, widths=widths)
    large = _aligned(finder, probes, seed), _aligned(finder, distractors, seed)
    first = evaluate.identify(embedders, large, preset, progress=progress)
    results: dict[tuple, Identification] = {}
    for width in preset.widths:
        small = _aligned(finder, probes, seed, width), _aligned(finder, distractors, seed, width)
        results |= evaluate.identify(embedders, large, preset, [width], progress, small=small).results
    return first, Outcome(results, preset.resamples)


def _aligned(finder: LandmarkRun, pack: FacePack, seed: int, width: int = alignment.WHOLE) -> FacePack:
    """The faces of scenes brought down to a face width, aligned by the landmarks that are found there."""
    pictures, points = alignment.small_pictures(pack, width)
    found = finder.predict(pictures, alignment.loose_boxes(points, seed))
    return alignment.aligned_pack(pictures, found, pack.identities)


def _scaled(
    points: np.ndarray, pictures: Sequence[np.ndarray] | np.ndarray, smaller: Sequence[np.ndarray]
) -> np.ndarray:
    """(N, 5, 2) points of pictures, where they lie in the same pictures brought down."""
    ratios = np.array(
        [
            [small.shape[1] / large.shape[1], small.shape[0] / large.shape[0]]
            for large, small in zip(pictures, smaller, strict=True)
        ]
    )
    return (points + 0.5) * ratios[:, None] - 0.5

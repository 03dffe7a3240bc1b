"""Tables of chapter 6: how well landmarks are found by face width, and what their errors cost.

landmark_errors     mean error of several landmark networks by face width
detected            how many faces OpenCV's YuNet finds by face width, and how well
cost_of_errors      rank-1 when landmarks are off by so many pixels

Aligned and then shrunk, or shrunk and then aligned: `rifr.evaluation.step_order`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from rifr import align, landmarks, presets
from rifr.align import FACE_SIZE, TEMPLATE
from rifr.bars import progress_bar
from rifr.errors import SettingError
from rifr.evaluation import evaluate, metrics
from rifr.evaluation.protocols import identification
from rifr.landmarks import LandmarkRun
from rifr.landmarks.yunet import Yunet
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.training.runs import Run

__all__ = [
    "LANDMARK_ERROR",
    "Errors",
    "Example",
    "aligned_pack",
    "cost_of_errors",
    "detected",
    "examples",
    "identified",
    "landmark_errors",
    "loose_boxes",
    "rank1",
    "small_pictures",
]

OFF, SIZE = 0.08, 0.15
"""How far the boxes that a network is given are off: the centre by shares of the face width, and the width itself."""
LANDMARK_ERROR = 4.0
"""Of a training with wrong landmarks, in aligned pixels per coordinate; chapter 6 measures its own network's."""
FAILED = 0.1
"""An error of this share of the face width counts as a failure."""
WHOLE = 10_000
"""A face width that no picture reaches: pictures as they are."""


@dataclass(frozen=True)
class Errors:
    """How far landmark networks are off, picture by picture.

    Attributes
    ----------
    share
        By (network, width): (N,) the mean distance of the five points from the truth, in face widths. The first width
        is the median of the pictures as they are.
    identities, resamples
        (N,) of the pictures; of the bootstrap over people.
    """

    share: dict[tuple[str, int], np.ndarray]
    identities: np.ndarray
    resamples: int

    def table(self) -> pd.DataFrame:
        """A row per network and width: error, low, high in % of the face width; failed: % of faces 10 % or more off."""
        rows = []
        for (network, width), share in self.share.items():
            row = {"network": network, "width": width} | self._interval(share).row("error")
            rows.append(row | {"failed": 100 * (share >= FAILED).mean(), "faces": len(share)})
        return pd.DataFrame(rows)

    def difference(self, network: str, other: str) -> pd.DataFrame:
        """`network` minus `other`, paired by person: difference, low, high in % of the face width by width."""
        rows = []
        for (name, width), share in self.share.items():
            if name == network:
                found = self._interval(share, self.share[other, width])
                rows.append({"width": width} | found.row("difference"))
        return pd.DataFrame(rows)

    def _interval(self, *shares: np.ndarray) -> metrics.Interval:
        person = np.unique(self.identities, return_inverse=True)[1]
        sums = [np.bincount(person, np.minimum(share, 1)) for share in shares]  # farther off is not worse than lost
        other = sums[1] if len(sums) > 1 else 0 * sums[0]  # a mean less nothing: not the rate of those who hit
        return metrics.interval(sums[0], np.bincount(person).astype(float), other, resamples=self.resamples)


def landmark_errors(
    runs: Mapping[str, LandmarkRun],
    pack: FacePack,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Errors:
    """Errors of landmark networks on pictures brought down to several face widths, and as they are.

    The networks are given boxes that are off as a detector's are (`OFF`, `SIZE`), the same for all networks and widths.

    Parameters
    ----------
    runs
        Landmark networks by name.
    pack
        Scenes with landmarks. Several faces of one photo ("x.jpg#2") count as one person's.
    preset, widths, seed
        Gives the resamples; face widths in pixels, None for the preset's; of the boxes.

    Raises
    ------
    SettingError
        For a width that is the median of the pictures as they are.
    """
    preset = presets.get(preset)
    widths = preset.landmarks.test_widths if widths is None else tuple(widths)
    whole = int(np.median(landmarks.boxes_of(pack.points)[:, 2]))
    if whole in widths:
        raise SettingError(
            f"the pictures as they are have faces of {whole} px, by their median, which is among the test widths "
            f"{widths}, too: take {whole} out."
        )
    share = {}
    for width in progress_bar([WHOLE, *widths], desc="landmarks", unit="width", leave=False, show=progress):
        pictures, points = small_pictures(pack, width)
        boxes = loose_boxes(points, seed)
        label = whole if width == WHOLE else width
        for name, run in runs.items():
            share[name, label] = errors(run.predict(pictures, boxes), points)
    photos = np.array([name.partition("#")[0] for name in pack.identities.tolist()])
    return Errors(share, photos, preset.resamples)


def detected(
    model: str, pack: FacePack, preset: str | Preset = "", widths: Sequence[int] | None = None, least: float = 0.6
) -> pd.DataFrame:
    """YuNet on pictures brought down to several face widths, and as they are.

    `model` is its ONNX file, `least` the least score of a detection; the others are those of `landmark_errors`. A row
    per width: found, found_enlarged in % of the faces (the picture as it is, and enlarged again to its own size); error
    in % of the face width over those found in either. A face is found where the centre of a detection lies in it.
    """
    preset, detector = presets.get(preset), Yunet(model, least)
    own = int(np.median(landmarks.boxes_of(pack.points)[:, 2]))
    rows = []
    for width in (WHOLE, *(preset.landmarks.test_widths if widths is None else widths)):
        pictures, points = small_pictures(pack, width)
        as_is, enlarged, off = [], [], []
        for picture, truth, large in zip(pictures, points, pack.images):
            ratio = len(large) / len(picture)
            seen = {
                "as is": _hit(detector(picture), truth),
                "enlarged": _hit(detector(_enlarged(picture, len(large))), (truth + 0.5) * ratio - 0.5),
            }
            as_is.append(seen["as is"] is not None)
            enlarged.append(seen["enlarged"] is not None)
            off += [error for error in seen.values() if error is not None][:1]
        rows.append(
            {
                "width": own if width == WHOLE else width,
                "found": 100 * np.mean(as_is),
                "found_enlarged": 100 * np.mean(enlarged),
                "faces": len(pictures),
                "error": 100 * np.median(off) if off else np.nan,
            }
        )
    return pd.DataFrame(rows)


def cost_of_errors(
    trained: Mapping[str, Run],
    pack: FacePack,
    distractors: FacePack,
    pixels: Sequence[float],
    preset: str | Preset = "",
    widths: Sequence[int] = (112, 30, 16),
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Rank-1 under P2 when the probe's landmarks are off by a normal error of so many pixels per coordinate.

    Parameters
    ----------
    trained
        Face networks by name.
    pack, distractors
        Scenes of the probes with landmarks, and aligned faces; the gallery is aligned by the true landmarks.
    pixels
        Standard deviations of the error, in pixels of the aligned 112x112 face.

    Returns
    -------
    DataFrame
        A row per network, width and `pixels`: rank1, low, high in per cent.
    """
    preset, rows = presets.get(preset), []
    draw = np.random.default_rng([seed, 6])
    noise = draw.normal(0, 1, pack.points.shape)  # the same directions for every size
    gallery = aligned_pack(pack.images, pack.points, pack.identities)
    unit = landmarks.boxes_of(pack.points)[:, 2, None, None] / FACE_SIZE
    for size in progress_bar(pixels, desc="landmarks off", unit="size", leave=False, show=progress):
        probes = aligned_pack(pack.images, pack.points + size * unit * noise, pack.identities) if size else gallery
        for name, run in trained.items():
            for width in widths:
                found = identified(run, probes, width, gallery, distractors, preset, progress)
                rows.append({"network": name, "width": width, "pixels": size} | rank1(found, preset))
    return pd.DataFrame(rows)


def small_pictures(pack: FacePack, width: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The pictures of a pack of scenes with their faces `width` pixels wide, and their landmarks (N, 5, 2)."""
    small = [
        landmarks.small_picture(np.asarray(picture), points, width) for picture, points in zip(pack.images, pack.points)
    ]
    return [picture for picture, _ in small], np.stack([points for _, points in small])


@dataclass(frozen=True)
class Example:
    """A face at several widths, with the landmarks that a network found.

    Attributes
    ----------
    name
        "best", "median" or "worst".
    pictures, points, truth
        One for each width: (h, w, 3), and (5, 2) in its pixels.
    """

    name: str
    pictures: list[np.ndarray]
    points: list[np.ndarray]
    truth: list[np.ndarray]


def examples(run: LandmarkRun, pack: FacePack, widths: Sequence[int], seed: int = 0) -> list[Example]:
    """The faces of a pack of scenes on which a network's mean error over these widths is least, median and largest."""
    shown = [small_pictures(pack, width) for width in widths]
    found = [run.predict(small, loose_boxes(truth, seed)) for small, truth in shown]
    means = np.mean([errors(points, truth) for points, (_, truth) in zip(found, shown, strict=True)], axis=0)
    order = np.argsort(means, kind="stable")
    return [
        Example(
            name,
            [small[row] for small, _ in shown],
            [points[row] for points in found],
            [truth[row] for _, truth in shown],
        )
        for name, row in {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}.items()
    ]


def loose_boxes(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """The boxes (N, 3) of landmarks, off as a detector's are."""
    draw, boxes = np.random.default_rng(seed), landmarks.boxes_of(points)
    boxes[:, :2] += draw.uniform(-OFF, OFF, (len(boxes), 2)) * boxes[:, 2:]
    boxes[:, 2] *= draw.uniform(1 - SIZE, 1 + SIZE, len(boxes))
    return boxes


def errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) the mean distance of the five points from the truth, in face widths."""
    return np.linalg.norm(found - truth, axis=2).mean(axis=1) / landmarks.boxes_of(truth)[:, 2]


def rank1(found: identification.Identification, preset: Preset) -> dict[str, float]:
    """Columns of a table: rank-1 with its interval over people, in per cent, and what it is out of."""
    rate = found.interval(resamples=preset.resamples)
    return rate.row("rank1") | {"people": len(found.people), "trials": found.trials}


def aligned_pack(pictures: Sequence[np.ndarray] | np.ndarray, points: np.ndarray, identities: np.ndarray) -> FacePack:
    """The faces aligned by their landmarks, as a pack in memory; landmarks that fit no face give the whole picture."""
    faces = []
    for picture, five in zip(pictures, points, strict=True):
        try:
            faces.append(align.face(np.asarray(picture), five))
        except ValueError:
            faces.append(align.resized(np.asarray(picture)))
    landmarks_now = np.broadcast_to(TEMPLATE, (len(faces), 5, 2))
    return FacePack(np.stack(faces), np.asarray(identities), landmarks_now, manifest={"source": "aligned"})


def identified(
    run: Run, probes: FacePack, width: int, gallery: FacePack, distractors: FacePack, preset: Preset, progress: bool
) -> identification.Identification:
    """P2: probes at a face width look for their person in a gallery of aligned large faces."""
    at = evaluate.features(run, probes, width, preset.mirror, progress)
    high = evaluate.features(run, gallery, FACE_SIZE, preset.mirror, progress)
    far = evaluate.features(run, distractors, FACE_SIZE, preset.mirror, progress)
    return identification.evaluate(at, high, gallery.identities, far)


def _enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)


def _hit(detections: list, truth: np.ndarray) -> float | None:
    """The error, in face widths, of the surest detection whose centre lies in the face; None without one."""
    centre_x, centre_y, width = landmarks.boxes_of(truth[None])[0]
    for found in detections:
        x, y = found.box[:2] + found.box[2:] / 2
        if abs(x - centre_x) < width / 2 and abs(y - centre_y) < width / 2:
            return float(errors(found.landmarks[None], truth[None])[0])
    return None

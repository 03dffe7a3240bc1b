"""What evaluation itself can make of a number: another interpolation, folds, equal scores, the probe's own photo.

Each is measured on features or faces that are given, beside the way in which this library does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from rifr import presets
from rifr.align import FACE_SIZE
from rifr.doctor import pairs as face_pairs
from rifr.doctor.settings import each_face
from rifr.errors import DataError
from rifr.evaluation import evaluate, metrics
from rifr.evaluation.embed import Embedder
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import identification
from rifr.evaluation.protocols.embeddings import as_photos, computing_dtype, tie_margin, unit_rows
from rifr.evaluation.protocols.identification import Identification
from rifr.evaluation.protocols.pairs import THRESHOLDS
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.splits import FaceSplits

__all__ = ["area_pack", "folds", "identify_by_area", "own_photo", "own_photos", "rounded", "ties"]

BITS = (0, 1, 2, 4, 8)
SPREAD = 2.0  # standard deviations to each side that the levels of a rounded feature cover
ROWS = 1024  # probes in a block of scores


def area_pack(pack: FacePack, width: int) -> FacePack:
    """A pack's faces brought down to a width by averaging over area, and up again bicubic; in memory.

    `rifr.degrade.to_width` is bicubic both times, without antialiasing, as the paper's `cv2.resize` is.
    """

    def shrunk(face: np.ndarray) -> np.ndarray:
        small = cv2.resize(face, (width, width), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC)

    return each_face(pack, f"area {width}", shrunk)


def identify_by_area(
    embedders: Mapping[str, Embedder],
    faces: FaceSplits,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    progress: bool = True,
) -> Outcome[Identification]:
    """P1 and P2 with every small face shrunk by area; parameters are those of `evaluate.identify`."""
    preset = presets.get(preset, widths=widths)
    results: dict[tuple, Identification] = {}
    for width in preset.widths:
        small = area_pack(faces.probes, width), area_pack(faces.distractors, width)
        results |= evaluate.identify(embedders, faces, preset, [width], progress, small=small).results
    return Outcome(results, preset.resamples)


def folds(features: np.ndarray, identities: np.ndarray, divisions: int = 100, photos: int = 4) -> pd.DataFrame:
    """Accuracy on pairs of all people, who are divided into folds again and again: what is reported of it.

    Parameters
    ----------
    features, identities
        (N, D) and (N,) of the same photos.
    divisions
        How often the people are divided, with other pairs of strangers each time.
    photos
        Of each person, at most.

    Returns
    -------
    DataFrame
        A row per division, in per cent: `mean` over the folds, each judged by the threshold learnt on the others;
        `best` and `worst` fold; `fitted`, all pairs judged by the one threshold that does best on them. Its `pairs`
        and `folds` say how many there are.
    """
    rows = []
    for seed in range(divisions):
        drawn = face_pairs.draw(identities, len(identities), photos, seed)
        found = drawn.decided(features[drawn.photos])
        units = unit_rows("features", features[drawn.photos], np.dtype(np.float64)).numpy()
        distance = ((units[drawn.first] - units[drawn.second]) ** 2).sum(axis=1)
        fitted = max(drawn.accuracy((distance < threshold) == drawn.same) for threshold in THRESHOLDS)
        rates = {"mean": found.accuracy, "best": found.accuracies.max(), "worst": found.accuracies.min()}
        row = {name: 100 * rate for name, rate in {**rates, "fitted": fitted}.items()}
        rows.append(row | {"pairs": len(drawn), "folds": drawn.folds, "people": drawn.persons})
    return pd.DataFrame(rows)


def rounded(features: np.ndarray, bits: int) -> np.ndarray:
    """Features with each number rounded to one of 2^bits levels about its mean; no bits: all features are one.

    Parameters
    ----------
    features
        (N, D).
    bits
        Of a number. The levels are evenly spaced, within two standard deviations of the mean.
    """
    if not bits:
        return np.ones(features.shape, np.float32)
    levels = 2**bits
    standard = (features - features.mean(axis=0)) / features.std(axis=0).clip(1e-12)
    place = np.floor((standard + SPREAD) / (2 * SPREAD) * levels).clip(0, levels - 1)
    return (place - (levels - 1) / 2).astype(np.float32)


def ties(
    probes: np.ndarray,
    identities: np.ndarray,
    distractors: np.ndarray,
    bits: Sequence[int] = BITS,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Rank-1 of coarser and coarser features, where equal scores count against the network and where for it.

    Parameters
    ----------
    probes, identities, distractors
        (N, D) photos that are probes and gallery in turn, (N,), and (K, D).
    bits
        Of each number, as `rounded` takes them.
    resamples
        Of the bootstrap over people.

    Returns
    -------
    DataFrame
        A row per number of bits and `ties` ("miss", "hit"): rank1, low, high in per cent; `difference`, hit minus miss
        in points, with `difference_low` and `difference_high`; people, trials.
    """
    rows = []
    for number in bits:
        together = rounded(np.concatenate([probes, distractors]), number)
        own, others = together[: len(probes)], together[len(probes) :]
        miss, hit = (
            identification.evaluate(own, own, identities, others, ranks=1, ties=rule) for rule in ("miss", "hit")
        )
        gap = hit.difference(miss, resamples=resamples).row("difference", "difference_")
        for rule, found in (("miss", miss), ("hit", hit)):
            row = {"bits": number, "ties": rule} | found.interval(resamples=resamples).row("rank1") | gap
            rows.append(row | {"people": len(found.people), "trials": found.trials})
    return pd.DataFrame(rows)


def own_photo(
    probes: np.ndarray, gallery: np.ndarray, identities: np.ndarray, distractors: np.ndarray, resamples: int = 2000
) -> dict[str, float]:
    """Rank-1 of every photo in a gallery of all photos and distractors, with the probe's own photo in it and without.

    Equal scores count against the network, but a photo is never its own rival.

    Parameters
    ----------
    probes, gallery
        (N, D), row i of both is the same photo, as a probe and as a member of the gallery.
    identities, distractors
        (N,) and (K, D).
    resamples
        Of the bootstrap over people.

    Returns
    -------
    dict
        `without` and `within`, each with low and high, in per cent; `difference`, within minus without in points, with
        low and high; people, probes.

    Raises
    ------
    DataError
        As `protocols.identification.evaluate`.
    """
    probes, gallery, identities, distractors = as_photos(probes, gallery, identities, distractors, "distractors")
    names, person, photos = np.unique(identities, return_inverse=True, return_counts=True)
    if not (photos > 1).any():
        raise DataError(f"no person has two photos among {len(probes)}: nothing to identify")
    dtype = computing_dtype(probes, gallery, distractors)
    given = {"probes": probes, "gallery": gallery, "distractors": distractors}
    searching, joined, strangers = (unit_rows(name, array, dtype).numpy() for name, array in given.items())
    margin, hits = tie_margin(probes.shape[1], dtype), np.zeros((2, len(probes)), bool)
    for start in range(0, len(probes), ROWS):
        rows = np.arange(start, min(start + ROWS, len(probes)))
        scores = searching[rows] @ joined.T  # (rows, N)
        own = scores[np.arange(len(rows)), rows].copy()
        scores[np.arange(len(rows)), rows] = -np.inf
        same = person[rows][:, None] == person
        rival = np.where(same, -np.inf, scores).max(axis=1)
        if len(strangers):
            rival = np.maximum(rival, (searching[rows] @ strangers.T).max(axis=1))
        mate = np.where(same, scores, -np.inf).max(axis=1)
        hits[0, rows] = mate - margin > rival
        hits[1, rows] = np.maximum(mate, own) - margin > rival
    several = photos > 1
    without, within = (np.bincount(person, one, len(names))[several] for one in hits)
    trials = photos[several]
    row: dict[str, float] = {"people": len(trials), "probes": int(trials.sum())}
    for name, one, other in (("without", without, None), ("within", within, None), ("difference", within, without)):
        row |= metrics.interval(one, trials, other, resamples=resamples).row(name, f"{name}_")
    return row


def own_photos(
    embedder: Embedder,
    faces: FaceSplits,
    preset: str | Preset = "",
    widths: Sequence[int] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """`own_photo` of a network under P1 and P2 at each face width: a row per protocol and width.

    Parameters are those of `evaluate.identify`, of one network.
    """
    preset = presets.get(preset, widths=widths)
    found = evaluate.by_protocol(
        lambda side: own_photo(side.probes, side.gallery, side.identities, side.distractors, preset.resamples),
        {"network": embedder},
        faces,
        preset,
        progress,
    )
    return pd.DataFrame([{"protocol": protocol, "width": width, **row} for (protocol, _, width), row in found.items()])

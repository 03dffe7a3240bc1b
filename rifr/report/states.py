"""What the moving figures show: how pairs score, and where features lie in a plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rifr.align import FACE_SIZE
from rifr.evaluation import metrics
from rifr.evaluation.embed import Embedder
from rifr.evaluation.features import features
from rifr.evaluation.metrics import Interval
from rifr.evaluation.protocols.embeddings import unit_rows
from rifr.packs import FacePack
from rifr.splits import FaceSplits


@dataclass(frozen=True)
class Scores:
    """Cosines of pairs at one width.

    Attributes
    ----------
    genuine, impostor
        (G,) of two photos of one probe person; (I,) of a probe and a distractor; ascending.
    people
        (G,) numbers of the genuine pairs' people, all of whom have a pair.
    """

    genuine: np.ndarray
    impostor: np.ndarray
    people: np.ndarray

    def at_fpr(self, fpr: float) -> float:
        """The lowest threshold that accepts at most that share of the impostor pairs."""
        allowed = int(fpr * len(self.impostor))
        return float(np.nextafter(self.impostor[len(self.impostor) - allowed - 1], np.float32(np.inf)))

    def rates(self, threshold: float) -> tuple[float, float]:
        """The shares of genuine and of impostor pairs with at least that score."""
        genuine, impostor = (
            1 - np.searchsorted(scores, np.float32(threshold)) / len(scores) for scores in (self.genuine, self.impostor)
        )
        return float(genuine), float(impostor)

    def tpr(self, threshold: float) -> Interval:
        """The share of genuine pairs with at least that score, with its interval over people; the threshold stays."""
        accepted = self.people[np.searchsorted(self.genuine, np.float32(threshold)) :]
        trials = np.bincount(self.people)
        return metrics.interval(np.bincount(accepted, minlength=len(trials)), trials)


def scores(embedder: Embedder, faces: FaceSplits, width: int, mirror: bool) -> Scores:
    """The scores of a network under P1, of all genuine pairs and all pairs of a probe and a distractor."""
    probes, strangers = (_unit(embedder, pack, width, mirror) for pack in (faces.probes, faces.distractors))
    person = faces.probes.labels
    first, second = np.triu_indices(len(person), 1)
    same = person[first] == person[second]
    genuine = (probes[first[same]] * probes[second[same]]).sum(axis=1)
    ascending = np.argsort(genuine, kind="stable")
    _, people = np.unique(person[first[same]][ascending], return_inverse=True)
    return Scores(genuine[ascending], np.sort((probes @ strangers.T).ravel()), people)


@dataclass(frozen=True)
class Plane:
    """Features of some people, seen in the plane in which those of large faces vary most.

    Attributes
    ----------
    high, low
        (N, 2) at 112 px, and at the width.
    people
        (N,) numbers.
    """

    high: np.ndarray
    low: np.ndarray
    people: np.ndarray


def planes(
    embedders: Mapping[str, Embedder], faces: FaceSplits, widths: tuple[int, ...], mirror: bool, people: int = 5
) -> dict[int, dict[str, Plane]]:
    """By width and network, the first photos of the first probe people; a network's plane is one for all widths."""
    person = faces.probes.labels
    rows = np.flatnonzero(person < people)
    found: dict[int, dict[str, Plane]] = {width: {} for width in widths}
    for name, embedder in embedders.items():
        at = {width: _unit(embedder, faces.probes, width, mirror)[rows] for width in {*widths, FACE_SIZE}}
        middle = at[FACE_SIZE].mean(axis=0)
        axes = np.linalg.svd(at[FACE_SIZE] - middle, full_matrices=False)[2][:2].T
        for width in widths:
            high, low = ((at[one] - middle) @ axes for one in (FACE_SIZE, width))
            found[width][name] = Plane(high, low, person[rows])
    return found


def _unit(embedder: Embedder, pack: FacePack, width: int, mirror: bool) -> np.ndarray:
    found = features(embedder, pack, width, mirror, progress=False)
    return unit_rows("features", found, np.dtype(np.float32)).numpy()

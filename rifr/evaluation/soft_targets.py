"""Soft targets: what the teacher's softmax says of training photos, and how far a student's is from it.

The teacher is asked as in training: about photos at 112 px, one image at a time (no mirror image is added).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from rifr.align import FACE_SIZE
from rifr.evaluation.features import features
from rifr.packs import FacePack
from rifr.training.runs import Run

__all__ = ["Resemblance", "SoftTargets", "logits", "of_teacher", "off_by", "resemblances", "second_order"]

LIKELIEST = 5
"""So many classes with the largest probabilities are set apart from all others."""


@dataclass(frozen=True)
class SoftTargets:
    """The teacher's softmax for N photos of a pack.

    Attributes
    ----------
    which
        (N,) the photos' rows in the pack.
    labels
        (N,) their classes.
    logits
        (N, K) the teacher's.
    temperature
        Divides the logits.
    """

    which: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    temperature: float = 1.0

    @property
    def q(self) -> np.ndarray:
        """(N, K) probabilities."""
        return softmax(self.logits / self.temperature, axis=1)

    @property
    def right(self) -> np.ndarray:
        """(N,) the probability of the right class."""
        return self.q[np.arange(len(self.labels)), self.labels]

    @property
    def entropy(self) -> np.ndarray:
        """(N,) in nats; log K at most."""
        return entropy(self.q, axis=1)


@dataclass(frozen=True)
class Resemblance:
    """Whom the teacher thinks one photo resembles.

    Attributes
    ----------
    photo
        Its row in the pack.
    label
        Its class.
    entropy
        Of the teacher's softmax, in nats.
    classes, probabilities
        The classes with the largest probabilities, the largest first.
    """

    photo: int
    label: int
    entropy: float
    classes: np.ndarray
    probabilities: np.ndarray

    def pictures(self, pack: FacePack) -> list[np.ndarray]:
        """The photo, and of each class the first photo of the pack that is another one."""
        rows = [np.flatnonzero((pack.labels == one) & (np.arange(len(pack)) != self.photo)) for one in self.classes]
        return [np.asarray(pack.images[row]) for row in (self.photo, *(found[0] for found in rows))]


def logits(run: Run, pack: FacePack, width: int = FACE_SIZE) -> np.ndarray:
    """(N, K) what a run's own softmax layer says of photos at a face width."""
    return features(run, pack, width, mirror=False, progress=False).astype(np.float64) @ run.softmax().numpy().T


def of_teacher(teacher: Run, pack: FacePack, temperature: float = 1.0, photos: int = 1000) -> SoftTargets:
    """The soft targets of (up to) `photos` photos of a pack, evenly spaced."""
    which = np.unique(np.linspace(0, len(pack) - 1, min(photos, len(pack))).astype(int))
    return SoftTargets(which, pack.labels[which], logits(teacher, pack.take(which)), temperature)


def resemblances(targets: SoftTargets, at: Sequence[float] = (0.0, 0.5, 0.9, 1.0)) -> list[Resemblance]:
    """The photos at these quantiles of the entropy: at 0 the teacher is surest, at 1 least sure."""
    q, all_entropies = targets.q, targets.entropy
    order = np.argsort(all_entropies, kind="stable")
    rows = order[np.round(np.asarray(at) * (len(order) - 1)).astype(int)]
    found = []
    for row in rows:
        classes = np.argsort(-q[row], kind="stable")[:LIKELIEST]
        found.append(
            Resemblance(
                int(targets.which[row]), int(targets.labels[row]), float(all_entropies[row]), classes, q[row, classes]
            )
        )
    return found


def second_order(student: np.ndarray, teacher: np.ndarray, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    r"""The divergence of each photo, and half the variance that it is to second order, equation (E) of chapter 4.

    $$ T^2 \, \mathrm{KL}(q \,\|\, p) \approx \tfrac{T^2}{2} \operatorname{Var}_q(\delta), \qquad
       \delta_k = (t_k - t^{pre}_k) / T $$

    Parameters
    ----------
    student, teacher
        (N, K) logits.
    temperature
        Divides both; the loss is multiplied by its square, as in training.

    Returns
    -------
    (N,), (N,)
        In nats.
    """
    log_p, log_q = (log_softmax(one / temperature, axis=1) for one in (student, teacher))
    q, off = np.exp(log_q), (student - teacher) / temperature
    divergence = (q * (log_q - log_p)).sum(1)
    half = (q * off**2).sum(1) / 2 - (q * off).sum(1) ** 2 / 2
    return temperature**2 * divergence.clip(min=0), temperature**2 * half.clip(min=0)


def off_by(students: Mapping[str, Run], targets: SoftTargets, pack: FacePack, widths: Sequence[int]) -> pd.DataFrame:
    """How far students' logits are from the teacher's, and what of it the loss hears.

    Parameters
    ----------
    students
        By name.
    targets
        Of photos of `pack`; the student sees the same ones at each of `widths`.

    Returns
    -------
    DataFrame
        A row per student, width and photo: `divergence` and `half_variance` in nats; `likeliest` and `others`, the root
        mean square of the logits' error among the classes that the teacher finds likeliest and among all others, minus
        its mean under q; and what the likeliest classes have of q (`weight`), of the half variance (`heard`) and of the
        gradient of the divergence with respect to the logits, the sum of |p - q| (`pulled`); `own`, what the student
        gives to all others.
    """
    photos = pack.take(targets.which)
    q = targets.q
    first = np.argsort(-q, axis=1, kind="stable")[:, :LIKELIEST]
    rest = np.ones_like(q, dtype=bool)
    np.put_along_axis(rest, first, False, axis=1)
    tables = []
    for name, run in students.items():
        for width in widths:
            own = logits(run, photos, width)
            divergence, half = second_order(own, targets.logits, targets.temperature)
            off = own - targets.logits
            off -= (q * off).sum(1, keepdims=True)
            squares = np.take_along_axis(off**2, first, axis=1)
            p = softmax(own / targets.temperature, axis=1)
            pull = np.abs(p - q)
            shares = np.take_along_axis(q * off**2, first, axis=1).sum(1) / (q * off**2).sum(1)
            columns = {
                "network": name,
                "width": width,
                "divergence": divergence,
                "half_variance": half,
                "likeliest": np.sqrt(squares.mean(1)),
                "others": np.sqrt((off**2).mean(1, where=rest)),
                "heard": shares,
                "pulled": np.take_along_axis(pull, first, axis=1).sum(1) / pull.sum(1),
                "own": (p * rest).sum(1),
                "weight": np.take_along_axis(q, first, axis=1).sum(1),
            }
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)

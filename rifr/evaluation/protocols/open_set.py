"""Open-set identification: a watch list is searched by people who are on it and by people who are not.

One photo of each person is enrolled. Each of the person's other photos is a mated search, each photo of an unknown
person a search that should find nobody. A search returns the best score of the list if it reaches the threshold.

FPIR
    False positive identification rate: the share of the unknown searches that return somebody.
FNIR
    False negative identification rate: the share of the mated searches that do not return the right person, because
    somebody else scores higher or because the right score is below the threshold.

This is what an operator of cameras has to live with: FPIR is the rate of false alarms, FNIR of people walked past. The
paper measures closed-set identification alone, where everybody who is searched for is in the gallery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch

from rifr.errors import DataError, SettingError
from rifr.evaluation.metrics import drawn_again
from rifr.evaluation.protocols.embeddings import as_photos, computing_dtype, tie_margin, unit_rows, whole_number_from_1
from rifr.evaluation.protocols.results import ThresholdResult

__all__ = ["OpenSet", "evaluate"]

MAX_ELEMENTS = 2**22  # scores at a time


@dataclass(frozen=True)
class OpenSet(ThresholdResult):
    """The scores of an open-set run that matter, and the rates that follow from them.

    Attributes
    ----------
    people
        (P,) the enrolled, sorted.
    scores
        (mated,) of the mated searches with their own enrolled photo, less the margin within which scores are equal;
        minus infinity where it is not among the first `rank`.
    person
        (mated,) which of `people`.
    non_mated_scores
        (unknown,) the best score of each search of an unknown person, descending.
    non_mated_searches
        (unknown,) which search it is, counted from 0.
    rank
        Within which the own photo has to be.
    """

    people: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    person: np.ndarray = field(repr=False)
    non_mated_scores: np.ndarray = field(repr=False)
    non_mated_searches: np.ndarray = field(repr=False)
    rank: int

    @property
    def enrolled(self) -> int:
        return len(self.people)

    @property
    def mated(self) -> int:
        return len(self.scores)

    @property
    def unknown(self) -> int:
        return len(self.non_mated_scores)

    @property
    def min_resolvable_fpir(self) -> float:
        """The least FPIR that the unknown searches resolve: one of them returning somebody."""
        return 1 / self.unknown

    @property
    def fpir(self) -> np.ndarray:
        """(points,) FPIR just above each distinct score of the unknown searches, and below them all: ascending to 1."""
        return (
            np.append(np.searchsorted(-self.non_mated_scores, -self._thresholds(), side="left"), self.unknown)
            / self.unknown
        )

    @property
    def fnir(self) -> np.ndarray:
        """(points,) FNIR at the same thresholds."""
        thresholds = np.append(self._thresholds(), -np.inf)
        return np.searchsorted(np.sort(self.scores), thresholds, side="right") / self.mated

    def fnir_at(self, fpir: Any) -> Any:
        """The least FNIR of any threshold whose FPIR is at most `fpir`: a float, or an array for several FPIRs.

        Raises SettingError for a `fpir` outside (0, 1] or below `min_resolvable_fpir`: nothing is extrapolated.
        """
        wanted = np.asarray(fpir, np.float64)
        if not np.all((wanted > 0) & (wanted <= 1)):
            raise SettingError(f"a FPIR lies above 0 and is at most 1, not {fpir}")
        allowed = np.floor(wanted * self.unknown * (1 + 1e-12)).astype(int)
        if np.any(allowed < 1):
            raise SettingError(
                f"{self.unknown:,} unknown searches resolve FPIRs from {self.min_resolvable_fpir:.3g}, not "
                f"{wanted.min():g}: ask for a higher FPIR, or search with more unknown people"
            )
        thresholds = np.append(self.non_mated_scores, -np.inf)[allowed]  # whoever scores above is returned
        missed = np.searchsorted(np.sort(self.scores), thresholds, side="right") / self.mated
        return float(missed) if wanted.ndim == 0 else missed

    def _thresholds(self) -> np.ndarray:
        return np.unique(self.non_mated_scores)[::-1]

    def rate_at(self, at: float) -> float:
        return float(self.fnir_at(at))

    def people_at(self, at: float) -> int:
        return self.enrolled

    def subjects(self) -> tuple[Any, ...]:
        return self.people, self.person, self.unknown

    def resampled(self, runs: Sequence[Self], at: float, resamples: int, seed: int) -> np.ndarray:
        """(runs, R) FNIRs at an FPIR; each resample has its own threshold.

        Enrolled people are drawn again with all their searches, and so are unknown ones; the list itself stays. The
        parameters are those of `ThresholdResult.resampled`.
        """
        if self.enrolled < 2:
            raise DataError(f"a bootstrap over people needs at least two, not {self.enrolled}")
        wide = max(self.mated, self.unknown)  # of both, so that their blocks are alike
        groups = [
            drawn_again(size, resamples, [seed, group], width=wide)
            for group, size in enumerate((self.enrolled, self.unknown))
        ]
        rates = [
            np.stack([run._weighted(enrolled, unknown, at) for run in runs])
            for enrolled, unknown in zip(*groups, strict=True)
        ]
        return np.concatenate(rates, axis=1)

    def _weighted(self, enrolled: np.ndarray, unknown: np.ndarray, fpir: float) -> np.ndarray:
        """(R,) FNIRs under weights (R, P) of the enrolled and (R, U) of the unknown people."""
        order = np.argsort(self.scores, kind="stable")
        alarms = unknown[:, self.non_mated_searches].cumsum(axis=1)  # (R, U), from the highest score
        allowed = np.floor(fpir * alarms[:, -1] * (1 + 1e-12))
        reached = (alarms <= allowed[:, None]).sum(axis=1)
        thresholds = np.append(self.non_mated_scores, -np.inf)[reached]
        missed = np.pad(enrolled[:, self.person[order]].cumsum(axis=1), ((0, 0), (1, 0)))  # (R, mated + 1)
        places = np.searchsorted(self.scores[order], thresholds, side="right")
        return missed[np.arange(len(missed)), places] / missed[:, -1]


def evaluate(
    probes: np.ndarray, gallery: np.ndarray, identities: np.ndarray, unknown: np.ndarray, rank: int = 1
) -> OpenSet:
    """Enrol the first photo of each person, search with the others, and with people who are not enrolled.

    People with a single photo are not enrolled: they are unknown too.

    Parameters
    ----------
    probes, gallery
        (N, D), row i of both is the same photo, at the probe's and at the gallery's face width.
    identities
        (N,) integers or strings.
    unknown
        (K, D) at the PROBE's width, each a person of its own, may be empty.
    rank
        How many of the list a search may return; the right person counts as found among the first `rank`.

    Raises
    ------
    DataError
        Where shapes or identities do not fit, for embeddings that are not finite or zero (with their rows), and where
        nobody can be enrolled or nobody is unknown.
    SettingError
        For another `rank`.
    """
    probes, gallery, identities, unknown = as_photos(probes, gallery, identities, unknown, "unknown people")
    rank, dtype = whole_number_from_1("rank", rank), computing_dtype(probes, gallery, unknown)
    names, first, person, photos = np.unique(identities, return_index=True, return_inverse=True, return_counts=True)
    enrolled = photos > 1
    if not enrolled.any():
        raise DataError(f"no person has two photos among {len(probes)} (of {len(names)} people): nobody to enrol")
    if not len(unknown) and enrolled.all():
        raise DataError("everybody is enrolled and no unknown people are given: there is no FPIR")

    searching = unit_rows("probes", probes, dtype)
    listed = unit_rows("gallery", gallery, dtype)[first[enrolled]]  # (P, D)
    place = np.cumsum(enrolled) - 1  # of each of `names` on the list
    mated = np.flatnonzero(enrolled[person] & (np.arange(len(person)) != first[person]))
    whose, step = place[person[mated]], max(1, MAX_ELEMENTS // len(listed))
    margin = tie_margin(probes.shape[1], dtype)
    scores, non_mated = [], []
    for start in range(0, len(mated), step):
        rows = slice(start, start + step)
        cosines = searching[mated[rows]] @ listed.T
        bars = cosines[torch.arange(len(cosines)), torch.from_numpy(whose[rows])] - margin
        before = (cosines >= bars[:, None]).sum(dim=1) - 1  # the person's own score is among them
        scores.append(torch.where(before < rank, bars, -torch.inf).numpy())
    for start in range(0, len(unknown), step):
        part = unit_rows("unknown", unknown[start : start + step], dtype, first=start)
        non_mated.append((part @ listed.T).amax(dim=1).numpy())
    alone = np.flatnonzero(~enrolled[person])
    non_mated.append((searching[alone] @ listed.T).amax(dim=1).numpy())
    best = np.concatenate(non_mated)
    order = np.argsort(-best, kind="stable")
    return OpenSet(names[enrolled], np.concatenate(scores), whose, best[order], order, rank)

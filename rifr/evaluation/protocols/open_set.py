"""Open-set identification: a watch list is searched by people who are on it and by people who are not.

One photo of each person is enrolled. Each of the person's other photos is a mated search, each photo of an unknown
person a search that should find nobody. A search returns the best score of the list if it reaches the threshold.

    FPIR   false positive identification rate: share of the unknown searches that return somebody
    FNIR   false negative identification rate: share of the mated searches that do not return the right person, because
           somebody else scores higher or because the right score is below the threshold

This is what an operator of cameras has to live with: FPIR is the rate of false alarms, FNIR of people walked past. The
paper measures closed-set identification alone, where everybody who is searched for is in the gallery.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from rifr.evaluation.metrics import Interval
from rifr.evaluation.protocols.identification import _checked, _unit, tie_margin

__all__ = ["OpenSet", "evaluate", "interval_at"]

ROOM = 2**22  # scores, or bootstrap weights, at a time


@dataclass(frozen=True)
class OpenSet:
    """The scores of an open-set run that matter, and the rates that follow from them.

    people: (P,) the enrolled, sorted; scores: (mated,) of the mated searches with their own enrolled photo, minus
    infinity where it is not among the first `rank`; person: (mated,) which of `people`; strangers: (unknown,) the best
    score of each unknown search, descending; stranger: (unknown,) whose search it is, counted from 0.
    """

    people: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    person: np.ndarray = field(repr=False)
    strangers: np.ndarray = field(repr=False)
    stranger: np.ndarray = field(repr=False)
    rank: int

    @property
    def enrolled(self) -> int:
        return len(self.people)

    @property
    def mated(self) -> int:
        return len(self.scores)

    @property
    def unknown(self) -> int:
        return len(self.strangers)

    @property
    def least_fpir(self) -> float:
        """The least FPIR that the unknown searches resolve: one of them returning somebody."""
        return 1 / self.unknown

    @property
    def fpir(self) -> np.ndarray:
        """(points,) FPIR just above each distinct score of the unknown searches, and below them all: ascending to 1."""
        return np.append(np.searchsorted(-self.strangers, -self._cuts(), side="left"), self.unknown) / self.unknown

    @property
    def fnir(self) -> np.ndarray:
        """(points,) FNIR at the same thresholds."""
        cuts = np.append(self._cuts(), -np.inf)
        return np.searchsorted(np.sort(self.scores), cuts, side="right") / self.mated

    def fnir_at(self, fpir):
        """The least FNIR of any threshold whose FPIR is at most `fpir`: a float, or an array for several FPIRs.

        Raises ValueError for a `fpir` outside (0, 1] or below `least_fpir`: nothing is extrapolated.
        """
        wanted = np.asarray(fpir, np.float64)
        if not np.all((wanted > 0) & (wanted <= 1)):
            raise ValueError(f"a FPIR lies above 0 and is at most 1, not {fpir}")
        allowed = np.floor(wanted * self.unknown * (1 + 1e-12)).astype(int)
        if np.any(allowed < 1):
            raise ValueError(
                f"{self.unknown:,} unknown searches resolve FPIRs from {self.least_fpir:.3g}, not "
                f"{wanted.min():g}: ask for a higher FPIR, or search with more unknown people"
            )
        cuts = np.append(self.strangers, -np.inf)[allowed]  # whoever scores above is returned
        found = np.searchsorted(np.sort(self.scores), cuts, side="right") / self.mated
        return float(found) if wanted.ndim == 0 else found

    def _cuts(self) -> np.ndarray:
        return np.unique(self.strangers)[::-1]


def evaluate(
    probes: np.ndarray, gallery: np.ndarray, identities: np.ndarray, unknown: np.ndarray, rank: int = 1
) -> OpenSet:
    """Enrol the first photo of each person, search with the others, and with people who are not enrolled.

    probes, gallery: (N, D), row i of both is the same photo, at the probe's and at the gallery's face width;
    identities: (N,) integers or strings; unknown: (K, D) at the PROBE's width, each a person of its own, may be empty.
    People with a single photo are not enrolled: they are unknown too. rank: how many of the list a search may return;
    the right person counts as found among the first `rank`, behind those who score as high.

    Raises ValueError where shapes do not fit, for embeddings that are not finite or zero (with their rows), and where
    nobody can be enrolled or nobody is unknown.
    """
    probes, gallery, identities, unknown, dtype = _checked(
        probes, gallery, identities, unknown, "unknown", "unknown people"
    )
    if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)) or rank < 1:
        raise ValueError(f"rank is a whole number from 1, not {rank!r}")
    names, first, person, photos = np.unique(identities, return_index=True, return_inverse=True, return_counts=True)
    listed = photos > 1
    if not listed.any():
        raise ValueError(f"no person has two photos among {len(probes)} (of {len(names)} people): nobody to enrol")
    if not len(unknown) and listed.all():
        raise ValueError("everybody is enrolled and no unknown people are given: there is no FPIR")

    probes, gallery = _unit("probes", probes, dtype), _unit("gallery", gallery, dtype)
    watch = gallery[first[listed]]  # (P, D)
    place = np.cumsum(listed) - 1  # of each of `names` on the list
    searches = np.flatnonzero(listed[person] & (np.arange(len(person)) != first[person]))
    whose, step = place[person[searches]], max(1, ROOM // len(watch))
    margin = tie_margin(probes.shape[1], dtype)
    scores, best = [], []
    for start in range(0, len(searches), step):
        rows = slice(start, start + step)
        found = probes[searches[rows]] @ watch.T
        own = found[torch.arange(len(found)), torch.from_numpy(whose[rows])]
        better = (found >= own[:, None] - margin).sum(dim=1) - 1  # the person's own score is among them
        scores.append(torch.where(better < rank, own, -torch.inf).numpy())
    for start in range(0, len(unknown), step):
        part = _unit("unknown", unknown[start : start + step], dtype, first=start)
        best.append((part @ watch.T).amax(dim=1).numpy())
    alone = np.flatnonzero(~listed[person])
    best.append((probes[alone] @ watch.T).amax(dim=1).numpy())
    best = np.concatenate(best)
    order = np.argsort(-best, kind="stable")
    return OpenSet(names[listed], np.concatenate(scores), whose, best[order], order, int(rank))


def interval_at(
    found: OpenSet, fpir: float, other: OpenSet | None = None, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    """FNIR at `fpir` with its percentile bootstrap interval over people, or two networks' difference, paired.

    Enrolled people are drawn again with all their searches, and so are unknown ones; each resample has its own
    threshold. The list itself stays as it is. `other`: the run of a second network on the same photos in the same
    order; the answer is then `found` less `other` under the same weights.

    Raises ValueError for a FPIR that cannot be resolved, for runs that do not belong together, for fewer than two people.
    """
    runs = [found] if other is None else [found, other]
    estimates = [run.fnir_at(float(fpir)) for run in runs]
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level lies between 0 and 1 and resamples is at least 1, not {level} and {resamples}")
    if other is not None and (
        found.unknown != other.unknown
        or not np.array_equal(found.people, other.people)
        or not np.array_equal(found.person, other.person)
    ):
        raise ValueError(
            "a paired difference needs two runs on the same photos and unknown people: evaluate both "
            "networks on the same rows in the same order"
        )
    if found.enrolled < 2:
        raise ValueError(f"a bootstrap over people needs at least two, not {found.enrolled}")
    sides = []
    for run in runs:
        order = np.argsort(run.scores, kind="stable")
        sides.append((run.scores[order], run.person[order], run.strangers, run.stranger))
    rng, rates = np.random.default_rng(seed), []
    step = max(1, ROOM // max(found.mated, found.unknown))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        listed, unlisted = (
            rng.multinomial(size, np.full(size, 1 / size), size=count) for size in (found.enrolled, found.unknown)
        )
        rates.append(np.stack([_resampled(listed, unlisted, float(fpir), *side) for side in sides]))
    rates = np.concatenate(rates, axis=1)
    low, high = np.quantile(rates[0] if other is None else rates[0] - rates[1], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), estimates[0] - (0.0 if other is None else estimates[1]), float(high))


def _resampled(
    listed: np.ndarray,
    unlisted: np.ndarray,
    fpir: float,
    scores: np.ndarray,
    person: np.ndarray,
    strangers: np.ndarray,
    stranger: np.ndarray,
) -> np.ndarray:
    """(R,) FNIRs under weights (R, P) of the enrolled and (R, U) of the unknown people; scores ascending."""
    alarms = unlisted[:, stranger].cumsum(axis=1)  # (R, U), from the highest score
    allowed = np.floor(fpir * alarms[:, -1] * (1 + 1e-12))
    reached = (alarms <= allowed[:, None]).sum(axis=1)
    cuts = np.append(strangers, -np.inf)[reached]
    missed = np.concatenate([np.zeros((len(listed), 1)), listed[:, person].cumsum(axis=1)], axis=1)  # (R, mated + 1)
    return missed[np.arange(len(missed)), np.searchsorted(scores, cuts, side="right")] / missed[:, -1]

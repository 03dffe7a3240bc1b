"""The interface of every protocol's result: a rate with its interval, and the paired difference of two networks.

    result.interval(...)             the rate, with its interval over people
    result.difference(other, ...)    the rate minus that of another network on the same photos in the same order

Both take what the rate is asked at (a rank, an FPR or an FPIR), and how the bootstrap draws: `resamples` times from
`seed`, with the interval at `level`. A difference draws the same people for both networks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from rifr.errors import DataError, SettingError
from rifr.evaluation import metrics
from rifr.evaluation.metrics import Interval, percentile_interval

__all__ = ["ProbeRanks", "RankedResult", "ThresholdResult"]


class RankedResult(ABC):
    """A result whose rate is the share of trials that hit at a rank."""

    @abstractmethod
    def cmc(self, rank: Any) -> Any:
        """The share of trials that hit at a rank or before: a float for one rank, an array for several."""

    @abstractmethod
    def counts(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """(P,), (P,): each person's hits at a rank, and trials."""

    @abstractmethod
    def subjects(self) -> np.ndarray:
        """What two results must have in common, in the same order, to be compared in pairs."""

    @property
    def rank1(self) -> float:
        """The share of trials that hit at rank 1."""
        return float(self.cmc(1))

    def interval(
        self, rank: int = 1, average: str = "micro", resamples: int = 2000, seed: int = 0, level: float = 0.95
    ) -> Interval:
        """A rate with its percentile bootstrap interval over people.

        Parameters
        ----------
        rank
            The rate is the share of trials that hit at this rank, from 1.
        average
            Over all trials ("micro"), or the mean over people ("macro").
        resamples, seed, level
            Of the bootstrap, and of its confidence.
        """
        return metrics.interval(*self.counts(rank), resamples=resamples, seed=seed, level=level, average=average)

    def difference(
        self,
        other: Self,
        rank: int = 1,
        average: str = "micro",
        resamples: int = 2000,
        seed: int = 0,
        level: float = 0.95,
    ) -> Interval:
        """`interval`'s rate minus that of `other`, paired by person.

        Parameters
        ----------
        other
            A result for the same probes in the same order; else DataError.
        rank, average, resamples, seed, level
            As for `interval`.
        """
        if not np.array_equal(self.subjects(), other.subjects()):
            raise DataError("a paired difference needs the same probes in the same order in both results")
        return metrics.interval(
            *self.counts(rank),
            other_hits=other.counts(rank)[0],
            resamples=resamples,
            seed=seed,
            level=level,
            average=average,
        )


class ProbeRanks(RankedResult):
    """A result in which each probe is one trial.

    Attributes
    ----------
    probe_ids
        (N,) as given.
    best_ranks
        (N,) the rank, from 1, of each probe's own person or best mate.
    """

    probe_ids: np.ndarray
    best_ranks: np.ndarray

    @property
    def n(self) -> int:
        """The number of probes."""
        return len(self.probe_ids)

    @property
    def people(self) -> int:
        """The number of people who have probes."""
        return len(np.unique(self.probe_ids))

    def cmc(self, rank: Any) -> Any:
        return metrics.cmc(self.best_ranks, rank)

    def counts(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        self.cmc(rank)  # refuses what is no rank
        _, person, trials = np.unique(self.probe_ids, return_inverse=True, return_counts=True)
        return np.bincount(person, self.best_ranks <= rank), trials

    def subjects(self) -> np.ndarray:
        return self.probe_ids


class ThresholdResult(ABC):
    """A result whose rate is that at an allowed rate of false acceptances."""

    @abstractmethod
    def rate_at(self, at: float) -> float:
        """The rate at an allowed rate of false acceptances."""

    @abstractmethod
    def subjects(self) -> tuple[Any, ...]:
        """What two results must have in common, in the same order, to be compared in pairs."""

    @abstractmethod
    def people_at(self, at: float) -> int:
        """Of how many people the rate is; 0 where it is no matter of who they are."""

    @abstractmethod
    def resampled(self, runs: Sequence[Self], at: float, resamples: int, seed: int) -> np.ndarray:
        """The rates of several results in resamples of the same people.

        Parameters
        ----------
        runs
            Results on the same photos in the same order.
        at
            The operating point, a share of the impostors.
        resamples, seed
            R, and of the drawing.

        Returns
        -------
        (runs, R) float64.
        """

    def interval(self, at: float, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> Interval:
        """The rate at an operating point with its percentile bootstrap interval over people.

        Parameters
        ----------
        at
            The FPR or FPIR, as a share.
        resamples, seed, level
            Of the bootstrap, and of its confidence.
        """
        return self._bootstrap([self], at, resamples, seed, level)

    def difference(self, other: Self, at: float, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> Interval:
        """`interval`'s rate minus that of `other`, paired by person.

        Parameters
        ----------
        other
            A result on the same photos in the same order; else DataError.
        at, resamples, seed, level
            As for `interval`.
        """
        for ours, theirs in zip(self.subjects(), other.subjects(), strict=True):
            if not np.array_equal(ours, theirs):
                raise DataError(
                    "a paired difference needs two results on the same photos, people and kind of pairs: evaluate "
                    "both networks on the same rows in one order"
                )
        return self._bootstrap([self, other], at, resamples, seed, level)

    def _bootstrap(self, runs: Sequence[Self], at: float, resamples: int, seed: int, level: float) -> Interval:
        estimates = [run.rate_at(float(at)) for run in runs]
        if not 0 < level < 1 or resamples < 1:
            raise SettingError(f"level lies between 0 and 1 and resamples is at least 1, not {level} and {resamples}")
        rates = self.resampled(runs, float(at), resamples, seed)
        if len(runs) == 2:
            return percentile_interval(rates[0] - rates[1], estimates[0] - estimates[1], level)
        return percentile_interval(rates[0], estimates[0], level, self.people_at(at))

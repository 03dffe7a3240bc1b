"""What protocols gave for several networks, and the tables that are read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from rifr.errors import SettingError
from rifr.evaluation.metrics import UNKNOWN, Interval
from rifr.evaluation.protocols.identification import Identification
from rifr.evaluation.protocols.open_set import OpenSet
from rifr.evaluation.protocols.results import RankedResult, ThresholdResult
from rifr.evaluation.protocols.scface import Scface
from rifr.evaluation.protocols.tinyface import TinyFace
from rifr.evaluation.protocols.verification import OutOfReach, Verification

__all__ = ["Outcome"]

Result = TypeVar("Result", Identification, Verification, OpenSet, TinyFace, Scface)
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """Results of one protocol for several networks, by protocol, network and face width.

    Parameters
    ----------
    results : dict
        What the protocol gave, by key.
    resamples : int
        Of the bootstrap over people, from which the 95 % intervals are.
    keys : tuple of str
        The columns that a key stands for; one is "network".
    """

    results: dict[Key, Result]
    resamples: int
    keys: tuple[str, ...] = ("protocol", "network", "width")

    def beside(self, other: Outcome[Result]) -> Outcome[Result]:
        """This outcome with the networks of another one on the same trials; the other's of one key replaces it."""
        return replace(self, results=self.results | other.results)

    def table(self, at: Sequence[float] | None = None, average: str = "micro") -> pd.DataFrame:
        """A row per key and operating point: the rate with its interval (low, high) in per cent, and what it is out of.

        Parameters
        ----------
        at : sequence of float, optional
            Where to read the curve: false positive rates (column `fpr`) or false positive identification rates
            (`fpir`), as shares. Identification is read at rank 1 alone (`cmc` has the other ranks).
        average : {"micro", "macro"}
            Identification rates over trials, or the mean over people.

        Returns
        -------
        DataFrame
            The rate is `rank1`, `tpr` or `fnir`: NaN where so few impostors do not resolve the operating point. The
            ends of the interval are NaN where there is one person only, and at an FPR for which too few impostor scores
            were kept (`verify`'s `interval_fpr`; with very many pairs two million at most).

        Raises
        ------
        SettingError
            For another rank.
        """
        rows = []
        for key, result in self.results.items():
            reading = READINGS[type(result)]
            if isinstance(result, RankedResult) and at is not None and list(at) != [1]:
                raise SettingError(
                    f"the column rank1 holds rank 1, not {list(at)}: take `cmc()` of an identification, or "
                    "`interval(rank)` of one of the `results`"
                )
            for point in reading.at if at is None else at:
                rate = self._rate(result, point, average)
                rows.append(self._named(key) | reading.point(point) | rate.row(reading.rate) | reading.out_of(result))
        return pd.DataFrame(rows)

    def difference(self, network: str, other: str, at: float | None = None, average: str = "micro") -> pd.DataFrame:
        """The rate of `network` minus that of `other`, paired by person.

        Parameters
        ----------
        network, other
            Names of two networks of the outcome.
        at, average
            As for `table`; `at` is one operating point, or a rank; None: the first that `table` reads.

        Returns
        -------
        DataFrame
            A row per key of `network` and operating point that the impostors resolve: `other`, then difference, low,
            high in percentage points, and people.

        Raises
        ------
        SettingError
            For a network that is not there.
        """
        place = self.keys.index("network")
        rows = []
        for key, other_key in self._pairs(place, network, other):
            result, reading = self.results[key], READINGS[type(self.results[key])]
            point = reading.at[0] if at is None else at
            rate = self._rate(result, point, average, self.results[other_key])
            if np.isfinite(rate.estimate):
                row = self._named(key) | {"other": other} | reading.point(point) | rate.row("difference")
                rows.append(row | {"people": reading.people(result)})
        return pd.DataFrame(rows)

    def change(self, before: Outcome[Result], average: str = "micro") -> pd.DataFrame:
        """The rate of each network here minus its rate in another outcome of the same people, paired by person.

        Parameters
        ----------
        before
            The other outcome, of the same protocol.
        average
            As for `table`.

        Returns
        -------
        DataFrame
            A row per key, in percentage points: difference, low, high. Keys that only one outcome has are left out.
        """
        rows = []
        for key, result in self.results.items():
            if key in before.results:
                rate = self._rate(result, READINGS[type(result)].at[0], average, before.results[key])
                rows.append(self._named(key) | rate.row("difference"))
        return pd.DataFrame(rows)

    def cmc(self: Outcome[Identification], average: str = "micro") -> pd.DataFrame:
        """Cumulative match characteristic: a row per key and rank: rate, low, high in per cent."""
        rows = [
            self._named(key) | {"rank": rank} | self._rate(result, rank, average).row("rate")
            for key, result in self.results.items()
            for rank in range(1, result.ranks + 1)
        ]
        return pd.DataFrame(rows)

    def curve(self, *key: Any) -> pd.DataFrame:
        """The whole curve at a key, such as ("P1", "proposed", 16), as shares: fpr and tpr, or fpir and fnir."""
        result = self.results[key]
        if isinstance(result, Verification):
            return pd.DataFrame({"fpr": result.fpr, "tpr": result.tpr})
        if isinstance(result, OpenSet):
            return pd.DataFrame({"fpir": result.fpir, "fnir": result.fnir})
        raise SettingError(f"{type(result).__name__} has no curve of two rates: take `cmc()`")

    def _pairs(self, place: int, network: str, other: str) -> Iterator[tuple[Key, Key]]:
        networks = list(dict.fromkeys(key[place] for key in self.results))
        for name in (network, other):
            if name not in networks:
                raise SettingError(f"there is no network {name!r} here: those there are: {', '.join(networks)}")
        of_network: list[Key] = [key for key in self.results if key[place] == network]
        for key in of_network:
            swapped = list(key)
            swapped[place] = other
            yield key, tuple(swapped)

    def _named(self, key: Key) -> dict[str, Any]:
        return dict(zip(self.keys, key, strict=True))

    def _rate(self, result: Result, at: float, average: str, other: Result | None = None) -> Interval:
        reading = READINGS[type(result)]
        if at < reading.least(result):
            return UNKNOWN
        if isinstance(result, ThresholdResult) and reading.people(result) < 2:
            return _without_interval(result, other, at)
        options: dict[str, Any] = {"average": average} if isinstance(result, RankedResult) else {}
        try:
            if other is None:
                return result.interval(at, resamples=self.resamples, **options)  # type: ignore[arg-type]
            return result.difference(other, at, resamples=self.resamples, **options)  # type: ignore[arg-type]
        except OutOfReach:
            return _without_interval(result, other, at)


def _without_interval(result: Any, other: Any, at: float) -> Interval:
    """The rate at an operating point, or the difference of two, with NaN for its ends."""
    return Interval(np.nan, result.rate_at(at) - (0 if other is None else other.rate_at(at)), np.nan)


@dataclass(frozen=True)
class _Reading:
    """How a protocol's results are read: the column of the rate, where to read it, what it is out of."""

    rate: str
    at: Sequence[float]
    out_of: Callable[[Any], dict[str, float]]
    at_name: str = ""
    least: Callable[[Any], float] = lambda result: 0

    def people(self, result: Any) -> int:
        """Of how many people, whom the bootstrap draws again."""
        numbers = self.out_of(result)
        return int(numbers.get("people", numbers.get("enrolled", 0)))

    def point(self, at: float) -> dict[str, float]:
        return {self.at_name: at} if self.at_name else {}


READINGS: dict[type, _Reading] = {
    Identification: _Reading(
        "rank1", (1,), lambda result: {"people": len(result.people), "trials": int(result.trials_per_person.sum())}
    ),
    Verification: _Reading(
        "tpr",
        (1e-3, 1e-4),
        lambda result: {"people": result.people, "genuine": result.genuine, "impostor": result.impostor},
        "fpr",
        lambda result: result.min_resolvable_fpr,
    ),
    OpenSet: _Reading(
        "fnir",
        (1e-1, 1e-2),
        lambda result: {"enrolled": result.enrolled, "mated": result.mated, "unknown": result.unknown},
        "fpir",
        lambda result: result.min_resolvable_fpir,
    ),
    TinyFace: _Reading(
        "rank1",
        (1,),
        lambda result: {
            "rank20": 100 * float(result.cmc(20)),
            "rank50": 100 * float(result.cmc(50)),
            "mean_ap": 100 * result.mean_ap,
            "mean_ap_step": 100 * result.mean_ap_step,
            "probes": result.n,
            "people": result.people,
            "gallery": result.gallery,
            "distractors": result.distractors,
        },
    ),
    Scface: _Reading(
        "rank1", (1,), lambda result: {"probes": result.n, "people": result.people, "gallery": result.gallery_people}
    ),
}

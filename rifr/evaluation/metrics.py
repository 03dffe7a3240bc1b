"""Figures of ranked lists (average precision, CMC), and how sure a rate is: intervals by a bootstrap over identities.

Two average precisions are in use. TinyFace's official one takes the area below the precision-recall points by
trapezoids, scikit-learn's by steps; at the same ranks the first is never higher.

The trials of one person share photos and are not independent, so people are drawn again, not trials. A rate is a ratio
of sums of per-person counts; drawing P people with replacement gives each a multinomial weight, so that all resamples
are one matrix product of weights and counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from scipy import stats

from rifr.errors import DataError, SettingError

__all__ = [
    "UNKNOWN",
    "Interval",
    "average_precision",
    "average_precision_of_ranks",
    "cmc",
    "contrast",
    "drawn_again",
    "interval",
    "percentile_interval",
    "t_interval",
    "wilson_interval",
]

MAX_WEIGHTS = 2**22  # drawn at a time: 32 MiB
ROUNDING = 1e-12  # within which values that would be equal differ by their arithmetic


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval.

    Attributes
    ----------
    low, estimate, high
        As fractions: 0 to 1, a difference -1 to 1.
    """

    low: float
    estimate: float
    high: float

    def __str__(self) -> str:
        return format(self, "")

    def __format__(self, spec: str) -> str:
        """In per cent, `f"{interval:.2f}"` with two decimals (default: one); the estimate alone where ends are NaN."""
        low, estimate, high = (format(value, spec or ".1f") for value in astuple(self.percent()))
        if np.isnan(self.low) or np.isnan(self.high):
            return estimate
        return f"{estimate} [{low}, {high}]"

    def format(self, digits: int = 1) -> str:
        """In per cent, as tables print it: "51.2 (48.7–53.7)"; "to" between ends of which one is negative."""
        low, estimate, high = (f"{round(value, digits) + 0.0:.{digits}f}" for value in astuple(self.percent()))
        if np.isnan(self.low) or np.isnan(self.high):
            return estimate
        return f"{estimate} ({low}{' to ' if '-' in low + high else '–'}{high})"

    def percent(self) -> "Interval":
        """The same in per cent (a difference: in percentage points)."""
        return Interval(100 * self.low, 100 * self.estimate, 100 * self.high)

    def columns(self, name: str, prefix: str = "") -> dict[str, float]:
        """Columns of a table: the estimate under `name`, and the ends as low and high, both after the prefix."""
        return {name: self.estimate, f"{prefix}low": self.low, f"{prefix}high": self.high}

    def row(self, name: str, prefix: str = "") -> dict[str, float]:
        """`columns` in per cent."""
        return self.percent().columns(name, prefix)

    @property
    def sign(self) -> int:
        """1 where the whole interval lies above zero, -1 where it lies below, else 0: undecided (NaN too)."""
        return int(self.low > 0) - int(self.high < 0)

    @property
    def decided(self) -> bool:
        """Whether zero lies outside: for a difference, whether the data tell the two apart."""
        return self.sign != 0


UNKNOWN = Interval(np.nan, np.nan, np.nan)
"""What cannot be measured: a rate that so few trials do not resolve."""


def average_precision(is_mate: np.ndarray, kind: str = "trapezoid") -> float:
    """Average precision of one ranked list that holds every mate of its probe.

    Parameters
    ----------
    is_mate
        (n,) bool, best first: whether the entry at this rank is a mate. DataError for another array, or without a mate.
    kind
        See `average_precision_of_ranks`.
    """
    is_mate = np.asarray(is_mate)
    if is_mate.ndim != 1 or is_mate.dtype != bool:
        raise DataError(f"is_mate is (n,) bool, best first, not {is_mate.dtype} {is_mate.shape}")
    return average_precision_of_ranks(np.flatnonzero(is_mate) + 1, kind)


def average_precision_of_ranks(ranks: np.ndarray, kind: str = "trapezoid") -> float:
    """Average precision from the ranks of all mates of a probe.

    Parameters
    ----------
    ranks
        (m,) different whole numbers from 1, in any order; else DataError.
    kind
        "trapezoid", TinyFace's official figure: the sum over ranks of (recall - old recall) (old precision +
        precision) / 2, where the precision before rank 1 counts as 1; or "step", scikit-learn's: the sum over ranks of
        (recall - old recall) precision.
    """
    if kind not in ("trapezoid", "step"):
        raise SettingError(f'kind is "trapezoid" or "step", not {kind!r}')
    ranks = np.sort(np.asarray(ranks))
    if ranks.ndim != 1 or not len(ranks) or ranks.dtype.kind not in "iu" or ranks[0] < 1 or np.any(np.diff(ranks) == 0):
        raise DataError(
            f"the ranks of a probe's mates are one or more different whole numbers from 1, not {ranks}: "
            "leave out probes without a mate"
        )
    # Recall grows at the mates alone, by 1 / m each, so that the other ranks add nothing.
    nth = np.arange(1, len(ranks) + 1)
    precision = nth / ranks
    if kind == "trapezoid":
        before = np.divide(nth - 1, ranks - 1, out=np.ones(len(ranks)), where=ranks > 1)
        precision = (precision + before) / 2
    return float(precision.mean())


def cmc(best_ranks: np.ndarray, rank: Any) -> Any:
    """Cumulative match characteristic: the share of probes whose best mate is at `rank` or before.

    Parameters
    ----------
    best_ranks
        (N,) the rank of each probe's best mate, from 1.
    rank
        A whole number from 1, or several: the answer is then an array.
    """
    best, wanted = np.sort(np.asarray(best_ranks)), np.asarray(rank)
    if best.ndim != 1 or not len(best) or best.dtype.kind not in "iu" or best[0] < 1:
        raise DataError(f"best_ranks holds a whole number from 1 for each probe, not {best.dtype} {best.shape}")
    if wanted.dtype.kind not in "iu" or np.any(wanted < 1):
        raise SettingError(f"a rank is a whole number from 1, not {rank!r}")
    share = np.searchsorted(best, wanted, side="right") / len(best)
    return float(share) if wanted.ndim == 0 else share


def contrast(terms: Sequence[tuple[float, np.ndarray]], trials: np.ndarray, resamples: int = 2000) -> Interval:
    """A sum of hit rates, each times its factor, with its percentile bootstrap interval, paired by person.

    Parameters
    ----------
    terms
        Factor, and (P,) hits of each person. The factors above zero add up to as much as those below it, or there are
        none below it.
    trials
        (P,) counts for each person, the same for all terms.

    Raises
    ------
    SettingError
        For other factors.
    """
    weight, less = (sum(factor * sign for factor, _ in terms if factor * sign > 0) for sign in (1, -1))
    if not weight or not (less == 0 or np.isclose(less, weight)):
        raise SettingError(
            "the factors above zero add up to as much as those below it, or there are none below it; not "
            f"{[factor for factor, _ in terms]}: turn their signs, or divide each side by its sum"
        )
    above, below = ([(factor, hits) for factor, hits in terms if factor * sign > 0] for sign in (1, -1))

    def mean(side: list[tuple[float, np.ndarray]]) -> np.ndarray:
        return np.sum([abs(factor) / weight * hits for factor, hits in side], axis=0).clip(max=trials)  # rounding

    rate = interval(mean(above), trials, mean(below) if below else None, resamples)
    return Interval(*(weight * end for end in (rate.low, rate.estimate, rate.high)))


def interval(
    hits: np.ndarray,
    trials: np.ndarray,
    other_hits: np.ndarray | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    average: str = "micro",
) -> Interval:
    """The hit rate with its percentile bootstrap interval over people, or the paired difference of two rates.

    Of a single person there is no interval: its ends are NaN. Where nobody hits, or everybody always, a bootstrap draws
    no other rate, which would look certain: the ends are then Wilson's (see `percentile_interval`). A paired difference
    that is the same for everybody stays without length: 0 [0, 0] for two networks that hit equally often.

    Parameters
    ----------
    hits, trials
        (P,) counts for each person.
    other_hits
        (P,) hits of a second network in the same trials: the answer is then the rate of `hits` minus that of
        `other_hits`, both resampled together.
    average
        "micro", hits over trials; "macro", the mean of the people's rates.

    Raises
    ------
    DataError
        For counts that do not fit or are impossible.
    SettingError
        For another level, average or number of resamples.
    """
    hits, trials = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    sides = [hits] if other_hits is None else [hits, np.asarray(other_hits, np.float64)]
    if trials.ndim != 1 or any(side.shape != trials.shape for side in sides):
        raise DataError(
            "hits, trials and other_hits hold a count for each person: found shapes "
            f"{', '.join(str(array.shape) for array in [*sides, trials])} (trials last)"
        )
    if not len(trials):
        raise DataError("there is nobody to measure: hits and trials are empty")
    if not np.all(trials > 0) or not all(np.all((side >= 0) & (side <= trials)) for side in sides):
        raise DataError(
            "every person has at least one trial and from 0 to that many hits: leave out people without "
            "trials, and give hits and trials in this order"
        )
    if not 0 < level < 1 or resamples < 1:
        raise SettingError(f"level lies between 0 and 1 and resamples is at least 1, not {level} and {resamples}")
    if average not in ("micro", "macro"):
        raise SettingError(f'average is "micro" or "macro", not {average!r}')

    # Either average is sum(w * above) / sum(w * below) with the people's weights w.
    above = sides[0] - sides[1] if len(sides) == 2 else sides[0]
    below = trials
    if average == "macro":
        above, below = above / trials, np.ones(len(trials))
    counts = np.stack([above, below], axis=1)  # (P, 2)
    people, estimate = len(trials), float(above.sum() / below.sum())
    if people == 1:
        return Interval(np.nan, estimate, np.nan)
    sums = np.concatenate([weights @ counts for weights in drawn_again(people, resamples, seed)])  # (R, 2)
    return percentile_interval(sums[:, 0] / sums[:, 1], estimate, level, people if len(sides) == 1 else 0)


def drawn_again(people: int, resamples: int, seed: Any = 0, width: int = 0) -> Iterator[np.ndarray]:
    """The weights of a bootstrap over people: how often each of P is drawn in P draws with replacement.

    Parameters
    ----------
    people, resamples
        P, and R.
    seed
        What `numpy.random.default_rng` takes.
    width
        Numbers that the caller makes of each resample, where these are more than P.

    Yields
    ------
    (B, P) float64 whole numbers of the next B resamples, as many as memory allows.
    """
    rng, step = np.random.default_rng(seed), max(1, MAX_WEIGHTS // max(people, width))
    for start in range(0, resamples, step):
        yield rng.multinomial(people, np.full(people, 1 / people), min(step, resamples - start)).astype(np.float64)


def percentile_interval(drawn: np.ndarray, estimate: float, level: float = 0.95, people: int = 0) -> Interval:
    """An estimate with the ends of the middle `level` of its resampled values.

    Parameters
    ----------
    drawn, estimate
        (R,), and the value in the data.
    level
        Of confidence, as a share.
    people
        Of how many people it is the rate; 0, where it is no rate. A rate of 0, or of 1, in all resamples says nothing
        of how sure it is: its interval is then Wilson's, of so many people of whom none hits, or all.
    """
    whole = int(estimate > 0.5)
    if people and np.allclose(np.append(drawn, estimate), whole, rtol=0, atol=ROUNDING):
        return wilson_interval(whole * people, people, level)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), estimate, float(high))


def t_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """The mean of a few independent values, such as one per seed, with Student's interval.

    Parameters
    ----------
    values
        (N,) in any unit. Of a single value there is no interval, and of equal ones no spread to make it from: its ends
        are NaN.
    level
        The chance that such an interval holds the mean.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values):
        raise DataError(f"values are one or more numbers, (N,), not {values.shape}")
    mean = float(values.mean())
    if np.allclose(values, values[0], rtol=1e-9, atol=ROUNDING):
        return Interval(np.nan, mean, np.nan)
    ends = stats.ttest_1samp(values, 0).confidence_interval(level)
    return Interval(float(ends.low), mean, float(ends.high))


def wilson_interval(hits: int, trials: int, level: float = 0.95) -> Interval:
    """The fraction of independent trials that hit, with Wilson's interval.

    Parameters
    ----------
    hits, trials
        Counts, 0 <= hits <= trials.
    level
        Of confidence, as a share.
    """
    if not 0 < level < 1:
        raise SettingError(f"level lies between 0 and 1, not {level}")
    ends = stats.binomtest(int(hits), int(trials)).proportion_ci(level, method="wilson")
    return Interval(float(ends.low), hits / trials, float(ends.high))

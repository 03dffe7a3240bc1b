"""How sure a rate is: intervals by a bootstrap over identities.

The trials of one person share photos and are not independent, so people are drawn again, not trials. A rate is a ratio
of sums of per-person counts; drawing P people with replacement gives each a multinomial weight, so that all resamples
are one matrix product of weights and counts.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Interval", "interval"]

ROOM = 2**22  # weights drawn at a time: 32 MiB


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval, as shares (0 to 1; a difference: -1 to 1)."""

    low: float
    estimate: float
    high: float

    def __str__(self) -> str:
        return format(self, "")

    def __format__(self, spec: str) -> str:
        """In per cent, `f"{interval:.2f}"` with two decimals (default: one)."""
        low, estimate, high = (format(100 * value, spec or ".1f") for value in (self.low, self.estimate, self.high))
        return f"{estimate} [{low}, {high}]"

    @property
    def decided(self) -> bool:
        """Whether zero lies outside: for a difference, whether the data tell the two apart."""
        return self.low > 0 or self.high < 0


def interval(hits: np.ndarray, trials: np.ndarray, other_hits: np.ndarray | None = None, resamples: int = 2000,
             seed: int = 0, level: float = 0.95, average: str = "micro") -> Interval:
    """The hit rate with its percentile bootstrap interval over people, or the difference of two rates, paired by person.

    hits, trials: (P,) counts per person; other_hits: (P,) hits of a second network in the same trials: the answer is
        then the rate of `hits` less that of `other_hits`, both resampled together (paired).
    average: "micro", hits over trials; "macro", the mean of the people's rates.

    Raises ValueError for counts that do not fit or are impossible and for fewer than two people.
    """
    hits, trials = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    sides = [hits] if other_hits is None else [hits, np.asarray(other_hits, np.float64)]
    if trials.ndim != 1 or any(side.shape != trials.shape for side in sides):
        raise ValueError("hits, trials and other_hits hold a count for each person: found shapes "
                         f"{', '.join(str(array.shape) for array in [*sides, trials])} (trials last)")
    if len(trials) < 2:
        raise ValueError(f"a bootstrap over people needs at least two, not {len(trials)}")
    if not np.all(trials > 0) or not all(np.all((side >= 0) & (side <= trials)) for side in sides):
        raise ValueError("every person has at least one trial and from 0 to that many hits: leave out people without "
                         "trials, and give hits and trials in this order")
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level lies between 0 and 1 and resamples is at least 1, not {level} and {resamples}")
    if average not in ("micro", "macro"):
        raise ValueError(f'average is "micro" or "macro", not {average!r}')

    # Either average is sum(w * above) / sum(w * below) with the people's weights w.
    above = sides[0] - sides[1] if len(sides) == 2 else sides[0]
    below = trials
    if average == "macro":
        above, below = above / trials, np.ones(len(trials))
    counts = np.stack([above, below], axis=1)  # (P, 2)
    people = len(trials)
    rng = np.random.default_rng(seed)
    rates, step = [], max(1, ROOM // people)
    for start in range(0, resamples, step):
        weights = rng.multinomial(people, np.full(people, 1 / people), size=min(step, resamples - start))  # (R, P)
        sums = weights.astype(np.float64) @ counts
        rates.append(sums[:, 0] / sums[:, 1])
    low, high = np.quantile(np.concatenate(rates), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(above.sum() / below.sum()), float(high))

"""Interval of rank-1 by a bootstrap over people, beside a loop that resamples the trials: `bootstrap.py [--small]`."""

import sys

import numpy as np
from harness import SEED, Row, Side, main, measure

from rifr.evaluation import metrics


def make(people: int, photos: int, resamples: int) -> tuple:
    """Hits and trials by person, and the trials themselves: a list of True and False for each person."""
    draw = np.random.default_rng(SEED)
    counts = draw.integers(photos - 10, photos + 11, people)
    lists = [draw.random(count * (count - 1)) < rate for count, rate in zip(counts, draw.uniform(0.2, 0.9, people))]
    return np.array([trials.sum() for trials in lists]), counts * (counts - 1), lists, resamples


def ours(hits: np.ndarray, trials: np.ndarray, lists: list, resamples: int) -> tuple[float, float, float]:
    found = metrics.interval(hits, trials, resamples=resamples, seed=SEED)
    return found.low, found.estimate, found.high


def resample_trials(hits: np.ndarray, trials: np.ndarray, lists: list, resamples: int) -> tuple[float, float, float]:
    """Put together the trial lists of the people drawn, and take their mean, once for each resample."""
    draw = np.random.default_rng(SEED)
    rates = []
    for _ in range(resamples):
        times = draw.multinomial(len(lists), np.full(len(lists), 1 / len(lists)))  # the same draws as ours
        drawn = np.concatenate([part for part, count in zip(lists, times) for _ in range(count)])
        rates.append(drawn.mean())
    low, high = np.quantile(rates, [0.025, 0.975])
    return low, np.concatenate(lists).mean(), high


def summary(inputs: tuple, answer: tuple) -> tuple:
    return answer


def rows(small: bool = False) -> list[Row]:
    tiny = {"people": 8, "photos": 14, "resamples": 50}
    size = tiny if small else {"people": 80, "photos": 44, "resamples": 2000}
    one = measure(Side(make, ours, summary), size, tiny, repeats=5)
    other = measure(Side(make, resample_trials, summary), size, tiny, repeats=1 if small else 2)
    apart = float(np.abs(np.subtract(one.summary, other.summary)).max())
    return [
        Row(
            "bootstrap interval of a rate",
            f"{size['resamples']:,} resamples, {size['people']} people with about {size['photos']} photos each",
            one.seconds,
            "a loop that puts the drawn people's trials together",
            other.seconds,
            10,
            one.peak_mib,
            other.peak_mib,
            apart < 1e-9,
            note=f"Both draw the same people; the ends of the intervals are {apart:.0e} apart.",
        )
    ]


if __name__ == "__main__":
    sys.exit(main(rows, __doc__))

import numpy as np
import pytest

from rifr import metrics
from rifr.metrics import Interval, interval


def people(rng, count=40, spread=3.0):
    """Counts of people of differing difficulty; the rate over all people is one half."""
    trials = rng.integers(4, 40, count)
    ability = rng.beta(spread, spread, count)
    return rng.binomial(trials, ability), trials, ability


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_drawing_people_one_by_one_gives_the_same_interval(average):
    hits, trials, _ = people(np.random.default_rng(0))
    other = np.minimum(trials, hits + 2)
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(4000):
        drawn = rng.integers(0, len(hits), len(hits))
        if average == "micro":
            rates.append(hits[drawn].sum() / trials[drawn].sum() - other[drawn].sum() / trials[drawn].sum())
        else:
            rates.append(np.mean(hits[drawn] / trials[drawn]) - np.mean(other[drawn] / trials[drawn]))
    found = interval(hits, trials, other_hits=other, resamples=4000, average=average)
    assert [found.low, found.high] == pytest.approx(np.quantile(rates, [0.025, 0.975]), abs=0.004)
    whole = (hits - other) / trials
    assert found.estimate == pytest.approx(whole.mean() if average == "macro" else (hits - other).sum() / trials.sum())


def test_about_95_of_100_intervals_cover_the_truth():
    rng = np.random.default_rng(2)
    for average in ("micro", "macro"):
        covered = 0
        for _ in range(300):
            hits, trials, _ = people(rng)
            found = interval(hits, trials, resamples=400, average=average)
            covered += found.low <= 0.5 <= found.high
        assert 0.90 <= covered / 300 <= 0.985


def test_a_paired_difference_is_narrower_than_two_intervals_when_people_are_hard_for_both():
    rng = np.random.default_rng(3)
    first, trials, ability = people(rng)
    second = rng.binomial(trials, ability)
    one, other = interval(first, trials), interval(second, trials)
    paired = interval(first, trials, other_hits=second)
    unpaired = np.hypot(one.high - one.low, other.high - other.low)
    assert paired.high - paired.low < 0.7 * unpaired
    assert paired.estimate == pytest.approx(one.estimate - other.estimate)


def test_a_network_differs_from_itself_by_nothing():
    hits, trials, _ = people(np.random.default_rng(4))
    assert interval(hits, trials, other_hits=hits) == Interval(0, 0, 0)
    assert not interval(hits, trials, other_hits=hits).decided


def test_the_seed_decides_the_interval_and_chunks_do_not(monkeypatch):
    hits, trials, _ = people(np.random.default_rng(5))
    found = interval(hits, trials, seed=1)
    assert found == interval(hits, trials, seed=1) != interval(hits, trials, seed=2)
    monkeypatch.setattr(metrics, "ROOM", 100)
    assert interval(hits, trials, seed=1) == found


def test_a_higher_level_is_a_wider_interval():
    hits, trials, _ = people(np.random.default_rng(6))
    narrow, wide = interval(hits, trials, level=0.5), interval(hits, trials, level=0.99)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_an_interval_reads_in_per_cent():
    assert str(Interval(0.1, 0.25, 0.5)) == "25.0 [10.0, 50.0]"
    assert f"{Interval(0.1, 0.25, 0.5):.2f}" == "25.00 [10.00, 50.00]"
    assert Interval(0.1, 0.25, 0.5).decided


@pytest.mark.parametrize("wrong, message", [
    (dict(hits=[1, 2], trials=[2, 3, 4]), "shapes"),
    (dict(hits=[1, 2], trials=[2, 3], other_hits=[1]), "shapes"),
    (dict(hits=[1], trials=[2]), "at least two"),
    (dict(hits=[0, 1], trials=[0, 2]), "at least one trial"),
    (dict(hits=[3, 1], trials=[2, 2]), "at least one trial"),
    (dict(hits=[1, np.nan], trials=[2, 2]), "at least one trial"),
    (dict(hits=[1, 1], trials=[2, 2], level=95), "level"),
    (dict(hits=[1, 1], trials=[2, 2], average="mean"), "average"),
])
def test_impossible_counts_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        interval(**wrong)

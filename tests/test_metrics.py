import numpy as np
import pytest
from scipy import stats

from rifr.errors import DataError, SettingError
from rifr.evaluation import metrics
from rifr.evaluation.metrics import (
    Interval,
    average_precision,
    average_precision_of_ranks,
    cmc,
    interval,
    t_interval,
    wilson_interval,
)


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


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_about_95_of_100_intervals_cover_the_truth_because_people_are_drawn_and_not_trials(average):
    # Many worlds whose true rate over all people is one half; the trials of a person share the person's ability.
    rng = np.random.default_rng(2)
    worlds, over_people, over_trials = 500, 0, 0
    for world in range(worlds):
        hits, trials, _ = people(rng, count=70)
        found = interval(hits, trials, resamples=500, average=average, seed=world)
        over_people += found.low <= 0.5 <= found.high
        # Trials drawn with replacement: the number of hits among them is binomial.
        naive = rng.binomial(trials.sum(), hits.sum() / trials.sum(), 500) / trials.sum()
        low, high = np.quantile(naive, [0.025, 0.975])
        over_trials += low <= 0.5 <= high
    assert 0.92 <= over_people / worlds <= 0.97
    assert over_trials / worlds < 0.75


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
    monkeypatch.setattr(metrics, "MAX_WEIGHTS", 100)
    assert interval(hits, trials, seed=1) == found


def test_a_higher_level_is_a_wider_interval():
    hits, trials, _ = people(np.random.default_rng(6))
    narrow, wide = interval(hits, trials, level=0.5), interval(hits, trials, level=0.99)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_an_interval_reads_in_per_cent():
    assert str(Interval(0.1, 0.25, 0.5)) == "25.0 [10.0, 50.0]"
    assert f"{Interval(0.1, 0.25, 0.5):.2f}" == "25.00 [10.00, 50.00]"
    assert f"{Interval(np.nan, 0.25, np.nan):.2f}" == "25.00"


def test_an_interval_is_formatted_in_per_cent_and_says_to_which_side_of_zero_it_lies():
    assert Interval(0.487, 0.512, 0.537).format() == "51.2 (48.7–53.7)"
    assert Interval(-0.0304, -0.012, 0.004).format(2) == "-1.20 (-3.04 to 0.40)"
    assert Interval(-0.00001, 0.1, 0.2).format() == "10.0 (0.0–20.0)"
    assert Interval(np.nan, 0.5, np.nan).format() == "50.0"
    assert Interval(0.25, 0.5, 0.75).percent() == Interval(25, 50, 75)
    assert Interval(0.25, 0.5, 0.75).row("rank1") == {"rank1": 50, "low": 25, "high": 75}
    assert Interval(0.25, 0.5, 0.75).row("gain", "gain_") == {"gain": 50, "gain_low": 25, "gain_high": 75}
    assert Interval(1, 2, 3).columns("angle") == {"angle": 2, "low": 1, "high": 3}
    signs = {(0.1, 0.2): 1, (-0.2, -0.1): -1, (-0.1, 0.1): 0, (0, 0.1): 0, (-0.1, 0): 0, (np.nan, np.nan): 0}
    for (low, high), sign in signs.items():
        assert Interval(low, (low + high) / 2, high).sign == sign
        assert Interval(low, (low + high) / 2, high).decided == (sign != 0)


def test_students_interval_is_that_of_its_formula():
    values = np.array([1.0, 2.5, 2.0, 4.0])
    half = stats.t.ppf(0.95, 3) * values.std(ddof=1) / 2
    sure = t_interval(values, level=0.9)
    assert [sure.low, sure.estimate, sure.high] == pytest.approx([2.375 - half, 2.375, 2.375 + half])
    # Of one value, and of equal ones (the last, 4.8 three times, but for rounding), there is no spread to see.
    for equal in ([3.0], [3.0, 3.0], [70.1 - 65.3, 60.1 - 55.3, 50.1 - 45.3]):
        alone = t_interval(equal)
        assert alone.estimate == pytest.approx(equal[0]) and np.isnan([alone.low, alone.high]).all()
        assert not alone.decided and alone.format() == f"{100 * equal[0]:.1f}"
    with pytest.raises(DataError, match="values"):
        t_interval([])


def test_wilsons_interval_is_that_of_its_formula():
    hits, trials, z = 17, 20, stats.norm.ppf(0.975)
    centre = (hits + z**2 / 2) / (trials + z**2)
    half = z / (trials + z**2) * np.sqrt(hits * (trials - hits) / trials + z**2 / 4)
    sure = wilson_interval(hits, trials)
    assert [sure.low, sure.estimate, sure.high] == pytest.approx([centre - half, 0.85, centre + half])
    with pytest.raises(SettingError, match="level"):
        wilson_interval(hits, trials, level=95)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(hits=[1, 2], trials=[2, 3, 4]), "shapes"),
        (dict(hits=[1, 2], trials=[2, 3], other_hits=[1]), "shapes"),
        (dict(hits=[], trials=[]), "nobody"),
        (dict(hits=[0, 1], trials=[0, 2]), "at least one trial"),
        (dict(hits=[3, 1], trials=[2, 2]), "at least one trial"),
        (dict(hits=[1, np.nan], trials=[2, 2]), "at least one trial"),
        (dict(hits=[1, 1], trials=[2, 2], level=95), "level"),
        (dict(hits=[1, 1], trials=[2, 2], average="mean"), "average"),
    ],
)
def test_impossible_counts_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        interval(**wrong)


def by_definition(found, kind):
    """The two average precisions rank by rank, as their sources have them."""
    area, hits, old_recall, old_precision = 0.0, 0, 0.0, 1.0
    for rank, hit in enumerate(found, start=1):
        hits += hit
        recall, precision = hits / sum(found), hits / rank
        area += (recall - old_recall) * ((old_precision + precision) / 2 if kind == "trapezoid" else precision)
        old_recall, old_precision = recall, precision
    return area


@pytest.mark.parametrize("kind", ["trapezoid", "step"])
def test_average_precision_is_the_sum_over_ranks(kind):
    rng = np.random.default_rng(7)
    for length in [1, 2, 3, 10, 200]:
        for _ in range(20):
            found = rng.random(length) < rng.random()
            found[rng.integers(length)] = True
            assert average_precision(found, kind) == pytest.approx(by_definition(found, kind))
            shuffled = rng.permutation(np.flatnonzero(found) + 1)
            assert average_precision_of_ranks(shuffled, kind) == pytest.approx(by_definition(found, kind))


def test_average_precision_of_lists_worked_by_hand():
    assert average_precision(np.array([True, True, False])) == 1
    # One mate at rank 2: precision 0 before it and 1/2 at it.
    assert average_precision(np.array([False, True])) == pytest.approx(0.25)
    assert average_precision(np.array([False, True]), kind="step") == pytest.approx(0.5)
    # Mates at ranks 1 and 3: (1 + 1) / 2 and (1/2 + 2/3) / 2; by steps 1 and 2/3.
    assert average_precision(np.array([True, False, True])) == pytest.approx((1 + 7 / 12) / 2)
    assert average_precision(np.array([True, False, True]), kind="step") == pytest.approx(5 / 6)


def test_average_precision_refuses_what_is_no_ranked_list():
    with pytest.raises(ValueError, match="without a mate"):
        average_precision(np.zeros(3, bool))
    with pytest.raises(ValueError, match="bool"):
        average_precision(np.array([0, 1]))
    with pytest.raises(ValueError, match="trapezoid"):
        average_precision(np.ones(3, bool), kind="auc")
    for ranks in ([0, 1], [2, 2], [], [1.5], [[1, 2]]):
        with pytest.raises(ValueError, match="from 1"):
            average_precision_of_ranks(ranks)


def test_the_cmc_is_the_share_of_probes_at_each_rank_or_before():
    best = np.random.default_rng(8).integers(1, 30, 100)
    assert cmc(best, range(1, 41)).tolist() == [np.mean(best <= rank) for rank in range(1, 41)]
    assert cmc(best, 5) == np.mean(best <= 5) and isinstance(cmc(best, 5), float)
    for wrong in (0, 1.5, [1, 0]):
        with pytest.raises(ValueError, match="from 1"):
            cmc(best, wrong)
    with pytest.raises(ValueError, match="from 1"):
        cmc([0, 1], 1)


def test_of_one_person_there_is_a_rate_and_no_interval():
    found = metrics.interval([1], [2])
    assert found.estimate == 0.5 and np.isnan([found.low, found.high]).all() and found.sign == 0


def test_a_contrast_is_the_sum_of_rates_times_their_factors_and_refuses_factors_that_do_not_balance():
    hits, trials, _ = people(np.random.default_rng(9))
    other = trials - hits
    found = metrics.contrast([(0.5, hits), (0.5, other), (-1, hits)], trials)
    assert found.estimate == pytest.approx(0.5 * other.sum() / trials.sum() - 0.5 * hits.sum() / trials.sum())
    for factors in ([-1], [1, -2], [1, -0.5], []):
        with pytest.raises(SettingError, match="factors above zero"):
            metrics.contrast([(factor, hits) for factor in factors], trials)


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("share", [0, 1])
def test_where_nobody_or_everybody_always_hits_the_interval_is_wilsons_over_people(share, average):
    trials, z2 = np.array([2, 6, 12, 20, 3]), stats.norm.ppf(0.975) ** 2
    found = interval(share * trials, trials, average=average)
    far = abs(share - z2 / (5 + z2))  # the other end: no hit among 5 people is seen 1 in 40 times at z2 / (5 + z2)
    assert (found.low, found.high) == pytest.approx((0, far) if share == 0 else (far, 1)) and found.estimate == share
    three = metrics.contrast([(1 / 3, share * trials)] * 3, trials)
    assert (three.low, three.high) == pytest.approx((found.low, found.high))
    one_miss = interval(share * trials + np.array([0, 0, 1 - 2 * share, 0, 0]), trials, average=average)
    assert 0 < one_miss.high - one_miss.low < found.high - found.low  # it varies: the bootstrap's again
    assert interval(share * trials, trials, trials - share * trials) == Interval(
        2 * share - 1, 2 * share - 1, 2 * share - 1
    )

"""Open-set rates against searches made one by one."""

import numpy as np
import pytest

from rifr.evaluation.protocols import open_set
from rifr.evaluation.protocols.open_set import evaluate


def world(seed=0, people=30, photos=4, unknown=50, quality=1.0, dtype=np.float64):
    draw = np.random.default_rng(seed)
    identities = np.append(np.repeat(np.arange(people), photos), [90, 91])  # two people with a single photo
    centres = quality * draw.standard_normal((100, 12))
    probes, gallery = (centres[identities] + draw.standard_normal((len(identities), 12)) for _ in range(2))
    mixed = draw.permutation(len(identities))
    strangers = draw.standard_normal((unknown, 12))
    return probes[mixed].astype(dtype), gallery[mixed].astype(dtype), identities[mixed], strangers


def searches(probes, gallery, identities, unknown, rank=1):
    """[(person, score or -inf)] of the mated searches and the best score of each unknown one, by the definition."""
    unit = [array / np.linalg.norm(array, axis=1, keepdims=True) for array in (probes, gallery, unknown)]
    enrolled = {}
    for i, name in enumerate(identities):
        if (identities == name).sum() > 1:
            enrolled.setdefault(name, i)
    mated, strangers = [], []
    for i, name in enumerate(identities):
        found = {other: unit[0][i] @ unit[1][j] for other, j in enrolled.items()}
        if name not in enrolled:
            strangers.append(max(found.values()))
        elif enrolled[name] != i:
            before = sum(score > found[name] for score in found.values())
            mated.append((name, found[name] if before < rank else -np.inf))
    return mated, strangers + [max(row @ unit[1][j] for j in enrolled.values()) for row in unit[2]]


@pytest.mark.parametrize("rank", [1, 3])
def test_rates_are_those_of_searches_one_by_one_at_every_threshold(rank, monkeypatch):
    monkeypatch.setattr(open_set, "MAX_ELEMENTS", 100)
    given = world()
    found = evaluate(*given, rank=rank)
    mated, strangers = searches(*given, rank=rank)
    assert (found.mated, found.unknown, found.enrolled) == (len(mated), len(strangers), 30) == (90, 52, 30)
    rates = {}
    for threshold in sorted({-2.0, 2.0, *strangers, *(score for _, score in mated if np.isfinite(score))}):
        alarms = np.mean([score >= threshold for score in strangers])
        rates[threshold] = alarms, np.mean([score < threshold for _, score in mated])
    for fpir in (0.02, 0.05, 0.1, 0.5, 1.0):
        assert found.fnir_at(fpir) == pytest.approx(min(missed for alarms, missed in rates.values() if alarms <= fpir))
    np.testing.assert_allclose(found.fnir_at([0.05, 0.5]), [found.fnir_at(0.05), found.fnir_at(0.5)])
    assert found.fpir[-1] == 1 and np.all(np.diff(found.fpir) > 0) and np.all(np.diff(found.fnir) <= 0)
    for fpir, fnir in zip(found.fpir[1:], found.fnir[1:]):
        assert found.fnir_at(fpir) == pytest.approx(fnir)


def test_a_longer_list_of_answers_misses_fewer():
    given = world(quality=0.6)
    assert evaluate(*given, rank=5).fnir_at(1.0) < evaluate(*given).fnir_at(1.0)


def test_an_alarm_at_the_score_itself_counts():
    axis = np.eye(4)
    probes = np.array([axis[0], axis[0], axis[1], axis[1]])  # each search finds its own at a score of exactly 1
    found = evaluate(probes, probes, np.array([0, 0, 1, 1]), np.array([axis[0], axis[2]]))
    assert found.non_mated_scores.tolist() == [1.0, 0.0]
    assert found.fpir.tolist() == [0.0, 0.5, 1.0] and found.fnir.tolist() == [1.0, 0.0, 0.0]
    assert found.fnir_at(0.5) == 0.0


def test_a_rate_that_the_searches_cannot_resolve_is_refused():
    found = evaluate(*world())
    with pytest.raises(ValueError, match=r"0.0192"):
        found.fnir_at(0.01)
    with pytest.raises(ValueError, match="above 0"):
        found.fnir_at(0.0)


def test_bad_input_is_named():
    probes, gallery, identities, unknown = world()
    with pytest.raises(ValueError, match="nobody to enrol"):
        evaluate(probes, gallery, np.arange(len(probes)), unknown)
    with pytest.raises(ValueError, match="no FPIR"):
        evaluate(probes[:2], gallery[:2], np.array([1, 1]), unknown[:0])
    with pytest.raises(ValueError, match="unknown people"):
        evaluate(probes, gallery, identities, unknown[:, :11])
    with pytest.raises(ValueError, match="an entry"):
        evaluate(probes, gallery, identities[1:], unknown)
    with pytest.raises(ValueError, match="from 1, not 0"):
        evaluate(probes, gallery, identities, unknown, rank=0)
    unknown[7] = np.nan
    with pytest.raises(ValueError, match=r"in unknown .* rows 7"):
        evaluate(probes, gallery, identities, unknown)


def test_a_resample_is_the_people_drawn_again_with_a_threshold_of_their_own():
    given = world()
    run = evaluate(*given)
    mated, non_mated = searches(*given)
    names = sorted({name for name, _ in mated})
    # The run lists the given unknown people before those with a single photo.
    in_order = np.roll(non_mated, -2)
    for seed in range(20):
        drawn, unknown = (
            np.random.default_rng([seed, group]).multinomial(n, np.full(n, 1 / n)) for group, n in enumerate((30, 52))
        )
        alarms = np.sort(np.repeat(in_order, unknown))[::-1]
        scores = np.concatenate([[score] * drawn[names.index(name)] for name, score in mated])
        one = run.interval(0.1, resamples=1, seed=seed)
        assert one.low == one.high == pytest.approx(np.mean(scores <= alarms[int(np.floor(0.1 * len(alarms) + 1e-9))]))
    whole = run.interval(0.1)
    assert whole.low < whole.estimate == run.fnir_at(0.1) < whole.high


def test_two_networks_are_compared_in_pairs():
    good, bad = (evaluate(*world(quality=quality)) for quality in (2.0, 0.7))
    between = good.difference(bad, 0.1)
    assert between.high < 0 and between.estimate == pytest.approx(good.fnir_at(0.1) - bad.fnir_at(0.1))
    same = good.difference(good, 0.1)
    assert (same.low, same.estimate, same.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="same photos"):
        good.difference(evaluate(*world(people=29)), 0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("numbers", [3, 128, 513])
def test_a_network_that_tells_nobody_apart_finds_nobody(numbers, dtype):
    one = np.random.default_rng(numbers).standard_normal(numbers).astype(dtype)
    same = np.tile(one, (700, 1))
    outcome = evaluate(same, same, np.repeat(np.arange(350), 2), same)
    assert outcome.fnir_at([0.1, 1]).tolist() == [1, 1]

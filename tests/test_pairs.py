import numpy as np
import pytest
from scipy.stats import binomtest

from rifr.errors import DataError, SettingError
from rifr.evaluation.protocols.pairs import THRESHOLDS, Pairs, evaluate


def pairs(count=120, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    same = rng.random(count) < 0.5
    first = rng.standard_normal((count, 8))
    other = np.where(same[:, None], first, rng.standard_normal((count, 8)))
    return first, other + noise * rng.standard_normal((count, 8)), same


def as_published(first, second, same, folds):
    """Accuracies and thresholds fold by fold, threshold by threshold, as public evaluators compute them."""
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    second = second / np.linalg.norm(second, axis=1, keepdims=True)
    distances = ((first - second) ** 2).sum(axis=1)
    thresholds = np.arange(0, 4, 0.01)
    indices, start, result = np.arange(len(same)), 0, []
    for fold in range(folds):
        size = len(same) // folds + (fold < len(same) % folds)
        test = indices[start : start + size]
        train = np.setdiff1d(indices, test)
        accuracy = [np.mean((distances[train] < threshold) == same[train]) for threshold in thresholds]
        best = thresholds[np.argmax(accuracy)]
        result.append((np.mean((distances[test] < best) == same[test]), best))
        start += size
    return np.array(result).T


@pytest.mark.parametrize("count, folds", [(120, 10), (60, 3), (47, 5), (9, 9)])
def test_every_fold_equals_the_published_loop(count, folds):
    sets = pairs(count, seed=count)
    found = evaluate(*sets, folds=folds)
    accuracies, thresholds = as_published(*sets, folds)
    assert found.accuracies == pytest.approx(accuracies)
    assert found.thresholds == pytest.approx(thresholds)
    assert found.accuracy == pytest.approx(accuracies.mean()) and found.std == pytest.approx(np.std(accuracies))
    assert found.threshold == pytest.approx(thresholds.mean())
    assert found.pairs.sum() == count


@pytest.mark.parametrize("kind", [0, 1])
def test_a_list_of_one_kind_is_refused_for_it_calls_any_constant_right(kind):
    with pytest.raises(DataError, match="all 20 pairs of the list are of one kind"):
        evaluate(np.ones((20, 3)), np.ones((20, 3)), np.full(20, kind, bool), folds=10)


def test_the_length_of_an_embedding_does_not_matter():
    first, second, same = pairs()
    scaled = evaluate(first * np.arange(1, 121)[:, None], second * 0.01, same)
    assert np.array_equal(scaled.correct, evaluate(first, second, same).correct)


def test_the_held_out_fold_does_not_choose_its_threshold():
    # Two folds whose best thresholds differ: each is judged by the other's, and fails.
    angle = np.deg2rad([10, 40, 80, 120])
    first = np.tile([1.0, 0.0], (4, 1))
    second = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = evaluate(first, second, np.array([True, False, True, False]), folds=2)
    assert found.accuracies.tolist() == [0.5, 0.5]
    # 2 - 2 cos(80 deg) = 1.653 and 2 - 2 cos(10 deg) = 0.030: the first hundredth above it, for the first of equals.
    assert found.thresholds == pytest.approx([1.66, 0.04])


def test_a_distance_equal_to_the_threshold_is_not_accepted():
    # Identical photos are at distance 0: threshold 0 accepts nothing, 0.01 is the first that accepts them.
    first = np.eye(4)
    folds = np.array([0, 0, 1, 1])
    found = evaluate(first, first, np.ones(4, bool), folds=folds)
    assert found.thresholds.tolist() == [0.01, 0.01] and found.accuracy == 1
    assert evaluate(first, first, np.zeros(4, int), folds=folds).thresholds.tolist() == [0, 0]
    assert len(THRESHOLDS) == 400 and THRESHOLDS[-1] == 3.99


def test_the_interval_is_wilsons_over_all_pairs():
    fold = np.repeat([0, 1, 2], [10, 11, 9])
    right = np.concatenate([np.arange(size) < hits for hits, size in [(9, 10), (10, 11), (7, 9)]])
    found = Pairs(right, fold, np.zeros(3))
    assert (found.correct.tolist(), found.pairs.tolist()) == ([9, 10, 7], [10, 11, 9])
    for level in (0.9, 0.95):
        expected = binomtest(26, 30).proportion_ci(level, method="wilson")
        interval = found.interval(level)
        assert [interval.low, interval.high] == pytest.approx([expected.low, expected.high])
        assert interval.estimate == pytest.approx(26 / 30)
    perfect = Pairs(np.ones(5, bool), np.zeros(5, int), np.zeros(1)).interval()
    assert perfect.low < perfect.high == pytest.approx(1)
    with pytest.raises(ValueError, match="level"):
        found.interval(95)


def test_what_does_not_fit_is_refused():
    first, second, same = pairs()
    with pytest.raises(ValueError, match="found shapes"):
        evaluate(first, second[:-1], same)
    with pytest.raises(ValueError, match="found shapes"):
        evaluate(first, second, same[:-1])
    for folds in (0, 121, 2.0, True):
        with pytest.raises(ValueError, match="120"):
            evaluate(first, second, same, folds=folds)
    with pytest.raises(ValueError, match="True and False"):
        evaluate(first, second, same + 1)
    second[[3, 7]] = [[np.nan] * 8, [0.0] * 8]
    with pytest.raises(ValueError, match=r"second .* rows 3, 7"):
        evaluate(first, second, same)


def test_folds_may_be_given_pair_by_pair():
    first, second, same = pairs(60)
    mixed = np.random.default_rng(1).permutation(60)
    fold = np.repeat(np.arange(3), 20)
    given = evaluate(first[mixed], second[mixed], same[mixed], folds=fold[mixed])
    assert np.array_equal(given.correct, evaluate(first, second, same, folds=3).correct)
    with pytest.raises(SettingError, match="fold"):
        evaluate(first, second, same, folds=fold[1:])


@pytest.mark.parametrize("folds", [1, 10])
def test_a_list_with_all_same_person_pairs_first_is_divided_kind_by_kind(folds):
    first, second, same = pairs(120)
    order = np.argsort(~same, kind="stable")
    first, second, same = first[order], second[order], same[order]
    sure = evaluate(first, second, same, folds=folds)
    fold = np.concatenate([np.array_split(np.flatnonzero(kind), 10)[i] for i in range(10) for kind in (same, ~same)])
    sizes = [sum(len(np.array_split(np.flatnonzero(kind), 10)[i]) for kind in (same, ~same)) for i in range(10)]
    number = np.empty(120, int)
    number[fold] = np.repeat(np.arange(10), sizes)
    assert sure.balanced and np.array_equal(sure.correct, evaluate(first, second, same, folds=number).correct)


def test_a_list_without_folds_says_of_which_kind_it_has_too_few_pairs():
    first, second, _ = pairs(6)
    for same, said in [
        ([1, 0, 0, 0, 0, 0], "holds 1 same-person pair of 6: an accuracy needs two of each kind"),
        ([1, 1, 1, 1, 1, 0], "holds 1 different-person pair of 6"),
        ([1] * 6, "holds 0 different-person pairs of 6"),
        ([0] * 6, "holds 0 same-person pairs of 6"),
    ]:
        with pytest.raises(DataError, match=said):
            evaluate(first, second, same, 1)
    assert len(evaluate(first, second, [1, 0, 0, 0, 0, 1], 1).thresholds) == 2


def test_a_list_whose_folds_are_mixed_keeps_them():
    assert not evaluate(*pairs()).balanced

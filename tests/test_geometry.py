"""Angles against a plain loop with the arc cosine."""

import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rifr.errors import DataError
from rifr.evaluation import geometry
from rifr.report import figures


def angle(a, b) -> float:
    return math.degrees(math.acos(sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))))


@pytest.fixture
def features():
    draw = np.random.default_rng(0)
    return draw.normal(size=(7, 3)), draw.normal(size=(7, 3)), np.array(list("bbaaacd"))


def test_same_image_pairs_rows(features):
    high, low, _ = features
    np.testing.assert_allclose(geometry.same_image(high, low), [angle(a, b) for a, b in zip(high, low, strict=True)])
    assert geometry.same_image(high, 5 * high) == pytest.approx(0, abs=1e-5)
    assert geometry.same_image(high, -high) == pytest.approx(180)


def test_same_person_takes_other_photos_of_the_person_and_everybody_else(features):
    high, low, names = features
    own, others = geometry.same_person(high, low, names)
    for place, person in enumerate(["a", "b"]):  # c and d have one photo
        mine = [i for i, name in enumerate(names) if name == person]
        pairs = [angle(high[i], low[j]) for i in mine for j in mine if i != j]
        strangers = [angle(high[i], low[j]) for i in mine for j in range(7) if names[j] != person]
        assert own[place] == pytest.approx(np.mean(pairs)) and others[place] == pytest.approx(np.mean(strangers))


def test_means_by_person_are_in_the_order_of_names():
    np.testing.assert_allclose(geometry.by_person(np.array([1.0, 3.0, 5.0]), np.array(["b", "a", "b"])), [3, 3])


def test_features_without_direction_are_named():
    with pytest.raises(ValueError, match=r"\[1\]"):
        geometry.unit(np.array([[1.0, 0], [0, 0]]))
    with pytest.raises(ValueError, match=r"\[0\]"):
        geometry.unit(np.array([[np.nan, 0], [1, 0]]))


def test_separation_is_the_gap_of_the_means_over_the_spread_of_all_pairs(features):
    high, low, names = features
    own, others = [], []
    for i, j in itertools.product(range(7), repeat=2):
        if names[i] in "ab":  # c and d have one photo
            kind = own if names[i] == names[j] else others
            if i != j:
                kind.append(angle(high[i], low[j]))
    gap, d = geometry.separation(high, low, names)
    assert gap == pytest.approx(np.mean(others) - np.mean(own))
    assert d.estimate == pytest.approx(gap / math.sqrt((np.var(own) + np.var(others)) / 2))


def test_the_interval_of_d_prime_narrows_with_people_and_holds_the_value():
    draw, widths = np.random.default_rng(0), []
    for people in (20, 200):
        names = np.repeat(np.arange(people), 3)
        centres = draw.normal(size=(people, 8))[names]
        high, low = (centres + 0.5 * draw.normal(size=centres.shape) for _ in range(2))
        _, d = geometry.separation(high, low, names, resamples=500)
        assert d.low < d.estimate < d.high and d.low > 1
        widths.append(d.high - d.low)
    assert widths[1] < widths[0] / 2


def test_likeness_is_the_correlation_of_cosines_over_pairs_and_blind_to_turns_and_common_vectors():
    draw = np.random.default_rng(3)
    one, two = draw.normal(size=(2, 40, 6))
    mixed = one + two
    turn = np.linalg.qr(draw.normal(size=(6, 6)))[0]
    found = geometry.likeness({"one": one, "two": two, "mixed": mixed, "turned": one @ turn + 5}, resamples=200)
    upper = np.triu_indices(40, 1)

    def cosines(w):
        w = w - w.mean(0)
        w = w / np.linalg.norm(w, axis=1, keepdims=True)
        return (w @ w.T)[upper]

    expected = np.corrcoef(cosines(one), cosines(mixed))[0, 1]
    assert found.value["one", "mixed"] == found.value["mixed", "one"] == pytest.approx(expected)
    assert found.value["one", "turned"] == pytest.approx(1) and found.people == 40
    interval = found.interval(("one", "mixed"))
    assert interval.low < expected < interval.high
    nearer = found.difference(("mixed", "one"), ("one", "two"))
    assert nearer.estimate == pytest.approx(expected - found.value["one", "two"]) and nearer.sign == 1


def test_photos_of_one_person_and_single_photos_are_refused_and_of_one_pair_there_is_no_interval(features):
    high, low, _ = features
    for measure in (geometry.same_person, geometry.separation):
        with pytest.raises(DataError, match="of 1 people"):
            measure(high, low, np.full(7, "a"))
    with pytest.raises(DataError, match="none of 7 people has two photos"):
        geometry.separation(high, low, np.array(list("abcdefg")))
    gap, d = geometry.separation(high, low, np.array(list("aabcdef")))
    own, others = geometry.same_person(high, low, np.array(list("aabcdef")))
    assert gap == pytest.approx(others[0] - own[0]) and np.isnan([d.low, d.high]).all() and d.estimate * gap > 0


def test_a_network_is_drawn_at_its_likeness_to_both_specialists_and_lines_at_theirs():
    value = {("hr-only", "lr-only"): 0.5, ("hr+lr", "hr-only"): 0.7, ("hr+lr", "lr-only"): 0.6}
    value |= {(two, one): known for (one, two), known in value.items()}
    drawn = {pair: np.linspace(known - 0.1, known + 0.1, 101) for pair, known in value.items()}
    found = geometry.Likeness(value, drawn, 9)
    (axes,) = figures.recognition.like_both(found).axes
    places = {line.get_label(): [*line.lines[0].get_xydata()[0]] for line in axes.containers}
    assert places == {"HR-only": [1, 0.5], "LR-only": [0.5, 1], "HR+LR": [0.7, 0.6]}
    (bars,) = (line for line in axes.containers if line.get_label() == "HR+LR")
    across = bars.lines[2][0].get_segments()[0]
    interval = found.interval(("hr+lr", "hr-only"))
    assert across[:, 0].tolist() == pytest.approx([interval.low, interval.high])
    dotted = {tuple(map(tuple, line.get_xydata().tolist())) for line in axes.lines if line.get_linestyle() == ":"}
    assert dotted == {((0.5, 0), (0.5, 1)), ((0, 0.5), (1, 0.5))}
    plt.close("all")

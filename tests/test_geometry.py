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


def test_networks_in_a_plane_lie_as_far_apart_as_they_are_unlike():
    angles = np.radians([0, 50, 20])  # of three unit vectors in a plane, which holds all of their distances
    names = ["one", "two", "between"]
    value = {
        (a, b): float(np.cos(x - y))
        for a, x in zip(names, angles, strict=True)
        for b, y in zip(names, angles, strict=True)
        if a != b
    }
    places, share = geometry.in_a_plane(geometry.Likeness(value, {}, 9), names)
    for (a, b), correlation in value.items():
        apart = np.linalg.norm(places[names.index(a)] - places[names.index(b)])
        assert apart == pytest.approx(np.sqrt(2 - 2 * correlation))
    assert share == pytest.approx(1)
    unlike = geometry.Likeness(dict.fromkeys(itertools.permutations("abcd", 2), 0.0), {}, 9)
    assert geometry.in_a_plane(unlike, "abcd")[1] == pytest.approx(2 / 3)  # a tetrahedron has three dimensions
    figure = figures.recognition.networks_in_a_plane(places, ["hr-only", "lr-only", "hr+lr"])
    (axes,) = figure.axes
    drawn = {line.get_label(): line.get_xydata()[0] for line in axes.lines}
    assert np.allclose([drawn[name] for name in ("HR-only", "LR-only", "HR+LR")], places)
    plt.close(figure)

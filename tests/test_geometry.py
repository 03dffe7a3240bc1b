"""Angles against a plain loop with the arc cosine."""

import math

import numpy as np
import pytest

from rifr.evaluation import geometry


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

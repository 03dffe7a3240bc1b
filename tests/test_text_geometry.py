"""What chapter 5 says of Fig. 3 follows from the numbers, whichever way they fall."""

import numpy as np
import pandas as pd

from rifr.evaluation.geometry import Likeness
from rifr.evaluation.metrics import Interval
from rifr.report import text


def likeness(**value) -> Likeness:
    """A likeness of three networks, known to about a hundredth."""
    names = {"hl": ("hr+lr", "hr-only"), "ll": ("hr+lr", "lr-only"), "hh": ("hr-only", "lr-only")}
    draw = np.random.default_rng(0)
    values, drawn = {}, {}
    for short, (one, two) in names.items():
        for pair in ((one, two), (two, one)):
            values[pair] = value[short]
            drawn[pair] = value[short] + draw.normal(0, value.get("noise", 0.01), 500)
    return Likeness(values, drawn, 40)


def angles(width=16, **by_network) -> pd.DataFrame:
    rows = [(name.replace("_", "-").replace("hrlr", "hr+lr"), value) for name, value in by_network.items()]
    return pd.DataFrame(
        [
            {"network": name, "width": width, "kind": "same photo", "angle": value, "low": value - 1, "high": value + 1}
            for name, value in rows
        ]
    )


def test_a_network_lies_between_two_others_where_it_is_decidedly_more_like_each():
    assert "lies between them" in text.geometry.lies_between(likeness(hl=0.6, ll=0.5, hh=0.3))
    assert "less like LR-only" in text.geometry.lies_between(likeness(hl=0.6, ll=0.2, hh=0.3))
    assert "do not decide" in text.geometry.lies_between(likeness(hl=0.6, ll=0.31, hh=0.3, noise=0.1))


def test_sharing_is_said_to_bring_features_near_only_where_all_that_share_are_nearer():
    near = angles(112, hrlr=88, kl_only=90, shared_only=40, proposed=36)
    sentence = text.geometry.sharing_brings_near(near, 112)
    assert "Every student that shares the layer is nearer" in sentence and "proposed is 36° away" in sentence
    mixed = angles(hrlr=30, kl_only=90, shared_only=40, proposed=36)
    assert "not every student that shares the layer" in text.geometry.sharing_brings_near(mixed, 16)
    assert "not reached the minimum" not in sentence, "by features of other people alone"
    told = text.geometry.sharing_brings_near(near, 112, {"proposed": 41.4, "shared-only": 70.0})
    assert "they are 41° from them. So not both are" in told
    assert "So not both are" not in text.geometry.sharing_brings_near(near, 112, {"proposed": 1.0})
    arrived = angles(112, hrlr=88, kl_only=90, shared_only=3, proposed=2)
    assert "But even where" not in text.geometry.sharing_brings_near(arrived, 112)


def test_invariance_is_compared_by_intervals_in_either_direction():
    def said(proposed):
        paired = Interval(proposed - 24.2, proposed - 24, proposed - 23.8)  # the networks' own intervals are wider
        return text.geometry.more_invariant(angles(proposed=proposed, hrlr=24), paired, "proposed", "hr+lr", 16)

    assert "*less* resolution-invariant" in said(24.5) and "is more resolution-invariant than HR+LR" in said(23.5)
    assert "not told apart" in said(24.1) and "paired by person +0.1°, -0.1 to +0.3" in said(24.1)


def test_the_gap_and_d_prime_are_said_to_agree_only_where_they_order_the_networks_alike():
    table = pd.DataFrame(
        {
            "network": ["hr+lr", "proposed"],
            "width": 16,
            "gap": [43.4, 42.4],
            "d_prime": [2.0, 2.3],
            "low": 1.9,
            "high": 2.4,
        }
    ).assign(low=1.9, high=2.4)
    assert "HR+LR has the largest gap, proposed the largest d" in text.geometry.gap_and_spread(table, 16)
    assert "proposed is first" in text.geometry.gap_and_spread(table.assign(gap=[40.0, 42.4]), 16)
    rank1 = table[["network", "width"]].assign(protocol="P2", rank1=[60.0, 70.0], low=50.0, high=80.0)
    cells = text.geometry.separation_table(table, rank1)
    assert cells.columns[0] == "network" and cells["rank-1 (%), 16 px"].tolist()[1] == "70.0 (50.0 to 80.0)"
    said = text.geometry.recognised(table, rank1, 16)
    assert (
        "proposed 70.0 %, HR+LR 60.0 %" in said and "d\u2032 puts the networks in this order, the mean gap does" in said
    )
    assert "both d\u2032 and the mean gap put" in text.geometry.recognised(table.assign(gap=[1.0, 2.0]), rank1, 16)
    assert "neither d\u2032 nor" in text.geometry.recognised(table.assign(d_prime=[3.0, 2.0]), rank1, 16)


def test_the_table_of_nearness_compares_weights_without_their_common_vector():
    draw = np.random.default_rng(0)
    teacher = draw.normal(size=(9, 4))
    rows = text.geometry.nearness_table(angles(proposed=36), {"proposed": teacher + 7}, teacher, (16,))
    assert rows["softmax weights"].tolist() == ["0.0°"] and rows["features, 16 px"].tolist() == ["36.0° (35.0 to 37.0)"]

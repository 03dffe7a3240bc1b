"""Differences on pairs of real photos: paired within a seed, with intervals, and a sentence that follows from them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rifr.report import text
from rifr.report.study_tables import Study

RATES = {
    ("proposed", 112): [74.0, 76.5, 75.0],
    ("hr+lr", 112): [71.0, 73.0, 72.5],
    ("proposed", 16): [70.0, 71.0, 72.0],
    ("hr+lr", 16): [70.5, 70.0, 72.5],
    ("shared-only", 112): [76.5, 79.2, 77.4],
}


def record(seeds: int = 3) -> Study:
    rows = [
        {"seed": seed, "measure": "pairs", "protocol": "", "network": name, "at": at, "value": value}
        for (name, at), values in RATES.items()
        for seed, value in enumerate(values[:seeds])
    ]
    return Study({"seeds": list(range(seeds))}, pd.DataFrame(rows))


def test_differences_are_paired_within_a_seed_where_both_networks_were_scored():
    found = text.pairs.differences(record()).set_index(["network", "other", "width"])
    assert set(found.index) == {("proposed", "hr+lr", 112), ("proposed", "hr+lr", 16), ("proposed", "shared-only", 112)}
    for network, other, width in found.index:
        gap = np.subtract(RATES[network, width], RATES[other, width])
        of_t = stats.ttest_1samp(gap, 0).confidence_interval(0.95)
        row = found.loc[network, other, width]
        assert row[["difference", "low", "high"]].tolist() == pytest.approx([gap.mean(), of_t.low, of_t.high])


def test_the_sentence_names_who_is_ahead_and_what_could_not_be_seen():
    found = text.pairs.differences(record())
    said = text.pairs.sentence(found)
    assert "proposed is ahead of HR+LR by 3.0 points (" in said and "shared softmax only is ahead of proposed" in said
    row = found[found.width == 16].iloc[0]
    half = f"{(row.high - row.low) / 2:.1f}"
    assert f"open (1 of 3); their intervals reach {half} to {half} points" in said
    assert text.pairs.table(found).iloc[0]["both photos at 112 px"].startswith("+3.0 (+")


def test_of_one_seed_or_none_nothing_is_decided():
    assert text.pairs.sentence(text.pairs.differences(record(1))) == "No interval excludes zero."
    assert text.pairs.differences(None).empty and text.pairs.sentence(text.pairs.differences(None)) == ""


def test_equal_seeds_have_no_interval_and_the_others_are_told():
    found = text.pairs.differences(record())
    found.loc[found.width == 112, ["low", "high"]] = np.nan
    table = text.pairs.table(found).set_index("accuracy, points")
    assert table.loc["proposed minus HR+LR", "both photos at 112 px"] == "+3.0"
    row = found[found.width == 16].iloc[0]
    half = f"{(row.high - row.low) / 2:.1f}"
    said = text.pairs.sentence(found)
    assert f"open (3 of 3); their intervals reach {half} to {half} points" in said and "nan" not in said

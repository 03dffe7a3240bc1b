"""What is said and drawn of groups of photos and people."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from rifr.evaluation import subgroups
from rifr.report import figures, text
from tests.subgroup_outcomes import ground_truth, simulated, turned_away


def said(wide: float, narrow: float, base: float = 0.6, people: int = 150):
    attributes = ground_truth(people, 6)
    outcome, identities = simulated(turned_away(attributes, wide, narrow, base), people)
    return subgroups.effects(outcome, identities, {"yaw": subgroups.bands(attributes)["yaw"]})


def test_what_is_decided_is_named_with_its_size_and_the_rest_is_not_decided():
    table = said(0.4, 0.0)
    sentence = text.subgroups.real(table, 112)
    row = table[(table.kind == "effect") & (table.band == "from 30°") & (table.width == 112)].iloc[0]
    assert (
        f"**HR-only, 112 px.** Below the reference: yaw from 30° ({row.estimate:+.1f} points, {row.low:+.1f} to "
        f"{row.high:+.1f}). Not decided: yaw 15° to 30°."
    ) in sentence
    assert "Above" not in sentence and "**proposed, 112 px.** Below" in sentence
    assert text.subgroups.real(table, 16).count("Not decided: yaw.") == 2


def test_a_change_is_said_on_both_scales_or_on_the_one_that_decides():
    assert "Loses less than the reference, in points and in odds: yaw from 30°" in text.subgroups.differences(
        said(0.4, 0.0), "change"
    )
    assert "Loses more than the reference, in points and in odds: yaw from 30°" in text.subgroups.differences(
        said(0.0, 0.4), "change"
    )
    assert text.subgroups.differences(said(0.2, 0.2), "change").count("Not decided: yaw.") == 2
    rows = pd.DataFrame({"estimate": [4.0, 0.5], "decided": True})
    first, second = rows.itertuples()
    words = text.subgroups.WORDS["change"]
    one, other = text.subgroups._sign(first, words, 0), text.subgroups._sign(second, words, 1)
    assert text.subgroups._on_both(one, other) == (
        "loses less than the reference in points, but loses more than the reference in odds"
    )
    assert text.subgroups._on_both(one, text.subgroups.UNDECIDED) == (
        "loses less than the reference in points, odds not decided"
    )


def test_the_number_of_comparisons_and_what_went_unseen_are_those_of_the_table():
    table = said(0.4, 0.0)
    assert text.subgroups.family(table).startswith("20 comparisons are made. At 95 % each, about 1 of them")
    assert "each interval is at 99.75 %" in text.subgroups.family(table)
    half = ((table.high - table.low) / 2)[table.kind == "effect"]
    assert f"{half.median():.1f} points between groups of photos" in text.subgroups.unseen(table)
    assert "groups of people" not in text.subgroups.unseen(table)
    gains = table[(table.kind == "gain") & (table.scale == "points")]
    half = ((gains.high - gains.low) / 2).median()
    rows = [{"width": width, "difference": 3.0, "low": 1.0, "high": 5.0} for width in (112, 16)]
    overall = text.subgroups.over_all(pd.DataFrame(rows), table)
    assert overall.startswith(
        "Over all probes of 16 px proposed is ahead of HR-only by 3.0 points (1.0 to 5.0). Whether"
    )
    assert f"half an interval is {half:.1f} points between groups of photos (" in overall


def test_without_ground_truth_or_people_the_sentences_say_so_and_nothing_more():
    outcome, identities = simulated(lambda network, width: 0.5, people=4)
    rates, table = (make(outcome, identities, {}) for make in (subgroups.rates, subgroups.effects))
    assert rates.empty and table.empty
    assert "Nothing is known of these photos" in text.subgroups.known({}, rates)
    cuts = subgroups.bands(ground_truth(4, 6))
    rates, table = (make(outcome, identities, cuts) for make in (subgroups.rates, subgroups.effects))
    assert len(rates) and table.empty
    counted = len(set(identities[cuts["yaw"].index == 0]))
    assert (
        f"21 of 21 groups hold fewer than 10 people, are drawn without an interval and not compared: yaw under 15° "
        f"({counted}), "
    ) in text.subgroups.known(cuts, rates)
    assert "nothing is compared" in text.subgroups.family(table)
    rest = [text.subgroups.real(table, 16), text.subgroups.differences(table, "gain"), text.subgroups.unseen(table)]
    assert rest == ["", text.subgroups.family(table), ""] and text.subgroups.over_all(pd.DataFrame(), table) == ""


# Figures


def test_figures_stand_at_the_tables_values():
    attributes = ground_truth(40, 6)
    outcome, identities = simulated(turned_away(attributes, 0.3, 0.1))
    cuts = {name: cut for name, cut in subgroups.bands(attributes).items() if name in ("yaw", "age")}
    rates, table = (make(outcome, identities, cuts) for make in (subgroups.rates, subgroups.effects))
    figure = figures.subgroups.rates_by_width(rates, "proposed", "P2")
    assert figure.get_figwidth() <= 7  # wider ones are shrunk until their letters are too small
    panel = figure.axes[0]
    rows = rates[(rates.network == "proposed") & (rates.attribute == "yaw") & (rates.band == "from 30°")]
    (curve,) = (line for line in panel.lines if line.get_label() == "from 30°")
    np.testing.assert_allclose(curve.get_ydata(), rows.sort_values("width").rank1)
    assert len({line.get_marker() for line in panel.lines}) == len({line.get_color() for line in panel.lines}) == 3
    labelled, panel = figures.subgroups.effects_at_ends(table, "P2").axes
    rows = table[(table.kind == "effect") & (table.network == "proposed") & (table.width == 16)]
    np.testing.assert_allclose(panel.containers[1].lines[0].get_xdata(orig=False), rows.estimate)
    assert [label.get_text() for label in labelled.get_yticklabels()] == (rows.attribute + " " + rows.band).tolist()
    plt.close("all")

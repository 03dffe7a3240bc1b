"""Sentences say what the numbers say: with other numbers they are other sentences."""

import numpy as np
import pandas as pd
import pytest

from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import verification
from rifr.evaluation.protocols.identification import Identification
from rifr.report import text
from rifr.report.style import scientific


def identified(hits: np.ndarray, trials: np.ndarray) -> Identification:
    """A result of the protocol with these counts per person."""
    nobody = np.zeros(0, int)
    return Identification(np.arange(len(hits)), trials, hits[:, None], nobody, nobody, 0, 100)


def outcome(shares: dict[tuple[str, int], float], people: int = 60) -> Outcome:
    """P1 counts of 20 trials a person, hits drawn about a share by network and width; the same people are easy."""
    ease = np.random.default_rng(0).normal(0, 0.05, people)
    trials = np.full(people, 20)
    results = {
        ("P1", network, width): identified(np.round(20 * np.clip(share + ease, 0, 1)).astype(int), trials)
        for (network, width), share in shares.items()
    }
    return Outcome(results, resamples=300)


DILEMMA = {
    ("hr-only", 112): 0.9,
    ("lr-only", 112): 0.6,
    ("hr+lr", 112): 0.7,
    ("hr-only", 20): 0.2,
    ("lr-only", 20): 0.5,
    ("hr+lr", 20): 0.5,
}


def test_an_outcome_beside_another_has_the_networks_of_both():
    few = {(name, width): share for (name, width), share in DILEMMA.items() if name != "hr+lr"}
    rest = {key: share for key, share in DILEMMA.items() if key not in few}
    pd.testing.assert_frame_equal(
        outcome(few).beside(outcome(rest)).difference("hr+lr", "lr-only"),
        outcome(DILEMMA).difference("hr+lr", "lr-only"),
    )


def difference(*rows: tuple[int, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"protocol": "P1", "width": w, "difference": d, "low": lo, "high": hi} for w, d, lo, hi in rows]
    )


def test_widths_that_come_out_alike_share_a_clause():
    rows = [
        (112, 4.5, 1, 5),
        (60, 2.9, 1, 5),
        (40, 3.0, 1, 5),
        (25, 1, -1, 2),
        (20, -2, -3.5, -0.5),
        (16, -1, -2, -0.5),
    ]
    sentence = text.recognition.comparison(difference(*rows), "P1", "proposed", "hr+lr")
    assert sentence == (
        "**P1: LR-LR.** Proposed against HR+LR: ahead from 112 to 40 px by 2.9 to 4.5 points; undecided at 25 px "
        "(+1.0 points, -1.0 to +2.0); behind at 20 and 16 px by 1.0 to 2.0 points."
    )
    both = text.recognition.comparisons(outcome(DILEMMA), [("hr-only", "lr-only"), ("hr+lr", "lr-only")])
    assert both.count("\n") == 1 and both.startswith("- **HR-only against LR-only**: P1 ahead at 112 px by ")
    alone = text.recognition.comparison(difference(*rows), "P1", "proposed", "hr+lr", [112, 20])
    assert "ahead at 112 px by 4.5 points (1.0 to 5.0); behind at 20 px by 2.0 points (0.5 to 3.5)." in alone


def test_who_leads_is_said_by_width_and_where_the_lead_is_decided():
    (line,) = [line for line in text.recognition.leaders(outcome(DILEMMA)).splitlines() if line.startswith("- ")]
    assert line == (
        "- **P1: LR-LR**: HR-only at 112 px; LR-only at 20 px. The lead over the second is decided at 112 px."
    )
    ahead = {key: share + 0.3 * (key[0] == "hr+lr") for key, share in DILEMMA.items() if key[0] != "hr-only"}
    said = text.recognition.leaders(outcome(ahead))
    assert "HR+LR at every width. The lead over the second is decided at each of them." in said
    assert "decided at none." in text.recognition.leaders(outcome(dict.fromkeys(DILEMMA, 0.5)))


def test_the_papers_figures_stand_beside_the_nearest_width_of_the_run():
    rates = outcome(DILEMMA).table()
    table = text.recognition.beside_the_paper(rates)
    row = table[(table.network == "HR+LR") & (table["width (px)"] == 100)].iloc[0]
    (run,) = (name for name in table if name.startswith("measured"))
    assert run == f"measured (%), {rates.trials[0]:,} trials of {rates.people[0]} people"
    assert "48.40" in set(table["paper (%)"])  # as printed
    assert row["paper (%)"] == "77.64" and row[run].endswith("at 112 px")
    assert table[(table.network == "HR-only") & (table["width (px)"] == 20)]["paper (%)"].item() == "about 25"
    assert table[(table.network == "HR-only") & (table["width (px)"] == 60)]["paper (%)"].item() == "about 90"
    assert "proposed" not in set(table.network)
    fewer = rates.assign(people=rates.people.where(rates.network != "hr+lr", 3))
    counted = text.recognition.beside_the_paper(fewer).set_index("network").people
    assert {"measured (%)", "trials"} <= set(text.recognition.beside_the_paper(fewer))
    assert set(counted["HR+LR"]) == {3} and set(counted["HR-only"]) == {rates.people[0]}


def test_a_chapters_setting_is_said_once_of_the_build_and_of_the_record():
    build, record = "4 probes; seed 0.", "9 probes; 3 seeds."
    assert text.recognition.once(build).endswith(f"This build: {build}")
    alone, beside = text.recognition.once(build, record).split("\n\n")
    assert alone == text.recognition.once(build) and beside.endswith(record)


def test_each_pair_is_decided_or_not_and_near_widths_count_once():
    shares = DILEMMA | {(name, 16): share for (name, width), share in DILEMMA.items() if width == 20}
    of_all = outcome(shares | {("hr+lr", 20): 0.501})
    table, sentence = text.recognition.decisions(of_all, ["hr-only", "lr-only", "hr+lr"], "P1")
    cells = table.set_index("P1: rank-1, points")
    assert cells.columns.tolist() == ["112 px", "25–16 px"] and len(cells) == 3
    assert cells.loc["HR-only minus LR-only", "112 px"].startswith("<strong>+30.")
    gaps = of_all.difference("hr-only", "lr-only").set_index("width").difference[[20, 16]]
    assert cells.loc["HR-only minus LR-only", "25–16 px"].startswith(f"<strong>{gaps.mean():+.1f}<br>(")
    assert not cells.loc["HR+LR minus LR-only", "25–16 px"].startswith("<strong>")
    assert "HR+LR minus HR-only" in cells.index  # as C2 to C4 have them
    assert "5 of 6 differences are decided" in sentence


def test_micro_and_macro_averages_are_told_apart_where_they_differ():
    even = outcome({("hr-only", 20): 0.5})
    assert "both are the same" in text.recognition.averages(even)
    ((key, same),) = even.results.items()
    hits, trials = same.hits.copy(), same.trials_per_person.copy()
    hits[0] = trials[0] = 100
    uneven = Outcome({key: identified(hits, trials)}, 100)
    apart = uneven.table(average="macro").rank1.item() - uneven.table().rank1.item()
    assert apart < -1 and f"{apart:+.1f} at most" in text.recognition.averages(uneven)


def test_a_missing_row_says_what_there_is():
    with pytest.raises(KeyError, match="widths are"):
        text.recognition.row_of(outcome(DILEMMA).table(), "P1", "hr-only", 40)


def roc_outcome(quality: dict[str, float], distractors: int = 60) -> Outcome:
    """Verification of networks whose embeddings stand out of the noise by `quality`, at 25 px, P1 and P2."""
    draw = np.random.default_rng(3)
    people = np.repeat(np.arange(40), 5)
    centres, noise, strangers = (draw.normal(size=shape) for shape in ((40, 32), (200, 32), (distractors, 32)))
    found = {
        (protocol, name, 25): verification.evaluate(*[value * centres[people] + noise] * 2, people, strangers)
        for name, value in quality.items()
        for protocol in ("P1", "P2")
    }
    return Outcome(found, resamples=200)


def test_a_rate_that_the_pairs_cannot_resolve_is_left_out_and_named():
    outcome = roc_outcome({"proposed": 1.0})
    table = outcome.table((1e-2, 1e-4, 1e-9))
    assert "say nothing about an FPR of 1e-09;" in text.recognition.resolvable(table)
    shown = text.recognition.tpr_table(table, 25)
    assert "TPR (%) at FPR 0.01" in shown and not any("1e-09" in name for name in shown)
    assert set(shown["paper (%) at FPR 0.0001"]) == {"50", "60"}
    row = table.iloc[0]
    assert f"is an FPR of {scientific(1 / row.impostor)}." in text.recognition.resolvable(table)
    assert "left out" not in text.recognition.resolvable(outcome.table((1e-2,)))


@pytest.mark.parametrize("second", [51.0, 47.0])
def test_two_ways_to_pair_photos_are_set_side_by_side_and_nothing_is_decided_without_an_interval(second):
    row = {"protocol": "P2", "tpr": 50.0, "low": 48.0, "high": 52.0, "genuine": 3600}
    other = {"protocol": "P1", "tpr": 0.0, "low": 0.0, "high": 0.0, "genuine": 1}
    said = text.recognition.sides({"a": pd.DataFrame([other, row]), "b": pd.DataFrame([row | {"tpr": second}])}, 1e-3)
    assert "- **a**: TPR 50.0 % (48.0 to 52.0) at an FPR of 0.001, 3,600 genuine pairs" in said
    assert f"They are {abs(second - 50):.1f} points apart." in said and "is not decided here" in said

"""Sentences say what the numbers say: with other numbers they are other sentences."""

import numpy as np
import pandas as pd
import pytest

from rifr import narrate
from rifr.results import Outcome


def outcome(shares: dict[tuple[str, int], float], people: int = 60) -> Outcome:
    """P1 counts of 20 trials a person, hits drawn about a share by network and width; the same people are easy."""
    draw = np.random.default_rng(0)
    ease = draw.normal(0, 0.05, people)
    rows = [{"protocol": "P1", "network": network, "width": width, "person": i, "trials": 20,
             "hits": round(20 * float(np.clip(share + ease[i], 0, 1)))}
            for (network, width), share in shares.items() for i in range(people)]  # fmt: skip
    return Outcome(pd.DataFrame(rows), resamples=300)


DILEMMA = {("hr-only", 112): 0.9, ("lr-only", 112): 0.6, ("hr+lr", 112): 0.7,
           ("hr-only", 20): 0.2, ("lr-only", 20): 0.5, ("hr+lr", 20): 0.5}  # fmt: skip


def test_the_dilemma_is_said_where_both_ends_are_decided():
    text = narrate.dilemma(outcome(DILEMMA))
    assert text.startswith("The dilemma is there") and "HR-only 90." in text


def test_half_a_dilemma_and_none_are_said_as_such():
    assert narrate.dilemma(outcome(DILEMMA | {("hr-only", 20): 0.5})).startswith("Half of the dilemma")
    same = {key: 0.5 for key in DILEMMA}
    assert narrate.dilemma(outcome(same)).startswith("This run does not decide")


def difference(*rows: tuple[int, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame([{"protocol": "P1", "width": w, "difference": d, "low": lo, "high": hi} for w, d, lo, hi in rows])


def test_a_verdict_names_who_is_ahead_and_by_how_much():
    text = narrate.comparison(difference((112, 3.0, 1.0, 5.0), (20, -2.0, -3.5, -0.5), (16, 0.5, -1.0, 2.0)), "P1",
                              "proposed", "hr+lr")
    assert "At 112 px proposed is ahead of HR+LR by 3.0 points (1.0 to 5.0)" in text
    assert "at 20 px HR+LR is ahead of proposed by 2.0 points (0.5 to 3.5)" in text
    assert "at 16 px the run does not decide between proposed and HR+LR (+0.5 points, -1.0 to +2.0)" in text


@pytest.mark.parametrize(
    "rows, said",
    [
        ([(112, 3, 1, 5), (20, 2, 1, 3)], "The run agrees with the paper."),
        ([(112, 3, 1, 5), (20, 2, -1, 3)], "agrees with the paper where it decides"),
        ([(112, -3, -5, -1), (20, 2, -1, 3)], "contradicts the paper where it decides"),
        ([(112, 3, 1, 5), (20, -2, -3, -1)], "divided"),
        ([(112, 3, -1, 5), (20, -2, -3, 1)], "decides nothing"),
    ],
)
def test_agreement_with_the_paper_is_counted_from_decided_comparisons(rows, said):
    assert said in narrate.against_the_paper(difference(*rows), "proposed", "hr+lr")


def test_the_papers_figures_stand_beside_the_nearest_width_of_the_run():
    table = narrate.beside_the_paper(outcome(DILEMMA).table())
    row = table[(table.network == "HR+LR") & (table["width (px)"] == 100)].iloc[0]
    assert row["paper (%)"] == "77.64" and row["this run (%)"].endswith("at 112 px")
    assert table[(table.network == "HR-only") & (table["width (px)"] == 20)]["paper (%)"].item() == "about 25"
    assert "proposed" not in set(table.network)


def test_a_missing_row_says_what_there_is():
    with pytest.raises(KeyError, match="widths are"):
        narrate.row_of(outcome(DILEMMA).table(), "P1", "hr-only", 40)

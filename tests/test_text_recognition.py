"""Sentences say what the numbers say: with other numbers they are other sentences."""

import numpy as np
import pandas as pd
import pytest

from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols import verification
from rifr.evaluation.protocols.identification import Identification
from rifr.report import text


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


def test_the_dilemma_is_said_where_both_ends_are_decided():
    sentence = text.recognition.dilemma(outcome(DILEMMA))
    assert sentence.startswith("The dilemma is there") and "HR-only 90." in sentence


def test_half_a_dilemma_and_none_are_said_as_such():
    assert text.recognition.dilemma(outcome(DILEMMA | {("hr-only", 20): 0.5})).startswith("Half of the dilemma")
    same = dict.fromkeys(DILEMMA, 0.5)
    assert text.recognition.dilemma(outcome(same)).startswith("This run does not decide")


def difference(*rows: tuple[int, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"protocol": "P1", "width": w, "difference": d, "low": lo, "high": hi} for w, d, lo, hi in rows]
    )


def test_a_verdict_names_who_is_ahead_and_by_how_much():
    sentence = text.recognition.comparison(
        difference((112, 3.0, 1.0, 5.0), (20, -2.0, -3.5, -0.5), (16, 0.5, -1.0, 2.0)), "P1", "proposed", "hr+lr"
    )
    assert "At 112 px proposed is ahead of HR+LR by 3.0 points (1.0 to 5.0)" in sentence
    assert "at 20 px HR+LR is ahead of proposed by 2.0 points (0.5 to 3.5)" in sentence
    assert "at 16 px the run does not decide between proposed and HR+LR (+0.5 points, -1.0 to +2.0)" in sentence


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
    assert said in text.recognition.against_the_paper(difference(*rows), "proposed", "hr+lr")


def test_the_papers_figures_stand_beside_the_nearest_width_of_the_run():
    table = text.recognition.beside_the_paper(outcome(DILEMMA).table())
    row = table[(table.network == "HR+LR") & (table["width (px)"] == 100)].iloc[0]
    assert row["paper (%)"] == "77.64" and row["this run (%)"].endswith("at 112 px")
    assert table[(table.network == "HR-only") & (table["width (px)"] == 20)]["paper (%)"].item() == "about 25"
    assert "proposed" not in set(table.network)


def test_each_pair_and_width_is_decided_or_not():
    table, sentence = text.recognition.decisions(
        outcome(DILEMMA | {("hr+lr", 20): 0.501}), ["hr-only", "lr-only", "hr+lr"], "P1"
    )
    cells = table.set_index("rank-1, points")
    assert cells.columns.tolist() == ["112 px", "20 px"] and len(cells) == 3
    assert cells.loc["HR-only minus LR-only", "112 px"].startswith("<strong>+30.")
    assert cells.loc["HR-only minus LR-only", "20 px"].startswith("<strong>-30.")
    assert not cells.loc["LR-only minus HR+LR", "20 px"].startswith("<strong>")
    assert "5 of 6 comparisons are decided" in sentence


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


@pytest.mark.parametrize(
    "ours, said",
    [
        (1.5, "The run agrees with the paper."),
        (1.0, "The run decides nothing here."),
        (0.5, "The run contradicts the paper."),
    ],
)
def test_who_is_ahead_in_tpr_is_said_from_paired_intervals(ours, said):
    outcome = roc_outcome({"proposed": ours, "hr+lr": 1.0, "lr-only": 1.0})
    sentence = text.recognition.tpr_verdicts(outcome, 25, 1e-2, "proposed", ["hr+lr", "lr-only"])
    assert said in sentence and "4 paired comparisons" in sentence and "- **P2: LR-HR**: " in sentence


def test_a_rate_that_the_pairs_cannot_resolve_is_left_out_and_named():
    outcome = roc_outcome({"proposed": 1.0})
    table = outcome.table((1e-2, 1e-4, 1e-9))
    assert "say nothing about a FPR of 1e-09;" in text.recognition.resolvable(table)
    shown = text.recognition.tpr_table(table, 25)
    assert "at FPR 0.01" in shown and "at FPR 1e-09" not in shown and set(shown["paper at FPR 0.0001"]) == {"50", "60"}
    assert "left out" not in text.recognition.resolvable(outcome.table((1e-2,)))

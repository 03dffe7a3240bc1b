"""A difference is decided where its interval excludes zero, and the same words say so everywhere."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from rifr.report.text import verdicts


def row(difference, low, high):
    return SimpleNamespace(difference=difference, low=low, high=high)


def test_an_interval_that_touches_zero_or_is_not_known_decides_nothing():
    cases = [(3, 1, 5), (-3, -5, -1), (1, 0, 2), (-1, -2, 0), (1, -1, 3), (1, np.nan, np.nan)]
    table = pd.DataFrame(cases, columns=["difference", "low", "high"])
    assert verdicts.signs(table).tolist() == [1, -1, 0, 0, 0, 0]
    assert verdicts.signs(table[:0]).tolist() == []


def test_who_is_ahead_is_said_with_the_size_and_its_ends_in_order():
    assert verdicts.compared(row(3, 1, 5), "A", "B") == "A is ahead of B by 3.0 points (1.0 to 5.0)"
    assert verdicts.compared(row(-3, -5, -1), "A", "B") == "B is ahead of A by 3.0 points (1.0 to 5.0)"
    assert "not decide between A and B (+1.0 points, -1.0 to +3.0)" in verdicts.compared(row(1, -1, 3), "A", "B")


@pytest.mark.parametrize(
    "low, difference, high, words",
    [
        (0.04, 1.1, 2.2, "+1.1 (+0.04 to +2.2)"),
        (-0.04, 1.1, 2.2, "+1.1 (-0.04 to +2.2)"),
        (-0.2, -0.04, 0.004, "0.0 (-0.2 to +0.004)"),
        (0.0, 1.1, 2.2, "+1.1 (0.0 to +2.2)"),
        (-1e-9, 0.0, 1e-9, "0.0 (0.0 to 0.0)"),
        (np.nan, -1.0, np.nan, "-1.0"),
    ],
)
def test_rounding_hides_neither_the_verdict_nor_prints_a_sign_before_zero(low, difference, high, words):
    assert verdicts.bracketed(difference, low, high) == words
    assert verdicts.span(row(difference, low, high), "") == words.replace(" (", ", ").rstrip(")")


def test_who_is_ahead_keeps_the_decimal_that_decides():
    assert "by 1.0 points (0.03 to 2.0)" in verdicts.compared(row(1, 0.03, 2), "A", "B")
    assert "by 1.0 points (0.03 to 2.0)" in verdicts.compared(row(-1, -2, -0.03), "A", "B")


@pytest.mark.parametrize(
    "decisions, words",
    [
        ([1, 1], "agrees with the paper."),
        ([1, 0], "agrees with the paper where it decides"),
        ([-1, -1], "contradicts the paper."),
        ([-1, 0], "contradicts the paper where it decides"),
        ([1, -1, 0], "divided"),
        ([0, 0], "no interval excludes zero"),
        ([], "no interval excludes zero"),
    ],
)
def test_agreement_with_the_paper_follows_from_the_signs(decisions, words):
    assert words in verdicts.agreement(decisions)


def test_losses_and_gains_are_counted():
    assert verdicts.tally([-1, -1, 1, 0]) == "of 4 comparisons 2 decide for a loss and 1 for a gain"
    assert verdicts.tally([0, 0]) == "in none of 2 comparisons does the interval exclude zero"

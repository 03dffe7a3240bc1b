"""The printed equations and tables, against definitions written out term by term."""

import math

import pytest
import torch

from rifr.report import errata


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 5, generator=draw, dtype=torch.float64)
    q = torch.softmax(torch.randn(4, 5, generator=draw, dtype=torch.float64), dim=1)
    return logits, q, torch.tensor([0, 3, 1, 4])


def test_the_printed_equation_1_is_the_logarithm_of_a_product_of_quotients(batch):
    logits, _, labels = batch
    terms = []
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        terms.append(math.log(math.prod(math.exp(row[y]) / math.exp(t) for t in row)))
    assert float(errata.printed_eq1(logits, labels)) == pytest.approx(sum(terms) / 4)


def test_the_printed_lines_of_equation_2_are_sums_over_the_classes(batch):
    logits, q, _ = batch
    first = second = 0.0
    for row, target in zip(logits.tolist(), q.tolist(), strict=True):
        total = sum(math.exp(t) for t in row)
        p = [math.exp(t) / total for t in row]
        first += sum(b * math.log(a / b) for a, b in zip(p, target, strict=True)) / 4
        second += sum(b * math.log(a) + b * math.log(b) for a, b in zip(p, target, strict=True)) / 4
    assert float(errata.printed_eq2(logits, q)) == pytest.approx(first)
    assert float(errata.printed_eq2_second_line(logits, q)) == pytest.approx(second)


def test_one_minus_after_the_equals_sign_makes_both_lines_of_equation_2_the_divergence(batch):
    logits, q, _ = batch
    divergence = 0.0
    for row, target in zip(logits.tolist(), q.tolist(), strict=True):
        total = sum(math.exp(t) for t in row)
        p = [math.exp(t) / total for t in row]
        divergence += sum(b * math.log(b / a) for a, b in zip(p, target, strict=True)) / 4
    assert divergence > 0.1
    assert float(-errata.printed_eq2(logits, q)) == pytest.approx(divergence)
    assert float(errata.eq2_second_line_with_minus(logits, q)) == pytest.approx(divergence)


def test_near_its_minimum_the_divergence_is_half_the_variance_under_the_teacher_s_probabilities(batch):
    logits, q, _ = batch
    for step in (1e-2, 1e-3):
        near = q.log() + step * logits + 7  # a number added to all logits changes nothing
        exact = (q * (q.log() - torch.log_softmax(near, dim=1))).sum(1).mean()
        assert float(errata.half_variance(near, q)) == pytest.approx(float(exact), rel=3 * step)
    unheard = torch.tensor([[0.5, 0.5, 1e-9]], dtype=torch.float64)
    off = torch.tensor([[0.0, 0.0, 3.0]], dtype=torch.float64)  # wrong only where the teacher does not believe
    assert float(errata.half_variance(unheard.log() + off, unheard)) < 1e-8


def test_length_alone_brings_the_loss_to_zero_at_a_fixed_angle():
    found = errata.loss_by_length(60, (1, 10, 40))
    assert found == pytest.approx([math.log(1 + math.exp(-length / 2)) for length in (1, 10, 40)])
    assert 0 < found[-1] < 1e-8
    assert min(errata.loss_by_length(90, (1, 100))) == pytest.approx(math.log(2))


@pytest.mark.parametrize("printed, trials", [(88.3, 650), (98.6, 400), (95.0, 650), (23.0, 400), (0.0, 7), (100.0, 7)])
def test_possible_counts_are_those_that_print_as_the_percentage(printed, trials):
    # Rounded up and down at a half by exact arithmetic in thousandths of a per cent.
    expected = [
        n
        for n in range(trials + 1)
        if 10 * round(printed * 10) * trials - 5 * trials
        <= 10_000 * n
        <= 10 * round(printed * 10) * trials + 5 * trials
    ]
    assert errata.possible_counts(printed, trials) == expected


def test_the_paper_s_own_row_fits_650_probes_only_and_its_rivals_400_only():
    assert errata.possible_counts(88.3, 650) == [574]
    table = errata.protocols()
    assert "none" not in table.loc["Proposed", "130 people"] and "none" in table.loc["Proposed", "80 people"]
    for rival in ("DCR-FT", "FAN-FT"):
        assert "none" in table.loc[rival, "130 people"] and "none" not in table.loc[rival, "80 people"]


def test_the_averages_of_table_2_are_recomputed_row_by_row():
    table = errata.averages()
    assert table.loc["LDMS", "recomputed"] == pytest.approx((62.7 + 70.7 + 65.5) / 3)
    wrong = table.index[table.difference.abs() > 0.05 + 1e-9]
    assert list(wrong) == ["LDMS", "Proposed"]

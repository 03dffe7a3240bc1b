"""Soft targets, and equation (E), against plain loops."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from rifr import losses
from rifr.evaluation import soft_targets
from rifr.evaluation.calibration import Calibration
from rifr.evaluation.metrics import Interval
from rifr.evaluation.soft_targets import SoftTargets
from rifr.report import errata, figures, text
from rifr.training import trainer
from tests.helpers import TINY, easy_faces


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def logits():
    """Of a teacher, and of a student near it: 6 photos, 9 classes."""
    draw = np.random.default_rng(0)
    teacher = draw.normal(0, 2, (6, 9))
    return teacher + draw.normal(0, 0.01, teacher.shape), teacher


def naive(t, r):
    """KL(q||p) of one photo and half the variance of t - r under q, by the sums."""
    q, p = ([math.exp(x) / sum(math.exp(y) for y in row) for x in row] for row in (r, t))
    off = [x - y for x, y in zip(t, r, strict=True)]
    mean = sum(a * b for a, b in zip(q, off, strict=True))
    variance = sum(a * (b - mean) ** 2 for a, b in zip(q, off, strict=True))
    return sum(a * math.log(a / b) for a, b in zip(q, p, strict=True)), variance / 2


def test_both_sides_of_e_are_the_sums_that_it_names(logits):
    for student in (logits[0], 300 * logits[0] - 299 * logits[1]):  # near, and errors of about 3
        found = np.transpose(soft_targets.second_order(student, logits[1]))
        expected = [naive(t, r) for t, r in zip(student, logits[1], strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_both_sides_of_e_agree_for_small_errors_and_not_for_large_ones(logits):
    near, half = soft_targets.second_order(*logits)
    np.testing.assert_allclose(near, half, rtol=0.05)
    far, half = soft_targets.second_order(300 * logits[0] - 299 * logits[1], logits[1])
    assert np.abs(np.log(half / far)).max() > 0.2


def test_e_at_a_temperature_is_the_loss_of_training_and_what_chapter_4_checks(logits):
    student, teacher = (torch.from_numpy(one) for one in logits)
    q = (teacher / 4).softmax(1)
    divergence, half = (one.mean() for one in soft_targets.second_order(*logits, temperature=4.0))
    assert divergence == pytest.approx(16 * losses.kl_divergence(student / 4, q).item(), rel=1e-6)
    assert half == pytest.approx(16 * errata.half_variance(student / 4, q).item(), rel=1e-6)


def test_a_number_added_to_all_logits_of_a_photo_changes_neither_side(logits):
    student, teacher = logits
    shifted = soft_targets.second_order(student + np.arange(6)[:, None], teacher)
    np.testing.assert_allclose(shifted, soft_targets.second_order(student, teacher), rtol=1e-6)


def targets() -> SoftTargets:
    """Four photos, rows 10 to 13, the teacher surer of each than of the next."""
    logits = np.zeros((4, 7))
    logits[0, 2], logits[1, 5], logits[2, 1], logits[3, 4] = 9, 4, 2, 0.5
    return SoftTargets(np.arange(10, 14), np.array([2, 5, 0, 4]), logits)


def test_right_and_entropy_are_those_of_the_softmax():
    found = targets()
    q = math.exp(4) / (math.exp(4) + 6)
    assert found.right[1] == pytest.approx(q)
    assert found.entropy[1] == pytest.approx(-q * math.log(q) - (1 - q) * math.log((1 - q) / 6))
    assert SoftTargets(found.which, found.labels, found.logits, 1e6).entropy == pytest.approx(math.log(7))


def test_resemblances_go_from_the_surest_photo_to_the_least_sure():
    found = soft_targets.resemblances(targets(), at=(0, 1))
    assert [one.photo for one in found] == [10, 13] and [one.classes[0] for one in found] == [2, 4]
    assert all(len(one.classes) == 5 and (np.diff(one.probabilities) <= 0).all() for one in found)
    assert found[1].entropy == pytest.approx(targets().entropy.max())


def test_a_person_is_pictured_by_another_photo_than_the_one_in_question(tmp_path):
    faces = easy_faces(tmp_path / "faces", people=7, images=2)
    (one,) = soft_targets.resemblances(SoftTargets(np.array([4]), np.array([2]), targets().logits[:1]), at=(0,))
    pictures = one.pictures(faces)
    np.testing.assert_array_equal(pictures[0], faces.images[4])
    np.testing.assert_array_equal(pictures[1], faces.images[5])  # class 2 has rows 4 and 5
    assert len(pictures) == 6
    axes = figures.soft_targets.resemblances([one], [pictures]).axes
    assert axes[1].get_xlabel() == f"{100 * one.probabilities[0]:.1f} %" and axes[0].get_ylabel() == "0.01 nats"
    framed = [place for place, panel in enumerate(axes) if panel.spines["top"].get_visible()]
    assert framed == [1]


@pytest.mark.parametrize(
    "share, shown", [(0.957, "95.7 %"), (0.00023, "0.02 %"), (1e-6, "under 0.01 %"), (0.999991, "over 99.99 %")]
)
def test_probabilities_keep_the_figures_that_tell_them_apart(share, shown):
    assert figures.soft_targets.percent(share) == shown


def test_errors_by_class_are_those_of_a_loop_over_photos(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=8)
    runs = {name: trainer.fit(name, TINY, 0, faces, progress=False) for name in ("hr-only", "proposed")}
    asked = soft_targets.of_teacher(runs["hr-only"], faces, photos=12)
    assert len(asked.which) == 12 and (faces.labels[asked.which] == asked.labels).all()
    table = soft_targets.off_by({"proposed": runs["proposed"]}, asked, faces, [112, 16])
    with torch.no_grad():
        image = torch.from_numpy(faces.images[asked.which[3]].copy())[None].permute(0, 3, 1, 2) / 127.5 - 1
        r, t = ((run.network()(image) @ run.softmax().T)[0].double().numpy() for run in runs.values())
    row = table[table.width == 112].iloc[3]
    divergence, half = naive(t, r)
    assert row.divergence == pytest.approx(divergence, rel=1e-3)
    assert row.half_variance == pytest.approx(half, rel=1e-3)
    q = np.exp(r) / np.exp(r).sum()
    off = t - r - (q * (t - r)).sum()
    first, rest = np.argsort(-q)[:5], np.argsort(-q)[5:]
    assert row.likeliest == pytest.approx(np.sqrt((off[first] ** 2).mean()), rel=1e-3)
    assert row.others == pytest.approx(np.sqrt((off[rest] ** 2).mean()), rel=1e-3)
    assert row.heard == pytest.approx((q * off**2)[first].sum() / (q * off**2).sum(), rel=1e-3)
    p = np.exp(t) / np.exp(t).sum()
    assert row.pulled == pytest.approx(np.abs(p - q)[first].sum() / np.abs(p - q).sum(), rel=1e-3)
    assert row.own == pytest.approx(p[rest].sum(), rel=1e-3) and row.weight == pytest.approx(q[first].sum(), rel=1e-3)
    axes = figures.soft_targets.second_order(table).axes[0]
    points = axes.collections[0].get_offsets()
    assert axes.get_xlim() == axes.get_ylim() and np.log10(axes.get_xlim()) % 1 == pytest.approx(0, abs=1e-9)
    assert len(points) == 12 and points[3].tolist() == pytest.approx([row.divergence, row.half_variance])


def error_table(divergence=1.0, half=1.0, likeliest=1.0, others=3.0, heard=0.7):
    columns = {"divergence": divergence, "half_variance": half, "likeliest": likeliest, "others": others}
    columns |= {"heard": heard, "weight": 0.9, "pulled": 0.55, "own": 0.2}
    return pd.DataFrame([{"network": "proposed", "width": 112, **columns}] * 10)


def test_e_is_said_to_hold_only_where_most_photos_agree():
    good, bad = error_table(half=1.2), error_table(half=0.4).assign(network="kl-only")
    assert "holds for proposed at 112 px" in text.soft_targets.holds(good)
    assert "does not" not in text.soft_targets.holds(good)
    both = text.soft_targets.holds(pd.concat([good, bad]))
    assert "holds for proposed at 112 px" in both and "does not for KL only at 112 px" in both
    assert (
        "0.4 times the divergence for the photo in the middle, and 0.4 times on average" in both
        and text.soft_targets.holds(bad).startswith("(E) holds for no student")
    )
    assert text.soft_targets.listening_table(error_table(half=1.3))["within ×1.25"].tolist() == ["0 %"]


def test_equation_e_answers_why_features_stop_only_where_it_holds():
    good, bad = error_table(half=1.2), error_table(half=0.4).assign(network="kl-only")
    assert "(E) holds here" in text.soft_targets.why_features_stop(good)
    assert "not for all of these" in text.soft_targets.why_features_stop(pd.concat([good, bad]))
    assert "not everywhere" not in text.soft_targets.why_features_stop(bad)
    assert "is not the answer to the question above: it" in text.soft_targets.why_features_stop(bad)


def test_the_loss_is_said_to_listen_only_where_likely_classes_count_for_more_than_their_error():
    said = text.soft_targets.listens(error_table(), 500)
    assert "off 3.0 times as far, and are 30 % of the variance" in said and "make 70 % of the variance" in said
    assert "has 45 % of its size" in said and "20 % of its own probability, where the teacher gives 10 %" in said
    assert f"{100 * 5 / (5 + 495 * 9):.2g} % of the squared error" in said
    assert "nearly flat" in text.soft_targets.listens(error_table(others=1.0, heard=0.3), 25)
    assert text.soft_targets.listens(error_table(), 5) == ""


def test_what_soft_targets_hold_is_told_by_their_numbers():
    found = targets()
    said = text.soft_targets.summary(found)
    assert f"{100 * found.right.mean():.1f} %" in said and "$\\log K$ = 1.95" in said and "25 % of them" in said
    assert "99.9 % to the right person" in text.soft_targets.pictured(soft_targets.resemblances(found))
    pictured = text.soft_targets.pictured(soft_targets.resemblances(found))
    assert "the right one is the likeliest" in pictured and "In 3 of these 4 rows" in pictured


def test_the_conclusion_calls_the_doubt_too_much_or_too_little_only_where_the_interval_decides():
    def concluded(low, high):
        middle = (low + high) / 2
        new = Calibration(10, 5, 0.8, 0.5, 0.6, Interval(low, middle, high), 0.4)
        return text.soft_targets.in_short(targets(), new, error_table())

    assert "doubts more" in concluded(0.7, 0.9)[0] and "doubts less" in concluded(1.2, 1.6)[0]
    assert "doubt" not in concluded(0.9, 1.1)[0]
    assert "have 55 %; they have 90 %" in concluded(0.7, 0.9)[1] and "for 100 % of photos" in concluded(1, 1)[1]

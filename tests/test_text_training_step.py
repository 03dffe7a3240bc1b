"""The numbers of one training step are the norms of its gradients, and the sentence follows them either way."""

import numpy as np
import pytest
import torch

from rifr import losses
from rifr.report import text


@pytest.fixture
def step():
    """The gradients of one step of eq. (3), by hand: (p - q)^T z / N by the layer, (p - q) w / N by the features."""
    draw = torch.Generator().manual_seed(0)
    z_student, z_teacher = torch.randn(2, 6, 4, generator=draw, dtype=torch.float64)
    w = torch.randn(5, 4, generator=draw, dtype=torch.float64)
    q = torch.randn(6, 5, generator=draw, dtype=torch.float64).softmax(1)
    by_w = [((z @ w.T).softmax(1) - q).T @ z / 6 for z in (z_student, z_teacher)]
    by_z = ((z_student @ w.T).softmax(1) - q) @ w / 6
    z_student.requires_grad_(), w.requires_grad_()
    losses.shared_softmax_loss(z_student, z_teacher, w, q).backward()
    torch.testing.assert_close(w.grad, by_w[0] + by_w[1])
    torch.testing.assert_close(z_student.grad, by_z)
    return *by_w, by_z


def test_the_table_has_the_norm_of_each_term_of_their_sum_and_of_each_view(step):
    of_student, of_teacher, z = (part.numpy() for part in step)
    table = text.training_step.gradient_table(*step, ["112 px", "low"])
    expected = [of_student, of_teacher, of_student + of_teacher, z[:3], z[3:]]
    norms = [np.sqrt((part**2).sum()) for part in expected]
    assert table.norm.astype(float).tolist() == pytest.approx(norms, rel=0.06)  # two figures
    assert table["gradient with respect to"].tolist() == ["w_shared"] * 3 + ["z_student, 112 px", "z_student, low"]


def said(*gradients) -> str:
    return text.training_step.pulls(*gradients, lengths=(2.0, 7.5))


def test_the_stronger_term_is_named_whichever_it_is(step):
    of_student, _, z = step
    assert "the teacher's term pulls on w_shared 3.0 times as hard as the student's" in said(
        of_student, 3 * of_student, z
    )
    assert "the student's term pulls on w_shared 4.0 times as hard" in said(4 * of_student, of_student, z)
    assert "student 2, teacher 7.5" in said(of_student, of_student, z)
    assert "has no weight" in said(of_student, 0 * of_student, z)


def test_the_angle_between_the_two_pulls_is_put_in_words(step):
    one, _, z = step
    other = torch.randn(one.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    across = other - (other * one).sum() / (one * one).sum() * one
    assert "much the same way (0°" in said(one, 2 * one, z) and "against each other (180°" in said(one, -one, z)
    assert "little to do with each other (90°" in said(one, across, z)


def test_the_features_gradient_is_called_smaller_only_where_it_is(step):
    one, two, z = step
    large = z / z.norm() * one.norm()
    assert ", smaller than" in said(one, two, 0.5 * large)
    assert "no smaller than" in said(one, two, 2 * large)


def test_low_widths_are_named_in_the_order_of_the_photos():
    assert text.training_step.low_widths(np.array([16, 20, 20])) == "16, 20 and 20 px"
    assert text.training_step.low_widths(None) == "20 px and 16 px"


def test_what_a_training_has_learnt_of_its_photos_is_told_by_first_and_last_epoch():
    ends = {"hr-only": (0.2, 0.94), "hr+lr": (0.1, 0.9), "kl-only": (0.05, 0.8), "shared-only": (0.3, 0.91)}
    histories = {name: [{"accuracy": a}, {"accuracy": 0.5}, {"accuracy": b}] for name, (a, b) in ends.items()}
    part = text.training_step.learnt(histories)
    assert "HR-only 20.0 and 94.0 %; HR+LR 10.0 and 90.0 %" in part and "Sharing" not in part
    whole = text.training_step.learnt(histories | {"proposed": [{"accuracy": 0.1}, {"accuracy": 0.85}]})
    assert (
        "with hard and with soft targets: +20.0 and +5.0 points in the first epoch, +1.0 and +5.0 points in the last."
        in whole
    )
    assert (
        "Soft targets, without and with sharing: -5.0 and -20.0 points in the first epoch, -10.0 and -6.0 points in "
        "the last." in whole
    )

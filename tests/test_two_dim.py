"""The two-dimensional world against autograd, closed forms and the geometry it claims."""

import matplotlib.pyplot as plt
import matplotlib.quiver
import numpy as np
import pandas as pd
import pytest
import torch

from rifr.losses import shared_softmax_loss, soft_cross_entropy
from rifr.report import two_dim


@pytest.fixture(scope="module")
def teacher():
    return two_dim.teacher(1)


@pytest.mark.parametrize("shared", [False, True])
def test_the_written_gradients_are_those_of_the_library_s_losses(teacher, shared):
    draw = torch.Generator().manual_seed(5)
    z = torch.randn(teacher.z.shape, generator=draw, dtype=torch.float64, requires_grad=True)
    w = torch.randn(teacher.w.shape, generator=draw, dtype=torch.float64, requires_grad=True)
    loss = shared_softmax_loss(z, teacher.z, w, teacher.q) if shared else soft_cross_entropy(z @ w.T, teacher.q)
    expected = torch.autograd.grad(len(z) * loss, (z, w))
    found = two_dim.gradients(z.detach(), w.detach(), teacher.q, teacher.z if shared else None)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_finite_differences_find_the_gradient_of_a_known_function():
    a = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    b = torch.tensor([2.0, 0.25], dtype=torch.float64)
    by_a, by_b = two_dim.finite_differences(lambda a, b: (a**2 @ b).sum() + b.prod(), a, b)
    assert torch.allclose(by_a, 2 * a * b) and torch.allclose(by_b, (a**2).sum(0) + b.flip(0))


def test_a_student_does_not_depend_on_those_beside_it(teacher):
    together, alone = (
        two_dim.train("proposed", teacher, seeds=3, steps=20),
        two_dim.train("proposed", teacher, 1, steps=20),
    )
    assert torch.allclose(together.z[0], alone.z[0]) and torch.allclose(together.w[0], alone.w[0])


def test_the_teacher_s_probabilities_are_its_own_softmax(teacher):
    odds = np.exp(teacher.z.numpy() @ teacher.w.numpy().T)
    assert np.allclose(teacher.q.numpy(), odds / odds.sum(1, keepdims=True))
    assert np.array_equal(teacher.targets(two_dim.recipes.get("hr+lr")).argmax(1), teacher.labels)


def test_sharing_brings_features_and_weights_to_the_teacher_s_and_kl_alone_does_not(teacher):
    alone, shared = (
        two_dim.compare(teacher, two_dim.train(name, teacher, seeds=12)) for name in ("kl-only", "proposed")
    )
    assert shared.features.max() < 2 and shared.weights.max() < 2 and shared.divergence.max() < 1e-4
    solved = alone[alone.divergence < 1e-3]
    assert len(solved) >= 4 and solved.features.mean() > 45


def test_descent_keeps_the_mean_of_the_weights_where_it_began(teacher):
    after = two_dim.train("proposed", teacher, seeds=2, steps=300).w.mean(1)
    before = two_dim.train("proposed", teacher, seeds=2, steps=0).w.mean(1)
    assert torch.allclose(after, before, atol=1e-10)


def test_turning_leaves_the_unshared_loss_alone_and_raises_the_shared_one(teacher):
    degrees = np.array([-90.0, -10.0, 0.0, 10.0, 180.0])
    assert np.allclose(two_dim.turning_loss(teacher, False, degrees), 0, atol=1e-12)
    shared = two_dim.turning_loss(teacher, True, degrees)
    assert shared[2] == pytest.approx(0, abs=1e-12) and (np.delete(shared, 2) > 1e-3).all()


def test_turned_undoes_a_rotation_and_a_reflection(teacher):
    turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    mirror = torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    for matrix in (turn, mirror, turn @ mirror):
        assert torch.allclose(two_dim.turned((teacher.z @ matrix)[None], teacher.z)[0], teacher.z)


def test_order_around_the_circle_survives_turns_and_mirrors_but_no_exchange(teacher):
    turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    mirror = torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    exchanged = teacher.w[[1, 0, 2, 3, 4]]
    turned = 3 * teacher.w @ mirror @ turn
    found = two_dim.in_order(torch.stack([teacher.w, teacher.w @ turn, turned, exchanged]), teacher.w)
    assert found.tolist() == [True, True, True, False]


def test_angles_are_in_degrees_and_of_directions_alone():
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 3.0], [-1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    assert torch.allclose(two_dim.angle(a, b), torch.tensor([90.0, 180.0, 45.0], dtype=torch.float64))


def test_the_middle_of_the_seeds_is_their_quantiles_and_mean():
    assert two_dim.middle(pd.Series(np.arange(101.0)), 0.9) == pytest.approx((5.0, 50.0, 95.0))


def test_too_few_people_are_refused():
    with pytest.raises(ValueError, match="people is 2"):
        two_dim.teacher(people=2)


def test_the_forces_are_the_gradients_of_the_two_terms(teacher):
    student = two_dim.train("proposed", teacher, 1, steps=5)
    photos = [int((teacher.labels == person).nonzero()[0]) for person in range(len(teacher.w))]
    z, w, v = (part.clone().requires_grad_() for part in (student.z[0, photos], student.w[0], student.w[0]))
    first = soft_cross_entropy(z @ w.T, teacher.q[photos])
    second = soft_cross_entropy(teacher.z[photos] @ v.T, teacher.q[photos])
    by_z, by_student, by_teacher = torch.autograd.grad(first + second, (z, w, v))
    longest = torch.stack([by_student, by_teacher]).norm(dim=-1).max()
    expected = [by_z / by_z.norm(dim=-1).max(), by_student / longest, by_teacher / longest]
    figure = two_dim.plot_forces(teacher, student)
    arrows = [one for one in figure.axes[0].collections if isinstance(one, matplotlib.quiver.Quiver)]
    for one, slope, start in zip(arrows, expected, (z, w, w), strict=True):
        assert np.allclose(np.stack([one.U, one.V], 1), -slope.numpy()) and np.allclose(one.XY, start.detach().numpy())
    plt.close(figure)


def test_the_figures_show_every_network_they_were_given(teacher):
    groups = [two_dim.train(name, teacher, seeds=2, steps=3) for name in two_dim.COMPARED]
    table = pd.concat([two_dim.compare(teacher, group) for group in groups])
    figures = two_dim.plot_angles(table), two_dim.plot_features(teacher, groups[1:3]), two_dim.plot_turning(teacher)
    ticks = [tick.get_text() for tick in figures[0].axes[0].get_yticklabels()]
    assert ticks == ["HR+LR", "KL only", "shared softmax only", "proposed"]
    assert [axes.get_title() for axes in figures[1].axes] == ["KL only", "shared softmax only"]
    assert np.allclose(figures[2].axes[0].lines[0].get_ydata(), 0, atol=1e-12)
    two_dim.plt.close("all")

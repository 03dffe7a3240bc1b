"""The losses against naive sums, autograd, finite differences and extreme logits."""

import numpy as np
import pytest
import torch

from rifr.losses import kl_divergence, shared_softmax_loss, soft_cross_entropy, softmax_cross_entropy

N, K, D = 5, 7, 4


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def probabilities(seed: int = 1) -> torch.Tensor:
    return numbers(N, K, seed=seed).softmax(1)


def naive_cross_entropy(logits: torch.Tensor, q: torch.Tensor) -> float:
    total = 0.0
    for i in range(len(logits)):
        powers = [np.exp(float(value)) for value in logits[i]]
        total -= sum(float(q[i, k]) * np.log(powers[k] / sum(powers)) for k in range(len(powers)))
    return total / len(logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_soft_cross_entropy_is_the_mean_over_the_batch_of_the_naive_sum(dtype):
    logits, q = numbers(N, K).to(dtype), probabilities().to(dtype)
    assert soft_cross_entropy(logits, q).item() == pytest.approx(naive_cross_entropy(logits, q), rel=1e-5)


def test_hard_targets_are_one_hot_soft_targets():
    logits, labels = numbers(N, K), torch.tensor([0, 6, 2, 2, 5])
    one_hot = torch.eye(K, dtype=logits.dtype)[labels]
    assert softmax_cross_entropy(logits, labels).item() == pytest.approx(naive_cross_entropy(logits, one_hot))


def test_kl_is_zero_at_the_target_and_positive_elsewhere():
    logits = numbers(N, K)
    assert kl_divergence(logits, logits.softmax(1)).item() == pytest.approx(0, abs=1e-12)
    assert kl_divergence(logits, probabilities()).item() > 0.1
    expected = torch.nn.functional.kl_div(logits.log_softmax(1), probabilities(), reduction="batchmean")
    assert kl_divergence(logits, probabilities()).item() == pytest.approx(expected.item())


def test_kl_takes_targets_that_are_exactly_zero():
    q = torch.eye(K, dtype=torch.float64)[:N]
    assert kl_divergence(numbers(N, K), q).item() == pytest.approx(naive_cross_entropy(numbers(N, K), q))


def test_shared_softmax_loss_is_the_sum_of_two_naive_terms():
    z_student, z_teacher, w, q = numbers(N, D), numbers(N, D, seed=2), numbers(K, D, seed=3), probabilities()
    expected = naive_cross_entropy(z_student @ w.T, q) + naive_cross_entropy(z_teacher @ w.T, q)
    assert shared_softmax_loss(z_student, z_teacher, w, q).item() == pytest.approx(expected)
    halved = naive_cross_entropy(z_student @ w.T, q) + 0.5 * naive_cross_entropy(z_teacher @ w.T, q)
    assert shared_softmax_loss(z_student, z_teacher, w, q, teacher_weight=0.5).item() == pytest.approx(halved)


def test_the_gradients_are_equation_4_for_student_and_teacher_logits():
    student, teacher, q = numbers(N, K).requires_grad_(), numbers(N, K, seed=4).requires_grad_(), probabilities()
    identity = torch.eye(K, dtype=torch.float64)  # with w the identity, features are logits
    shared_softmax_loss(student, teacher, identity, q).backward()
    torch.testing.assert_close(student.grad, (student.softmax(1) - q).detach() / N, atol=1e-12, rtol=0)
    torch.testing.assert_close(teacher.grad, (teacher.softmax(1) - q).detach() / N, atol=1e-12, rtol=0)


def test_gradients_agree_with_finite_differences():
    arguments = [
        numbers(N, D).requires_grad_(),
        numbers(N, D, seed=2).requires_grad_(),
        numbers(K, D, seed=3).requires_grad_(),
        probabilities(),
    ]
    assert torch.autograd.gradcheck(shared_softmax_loss, arguments)


@pytest.mark.parametrize("scale, expected", [(1e4, 1e4 * 6 / 7), (-1e4, 1e4 / 7 + np.log(6))])
def test_extreme_logits_give_finite_losses_and_gradients(scale, expected):
    logits = (torch.eye(N, K) * scale).requires_grad_()
    q = torch.full((N, K), 1 / K)
    for loss in (
        soft_cross_entropy(logits, q),
        kl_divergence(logits, q),
        softmax_cross_entropy(logits, torch.arange(N)),
    ):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite() and gradient.isfinite().all()
    assert soft_cross_entropy(logits, q).item() == pytest.approx(expected, rel=1e-5)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"\(N, K\)"):
        soft_cross_entropy(numbers(N, K), probabilities()[:, :-1])

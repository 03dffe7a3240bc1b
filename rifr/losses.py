"""The paper's losses, each under its equation.

Throughout: `z` (N, D) features, `w` (K, D) the weights of the softmax layer, `logits = z @ w.T` (N, K),
`labels` (N,) class numbers, `q` (N, K) probabilities that sum to one. Every loss is the mean over the batch.

The paper prints equations (1) to (3) with slips (a product for a sum, signs that do not follow from one another);
what stands here is what their gradient, equation (4), says they are. The chapter "The gradient" proves it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def softmax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Hard targets, eq. (1).

    $$ L = -\frac{1}{N} \sum_i \log \frac{\exp(w_{y_i}^\top z_i)}{\sum_j \exp(w_j^\top z_i)} $$

    Parameters
    ----------
    logits
        (N, K).
    labels
        (N,) int64 classes.
    """
    return F.cross_entropy(logits, labels)


def soft_cross_entropy(logits: Tensor, q: Tensor) -> Tensor:
    r"""Soft targets: the part of eq. (2) that trains, mean over the batch (not over its N K elements).

    $$ H(q, p) = -\sum_k q_k \log p_k, \qquad p = \mathrm{softmax}(\mathrm{logits}) $$

    Parameters
    ----------
    logits
        (N, K) of the student.
    q
        (N, K) probabilities of the teacher.

    Raises
    ------
    ValueError
        When `logits` and `q` are not both (N, K).
    """
    if logits.shape != q.shape or logits.dim() != 2:
        raise ValueError(f"logits and q must both be (N, K), found {tuple(logits.shape)} and {tuple(q.shape)}.")
    return -(q * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def kl_divergence(logits: Tensor, q_pre: Tensor) -> Tensor:
    r"""Eq. (2) with the sign that makes it a divergence: cross-entropy less the teacher's entropy.

    $$ \mathrm{KL}(q^{pre} \,\|\, p) = \sum_k q^{pre}_k \log \frac{q^{pre}_k}{p_k} $$

    Parameters
    ----------
    logits, q_pre
        (N, K), as for `soft_cross_entropy`.
    """
    entropy = -torch.xlogy(q_pre, q_pre).sum(dim=1).mean()
    return soft_cross_entropy(logits, q_pre) - entropy


def shared_softmax_loss(
    z_student: Tensor, z_teacher: Tensor, w_shared: Tensor, q_pre: Tensor, teacher_weight: float = 1.0
) -> Tensor:
    r"""Eq. (3) without its constant: student and teacher features through one trainable softmax layer.

    $$ l = -\sum_k q^{pre}_k \log p^t_k - \sum_k q^{pre}_k \log p^{pre}_k, \qquad
       p^t \propto \exp(w_k^\top z_t), \quad p^{pre} \propto \exp(w_k^\top z_{pre}) $$

    Its gradient with respect to the two sets of logits is eq. (4): (p_t - q_pre)/N and (p_pre - q_pre)/N.

    Parameters
    ----------
    z_student
        (N, D) the student's features; they train.
    z_teacher
        (N, D) the frozen teacher's features of the same photos in high resolution.
    w_shared
        (K, D) the weights of the one softmax layer; they train.
    q_pre
        (N, K) the teacher's own softmax. One-hot rows make this the ablation "shared softmax only".
    teacher_weight
        Of the second term; the paper weighs both the same.
    """
    student = soft_cross_entropy(z_student @ w_shared.T, q_pre)
    teacher = soft_cross_entropy(z_teacher @ w_shared.T, q_pre)
    return student + teacher_weight * teacher

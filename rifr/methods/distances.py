"""Losses that measure distances: to a person's centre, or to the teacher's feature of the same photo."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rifr.methods.base import Loss, Step, loss
from rifr.presets import Training
from rifr.recipes import Recipe, add


@loss("centre")
class CentreLoss(Loss):
    r"""Centre loss (Wen et al., ECCV 2016): hard targets, and each feature near the running mean of its person's.

    $$ L = L_{softmax} + \frac{\lambda}{2 N} \sum_i \| z_i - c_{y_i} \|^2, \qquad
       c_j \leftarrow c_j - \alpha \frac{\sum_{y_i = j} (c_j - z_i)}{1 + n_j} $$

    with $\lambda$ = 0.003 and $\alpha$ = 0.5, as there. Each of several processes has centres of its own, which
    its own features move; the first one's are stored.
    """

    weight, rate = 0.003, 0.5
    centres: Tensor

    def __init__(self, training: Training, classes: int):
        super().__init__(training, classes)
        self.register_buffer("centres", torch.zeros(classes, training.embedding))

    def forward(self, step: Step) -> Tensor:
        rows, away = step.rows, step.z - self.centres[step.rows]
        if self.training:
            self.follow(away.detach(), rows)
        return F.cross_entropy(step.z @ step.w.T, rows) + self.weight / 2 * away.square().sum(dim=1).mean()

    def follow(self, away: Tensor, rows: Tensor) -> None:
        """Move the centres towards the features that lie `away` (N, D) from those of `rows` (N,)."""
        count = torch.bincount(rows, minlength=self.classes)[:, None]
        moves = torch.zeros_like(self.centres).index_add(0, rows, away)
        self.centres += self.rate * moves / (1 + count)


@loss("distance-tenth")
class Distance(Loss):
    r"""Hard targets, and each feature near the teacher's of the same photo at 112 px: a distance and nothing else.

    $$ L = L_{softmax} + \frac{\lambda}{N D} \sum_i \| z_i - z_{teacher,i} \|^2 $$

    with $\lambda$ = 0.1, which is C-T's, and ten times less and more, a row each (with 10 a training diverged). No
    method of others: it is C-T without its curriculum and its start, so that a shared softmax layer can be compared
    with a distance where start, images, steps and targets are the same.
    """

    weight = 0.1

    def forward(self, step: Step) -> Tensor:
        away = (step.z - step.of_teacher()).square().mean()
        return F.cross_entropy(step.z @ step.w.T, step.rows) + self.weight * away


@loss("distance-hundredth")
class DistanceHundredth(Distance):
    weight = 0.01


@loss("distance-one")
class DistanceOne(Distance):
    weight = 1.0


add(Recipe("centreface", "CentreFace", True, False, "hard", False, loss="centre"))
add(Recipe("distance-hundredth", "distance × 0.01", True, True, "hard", False, loss="distance-hundredth", teacher=True))
add(Recipe("distance-tenth", "distance × 0.1", True, True, "hard", False, loss="distance-tenth", teacher=True))
add(Recipe("distance-one", "distance × 1", True, True, "hard", False, loss="distance-one", teacher=True))

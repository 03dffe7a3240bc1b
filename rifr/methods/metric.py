"""Losses that compare photos with one another, at high and at low resolution, in place of a softmax or beside it."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from rifr.errors import SettingError
from rifr.methods.base import Loss, Step, loss
from rifr.recipes import Recipe, add

TOGETHER = 4
"""Photos of a person in one batch, where a loss compares photos: eight people in a batch of 32."""


def pairwise(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) Euclidean distances between features (N, D) and (M, D), with slope zero where two are one."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def mean_or_zero(values: Tensor) -> Tensor:
    """The mean, 0 of none."""
    return values.sum() / max(values.numel(), 1)


def hardest_triplets(apart: Tensor, labels: Tensor, margin: float) -> Tensor:
    r"""(B,) of each anchor, from the distances `apart` (B, B) of anchors in one view to photos in another.

    $$ T_i = \Big[ \max_{y_j = y_i,\, j \ne i} d_{ij} - \min_{y_k \ne y_i} d_{ik} + m \Big]_+ $$

    A person's only photo counts as the distance 0, and where nobody else is there, nothing is lost.
    """
    same = labels[:, None] == labels
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    farthest = apart.masked_fill(~same | itself, 0.0).amax(1)
    nearest = apart.masked_fill(same, torch.inf).amin(1)
    return F.relu(farthest - nearest + margin)


class OfPairs(Loss):
    """A loss that needs two photos of a person wherever it looks: a process's share of a batch, or a piece of that."""

    uses_softmax = False

    def prepare(self, network: nn.Module, earlier: nn.Module | None) -> None:
        """Raise SettingError where processes or pieces share a batch so that a person's photos part."""
        processes = distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
        if 2 * processes > TOGETHER:
            raise SettingError(
                f"this loss compares the {TOGETHER} photos of a person that a batch holds together, and {processes} "
                f"processes leave none of them two: train it in {TOGETHER // 2} processes or fewer."
            )
        piece, own = self.training_options.micro_batch, TOGETHER // processes
        if piece % own:
            raise SettingError(
                f"this loss compares the {own} photos of a person that lie together in a process's share of a batch, "
                f"and pieces of {piece} would cut some of them apart: choose a micro_batch that is a multiple of {own}."
            )


@loss("octuplet")
class Octuplet(OfPairs):
    r"""Octuplet loss (Knoche et al., FG 2023): a trained network learns that resolution is no difference.

    Each photo is an anchor at high and at low resolution, and is compared with the others at high and at low
    resolution: four triplet losses, each with the farthest photo of the same person and the nearest of another.

    $$ L = \frac{1}{B} \sum_i T_i^{hh} + T_i^{hl} + T_i^{lh} + T_i^{ll}, \qquad d_{ij} = \| z_i - z_j \| $$

    with `hardest_triplets` $T^{hl}$ for anchors at high and the others at low resolution. The margin of 0.5 and the
    Euclidean distance are what the authors' code takes where nothing else is said; here between features of length
    one, because scores are cosines and a margin should not depend on how long features are. It goes on from HR-only,
    where the authors go on from networks trained with an angular margin on millions of photos. Of several processes
    each looks for triplets among its own photos.
    """

    margin = 0.5

    def forward(self, step: Step) -> Tensor:
        views = F.normalize(step.z).unflatten(0, (step.views, -1))  # (V, B, D)
        terms = [hardest_triplets(pairwise(a, b), step.labels, self.margin) for a in views for b in views]
        return 4 * torch.stack(terms).mean()  # four of them, also where each photo comes at both low widths


@loss("ldms")
class DiscriminativeScaling(OfPairs):
    r"""Discriminative multidimensional scaling (Yang et al., SPL 2018): one space for both resolutions.

    Distances in it, between photos at any two resolutions, are those that the photos have at high resolution; a
    person's photos are drawn together, and different people's are driven apart.

    $$ L = \mathop{\mathrm{mean}}_{a \ne b} (q_{ab} - d_{ab})^2
         + \mathop{\mathrm{mean}}_{y_a = y_b,\, a \ne b} q_{ab}^2
         + \mathop{\mathrm{mean}}_{y_a \ne y_b} \big[ \sqrt 2 - q_{ab} \big]_+^2 $$

    with $q_{ab}$ the distance of two rows (a photo at a resolution) and $d_{ab}$ that of their photos in the frozen
    HR-only network, all features at length one, where $\sqrt 2$ is the distance of what has nothing in common. The
    letter looks for a matrix that maps fixed features; here the network itself is the map, from HR-only on, so that
    it trains as much as the others do. Of the letter the terms are known here, not their weights: all are one.
    """

    apart = 2**0.5

    def forward(self, step: Step) -> Tensor:
        z, teacher, rows = F.normalize(step.z), F.normalize(step.of_teacher()), step.rows
        q, d = pairwise(z, z), pairwise(teacher, teacher)  # (V B, V B)
        same, pairs = rows[:, None] == rows, ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        return (
            mean_or_zero((q - d)[pairs].square())
            + mean_or_zero(q[same & pairs].square())
            + mean_or_zero(F.relu(self.apart - q[~same]).square())
        )


add(Recipe("ricnn", "RICNN", True, True, "hard", False))  # Zeng et al., ICB 2016: what HR+LR is
add(Recipe("octuplet", "octuplet", True, True, "hard", False, loss="octuplet", start="hr-only", together=TOGETHER))
add(Recipe("ldms", "LDMS", True, True, "hard", False, loss="ldms", teacher=True, start="hr-only", together=TOGETHER))

r"""Softmax layers with an angular margin: features and classes lie on a sphere, the right class must win by an angle.

$$ L = -\frac{1}{N} \sum_i \log
       \frac{e^{s f(\theta_{y_i})}}{e^{s f(\theta_{y_i})} + \sum_{j \ne y_i} e^{s \cos \theta_j}} $$

with $\theta_j$ the angle between a feature and the weights of class j, s the scale and f the margin.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rifr.methods.base import Loss, Step, loss
from rifr.presets import Training
from rifr.recipes import Recipe, add

CLEAR = 1e-7  # of the cosine from 1, where the angle has no slope
"""How far a cosine is kept from 1 and -1."""

SCALE = 16.0
"""The scale s of all margins here, where the papers take 30 to 64: trainings of ours are short.

With hard targets at 112 px, 500 people, four epochs and no margin a scale of 32 leaves 2 to 3 % of the training photos
right, 16 leaves 36 to 49 %, and a plain softmax layer 74 to 75 % (seeds 0 and 1). A hundredth of error at a cosine of
1 for the right class and 0 for 499 others asks for a scale of 11.
"""

WARM_UP = 0.5
"""The share of training over which a margin grows from zero to its own: with all of it at once a short one diverges.

The papers have none. The learning rate falls just before (presets: at 30/65 of the steps), so that the whole margin
comes at a tenth of the rate.
"""


def cosines(step: Step) -> Tensor:
    """(V B, K) between the features and the classes."""
    return (F.normalize(step.z) @ F.normalize(step.w).T).clamp(-1 + CLEAR, 1 - CLEAR)


def grown(margin: float, progress: float) -> float:
    """The margin at that share of training."""
    return margin * min(1.0, progress / WARM_UP)


def with_margin(cosine: Tensor, rows: Tensor, angle: Tensor | float, less: Tensor | float = 0.0) -> Tensor:
    """The cosines (N, K), that of each row's class `rows` (N,) with `angle` added to its angle, and `less` of it.

    An angle beyond pi counts as pi: the cosine would rise again.
    """
    own = cosine.gather(1, rows[:, None])  # (N, 1)
    moved = torch.cos((own.acos() + angle).clamp(0.0, torch.pi)) - less
    return cosine.scatter(1, rows[:, None], moved)


@loss("arcface")
class ArcFace(Loss):
    r"""ArcFace (Deng et al., CVPR 2019): $f(\theta) = \cos(\theta + m)$ with m = 0.5, as there; for s see `SCALE`.

    Here the margin grows (`WARM_UP`). ArcFace-FT goes on with low views alone and starts again without a margin.
    ArcFace on HR+LR is no method of others: it is what a distance beside the same margin is compared with.
    """

    scale, margin = SCALE, 0.5

    def forward(self, step: Step) -> Tensor:
        moved = with_margin(cosines(step), step.rows, grown(self.margin, step.progress))
        return F.cross_entropy(self.scale * moved, step.rows)


@loss("cosine")
class Cosine(ArcFace):
    r"""No margin, $f(\theta) = \cos\theta$: what lengths that count for nothing, and the scale, do by themselves.

    No method of others: it is what a margin is compared with.
    """

    margin = 0.0


@loss("cosface")
class CosFace(Loss):
    r"""CosFace (Wang et al., CVPR 2018): $f(\theta) = \cos\theta - m$, with F-SKD's m = 0.25; for s see `SCALE`.

    Here the margin grows (`WARM_UP`). The row CosFace on HR+LR is F-SKD without its distance.
    """

    scale, margin = SCALE, 0.25

    def forward(self, step: Step) -> Tensor:
        moved = with_margin(cosines(step), step.rows, 0.0, grown(self.margin, step.progress))
        return F.cross_entropy(self.scale * moved, step.rows)


@loss("adaface")
class AdaFace(Loss):
    r"""AdaFace (Kim et al., CVPR 2022): the margin follows the feature's norm, which stands for the picture's quality.

    $$ f(\theta) = \cos(\theta + g_a) - g_m, \qquad g_a = -m \hat n, \quad g_m = m \hat n + m, \qquad
       \hat n = \left[ \frac{\|z\| - \mu}{\sigma / h} \right]_{-1}^{1} $$

    with m = 0.4, h = 0.333 (for s see `SCALE`); the mean and deviation of norms are running ones (momentum 0.99), as
    there. Here the margin grows (`WARM_UP`), and each of several processes has running ones of its own.
    """

    scale, margin, width, momentum, empty = SCALE, 0.4, 0.333, 0.99, 1e-3
    mean: Tensor
    deviation: Tensor

    def __init__(self, training: Training, classes: int):
        super().__init__(training, classes)
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("deviation", torch.tensor(100.0))

    def forward(self, step: Step) -> Tensor:
        quality = self.quality(step.z.detach().norm(dim=1).clamp(0.001, 100.0))
        margin = grown(self.margin, step.progress)
        moved = with_margin(cosines(step), step.rows, -margin * quality[:, None], margin * (1 + quality[:, None]))
        return F.cross_entropy(self.scale * moved, step.rows)

    @torch.no_grad()
    def quality(self, norms: Tensor) -> Tensor:
        """(N,) from -1 to 1, of the norms (N,); the running mean and deviation take them in."""
        for running, now in ((self.mean, norms.mean()), (self.deviation, norms.std())):
            running.lerp_(now, 1 - self.momentum)
        return ((norms - self.mean) / (self.deviation + self.empty) * self.width).clamp(-1.0, 1.0)


add(Recipe("arcface", "ArcFace", True, False, "hard", False, loss="arcface"))
add(Recipe("cosine-both", "cosine softmax on HR+LR", True, True, "hard", False, loss="cosine"))
add(Recipe("cosface-both", "CosFace on HR+LR", True, True, "hard", False, loss="cosface"))
add(Recipe("arcface-both", "ArcFace on HR+LR", True, True, "hard", False, loss="arcface"))
add(Recipe("arcface-ft", "ArcFace-FT", False, True, "hard", False, loss="arcface", start="arcface"))
add(Recipe("adaface", "AdaFace", True, True, "hard", False, loss="adaface"))

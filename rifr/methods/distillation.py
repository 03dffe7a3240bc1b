"""Losses that learn from a frozen teacher: from its features, the maps of its layers, or its softmax layer.

The teacher is the HR-only network, with a plain softmax layer; those of F-SKD, A-SKD and AdaDistill are trained with
the margin of their students. It sees each photo at 112 px, whichever view of it the student is shown. Where a value
stands in the authors' code alone, it is taken from there.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rifr.errors import SettingError
from rifr.methods.base import Loss, Step, loss
from rifr.methods.margins import ArcFace, CosFace, grown
from rifr.networks import FaceResNet
from rifr.presets import Training
from rifr.recipes import Recipe, add


@loss("c-t")
class CrossResolution(Loss):
    r"""C-T (Massoli, Amato & Falchi, "Cross-resolution learning for face recognition", 2020; [33] of the paper).

    Hard targets, and each feature near the teacher's of the same photo at 112 px. The student starts as a copy of the
    teacher and meets low resolution little by little: a curriculum.

    $$ L = \frac{1}{B} \sum_i s_i \left( L_{softmax}(z_i) + \frac{\lambda}{D} \| z_i - z_{teacher,i} \|^2 \right),
       \qquad s_i = 1 - \tfrac{4}{5} p \text{ (112 px)}, \quad s_i = \tfrac{4}{5} p \text{ (low)} $$

    with $\lambda$ = 0.1. There p is the chance that a photo is brought down to 8, 16, 32, 64 or 128 px, four of which
    are below 112 px; it grows from 0.1 to 1 in steps of 0.1 each 35,000 photos of a data loader's process. Here,
    because each step shows all views as for HR+LR, the views weigh what they have as chances there. That p grows evenly
    over the first half of training is our choice; the low widths are those of all rows. The learning rate is that of
    all rows, not the smaller one of a fine-tuning. The student has had the teacher's steps besides its own; the row
    "C-T from new weights" has not, and is compared with the paper's students at the same number of steps.
    """

    weight, first, below = 0.1, 0.1, 0.8

    def forward(self, step: Step) -> Tensor:
        away = (step.z - step.of_teacher()).square().mean(dim=1)  # (V B,)
        losses = F.cross_entropy(step.z @ step.w.T, step.rows, reduction="none") + self.weight * away
        photos, *lows = losses.unflatten(0, (step.views, -1)).mean(dim=1)  # of each view
        low = self.below * (self.first + grown(1 - self.first, step.progress))
        return (1 - low) * photos + low * torch.stack(lows).mean()


class Maps:
    """What the basic layers of a network gave in its last pass. No module: no `state_dict` holds what it looks into."""

    def __init__(self, network: nn.Module):
        if not isinstance(network, FaceResNet):
            raise SettingError(f"{type(network).__name__} has no basic layers to look into: choose another network.")
        self.network = network
        self.last: dict[int, Tensor] = {}
        for place, layer in enumerate(network.layers):
            layer.register_forward_hook(self.keep(place))

    def keep(self, place: int) -> Callable[[nn.Module, object, Tensor], None]:
        """A hook that notes what the layer at that place gave."""
        last = self.last

        def hook(layer: nn.Module, inputs: object, output: Tensor) -> None:
            last[place] = output

        return hook

    def take(self) -> list[Tensor]:
        """(N, C, H, W) of each layer; they are forgotten."""
        return [self.last.pop(place).float() for place in sorted(self.last)]


class OfMaps(Loss):
    """A loss that compares maps of the student's layers with the teacher's, at one more pass of the teacher a step."""

    ours: Maps
    theirs: Maps

    def prepare(self, network: nn.Module, earlier: nn.Module | None) -> None:
        if earlier is None:
            raise SettingError("this loss looks into a teacher: give its recipe teacher=True.")
        self.ours, self.theirs = Maps(network), Maps(earlier)

    def pairs(self, step: Step) -> list[tuple[Tensor, Tensor]]:
        """Of each layer the student's maps (V, B, C, H, W), and the teacher's (B, C, H, W) of the photos at 112 px."""
        with torch.no_grad():
            self.theirs.network(step.photos)
        pairs = zip(self.ours.take(), self.theirs.take(), strict=True)
        return [(ours.unflatten(0, (step.views, -1)), theirs) for ours, theirs in pairs]


def apart(ours: Tensor, theirs: Tensor) -> Tensor:
    """The mean over V B rows of one minus the cosine of (V, B, ...) and (B, ...), each row one long vector."""
    return 1 - F.cosine_similarity(ours.flatten(2), theirs.flatten(1), dim=-1).mean()


@loss("f-skd")
class FeatureSimilarity(OfMaps):
    r"""F-SKD (Shin, Yu & Lee, "Enhancing low-resolution face recognition with feature similarity KD", 2023).

    Each of the four basic layers is to give a map in the direction of the teacher's of the photo at 112 px. Cosines
    leave lengths alone, which differ between resolutions.

    $$ L = L_{margin} + \frac{\lambda}{4} \sum_{l=1}^{4} \frac{1}{N} \sum_i \left( 1 - \cos(A^l_i, A^l_{teacher,i})
       \right) $$

    with the maps as long vectors, $\lambda$ = 20, and the margin softmax of CosFace, $f(\theta) = \cos\theta - m$ with
    m = 0.25 (for s see `margins.SCALE`), as in the authors' first code (github.com/gist-ailab/feature-similarity-KD,
    commit 460063b). Here the margin grows in the first half of training, as for ArcFace, and each
    photo comes at 112 px and at a low width in one step; there it comes at one of four widths.
    """

    weight = 20.0

    def __init__(self, training: Training, classes: int):
        super().__init__(training, classes)
        self.margin = CosFace(training, classes)

    def forward(self, step: Step) -> Tensor:
        distances = torch.stack([apart(ours, theirs) for ours, theirs in self.pairs(step)])
        return self.margin(step) + self.weight * distances.mean()


@loss("a-skd")
class AttentionSimilarity(OfMaps):
    r"""A-SKD (Shin et al., "Teaching where to look: attention similarity KD", ECCV 2022).

    The student is to attend to the places and channels that the teacher attends to where it sees the photo at 112 px.

    $$ L = L_{ArcFace} + \lambda \sum_{l=1}^{4} \frac{1}{N} \sum_i \left[ \left( 1 - \cos(s^l_i, s^l_{teacher,i})
       \right) + \left( 1 - \cos(c^l_i, c^l_{teacher,i}) \right) \right] $$

    with $\lambda$ = 5, and m = 0.5 of ArcFace (for s see `margins.SCALE`), whose margin grows in the first half of
    training. There s and c come from attention modules (CBAM) inside each of a ResNet's blocks, before their sigmoid,
    so that they may be negative and the sum has a term for every block; and the student sees low resolution alone.
    Here, because all rows have the paper's trunk, they are what attention transfer (Zagoruyko & Komodakis, ICLR 2017)
    takes for them: the mean square of the map of each of four layers over its channels, for each place, and over its
    places, for each channel; and the student sees each photo at 112 px, too.
    """

    weight = 5.0

    def __init__(self, training: Training, classes: int):
        super().__init__(training, classes)
        self.margin = ArcFace(training, classes)

    def forward(self, step: Step) -> Tensor:
        distances = []
        for ours, theirs in self.pairs(step):
            ours, theirs = ours.square(), theirs.square()
            distances.append(apart(ours.mean(dim=2), theirs.mean(dim=1)))  # places
            distances.append(apart(ours.mean(dim=(3, 4)), theirs.mean(dim=(2, 3))))  # channels
        return self.margin(step) + self.weight * torch.stack(distances).sum()


@loss("adadistill")
class AdaDistill(ArcFace):
    r"""AdaDistill (Boutros, Štruc & Damer, "Adaptive knowledge distillation for deep face recognition", ECCV 2024).

    ArcFace whose classes are not learnt but made of the teacher's features: a person's centre is the last one while the
    student is far from its teacher, and their running mean once it is near. What the teacher itself finds hard, far
    from its centre, moves the centre more.

    $$ c_{y_i} \leftarrow \alpha_i c_{y_i} + (1 - \alpha_i) \hat z_{teacher,i}, \qquad
       \alpha_i = [\cos(z_i, z_{teacher,i})]_0^1 \, [\cos(c_{y_i}, z_{teacher,i})]_0^1 $$

    with m = 0.45 (for s see `margins.SCALE`). Here the margin grows in the first half of training, as for ArcFace; the
    teacher sees the photo at 112 px also where the student sees it low; and rows of one person in a batch move its
    centre to the mean of where each would. The softmax layer holds the centres and learns nothing itself. Each of
    several processes has centres of its own, which its own rows move; the first one's are stored.
    """

    margin = 0.45
    centres: Tensor

    def __init__(self, training: Training, classes: int):
        super().__init__(training, classes)
        self.register_buffer("centres", 0.01 * torch.randn(classes, training.embedding))

    def forward(self, step: Step) -> Tensor:
        if self.training:
            self.follow(step)
        with torch.no_grad():
            step.w.copy_(self.centres)
        return super().forward(step)

    @torch.no_grad()
    def follow(self, step: Step) -> None:
        """Move the centres of the people shown towards the teacher's features."""
        rows, theirs = step.rows, F.normalize(step.of_teacher())
        own = self.centres[rows]
        near = [F.cosine_similarity(each, theirs).clamp(0.0, 1.0) for each in (step.z, own)]
        kept = (near[0] * near[1])[:, None]  # (V B, 1)
        count = torch.bincount(rows, minlength=self.classes)[:, None]
        moved = torch.zeros_like(self.centres).index_add(0, rows, kept * own + (1 - kept) * theirs)
        self.centres.copy_(torch.where(count > 0, moved / count.clamp(min=1), self.centres))


_FROM_TEACHER = (("student_start", "teacher"), ("softmax_start", "teacher"))
add(Recipe("c-t", "C-T", True, True, "hard", False, loss="c-t", teacher=True, changes=_FROM_TEACHER))
add(Recipe("c-t-new", "C-T from new weights", True, True, "hard", False, loss="c-t", teacher=True))
add(Recipe("f-skd", "F-SKD", True, True, "hard", False, loss="f-skd", teacher=True))
add(Recipe("a-skd", "A-SKD", True, True, "hard", False, loss="a-skd", teacher=True))
_CENTRES = (("softmax_rate", 0.0),)
add(Recipe("adadistill", "AdaDistill", True, True, "hard", False, loss="adadistill", teacher=True, changes=_CENTRES))

_FROZEN = (("softmax_start", "teacher"), ("softmax_rate", 0.0))
add(Recipe("inherited", "inherited classifier", True, True, "hard", False, changes=_FROZEN))
INHERITED = r"""Inherited classifier (Shi et al., "ProxylessKD", 2020; so does CCFace, Saadabadi et al., IJCB 2023).

Equation (1) with the teacher's softmax layer, which stays as it is: the student's features have to lie where the
teacher's would be told apart.

$$ L = -\frac{1}{N} \sum_i \log p_{y_i}, \qquad p = \text{softmax}(w_{teacher} z_i) $$

There a margin is added to the classifier. Here, because the teacher's is a plain softmax layer, it is used as it was
learnt; CCFace's angular penalty and its comparison of two resolutions are left out. It needs no loss of its own: the
row sets two fields of the preset.
"""

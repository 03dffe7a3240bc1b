"""FAN: identity parted from what else a picture shows, then low resolution adapted to high."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rifr import networks
from rifr.errors import SettingError
from rifr.methods.base import Loss, Step, loss
from rifr.presets import Training
from rifr.recipes import Recipe, add

SIDE = 28
"""Pixels of the pictures that are looked at and drawn again."""


@loss("fan")
class FeatureDisentangling(Loss):
    r"""The first stage of FAN (Yin et al., "FAN: feature adaptation network", ACCV 2020; [17] of the paper).

    A second, small encoder e looks at the photo. A decoder g draws the photo from the feature z and from e(x) together,
    while a classifier c tries to name the person from e(x) alone and e makes it fail. So z has to hold what makes the
    person, and e(x) all else.

    $$ L = L_{softmax}(z) + \lambda \frac{1}{N} \sum_i \| g(z_i, e(x_i)) - x_i \|^2
           + \frac{1}{N} \sum_i \Big( - \log c_{y_i}(\bar e(x_i)) - \frac{\mu}{K} \sum_k \log \bar c_k(e(x_i)) \Big) $$

    where a bar keeps what is under it from learning by that term. Here, on two cores, e and g are small and the
    pictures 28 px wide; $\lambda$ = 10 for the mean over pixels in [-1, 1], $\mu$ = 0.1, 32 numbers in e(x), and all
    parts learn together. The decoder sees z at length one. e, g and c are thrown away after training.
    """

    rebuilds, confuses, others = 10.0, 0.1, 32

    def __init__(self, training: Training, classes: int):
        super().__init__(training, classes)
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (SIDE // 4) ** 2, self.others),
        )
        self.decoder = nn.Sequential(
            nn.Linear(training.embedding + self.others, 32 * (SIDE // 4) ** 2),
            nn.ReLU(),
            nn.Unflatten(1, (32, SIDE // 4, SIDE // 4)),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.PixelShuffle(2),
            nn.ReLU(),
            nn.Conv2d(16, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.classifier = nn.Linear(self.others, classes)
        for part in (self.encoder, self.decoder):
            part.apply(networks.initialise)

    def forward(self, step: Step) -> Tensor:
        photos = F.adaptive_avg_pool2d(step.photos, SIDE)  # (B, 3, 28, 28)
        others = self.encoder(photos)  # (B, 32)
        softmax = F.cross_entropy(step.z @ step.w.T, step.rows)
        pictures = self.decoder(torch.cat([F.normalize(step.z), others.repeat(step.views, 1)], dim=1))
        away = (pictures - photos.repeat(step.views, 1, 1, 1)).square().mean()
        return softmax + self.rebuilds * away + self.unnamed(others, step.labels)

    def unnamed(self, others: Tensor, labels: Tensor) -> Tensor:
        """The classifier's loss for what it learns from, (B, 32), and theirs for how well it does."""
        names = F.cross_entropy(self.classifier(others.detach()), labels)
        frozen = F.linear(others, self.classifier.weight.detach(), self.classifier.bias.detach())
        return names - self.confuses * frozen.log_softmax(dim=1).mean()


@loss("fan-ft")
class FeatureAdaptation(FeatureDisentangling):
    r"""The second stage of FAN, FAN-FT: the network goes on, and features of low views are to be those of the photo.

    The frozen network of the first stage sees each photo at 112 px; each view's feature is to lie where its feature
    lies, and with e of the photo at 112 px it is to draw that photo: face normalisation.

    $$ L = L_{FAN} + \frac{1}{N} \sum_i \| \hat z_i - \hat z^{HR}_i \|^2 $$

    with features of length one. e, g and c start anew, because a start hands on the network and its softmax layer.
    Left out, as a two-core budget has no room for them: the adversarial losses by which features and pictures of both
    resolutions are made alike without pairs (here all low views have their photo), and faces from cameras. Random
    scales are the two low widths, drawn anew in each epoch.
    """

    def prepare(self, network: nn.Module, earlier: nn.Module | None) -> None:
        if earlier is None:
            raise SettingError('this loss goes on from another network: give its recipe a start, such as "fan".')
        self.earlier: Callable[[Tensor], Tensor] = earlier.forward  # no module of the loss

    def forward(self, step: Step) -> Tensor:
        with torch.no_grad():
            theirs = F.normalize(self.earlier(step.photos).float())  # (B, D)
        away = F.normalize(step.z) - theirs.repeat(step.views, 1)
        return super().forward(step) + away.square().sum(dim=1).mean()


add(Recipe("fan", "FAN (stage 1)", True, False, "hard", False, loss="fan"))
add(Recipe("fan-ft", "FAN-FT", True, True, "hard", False, loss="fan-ft", start="fan"))

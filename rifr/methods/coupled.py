"""Deep coupled ResNet (Lu, Jiang & Kot, IEEE SPL 2018; [21] of the paper): a trunk, then a branch for each resolution.

The trunk learns from photos at high and low resolution alike, by softmax and centre loss, and rests from then on. Then
two small branches after it learn to bring the features of high and of low resolution to one space, where a photo's two
features are near each other.

Which branch a face goes through the letter is told: it trains a pair of branches for each width of probes. Here a
network is shown an image and nothing else, so a gate looks at the image's detail and chooses: a concession, for it may
err, and at widths between it takes either. In training each view goes through its own branch, and the gate learns
beside them. One branch serves both low widths. The trunk is the thin network in every preset.

The letter's text was not at hand. The factor of its terms is that of an independent implementation
(github.com/gyfastas/CS7319E1G16), which has branches of one fully connected layer, as here; there it stands before
means over the features' numbers, too, here before sums over them, as Wen et al. have the centre loss. One softmax layer
and one centre serve both resolutions, where that code has some for each. Its FT is a training on photos of SCface,
which we may not have; here the branches' training on the same faces is what is gone on with.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rifr import networks
from rifr.methods.base import Step, loss
from rifr.methods.distances import CentreLoss
from rifr.networks import FaceResNet
from rifr.recipes import Recipe, add


class Gate(nn.Module):
    """(N, 3, 112, 112) -> (N,) a logit: above zero the image has the detail of high resolution.

    It compares the energies of detail at one, two and four pixels: a face brought up from a low width has little of the
    finer ones, whatever its contrast.
    """

    bands, least = 3, 1e-6

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(self.bands - 1, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N,) the logits."""
        return self.linear(self.detail(x)).squeeze(1)

    def detail(self, x: Tensor) -> Tensor:
        """(N, 2) the logarithms of the finer bands' energies, less that of the coarsest."""
        finer, energies = x.mean(1, keepdim=True), []
        for _ in range(self.bands):
            coarser = F.avg_pool2d(finer, 2)
            energies.append((finer - F.interpolate(coarser, scale_factor=2.0)).square().mean((1, 2, 3)))
            finer = coarser
        logs = (torch.stack(energies, 1) + self.least).log()  # (N, 3)
        return logs[:, :-1] - logs[:, -1:]


def branch(embedding: int) -> nn.Linear:
    """A fully connected layer that changes nothing at first."""
    layer = nn.Linear(embedding, embedding)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Coupled(FaceResNet):
    """The thin network as a trunk that rests, a branch for each resolution, and the gate that chooses between them."""

    def __init__(self, embedding: int, dropout: float):
        super().__init__(*networks.THIN, embedding, dropout)
        self.requires_grad_(False)
        self.high, self.low, self.gate = branch(embedding), branch(embedding), Gate()

    def train(self, mode: bool = True) -> Coupled:
        """The branches train; the trunk rests, the means of its normalisation too."""
        super().train(mode)
        for name, part in self.named_children():
            part.train(mode and name in ("high", "low", "gate"))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) in [-1, 1] -> z (N, D)."""
        features = super().forward(x)
        if self.training:
            self.features = features
        return torch.where(self.gate(x)[:, None] > 0, self.high(features), self.low(features))

    def of_views(self, photos: int) -> Tensor:
        """(V B, D) of the views just trained on, the first B at high resolution, each through its own branch."""
        features = self.features.float()
        return torch.cat([self.high(features[:photos]), self.low(features[photos:])])


@networks.add("coupled")
def coupled(embedding: int = 128, dropout: float = 0.0) -> Coupled:
    """DCR's network: two branches of one layer each after the thin network, whose multiplications it has times 1.00."""
    return Coupled(embedding, dropout)


@loss("dcr-trunk")
class Trunk(CentreLoss):
    r"""Hard targets and the centre loss, at high and low resolution: as CentreFace, with $\lambda$ = 0.008."""

    weight = 0.008


@loss("dcr")
class CoupledMappings(CentreLoss):
    r"""DCR's loss of two branches: softmax and centre loss of both, and a photo's two features near each other.

    $$ L = L_{softmax}(z^h, z^l) + \frac{\lambda}{2} \| z - c_y \|^2 + \frac{\alpha}{2} \| z^h - z^l \|^2 $$

    each the mean over its rows, with $\lambda$ = $\alpha$ = 0.008, and one softmax layer and one centre for both, for
    they share a space. To it comes the cross-entropy of the gate, which has weights of its own.
    """

    weight, near = 0.008, 0.008
    networks: tuple[Coupled, ...] = ()  # the student's: as a module of the loss its weights would be stored twice

    def prepare(self, network: nn.Module, earlier: nn.Module | None) -> None:
        self.networks = (network,) if isinstance(network, Coupled) else ()

    def forward(self, step: Step) -> Tensor:
        photos = len(step.labels)
        for network in self.networks:
            step = replace(step, z=network.of_views(photos))
        high, *lows = step.z.unflatten(0, (step.views, -1))
        apart = sum((high - low).square().sum(1).mean() for low in lows) / max(len(lows), 1)
        total = super().forward(step) + self.near / 2 * apart
        for network in self.networks:
            assert step.images is not None
            is_high = (torch.arange(len(step.z), device=step.z.device) < photos).float()
            total = total + F.binary_cross_entropy_with_logits(network.gate(step.images), is_high)
        return total


add(Recipe("dcr-trunk", "DCR trunk", True, True, "hard", False, loss="dcr-trunk", changes=(("network", "thin"),)))
add(
    Recipe(
        "dcr-ft", "DCR-FT", True, True, "hard", False, loss="dcr", start="dcr-trunk", changes=(("network", "coupled"),)
    )
)

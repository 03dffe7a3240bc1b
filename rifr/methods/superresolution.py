"""Methods that enhance a picture before they recognise it: RPCN and CSRI.

Their network is the thin one behind an enhancer, a picture for a picture. The enhancer is held to what the photo shows
at 112 px, and to what makes the person known. Its target is the first view of a step, so these rows show both.

Pictures lie in [-1, 1], and what is summed over pixels in the papers is a mean here, times `PULL`: sums would make
stochastic gradient descent diverge at the rates of the presets, and a plain mean would teach it little.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rifr import networks
from rifr.errors import SettingError
from rifr.methods.base import Loss, Step, loss
from rifr.presets import Training
from rifr.recipes import Recipe, add

PULL = 10.0
"""The weight of a mean over pixels beside one softmax loss."""

WIDTH = 12
"""Channels of the enhancers."""


class Enhancer(nn.Module):
    """Three convolutions, 5x5 at stride 2 and two 3x3, whose channels are the pixels of 2x2 patches in the end.

    Parameters
    ----------
    width
        Channels.
    adds
        Whether they give what is added to the picture, or the picture itself.
    """

    def __init__(self, width: int, adds: bool):
        super().__init__()
        shapes = [(3, width, 5, 2), (width, width, 3, 1), (width, 12, 3, 1)]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, k, s, padding=k // 2) for a, b, k, s in shapes)
        self.adds = adds
        for layer in self.layers:
            networks.initialise(layer)
            nn.init.zeros_(cast(Tensor, layer.bias))
        if adds:  # at first it changes pictures little
            nn.init.normal_(cast(Tensor, self.layers[-1].weight), std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) -> (N, 3, 112, 112)."""
        out = x
        for layer in self.layers[:-1]:
            out = F.relu(layer(out))
        picture = F.pixel_shuffle(self.layers[-1](out), 2)
        return x + picture if self.adds else picture


class Enhanced(nn.Module):
    """An enhancer, and the thin network that sees what it gives."""

    def __init__(self, enhance: Enhancer, embedding: int, dropout: float):
        super().__init__()
        self.enhance = enhance
        self.recognise = networks.thin(embedding, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) in [-1, 1] -> z (N, D)."""
        return self.recognise(self.enhance(x))


@networks.add("csri")
def csri(embedding: int = 128, dropout: float = 0.0) -> Enhanced:
    """CSRI's network. The thin network's multiplications times 1.64: it is the thin network, and an enhancer before it.

    There the enhancer is the twenty layers of VDSR, which add to the picture, as here three do at half the sides.
    """
    return Enhanced(Enhancer(WIDTH, adds=True), embedding, dropout)


@networks.add("rpcn")
def rpcn(embedding: int = 128, dropout: float = 0.0) -> Enhanced:
    """RPCN's network. The thin network's multiplications times 1.64: it is the thin network, and an enhancer before it.

    There the enhancer is three layers of SRCNN's kind, as here at half the sides: they give the picture itself.
    """
    return Enhanced(Enhancer(WIDTH, adds=False), embedding, dropout)


class OfPictures(Loss):
    """A loss that compares what the enhancer made with the photos at 112 px. No `state_dict` holds the enhancer."""

    def prepare(self, network: nn.Module, earlier: nn.Module | None) -> None:
        if not isinstance(network, Enhanced):
            raise SettingError('this loss looks at what an enhancer makes: give its row the network "csri" or "rpcn".')
        made: list[Tensor] = []

        def keep(enhance: nn.Module, inputs: object, output: Tensor) -> None:
            made[:] = [output]

        network.enhance.register_forward_hook(keep)
        self.made, self.enhancer = made, (network.enhance,)  # in a tuple: no module of the loss

    def pictures(self, step: Step) -> tuple[Tensor, Tensor]:
        """(V, B, 3, 112, 112) what the enhancer made of each view, and (B, 3, 112, 112) the photos at 112 px."""
        return self.made.pop().float().unflatten(0, (step.views, -1)), step.photos


@loss("csri")
class ComplementSuperResolution(OfPictures):
    r"""CSRI (Cheng, Zhu & Gong, "Low-resolution face recognition", ACCV 2018; [16] of the paper).

    A sub-network of super-resolution and one of recognition learn together: the pictures that the first makes are to
    look as the photos at high resolution do, and to be told apart by the second.

    $$ L = L_{softmax} + \lambda \frac{1}{N} \sum_i \| g(x_i) - x^{HR}_i \|^2 $$

    with g the enhancer. Here $\lambda$ is `PULL` for the mean over pixels; the photos at 112 px go through the
    enhancer, too, because no network here is told how large a face was. Both parts learn together from the first step,
    where the paper teaches each before. Its complement, native faces of low resolution without a photo at high
    resolution that share the weights, is left out: these rows have no such faces.
    """

    def forward(self, step: Step) -> Tensor:
        made, photos = self.pictures(step)
        softmax = F.cross_entropy(step.z @ step.w.T, step.rows)
        return softmax + PULL * (made - photos).square().mean()


@loss("rpcn-sr")
class CoupledSuperResolution(OfPictures):
    r"""The first stage of RPCN, robust partially coupled networks (Wang et al., CVPR 2016).

    Two enhancers learn super-resolution, g for low views and h for photos at 112 px.
    Part of each layer's filters belongs to both: what resolutions have in common, learnt from both, and what they have
    not, kept apart. Robust: far-off pixels count by their distance, not its square.

    $$ L = \frac{1}{N} \Big( \sum_{i \text{ low}} H_{\delta}(g(x_i) - x^{HR}_i)
           + \sum_{i \text{ at 112 px}} H_{\delta}(h(x_i) - x^{HR}_i) \Big) $$

    with Huber's H. Here half of the filters are shared, $\delta$ = 0.1 in [-1, 1], and the mean over pixels is weighed
    by `PULL`. The recognising part rests but for weight decay and the means of its normalisation, and h is thrown away.
    In the second stage, RPCN, g goes on in front of the recognising part, both trained by the softmax loss on all
    views: g sees the photos at 112 px, too, because no network here is told how large a face was.
    """

    uses_softmax, delta = False, 0.1

    def __init__(self, training: Training, classes: int):
        super().__init__(training, classes)
        other = Enhancer(WIDTH, adds=False).layers
        self.own = nn.ParameterList()  # the filters and biases of h that are not g's, layer by layer
        for weight in other.parameters():
            self.own.append(nn.Parameter(weight.detach()[len(weight) // 2 :].clone()))

    def forward(self, step: Step) -> Tensor:
        made, photos = self.pictures(step)
        pictures = torch.cat([self.of_photos(photos)[None], made[1:]])
        away = F.huber_loss(pictures, photos.expand_as(pictures), delta=self.delta)
        rest = 0.0 * step.z.sum()  # several processes need a slope for each weight, though it is zero
        return PULL * away + rest

    def of_photos(self, photos: Tensor) -> Tensor:
        """(B, 3, 112, 112) what the enhancer h makes of photos at 112 px."""
        out, layers = photos, self.enhancer[0].layers
        for place, layer in enumerate(cast("list[nn.Conv2d]", list(layers))):
            half = len(layer.weight) // 2
            assert layer.bias is not None
            weight = torch.cat([layer.weight[:half], self.own[2 * place]])
            bias = torch.cat([layer.bias[:half], self.own[2 * place + 1]])
            out = F.conv2d(out, weight, bias, cast(int, layer.stride), cast(int, layer.padding))
            if place + 1 < len(layers):
                out = F.relu(out)
        return F.pixel_shuffle(out, 2)


_RPCN = (("network", "rpcn"),)
add(Recipe("csri", "CSRI", True, True, "hard", False, loss="csri", changes=(("network", "csri"),)))
add(Recipe("rpcn-sr", "RPCN (stage 1)", True, True, "hard", False, loss="rpcn-sr", changes=_RPCN))
add(Recipe("rpcn", "RPCN", True, True, "hard", False, start="rpcn-sr", changes=_RPCN))

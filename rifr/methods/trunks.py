"""Networks of other methods: VGGFace and Light CNN, in the thin network's multiplications and trained by softmax.

Both have batch normalisation, which neither paper has: without it four to eight epochs at the rates of the presets
teach them little. Their size is the same in every preset; a preset with `resnet34` would need them larger.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rifr import networks
from rifr.recipes import Recipe, add


def convolution(width_in: int, width_out: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the sides at stride 1, and batch normalisation."""
    return [nn.Conv2d(width_in, width_out, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(width_out)]


class VGG(nn.Sequential):
    """Blocks of 3x3 convolutions, each followed by ReLU, with max-pooling after each block; then two FC layers.

    112 -> 56 -> 28 -> 14 -> 7 -> 3; the feature is the second FC layer, before any ReLU.

    Parameters
    ----------
    widths
        Of each block, the channels of its convolutions.
    hidden
        Of the first FC layer.
    embedding, dropout
        D, and the share of the second FC layer's inputs that are dropped.
    """

    def __init__(self, widths: Sequence[Sequence[int]], hidden: int, embedding: int, dropout: float):
        layers: list[nn.Module] = []
        width_in, side = 3, 112
        for block in widths:
            for width in block:
                layers += [*convolution(width_in, width), nn.ReLU(inplace=True)]
                width_in = width
            layers.append(nn.MaxPool2d(2))
            side //= 2
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Linear(width_in * side * side, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, embedding),
        )
        self.apply(networks.initialise)


@networks.add("vgg")
def vgg(embedding: int = 128, dropout: float = 0.0) -> VGG:
    """VGGFace (Parkhi et al., BMVC 2015): a VGG network, trained by softmax on photos of high resolution.

    The paper's sixteen layers are Simonyan and Zisserman's configuration D, grown from A. Here A's eleven, 6 to 48 wide
    in place of 64 to 512, because D at these multiplications would be 4 to 32 wide; 256 in place of 4096 hidden units.
    The thin network's multiplications times 1.08. The triplet loss that the paper then learns a projection by is left
    out: Table I of our paper compares with the softmax network.
    """
    return VGG(((6,), (12,), (24, 24), (48, 48), (48, 48)), 256, embedding, dropout)


class MaxFeatureMap(nn.Module):
    r"""The larger of two halves of the channels in place of ReLU.

    $$ h_c = \max(x_c, x_{c + C}) $$
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2 C, ...) -> (N, C, ...)."""
        first, second = x.chunk(2, dim=1)
        return torch.maximum(first, second)


class LightCNN(nn.Sequential):
    """A 5x5 stem, four pairs of a 1x1 and a 3x3 convolution, and FC, each followed by a max-feature-map.

    112 -> 56 -> 28 -> 14 -> 7, by the stem's stride and by max-pooling.

    Parameters
    ----------
    widths
        Channels of the stem and of the four pairs, after their max-feature-maps.
    embedding, dropout
        D, and the share of the inputs of FC that are dropped.
    """

    def __init__(self, widths: Sequence[int], embedding: int, dropout: float):
        def maps(width_in: int, width_out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            return [*convolution(width_in, 2 * width_out, kernel, stride), MaxFeatureMap()]

        def pair(place: int) -> list[nn.Module]:
            width_in, width_out = widths[place - 1], widths[place]
            return [*maps(width_in, width_in, 1), *maps(width_in, width_out, 3)]

        super().__init__(
            *maps(3, widths[0], 5, stride=2),  # (N, widths[0], 56, 56)
            *pair(1),
            nn.MaxPool2d(2),
            *pair(2),
            nn.MaxPool2d(2),
            *pair(3),
            *pair(4),
            nn.MaxPool2d(2),  # (N, widths[4], 7, 7)
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(widths[4] * 7 * 7, 2 * embedding),
            MaxFeatureMap(),
        )
        self.apply(networks.initialise)


@networks.add("lightcnn")
def lightcnn(embedding: int = 128, dropout: float = 0.0) -> LightCNN:
    """Light CNN (Wu et al., IEEE TIFS 2018): maps compete in pairs, and the larger value of each pair goes on.

    The nine layers of the paper's Light CNN-9, a seventh as wide; colour in place of grey faces; a stem of stride 2 in
    place of pooling after it, because at stride 1 the stem alone would cost three quarters of the thin network's
    multiplications. Those of all are the thin network's times 1.08. The cleaning of labels is left out: rendered faces
    have no wrong names.

    LightCNN-FT is this network, trained on photos of high resolution and then on faces of low resolution. In Table II
    of our paper FT is a training on photos of SCface, which we may not have.
    """
    return LightCNN((7, 14, 28, 18, 18), embedding, dropout)


add(Recipe("vggface", "VGGFace", True, False, "hard", False, changes=(("network", "vgg"),)))
add(Recipe("lightcnn", "LightCNN", True, False, "hard", False, changes=(("network", "lightcnn"),)))
add(
    Recipe(
        "lightcnn-ft", "LightCNN-FT", False, True, "hard", False, start="lightcnn", changes=(("network", "lightcnn"),)
    )
)

"""CNN-6 and the Wing loss (Feng et al., 2018): from a square that holds a face to its five landmarks."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from rifr.align import FACE_SIZE, TEMPLATE

INPUT = 64  # pixels: the side of what the network sees
CENTRE = (FACE_SIZE - 1) / 2
CROP_SCALE = 1.4
"""The side of the square in which landmarks are found, in face widths."""


def wing_loss(points: Tensor, target: Tensor, w: float = 10.0, epsilon: float = 2.0) -> Tensor:
    """The mean over all coordinates of

        wing(x) = w ln(1 + |x| / epsilon)   for |x| < w
                  |x| - C                   otherwise,   C = w - w ln(1 + w / epsilon)

    Near zero its slope is w / epsilon, so that small errors still pull; C makes both parts meet at |x| = w.

    Parameters
    ----------
    points, target
        Of one shape, in pixels of the 64x64 input.
    w, epsilon
        In pixels; the defaults are Feng et al.'s for this input.
    """
    x = (points - target).abs()
    c = w - w * math.log(1 + w / epsilon)
    # The logarithm of the part that is not taken must stay finite, or its gradient would be lost.
    return torch.where(x < w, w * torch.log1p(x.clamp(max=w) / epsilon), x - c).mean()


class Cnn6(nn.Module):
    """Five 3x3 convolutions, each with ReLU and 2x2 max pooling, and two fully connected layers (Feng et al., 2018).

    (N, 3, 64, 64) in [-1, 1] -> (N, 5, 2) points in pixels. Batch normalisation is ours: without it, in the few epochs
    of a laptop, the network answers with the mean face whatever it sees.

    Parameters
    ----------
    channels
        Of the first convolution, doubled by each next one: 32 as published.
    """

    def __init__(self, channels: int = 32):
        super().__init__()
        widths = [3] + [channels * 2**i for i in range(5)]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in widths[1:])
        self.hidden = nn.Linear(widths[-1] * (INPUT // 32) ** 2, 32 * channels)
        self.points = nn.Linear(32 * channels, 10)
        # It starts with the template's points in the middle of the square, and learns how each face differs.
        with torch.no_grad():
            start = (torch.from_numpy(TEMPLATE) - CENTRE) * INPUT / (CROP_SCALE * FACE_SIZE) + (INPUT - 1) / 2
            self.points.bias.copy_(start.flatten())

    def forward(self, x: Tensor) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms):
            x = nn.functional.max_pool2d(nn.functional.relu(norm(convolution(x))), 2)
        return self.points(nn.functional.relu(self.hidden(x.flatten(1)))).view(-1, 5, 2)

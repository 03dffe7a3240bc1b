"""The network of Fig. 2, and a thin one of the same family for CPUs.

x (N, 3, 112, 112) in [-1, 1]
  -> convolution, BN, ReLU
  -> four basic layers: a first block that may halve the sides, then repeated blocks      (a), (b)
  -> BN, ReLU, dropout, FC                                                                (c)
  -> z (N, D)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rifr.errors import SettingError

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
Builder = Callable[..., nn.Module]
Named = TypeVar("Named", bound=Any)


class BasicBlock(nn.Module):
    """Fig. 2 (a): two 3x3 convolutions beside a residual connection.

    The residual connection is the identity at stride 1 and a 1x1 convolution at stride 2. The first block of the first
    layer keeps its width, so every block at stride 1 can add its input as it is.

    Parameters
    ----------
    width_in, width_out
        Channels.
    stride
        1 or 2.
    """

    def __init__(self, width_in: int, width_out: int, stride: int = 1):
        super().__init__()
        if stride == 1 and width_in != width_out:
            raise ValueError(f"a block at stride 1 adds its input: widths {width_in} and {width_out} must be equal.")
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.relu = nn.ReLU(inplace=True)
        self.residual: nn.Module = nn.Identity()
        if stride != 1:
            self.residual = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.residual(x))


class BasicLayer(nn.Sequential):
    """Fig. 2 (b): a first block with the layer's stride, then `blocks - 1` repetitions at stride 1.

    The other parameters are those of `BasicBlock`.
    """

    def __init__(self, width_in: int, width_out: int, blocks: int, stride: int):
        repetitions = [BasicBlock(width_out, width_out) for _ in range(blocks - 1)]
        super().__init__(BasicBlock(width_in, width_out, stride), *repetitions)


class FaceResNet(nn.Module):
    """Fig. 2 (c): stem, basic layers, BN, ReLU, dropout, FC; (N, 3, 112, 112) -> (N, embedding).

    Parameters
    ----------
    stem
        Kernel and stride of the first convolution.
    widths, blocks, strides
        Channels of the layers, their lengths, and their first strides.
    embedding
        D.
    dropout
        The share of inputs dropped before FC.
    """

    def __init__(
        self,
        stem: tuple[int, int],
        widths: Sequence[int],
        blocks: Sequence[int],
        strides: Sequence[int],
        embedding: int,
        dropout: float,
    ):
        super().__init__()
        kernel, stride = stem
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        inputs = [widths[0], *widths[:-1]]
        self.layers = nn.Sequential(*map(BasicLayer, inputs, widths, blocks, strides))
        side = 112 // stride
        for s in strides:
            side = -(-side // s)
        self.bn = nn.BatchNorm2d(widths[-1])
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[-1] * side * side, embedding)
        self.embedding = embedding
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 112, 112) in [-1, 1] -> z (N, D)."""
        if x.dim() != 4 or x.shape[1:] != (3, 112, 112):
            raise ValueError(f"the network takes (N, 3, 112, 112), found {tuple(x.shape)}: align and resize the faces.")
        out = self.layers(self.stem(x))
        out = self.dropout(self.relu(self.bn(out)))
        return self.fc(out.flatten(1))  # (N, D)


def resnet34(embedding: int = 512, dropout: float = 0.4) -> FaceResNet:
    """Fig. 2's ResNet-34: basic layers of 3, 4, 6 and 3 blocks, 64 to 512 wide, (N, 3, 112, 112) -> (N, 512).

    The stem keeps the sides (3x3, stride 1) and each layer halves them: 112 -> 56 -> 28 -> 14 -> 7.
    """
    return FaceResNet((3, 1), (64, 128, 256, 512), (3, 4, 6, 3), (2, 2, 2, 2), embedding, dropout)


THIN = (5, 2), (16, 32, 64, 128), (1, 1, 1, 1), (2, 2, 2, 2)
"""Stem, widths, blocks and strides of `thin`, for networks that are built on it, too."""


def thin(embedding: int = 128, dropout: float = 0.0) -> FaceResNet:
    """A thin network of the same family for CPUs: a 5x5 stem at stride 2, four layers of one block, 16 to 128 wide.

    112 -> 56 -> 28 -> 14 -> 7 -> 4. A 7x7 stem at stride 4 before three layers costs a sixth less, and with it what is
    learnt from large faces stands less far above what is learnt from small ones (appendix "Choices").
    """
    return FaceResNet(*THIN, embedding, dropout)


NETWORKS: dict[str, Builder] = {"resnet34": resnet34, "thin": thin}
"""What makes a network, given `embedding` and `dropout`, by name; `add` makes it longer."""


def add(name: str) -> Callable[[Builder], Builder]:
    """A decorator that makes a network known by its name; SettingError where another one has it."""
    return known_as(name, NETWORKS, "network")


def known_as(name: str, known: dict[str, Any], kind: str) -> Callable[[Named], Named]:
    """A decorator that enters what it stands on into `known`, where what the same file held before may be replaced.

    Raises
    ------
    SettingError
        Where something from elsewhere has the name; it says which `kind` of thing, and where.
    """

    def enter(thing: Named) -> Named:
        other = known.get(name, thing)
        if (other.__module__, other.__qualname__) != (thing.__module__, thing.__qualname__):
            raise SettingError(f"a {kind} is called {name!r} already, in {other.__module__}: choose another name.")
        known[name] = thing
        return thing

    return enter


def check_name(network: str) -> str:
    """Return the name of a network; SettingError lists the names there are."""
    if network not in NETWORKS:
        import_module("rifr.methods")  # adds those of other methods
    if network not in NETWORKS:
        raise SettingError(f"no network is called {network!r}: choose one of {', '.join(map(repr, NETWORKS))}.")
    return network


def source(network: str) -> ModuleType:
    """The module of a network by its name: other code, another result."""
    return sys.modules[NETWORKS[check_name(network)].__module__]


def build(network: str, embedding: int, dropout: float) -> nn.Module:
    """A new network by its name in `NETWORKS`, (N, 3, 112, 112) in [-1, 1] -> (N, embedding)."""
    return NETWORKS[check_name(network)](embedding, dropout)


def to_input(images: Tensor) -> Tensor:
    """(N, side, side, 3) uint8 -> a network's input (N, 3, side, side) in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def channels_last(network: AnyNetwork, device: torch.device | str | None = None) -> AnyNetwork:
    """The network with its weights laid out as `to_input` lays out images, on a device; None: where it is."""
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Count:
    """What a network costs.

    Attributes
    ----------
    parameters
        All, those that rest too.
    multiplies
        Multiplications for one image.
    """

    parameters: int
    multiplies: int


@torch.no_grad()
def count(network: nn.Module) -> Count:
    """Count the parameters, and the multiplications of the convolutions and FC for one 112x112 image."""
    training, image = network.training, torch.zeros(1, 3, 112, 112, device=next(network.parameters()).device)
    multiplies = multiplications(network.eval(), image)
    network.train(training)
    return Count(sum(p.numel() for p in network.parameters()), multiplies)


def multiplications(module: Callable[[Tensor], object], x: Tensor) -> int:
    """How many a module's convolutions and fully connected layers do for the input `x`."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops() // 2  # the others are additions


def initialise(module: nn.Module) -> None:
    """He et al.'s initialisation for what feeds a ReLU; the paper names none."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)

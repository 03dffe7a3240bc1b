"""What a method's loss is told of a step, and what it is: a module that gives one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from rifr import networks
from rifr.errors import SettingError
from rifr.presets import Training


@dataclass(frozen=True)
class Step:
    """A batch of B photos, each in V views: those at 112 px first where the recipe uses them, then the low ones.

    Attributes
    ----------
    z
        (V B, D) features, one block per view.
    w
        (K, D) the weights of the softmax layer.
    labels
        (B,) class numbers.
    z_teacher, q_pre
        (B, D) the teacher's features of the photos at 112 px and (B, K) its softmax; None for a recipe without one.
    images
        (V B, 3, 112, 112) what the network was shown, in [-1, 1].
    progress
        The share of training that lies behind, from 0 to 1.
    """

    z: Tensor
    w: Tensor
    labels: Tensor
    z_teacher: Tensor | None = None
    q_pre: Tensor | None = None
    images: Tensor | None = None
    progress: float = 0.0

    @property
    def views(self) -> int:
        """V."""
        return len(self.z) // len(self.labels)

    @property
    def rows(self) -> Tensor:
        """(V B,) the class of each row of `z`."""
        return self.labels.repeat(self.views)

    @property
    def photos(self) -> Tensor:
        """(B, 3, 112, 112) the photos at 112 px, the first view of a recipe that shows them."""
        assert self.images is not None
        return self.images[: len(self.labels)]

    def of_teacher(self) -> Tensor:
        """(V B, D) the teacher's features, one row per row of `z`; SettingError where a recipe asks for no teacher."""
        if self.z_teacher is None:
            raise SettingError("this loss compares with a teacher: give its recipe teacher=True.")
        return self.z_teacher.repeat(self.views, 1)


class Loss(nn.Module):
    """A method's loss. What it has of parameters trains with the student, at the same learning rate.

    Parameters
    ----------
    training
        Of the student.
    classes
        K.

    Attributes
    ----------
    uses_softmax
        Whether it depends on the softmax layer; without, that layer rests as it starts.
    """

    uses_softmax = True

    def __init__(self, training: Training, classes: int):
        super().__init__()
        self.training_options, self.classes = training, classes

    def prepare(self, network: nn.Module, earlier: nn.Module | None) -> None:
        """Called once before training, for a loss that looks into the networks.

        Parameters
        ----------
        network
            The student's, on its device.
        earlier
            That of the recipe's teacher or `start`, frozen and in evaluation mode, on the same device; None without.
        """

    def forward(self, step: Step) -> Tensor:
        """The mean over all V B rows."""
        raise NotImplementedError


LOSSES: dict[str, type[Loss]] = {}
"""The losses of other methods by name."""


def loss(name: str) -> Callable[[type[Loss]], type[Loss]]:
    """A decorator that makes a loss known by its name; SettingError where another one has it."""
    return networks.known_as(name, LOSSES, "loss")

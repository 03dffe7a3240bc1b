"""The student: a network with the softmax layer it is trained through, its first weights, loss and learning rate."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from rifr import devices, losses, methods, networks, recipes
from rifr.errors import SettingError
from rifr.presets import Training
from rifr.recipes import Recipe
from rifr.training.runs import Run


class Student(nn.Module):
    """A network and the softmax layer `w_shared` (K, D) that is thrown away after training.

    `loss` names that of another method, which is thrown away, too; "" for the paper's, which have no weights.
    """

    def __init__(self, training: Training, classes: int, loss: str = ""):
        super().__init__()
        self.network = networks.build(training.network, training.embedding, training.dropout)
        self.softmax = nn.Linear(training.embedding, classes, bias=False)
        nn.init.normal_(self.softmax.weight, std=0.01)
        self.loss = methods.get(loss)(training, classes) if loss else None

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def start_from(self, teacher_run: Run, training: Training) -> None:
        """Copy the weights of the network that was trained before, where the configuration says so.

        Raises
        ------
        SettingError
            Where a weight to be copied has no place here: this network is built otherwise.
        """
        starts = {"network.": training.student_start, "softmax.": training.softmax_start}
        copied = tuple(part for part, start in starts.items() if start == "teacher")
        weights = {name: value for name, value in teacher_run.weights().items() if name.startswith(copied)}
        own = self.state_dict()
        homeless = [name for name, value in weights.items() if name not in own or own[name].shape != value.shape]
        if homeless:
            raise SettingError(
                f"the network {training.network!r} cannot start from the {teacher_run.record['recipe']} network of "
                f"{teacher_run.path.name}: {len(homeless)} of its weights have no place here, {homeless[0]} the first. "
                "Choose one network for both."
            )
        self.load_state_dict(weights, strict=False)  # what has no namesake stays new


def recipe_loss(
    recipe: Recipe,
    training: Training,
    z_student: Tensor,
    w: Tensor,
    labels: Tensor,
    teacher_of: tuple[Tensor, Tensor] | None,
) -> Tensor:
    r"""The loss of a recipe: eq. (1), (2) or (3), at the temperature $T$.

    $$ L = T^2 \, l(z_t / T,\, z_{pre} / T), \qquad
       q = q^{pre} \text{ (soft targets) or the one-hot true class (hard targets), smoothed where that is asked for} $$

    Parameters
    ----------
    recipe, training
        Which loss, and its `temperature`, `teacher_weight` and `label_smoothing`.
    z_student
        (V B, D) features of V views of the B photos, one block per view.
    w
        (K, D) the weights of the softmax layer.
    labels
        (B,) class numbers.
    teacher_of
        The teacher's features z_teacher (B, D) and its softmax q_pre (B, K); None for a recipe without a teacher.

    Returns
    -------
    Tensor
        The mean over all V B rows.
    """
    views = len(z_student) // len(labels)
    if teacher_of is None and not training.label_smoothing:
        return losses.softmax_cross_entropy(z_student @ w.T, labels.repeat(views))
    if teacher_of is None:
        q = hard_targets(labels, len(w), training.label_smoothing)
        return losses.soft_cross_entropy(z_student @ w.T, q.repeat(views, 1))
    z_teacher, q_pre = teacher_of
    q = q_pre if recipe.targets == "soft" else hard_targets(labels, len(w), training.label_smoothing)  # (B, K)
    q, temperature = q.repeat(views, 1), training.temperature
    if recipe.shared:
        loss = losses.shared_softmax_loss(
            z_student / temperature, z_teacher.repeat(views, 1) / temperature, w, q, training.teacher_weight
        )
    else:
        loss = losses.soft_cross_entropy(z_student @ w.T / temperature, q)
    return loss * temperature**2


def hard_targets(labels: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    r"""(B, K) the one-hot true classes, of which a share $s$ goes to all K classes alike.

    $$ q_k = (1 - s) \, [k = y] + s / K $$
    """
    true = F.one_hot(labels, classes).float()
    return true + smoothing * (1 / classes - true)


def initial_seed(recipe: Recipe, seed: int) -> int:
    """The seed of a network's first weights: one for the teacher, another for all others of the same seed.

    From the teacher's own noise a student's axes would lie near the teacher's before any lesson, and sharing the
    softmax layer would seem to do less than it does. The others start alike: they differ by their recipes alone.
    """
    return int(np.random.default_rng([seed, recipe.name == recipes.TEACHER]).integers(2**31))


def rate_factor(step: int, steps: int, training: Training) -> float:
    """The learning rate's factor at a step: a rise over the warm-up, then a fall by `decay` at each milestone."""
    rise = training.warmup * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return training.decay ** sum(step >= milestone * steps for milestone in training.milestones)


def compile_where_possible(network: nn.Module, rows: int, fabric: Fabric, one_graph: bool = False) -> None:
    """`torch.compile` a network where a trial with `rows` images works, which is no training; else warn and leave it.

    The compiler works in the trial, so that no time of training is its own.

    Parameters
    ----------
    one_graph
        Whether a GPU may replay its kernels as one graph, because to start each takes longer than it runs. Whoever
        reads a gradient or a layer's output then does so before the next pass, which writes over it.
    """
    options: dict[str, Any] = {"dynamic": False}  # networks of one process have other batches, each its own
    if one_graph and fabric.device.type == "cuda":
        options["mode"] = "reduce-overhead"
    before, was_training = copy.deepcopy(network.state_dict()), network.training
    network.train().compile(**options)
    try:
        with torch.random.fork_rng(devices.generators(fabric.device)):
            for _ in range(3):  # to warm up, to record the graph, to replay it
                with fabric.autocast():
                    z = network(torch.zeros(rows, 3, 112, 112, device=fabric.device))
                z.float().sum().backward()
                network.zero_grad()  # or the next pass adds to what a replayed graph writes over
    except Exception as error:  # a missing compiler, an unknown device: whatever it is, training needs none of it
        network._compiled_call_impl = None  # what `compile` has set
        warnings.warn(
            f"torch.compile does not work here ({str(error).strip().splitlines()[0][:200]}): training goes on "
            f"without it, only slower.",
            stacklevel=2,
        )
    network.load_state_dict(before)
    network.zero_grad()
    network.train(was_training)

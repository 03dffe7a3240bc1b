"""What the shared softmax does to features, in a world small enough to draw: two dimensions and a handful of people.

A frozen teacher has a feature `z_pre` for every photo and a softmax layer `w_pre`; its probabilities are `q_pre`. The
student has no network: its features `z` are free numbers, one vector per photo, so that nothing but the loss decides
where they go. `train` descends the loss of one recipe from random `z` and `w`, for many seeds at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from rifr import recipes
from rifr.errors import SettingError
from rifr.losses import soft_cross_entropy
from rifr.recipes import Recipe
from rifr.report.style import network_style, page_color, text_color

COMPARED = ("hr+lr", "kl-only", "shared-only", "proposed")  # the recipes that differ in targets and sharing alone
MARKS = "osD^vPX*<>"  # of people


@dataclass(frozen=True)
class Teacher:
    """A network of two features, frozen, and the photos that it saw.

    Attributes
    ----------
    z
        (N, 2) features.
    w
        (K, 2) softmax weights.
    q
        (N, K) probabilities.
    labels
        (N,) true classes.
    """

    z: Tensor
    w: Tensor
    q: Tensor
    labels: Tensor

    def targets(self, recipe: Recipe) -> Tensor:
        """What a recipe trains towards, (N, K): the teacher's probabilities, or ones and zeros."""
        return self.q if recipe.targets == "soft" else F.one_hot(self.labels, len(self.w)).to(self.q)


@dataclass(frozen=True)
class Students:
    """S students of one recipe, one per seed.

    Attributes
    ----------
    z
        (S, N, 2) features.
    w
        (S, K, 2) softmax weights.
    """

    recipe: str
    z: Tensor
    w: Tensor


def teacher(seed: int = 0, people: int = 5, photos: int = 8, length: float = 2.0, spread: float = 0.25) -> Teacher:
    """People around a circle, `photos` of each scattered about their direction by `spread` of their length."""
    if people < 3:
        raise SettingError(f"people is {people}: with fewer than 3, two-dimensional features are not determined.")
    draw = torch.Generator().manual_seed(seed)
    angles = 2 * torch.pi * torch.arange(people, dtype=torch.float64) / people
    w = length * torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.arange(people).repeat_interleave(photos)
    z = w[labels] + spread * length * torch.randn(len(labels), 2, generator=draw, dtype=torch.float64)
    return Teacher(z, w, torch.softmax(z @ w.T, dim=1), labels)


def train(
    recipe: str | Recipe, of: Teacher, seeds: int = 40, seed: int = 0, steps: int = 1000, rate: float = 0.1
) -> Students:
    """Descend a recipe's loss from random features and weights, momentum 0.9.

    A photo's feature moves by the gradient of that photo's own loss and a weight by the mean over the photos of a
    person, or features would move N times more slowly than weights. The gradients are eq. (4), written out.

    Parameters
    ----------
    recipe, of
        Its name, and the teacher.
    seeds, seed
        How many starts, side by side, and of their drawing.
    steps, rate
        Of the descent.
    """
    recipe = recipes.get(recipe) if isinstance(recipe, str) else recipe
    start = [torch.Generator().manual_seed(seed * seeds + number) for number in range(seeds)]
    z, w = (
        torch.stack([torch.randn(len(like), 2, generator=draw, dtype=torch.float64) for draw in start])
        for like in (of.z, of.w)
    )
    q, share = of.targets(recipe), len(of.w) / len(of.z)
    speed_z, speed_w = torch.zeros_like(z), torch.zeros_like(w)
    for _ in range(steps):
        by_z, by_w = gradients(z, w, q, of.z if recipe.shared else None)
        speed_z.mul_(0.9).sub_(by_z, alpha=rate)
        speed_w.mul_(0.9).sub_(by_w, alpha=rate * share)
        z, w = z + speed_z, w + speed_w
    return Students(recipe.name, z, w)


def gradients(z: Tensor, w: Tensor, q: Tensor, z_pre: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Of the loss summed over photos, with respect to z (..., N, 2) and w (..., K, 2): eq. (4) and the chain rule.

    With `z_pre` the loss is eq. (3), without it the student's cross-entropy alone.
    """
    student = torch.softmax(z @ w.mT, dim=-1) - q  # eq. (4), left
    by_w = student.mT @ z
    if z_pre is not None:
        by_w = by_w + (torch.softmax(z_pre @ w.mT, dim=-1) - q).mT @ z_pre  # eq. (4), right
    return student @ w, by_w


def finite_differences(loss: Callable[..., Tensor], *inputs: Tensor, step: float = 1e-5) -> list[Tensor]:
    """The gradient of `loss(*inputs)` by each input from values of the loss alone: central differences."""
    gradients = []
    for number, tensor in enumerate(inputs):
        slopes = torch.zeros_like(tensor).flatten()
        for place in range(tensor.numel()):
            shift = torch.zeros_like(tensor).flatten()
            shift[place] = step
            ends = [
                loss(*inputs[:number], tensor + sign * shift.view_as(tensor), *inputs[number + 1 :]) for sign in (1, -1)
            ]
            slopes[place] = (ends[0] - ends[1]).item() / (2 * step)
        gradients.append(slopes.view_as(tensor))
    return gradients


def angle(a: Tensor, b: Tensor) -> Tensor:
    """The angle between vectors along the last axis, in degrees."""
    return torch.rad2deg(torch.acos(F.cosine_similarity(a, b, dim=-1).clamp(-1, 1)))


def centred(w: Tensor) -> Tensor:
    """Softmax weights minus their mean over the classes, which no probability depends on."""
    return w - w.mean(dim=-2, keepdim=True)


def turned(z: Tensor, onto: Tensor) -> Tensor:
    """The rotation or reflection of each z (..., N, 2) that comes closest to `onto` (N, 2): orthogonal Procrustes."""
    u, _, v = torch.linalg.svd(z.mT @ onto)
    return z @ u @ v


def in_order(w: Tensor, like: Tensor) -> Tensor:
    """Whether the vectors of each w (..., K, 2) stand around the circle in the order of `like` (K, 2), either way."""

    def neighbours(vectors: Tensor) -> Tensor:
        around = torch.atan2(vectors[..., 1], vectors[..., 0]).argsort(-1)
        pairs = torch.stack([around, around.roll(-1, -1)], dim=-1).sort(-1).values
        return (pairs[..., 0] * len(like) + pairs[..., 1]).sort(-1).values

    return (neighbours(w) == neighbours(like)).all(-1)


def compare(of: Teacher, students: Students) -> pd.DataFrame:
    """Angles to the teacher in degrees, and the divergence left: one row per seed, means over photos or classes.

    Returns
    -------
    DataFrame
        features: angle(z, z_pre); turned: the same after the best rotation or reflection of all of a student's features
        together; weights: angle(w, w_pre), the classes' common vector removed; raw: angle(w, w_pre) as they are;
        divergence: KL(q_pre || p) in nats; spread: angle of a feature to its own person's weights; in_order: whether
        people stand around the circle in the teacher's order.
    """
    logits = students.z @ students.w.mT
    log_p = F.log_softmax(logits, dim=-1)
    return pd.DataFrame(
        {
            "recipe": students.recipe,
            "seed": range(len(students.z)),
            "features": angle(students.z, of.z).mean(1),
            "turned": angle(turned(students.z, of.z), of.z).mean(1),
            "weights": angle(centred(students.w), centred(of.w)).mean(1),
            "raw": angle(students.w, of.w).mean(1),
            "divergence": (of.q * (of.q.log() - log_p)).sum(-1).mean(1),
            "spread": angle(students.z, centred(students.w)[:, of.labels]).mean(1),
            "in_order": in_order(centred(students.w), centred(of.w)),
        }
    )


def middle(values: pd.Series, share: float = 0.95) -> tuple[float, float, float]:
    """(low, mean, high): the mean over seeds, and the range that holds the middle `share` of them."""
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(np.mean(values)), float(high)


def turning_loss(of: Teacher, shared: bool, degrees: np.ndarray) -> np.ndarray:
    """Loss above its minimum when the teacher's own (z, w) are turned together by each angle, and used as student."""
    losses = []
    for turn in np.deg2rad(degrees):
        rotation = torch.tensor([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        z, w = of.z @ rotation, of.w @ rotation
        loss = soft_cross_entropy(z @ w.T, of.q)
        losses.append(float(loss + soft_cross_entropy(of.z @ w.T, of.q) if shared else loss))
    entropy = float(-(of.q * of.q.log()).sum(1).mean())
    return np.array(losses) - entropy * (1 + shared)


# --- Figures -----------------------------------------------------------------------------------------------------


def plot_turning(of: Teacher) -> Figure:
    """The loss of a perfect student whose features and weights are turned together."""
    figure, axes = plt.subplots(figsize=(5.4, 3.2))
    degrees = np.linspace(-180, 180, 181)
    for name in ("kl-only", "proposed"):
        recipe, style = recipes.get(name), network_style(name)
        style.pop("marker")
        axes.plot(degrees, turning_loss(of, recipe.shared, degrees), label=recipe.label, **style)
    axes.set(xlabel="turn of features and weights together, in degrees", ylabel="loss above its minimum, nats")
    axes.set_xticks(range(-180, 181, 60))
    axes.legend(loc="upper center")
    return figure


def plot_features(of: Teacher, students: list[Students], seed: int = 0, reach: float | None = None) -> Figure:
    """Where one seed's students put their features: a line from each to the teacher's feature of the same photo.

    The axes go to `reach`, or as far as the features do.
    """
    figure, axes = plt.subplots(len(students), 1, figsize=(4.6, 4.2 * len(students)))
    for panel, group in zip(np.atleast_1d(axes), students, strict=True):
        colour = network_style(group.recipe)["color"]
        mine, theirs, w = group.z[seed].numpy(), of.z.numpy(), centred(group.w[seed]).numpy()
        for person in range(len(of.w)):
            shots, mark = (of.labels == person).numpy(), MARKS[person % len(MARKS)]
            x, y = np.stack([mine[shots], theirs[shots]], 1).transpose(2, 1, 0)
            panel.plot(x, y, color=colour, linewidth=0.6, alpha=0.7, zorder=1)
            panel.scatter(*mine[shots].T, marker=mark, color=colour, s=24, zorder=2)
            panel.scatter(*theirs[shots].T, marker=mark, facecolor="none", edgecolor=text_color(), s=46, zorder=3)
        for vectors, shade, style in ((of.w.numpy(), text_color(), ":"), (w, colour, "-")):
            for x, y in vectors:
                arrow = {"arrowstyle": "-|>", "color": shade, "linestyle": style, "shrinkA": 0, "shrinkB": 0}
                panel.annotate("", (x, y), (0, 0), arrowprops=arrow)
        panel.set(title=recipes.get(group.recipe).label, aspect="equal", ylabel="second feature")
        if reach is not None:
            panel.set(xlim=(-reach, reach), ylim=(-reach, reach))
    panel.set_xlabel("first feature")
    panel.scatter([], [], marker="o", color=text_color(), s=24, label="student")
    panel.scatter([], [], marker="o", facecolor=page_color(), edgecolor=text_color(), s=46, label="teacher")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def plot_forces(of: Teacher, students: Students, seed: int = 0) -> Figure:
    """How (3) pulls on one photo per person: minus the gradients of a student's features, and of the rows by these
    and by the teacher's features. The longest arrow of the features is one unit long, and of the rows.
    """
    photos = torch.stack([(of.labels == person).nonzero()[0, 0] for person in range(len(of.w))])
    z, theirs, w = students.z[seed, photos], of.z[photos], students.w[seed]
    by_z, by_student = gradients(z, w, of.q[photos])
    by_teacher = gradients(z, w, of.q[photos], theirs)[1] - by_student
    figure, axes = plt.subplots(figsize=(4.6, 4.9))
    colour, ink = network_style(students.recipe)["color"], text_color()
    axes.plot(*torch.stack([torch.zeros_like(w), w]).permute(2, 0, 1), color=ink, linewidth=1)
    for person, mark in zip(range(len(w)), MARKS, strict=False):
        axes.plot(*theirs[person], mark, color=ink, markerfacecolor="none", markersize=8)
        axes.plot(*z[person], mark, color=colour, markersize=6)
        axes.plot(*w[person], mark, color=ink, markersize=4)
    longest = torch.stack([by_student, by_teacher]).norm(dim=-1).max()
    options: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008, "zorder": 4}
    for start, slope, shade in ((z, by_z / by_z.norm(dim=-1).max(), colour), (w, by_student / longest, colour)):
        axes.quiver(*start.T, *-slope.T, color=shade, **options)
    axes.quiver(*w.T, *-by_teacher.T / longest, color=ink, **options)
    axes.plot([], [], "o", color=ink, markerfacecolor="none", markersize=8, label="teacher's feature: nothing moves it")
    axes.plot([], [], "o", color=colour, markersize=6, label="student's feature")
    axes.plot([], [], "o-", color=ink, markersize=4, linewidth=1, label="row of the shared layer")
    said = "pull between student's features and rows", "pull of the teacher's features on the rows"
    for shade, words in zip((colour, ink), said, strict=True):
        axes.plot([], [], marker=r"$\rightarrow$", color=shade, linestyle="", markersize=14, label=words)
    axes.set(aspect="equal", xlabel="first feature", ylabel="second feature")
    figure.legend(loc="outside lower center")
    return figure


def plot_angles(table: pd.DataFrame) -> Figure:
    """Angles to the teacher, one dot per seed: features above, weights below; bars hold the middle 95 % of seeds."""
    figure, axes = plt.subplots(2, 1, figsize=(5.4, 5.0), sharex=True)
    names = [name for name in COMPARED if name in set(table.recipe)]
    for panel, column in zip(axes, ("features", "weights"), strict=True):
        for row, name in enumerate(names):
            values, style = table.loc[table.recipe == name, column], network_style(name)
            low, mean, high = middle(values)
            height = row + 0.25 + 0.2 * np.linspace(-1, 1, len(values)) / 2
            panel.scatter(values, height, s=9, color=style["color"], alpha=0.6, linewidths=0)
            panel.plot([low, high], [row, row], color=style["color"], linewidth=2.5)
            panel.plot(mean, row, style["marker"], color=style["color"], markersize=8, markeredgecolor=text_color())
        panel.set(title=f"{column}: angle to the teacher's", xlim=(-4, 184), ylim=(len(names) - 0.4, -0.4))
        panel.set_xticks(range(0, 181, 30))
        panel.set_yticks(range(len(names)), [recipes.get(name).label for name in names])
        panel.grid(axis="y", visible=False)
    axes[1].set_xlabel("degrees, mean over photos or people")
    return figure

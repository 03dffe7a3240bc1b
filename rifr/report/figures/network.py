"""Block diagrams, and the table behind them: what a network is made of, found by running it.

`stages(network)` runs one image through and notes each part in the order in which it worked. Figure 2 of the paper is
three drawings of the result: `block` (a), `layer` (b), `network` (c). `training(recipe)` is Figure 4: the recipe
decides which boxes and arrows there are. Every function is pure: modules or recipes in, matplotlib figures out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import BoxStyle, Circle, FancyArrowPatch, FancyBboxPatch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from rifr.networks import BasicBlock, BasicLayer, FaceResNet, multiplications
from rifr.recipes import Recipe
from rifr.report.style import page_color, text_color

WIDTH = 3.75  # inches: 360 pixels on the page, so that a phone shows a diagram whole
SMALL = (nn.BatchNorm2d, nn.ReLU, nn.Dropout)  # parts that share a box with those before and after them
FILL = {"convolution": "#0173b2", "dense": "#de8f05", "small": "#949494", "plain": "none", "loss": "#d55e00"}


@dataclass(frozen=True)
class Stage:
    """A part of a network: its name in the module, what it is, and what one image costs it.

    side, channels    of its output; a vector has side 1
    multiplies        of its convolutions and fully connected layers
    """

    name: str
    what: str
    kind: str
    channels: int
    side: int
    parameters: int
    multiplies: int

    @property
    def shape(self) -> str:
        """Channels, height and width, as the diagrams print them."""
        return str(self.channels) if self.side == 1 else f"{self.channels} × {self.side} × {self.side}"


def describe(module: nn.Module) -> str:
    """A part in the words of Fig. 2, read off the module: `3×3 convolution, 64, stride 2`."""
    if isinstance(module, nn.Conv2d):
        stride = f", stride {module.stride[0]}" if module.stride[0] != 1 else ""
        return f"{module.kernel_size[0]}×{module.kernel_size[1]} convolution, {module.out_channels}{stride}"
    if isinstance(module, BasicBlock):
        return f"basic block, {module.conv2.out_channels} wide, stride {module.conv1.stride[0]}"
    if isinstance(module, BasicLayer):
        first, *_ = blocks_of(module)
        number = f"{len(module)} basic block{'s' if len(module) > 1 else ''}"
        return f"{number}, {first.conv2.out_channels} wide, stride {first.conv1.stride[0]}"
    if isinstance(module, nn.Dropout):
        return f"dropout {module.p:g}"
    if isinstance(module, nn.Linear):
        return f"FC, {module.in_features} → {module.out_features}"
    if isinstance(module, nn.Sequential):
        return ", ".join(map(describe, module))
    return {nn.BatchNorm2d: "BN", nn.ReLU: "ReLU", nn.Identity: "identity"}.get(type(module), type(module).__name__)


def blocks_of(layer: BasicLayer) -> list[BasicBlock]:
    """The basic blocks of a layer, in order."""
    return [block for block in layer if isinstance(block, BasicBlock)]


def stages(network: FaceResNet) -> list[Stage]:
    """The parts of a network in the order in which an image meets them; BN, ReLU and dropout count as one part."""
    names = ["stem", *(f"layers.{i}" for i in range(len(network.layers))), "bn", "relu", "dropout", "fc"]
    found: list[Stage] = []
    for name, part, entered, left in passes(network, names, torch.zeros(1, 3, 112, 112)):
        what, parameters = describe(part), sum(p.numel() for p in part.parameters())
        kind = "small" if isinstance(part, SMALL) else "dense" if isinstance(part, nn.Linear) else "convolution"
        if kind == "small" and found and found[-1].kind == "small":
            before = found.pop()
            name, what = f"{before.name}, {name}", f"{before.what}, {what}"
            parameters += before.parameters
        side = left.shape[-1] if left.dim() == 4 else 1
        found.append(Stage(name, what, kind, left.shape[1], side, parameters, multiplications(part, entered)))
    return found


@torch.no_grad()
def passes(module: nn.Module, names: Sequence[str], x: Tensor) -> list[tuple[str, nn.Module, Tensor, Tensor]]:
    """(name, part, its input, its output) of the parts of a copy of `module`, in the order in which it calls them."""
    module = copy.deepcopy(module).cpu().eval()
    seen: list[tuple[str, nn.Module, Tensor, Tensor]] = []

    def note(name: str) -> RemovableHandle:
        part = module.get_submodule(name)
        return part.register_forward_hook(lambda _, entered, left: seen.append((name, part, entered[0], left)))

    hooks = [note(name) for name in names]
    module(x)
    for hook in hooks:  # or a part that is run again would be noted again
        hook.remove()
    return seen


def table(network: FaceResNet) -> pd.DataFrame:
    """`stages(network)` to read: one row per part, the last row their sum."""
    names = ("part", "what it is", "output", "parameters", "multiplications")
    parts = stages(network)
    rows = [(s.name, s.what, s.shape, s.parameters, s.multiplies) for s in parts]
    sums = sum(s.parameters for s in parts), sum(s.multiplies for s in parts)
    return pd.DataFrame([*rows, ("whole", "", parts[-1].shape, *sums)], columns=names)


# --- Figure 2 ----------------------------------------------------------------------------------------------------


def network(module: FaceResNet) -> Figure:
    """Fig. 2 (c): the whole network from image to feature, with the shape after each part."""
    parts = stages(module)
    canvas = Canvas(WIDTH, 0.85 + 0.72 * len(parts))
    x = 0.6
    canvas.note(0.1, 0.15, "image x,  3 × 112 × 112", size=10)
    y = 0.28
    for part in parts:
        y = canvas.box(WIDTH / 2, canvas.down(x, y, y + 0.3), WIDTH - 0.2, part.what, part.kind)
        canvas.note(x + 0.12, y + 0.15, f"{part.shape}    ({part.name})")
    canvas.note(0.1, canvas.down(x, y, y + 0.3) + 0.13, f"feature z,  {module.embedding}", size=10)
    return canvas.figure


def layer(module: BasicLayer) -> Figure:
    """Fig. 2 (b): the first block with the layer's stride, then the repetitions at stride 1."""
    first, *repetitions = blocks_of(module)
    canvas = Canvas(WIDTH, 1.3 if not repetitions else 2.25)
    x = WIDTH / 2
    y = canvas.down(x, 0.02, 0.3)
    y = canvas.box(x, y, WIDTH - 0.2, describe(first), "convolution", f"residual: {describe(first.residual)}")
    if repetitions:
        y = canvas.down(x, y, y + 0.3)
        text = f"{len(repetitions)} × {describe(repetitions[0])}"
        y = canvas.box(x, y, WIDTH - 0.2, text, "convolution", f"residual: {describe(repetitions[0].residual)}")
    canvas.down(x, y, y + 0.3)
    return canvas.figure


def block(module: BasicBlock) -> Figure:
    """Fig. 2 (a): the convolutions on the left, the residual connection on the right, their sum."""
    # The residual connection is the last to work before the sum, so what follows it follows the sum.
    x = torch.zeros(1, module.conv1.in_channels, 8, 8)
    order = [(name, part) for name, part, *_ in passes(module, [name for name, _ in module.named_children()], x)]
    turn = [name for name, _ in order].index("residual")
    residual = list(module.residual) if isinstance(module.residual, nn.Sequential) else [module.residual]
    words = "\n".join(map(describe, residual)).replace("convolution, ", "convolution,\n")
    texts = [describe(part).replace("convolution, ", "convolution,\n") for _, part in order]
    kinds = ["small" if isinstance(part, SMALL) else "convolution" for _, part in order]
    rows = list(zip(texts, kinds, strict=True))
    before, after = rows[:turn], rows[turn + 1 :]
    canvas = Canvas(WIDTH, 0.92 + sum(Canvas.height(text) + 0.22 for text, _ in before + after))
    left, right, fork = 0.98, 2.9, 0.15
    y = top = canvas.down(left, 0.02, 0.32)
    for text, kind in before:
        y = canvas.box(left, y, 1.8, text, kind)
        y = canvas.down(left, y, y + 0.22)
    bottom = y + 0.13
    middle, height = (top + bottom) / 2, canvas.height(words)
    canvas.line([(left, fork), (right, fork)])
    canvas.down(right, fork, middle - height / 2)
    canvas.box(right, middle - height / 2, 1.5, words, "plain" if len(residual) == 1 else "convolution")
    canvas.line([(right, middle + height / 2), (right, bottom)])
    canvas.arrow(right, bottom, left + 0.13, bottom)
    y = canvas.sum(left, bottom)
    for text, kind in after:
        y = canvas.down(left, y, y + 0.22)
        y = canvas.box(left, y, 1.8, text, kind)
    canvas.down(left, y, y + 0.28)
    return canvas.figure


# --- Figure 4 ----------------------------------------------------------------------------------------------------


def training(recipe: Recipe) -> Figure:
    """Fig. 4, for any of the six recipes: what is frozen (hatched), what trains, and which losses there are."""
    soft, shared = recipe.targets == "soft", recipe.shared
    # Columns from left to right: the targets, the teacher's features in the shared softmax, the student.
    columns = [name for name, there in (("target", True), ("teacher", shared), ("student", True)) if there]
    centre = {name: WIDTH * (i + 0.5) / len(columns) for i, name in enumerate(columns)}
    student, single, tall = centre["student"], 1.17, Canvas.height("a", "b")
    top, nets, softmaxes, outputs, losses = 0.05, 1.1, 2.1, 3.25, 4.15  # the y of each row
    canvas = Canvas(WIDTH, losses + tall + 0.05)

    widths = ["112 px"] * recipe.uses_hr + ["20 or 16 px"] * recipe.uses_lr
    photos = [(student, ("same photo,\n" if recipe.needs_teacher else "photo,\n") + " and\n".join(widths))]
    canvas.box(student, nets, single, "student" if recipe.needs_teacher else "network", "convolution", "trains")
    if recipe.needs_teacher:
        span = [centre[name] for name, there in (("target", soft), ("teacher", shared)) if there]
        middle = sum(span) / len(span)
        photos.append((middle, "photo,\n112 px"))
        canvas.box(middle, nets, max(single, max(span) - min(span) + 0.8), "teacher", "frozen", "HR-only, frozen")
    for x, text in photos:
        canvas.down(x, canvas.box(x, top, single, text, "plain", height=0.78), nets)

    canvas.down(student, nets + tall, softmaxes, "$z_t$")
    if soft:
        canvas.down(centre["target"], nets + tall, softmaxes, "$z_{pre}$")
        y = canvas.box(centre["target"], softmaxes, single, "softmax $w_{pre}$", "frozen", "frozen")
        canvas.down(centre["target"], y, outputs - 0.15)
    words, size = ("$q^{pre}$", 11) if soft else ("$q$: 1 for the true\nperson, else 0", 9)
    canvas.text(centre["target"], outputs, words, size)
    if shared:
        canvas.down(centre["teacher"], nets + tall, softmaxes, "$z_{pre}$")
        canvas.box(
            (centre["teacher"] + student) / 2,
            softmaxes,
            student - centre["teacher"] + single,
            "shared softmax $w$",
            "dense",
            "trains",
        )
    else:
        canvas.box(student, softmaxes, single, "softmax $w$", "dense", "trains")

    rail = (outputs + losses) / 2 + 0.12
    start = outputs + (0.15 if soft else 0.2)
    canvas.line([(centre["target"], start), (centre["target"], rail), (student - 0.35, rail)], dashed=True)
    target = "q^{pre}" if soft else "q"
    for name, p in [("teacher", "p^{pre}")] * shared + [("student", "p^t")]:
        x = centre[name]
        canvas.down(x, softmaxes + tall, outputs - 0.15)
        canvas.text(x, outputs, f"${p}$")
        canvas.down(x, outputs + 0.15, losses)
        canvas.box(
            x,
            losses,
            single,
            f"{'+ ' if shared and name == 'student' else ''}$H({target}, {p})$",
            "loss",
            "cross-entropy",
        )
        canvas.arrow(x - 0.35, rail, x - 0.35, losses, dashed=True)
    return canvas.figure


# --- Boxes and arrows --------------------------------------------------------------------------------------------


class Canvas:
    """A page measured in inches, y downwards; every method returns the y below what it drew."""

    def __init__(self, width: float, height: float):
        self.figure = plt.figure(figsize=(width, height), layout="none")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")

    @staticmethod
    def height(text: str, second: str = "") -> float:
        """Of a box with that text."""
        return 0.22 + 0.2 * (text.count("\n") + 1 + bool(second))

    def box(
        self, x: float, y: float, width: float, text: str, kind: str, second: str = "", height: float | None = None
    ) -> float:
        """A box centred on x with its top at y; `second` is a smaller line under the text."""
        height = height or self.height(text, second)
        face = "none" if kind in ("frozen", "plain") else FILL[kind]
        fills: list[dict[str, Any]] = [{"facecolor": "none", "edgecolor": text_color()}]
        if kind == "frozen":  # the hatch takes the colour of its patch's edge, so it is a patch of its own
            fills.insert(0, {"facecolor": "#94949455", "edgecolor": "#94949499", "hatch": "////"})
        elif face != "none":
            fills.insert(0, {"facecolor": face, "alpha": 0.22})
        shape = BoxStyle("Round", pad=0, rounding_size=0.06)
        for fill in fills:
            self.axes.add_patch(FancyBboxPatch((x - width / 2, y), width, height, shape, linewidth=1.1, **fill))
        label = self.axes.text(
            x, y + height / 2 - (0.09 if second else 0), text, ha="center", va="center", fontsize=10, linespacing=1.25
        )
        labels = [label]
        if second:
            labels.append(self.axes.text(x, y + height / 2 + 0.11, second, ha="center", va="center", fontsize=8.5))
        if kind == "frozen":
            for label in labels:
                label.set_bbox({"facecolor": page_color(), "edgecolor": "none", "pad": 1.2, "alpha": 0.85})
        return y + height

    def down(self, x: float, start: float, end: float, text: str = "") -> float:
        """An arrow downwards, with an optional text at its right."""
        self.arrow(x, start, x, end)
        if text:
            self.note(x + 0.1, (start + end) / 2, text, size=11)
        return end

    def arrow(self, x: float, y: float, to_x: float, to_y: float, dashed: bool = False) -> None:
        """An arrow from (x, y) to (to_x, to_y)."""
        self.axes.add_patch(
            FancyArrowPatch(
                (x, y),
                (to_x, to_y),
                arrowstyle="-|>",
                mutation_scale=9,
                shrinkA=0,
                shrinkB=0,
                color=text_color(),
                linewidth=1.1,
                linestyle="--" if dashed else "-",
            )
        )

    def line(self, points: list[tuple[float, float]], dashed: bool = False) -> None:
        """A line through the points."""
        self.axes.plot(*zip(*points, strict=True), color=text_color(), linewidth=1.1, linestyle="--" if dashed else "-")

    def sum(self, x: float, y: float) -> float:
        """A circled plus, centred on (x, y)."""
        self.axes.add_patch(
            Circle((x, y), 0.13, facecolor=page_color(), edgecolor=text_color(), linewidth=1.1, zorder=3)
        )
        self.axes.text(x, y, "+", ha="center", va="center", fontsize=12, zorder=4)
        return y + 0.13

    def text(self, x: float, y: float, text: str, size: float = 11) -> float:
        """Text centred on (x, y)."""
        self.axes.text(x, y, text, ha="center", va="center", fontsize=size, linespacing=1.1)
        return y + 0.15

    def note(self, x: float, y: float, text: str, size: float = 9) -> None:
        """Text that begins at x."""
        self.axes.text(x, y, text, ha="left", va="center", fontsize=size)

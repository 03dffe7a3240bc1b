"""Other methods beside the paper's networks: what each costs, and its rank-1 on large and on small faces.

    measure = evidence.of_outcomes(evaluate.identify(trained, faces, plan))
    methods.rates(measure, list(trained))

`measure` may as well be the record's (`evidence.of_record`): the same tables then have intervals over seeds.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rifr import methods as library
from rifr import networks, presets, recipes
from rifr.errors import SettingError
from rifr.methods import Step, distillation, margins
from rifr.methods.metric import OfPairs
from rifr.presets import Preset, Training
from rifr.recipes import Recipe
from rifr.report import records
from rifr.report.claims import GROUPS, HR, LR, Difference, Measure, Term, minus
from rifr.report.style import ends, label
from rifr.report.text import verdicts
from rifr.training import trainer
from rifr.training.batches import Views
from rifr.training.student import Student, recipe_loss

if TYPE_CHECKING:
    from rifr.report.study_tables import Study

STAGES = ("rpcn-sr", "dcr-trunk", "fan")
"""Recipes that are only trained for others to go on from."""

DISTANCES = ("distance-hundredth", "distance-tenth", "distance-one")
"""A distance to the teacher's feature, by its weight; in all else they are as shared softmax only."""

LIVE = (*DISTANCES, "arcface-both")
"""What chapter 12 trains where nothing else is asked for: what answers its question, and a margin."""

PAIRWISE = ("dcr-ft", "c-t")
"""Methods that bring the two features of a photo together, beside a plain softmax: those the paper argues against."""

SUPER_RESOLUTION = ("rpcn", "csri", "fan-ft")
"""Methods that rebuild a picture on the way; of FAN the paper says that it is closely related to super-resolution."""

CONTROLS = {
    "cosine-both": ("hr+lr", "lengths that do not count, and a scale"),
    "cosface-both": ("cosine-both", "a margin of the cosine"),
    "arcface-both": ("cosine-both", "a margin of the angle"),
    "f-skd": ("cosface-both", "a distance of maps"),
    "a-skd": ("arcface-both", "a distance of attention"),
}
"""Networks that differ from another one in one thing: that other, and the thing."""

OTHER_DISTANCES = {
    "c-t-new": "brings low resolution in little by little",
    "f-skd": "has a margin softmax besides",
    "a-skd": "has a margin softmax besides",
    "octuplet": "has no softmax and goes on from HR-only",
    "ldms": "has no softmax and goes on from HR-only",
}
"""Other losses of distances, each with what else tells it from a shared softmax layer."""

IN_WORDS = {"inherited": distillation.INHERITED}
"""What a row says in full that has neither a loss nor a network of its own."""

MARGINS_BY = "f(\\theta)"
"""What the words of a margin have in them, whose f stands in one equation for all."""

SETTLED = 50
"""Times that a loss sees the drawn features before its pull is taken: running means have come to rest."""

PLACES = (HR, LR)
"""Where methods are compared: at 112 px, and over the small widths."""


def others() -> list[str]:
    """The names of other methods, as tables list them: without stages."""
    return [name for name in recipes.OTHERS if name not in STAGES]


def to_super_resolution(ahead: pd.DataFrame) -> pd.DataFrame:
    """Of `differences` those to methods of `SUPER_RESOLUTION`, on small faces."""
    return ahead[ahead.network.isin(SUPER_RESOLUTION) & (ahead.place == GROUPS[LR])]


def of_readers() -> list[str]:
    """Of those the ones whose loss comes from a reader's own file (`RIFR_METHODS`)."""
    losses = {name: library.LOSSES.get(recipes.get(name).loss) for name in others()}
    return [name for name, loss in losses.items() if loss and not loss.__module__.startswith(library.__name__)]


def in_a_plane(names: Sequence[str]) -> list[str]:
    """Those of `names` whose loss asks nothing of a network, so that `pulls` can draw it."""
    kinds = {name: library.LOSSES.get(recipes.get(name).loss, library.Loss) for name in names}
    return [name for name, kind in kinds.items() if kind.prepare in (library.Loss.prepare, OfPairs.prepare)]


def in_full(names: Sequence[str]) -> str:
    """What each method computes, in the words of its own loss, network and first stage: a paragraph for each."""
    by_words: dict[str, list[str]] = {}
    for name in names:
        if words := _words(recipes.get(name)):
            by_words.setdefault(words, []).append(label(name))
    paragraphs = {"; ".join(labels): words for words, labels in by_words.items()}
    if any(MARGINS_BY in words for words in by_words):
        paragraphs = {"Softmax layers with a margin": inspect.cleandoc(margins.__doc__ or "")} | paragraphs
    return "\n\n".join(
        f":::{{admonition}} {title}\n:class: dropdown\n\n{words}\n:::" for title, words in paragraphs.items()
    )


def _words(recipe: Recipe) -> str:
    """Of a row's first stage, and its own; what its base class says of all losses is not its own."""
    network = networks.NETWORKS.get(dict(recipe.changes).get("network", ""))
    parts = [library.get(recipe.loss) if recipe.loss else None, network]
    words = [_words(recipes.get(recipe.start)) if recipe.start in STAGES else ""]
    words += [inspect.getdoc(part) or "" for part in parts if part]
    words += [IN_WORDS.get(recipe.name, "")]
    return "\n\n".join(said for said in dict.fromkeys(words) if said not in ("", inspect.getdoc(library.Loss)))


def rates(measure: Measure, names: Sequence[str], protocols: Sequence[str] = ("P1", "P2")) -> pd.DataFrame:
    """Rank-1 with its interval: a row per network, protocol and place (`GROUPS`); network, protocol, place, value, low,
    high in per cent. At 112 px P1 and P2 are one, and stand there once."""
    rows = []
    for name in names:
        for place in PLACES:
            for protocol in protocols[:1] if place == HR else protocols:
                rate = measure(Difference("", 1, "", (Term(1, name, place, protocol),)))
                if rate is not None:
                    of = {"network": name, "protocol": protocol, "place": GROUPS[place]}
                    rows.append(of | rate.columns("value"))
    return pd.DataFrame(rows, columns=["network", "protocol", "place", "value", "low", "high"])


def differences(measure: Measure, first: str, others: Sequence[str], protocol: str = "P1") -> pd.DataFrame:
    """Rank-1 of one network minus each of others, paired: network (the other), place, difference, low, high."""
    rows = []
    for other in others:
        for place in PLACES:
            found = measure(Difference("", 1, "", minus(first, other, place, protocol)))
            if found is not None:
                rows.append({"network": other, "place": GROUPS[place], **found.columns("difference")})
    return pd.DataFrame(rows, columns=["network", "place", "difference", "low", "high"])


def unequal(preset: Preset) -> list[str]:
    """Fields of the preset that shared softmax only follows and the rows of `DISTANCES` do not, or else."""
    ours, theirs = (recipes.get(name).relevant(preset.training) for name in ("shared-only", DISTANCES[0]))
    return [field.name for field in fields(Training) if getattr(ours, field.name) != getattr(theirs, field.name)]


def additions(measure: Measure, names: Sequence[str]) -> pd.DataFrame:
    """For reading: what one change adds, a row per network of `CONTROLS` whose other is among `names`, too."""
    rows = []
    for network, (other, change) in CONTROLS.items():
        if {network, other} <= set(names):
            found = differences(measure, network, [other])
            cells = {row.place: verdicts.bracketed(row.difference, row.low, row.high) for row in found.itertuples()}
            about = {"what is added": change, "difference": f"{label(network)} minus {label(other)}"}
            rows += [about | cells] * bool(cells)
    return pd.DataFrame(rows)


def costs(names: Sequence[str], preset: Preset, photos: int) -> pd.DataFrame:
    """What the trainings read: a row per network.

    Parameters
    ----------
    names
        Of recipes.
    preset, photos
        Under which they are trained, and on how many photos.

    Returns
    -------
    DataFrame
        network, before (the recipe that is trained first, or ""), images (of its own training), multiplies (of its
        network for one image), and work: 1e12 multiplications of all forward passes, but the softmax layer's. What a
        loss has of networks counts, a teacher's answers, and all that is trained before. NaN where a loss cannot be
        trained under this preset (F-SKD with a network that has no basic layers).
    """
    rows = []
    for name in names:
        recipe = recipes.get(name)
        training, before = recipe.relevant(preset.training), trainer.earlier(recipe, preset)
        multiplies = _multiplies(training.network, training.embedding)
        images = photos * training.epochs * Views(recipe, training).count
        earlier = recipes.get(before[0]).relevant(before[1].training) if before else None
        try:
            work = photos * training.epochs * _multiplies_of_a_photo(name, training, earlier) / 1e12
        except SettingError:  # who asks to train it is told why
            work = float("nan")
        if before and earlier:
            work += float(costs([before[0]], before[1], photos).work.iloc[0])
            if recipe.needs_teacher:
                passes = training.epochs if training.teacher_in_step else 2  # each photo and its mirror image once
                work += photos * passes * _multiplies(earlier.network, earlier.embedding) / 1e12
        first = before[0] if before else ""
        rows.append({"network": name, "before": first, "images": images, "multiplies": multiplies, "work": work})
    return pd.DataFrame(rows)


def costs_of_record(study: Study, names: Sequence[str]) -> pd.DataFrame:
    """`costs` of those of a record's networks, at its own preset."""
    about = study.provenance
    return costs(names, records.preset(about["preset"]), about["faces"]["train"])


def pulls(name: str, seed: int = 0) -> dict[str, np.ndarray]:
    """What a recipe's loss does to the features of three people in a plane, seen large and small.

    The features are drawn, not trained: those of large faces lie about their person's direction, those of small ones
    nearer to the middle. The loss is the library's own.

    Returns
    -------
    dict
        z (2, N, 2) features of large and of small faces; labels (N,); w (3, 2) the softmax layer's weights; z_teacher
        (N, 2); and minus the loss's gradient by features and weights: z_pull, w_pull, shaped as z and w.
    """
    recipe, draw = recipes.get(name), torch.Generator().manual_seed(seed)
    angles = torch.tensor([90.0, 210.0, 330.0]).deg2rad()
    directions = torch.stack([angles.cos(), angles.sin()], dim=1)  # (3, 2)
    labels = torch.arange(3).repeat_interleave(4)
    z_teacher = 3.2 * directions[labels] + 0.45 * torch.randn(12, 2, generator=draw)
    large = 2.4 * directions[labels] + 0.55 * torch.randn(12, 2, generator=draw)
    small = 0.3 * large + 0.6 * torch.randn(12, 2, generator=draw)
    turn = torch.tensor([[0.94, -0.34], [0.34, 0.94]])  # the layer has not found the people's directions yet
    z, w = torch.cat([large, small]).requires_grad_(), (1.3 * directions @ turn).requires_grad_()
    q_pre = (z_teacher @ (1.3 * directions).T).softmax(dim=1)
    training = recipe.relevant(presets.get("smoke", embedding=2).training)
    if recipe.loss:
        loss, step = (
            library.get(recipe.loss)(training, 3),
            Step(z, w, labels, z_teacher, q_pre, torch.zeros(24, 3, 112, 112), 1.0),
        )
        for _ in range(SETTLED):
            value = loss(step)
    else:
        value = recipe_loss(recipe, training, z, w, labels, (z_teacher, q_pre) if recipe.needs_teacher else None)
    value.backward()

    def array(tensor: Tensor) -> np.ndarray:
        return tensor.detach().numpy()

    def pull(tensor: Tensor) -> np.ndarray:  # of a loss that knows no softmax layer the layer has none
        return np.zeros(tensor.shape, np.float32) if tensor.grad is None else -array(tensor.grad)

    return {
        "z": array(z).reshape(2, 12, 2),
        "labels": array(labels),
        "w": array(w),
        "z_teacher": array(z_teacher),
        "z_pull": pull(z).reshape(2, 12, 2),
        "w_pull": pull(w),
    }


def cost_table(cost: pd.DataFrame) -> pd.DataFrame:
    """For reading: a row per network with what it costs to train."""
    rows = [
        {
            "network": label(row.network),
            "trained before": label(row.before) if row.before else "–",
            "images": f"{row.images:,}",
            "per image (× 10⁶)": f"{row.multiplies / 1e6:.1f}",
            "in all (× 10¹²)": "not under this preset" if np.isnan(row.work) else f"{row.work:.2f}",
        }
        for row in cost.itertuples()
    ]
    return pd.DataFrame(rows)


def below_their_start(measure: Measure, names: Sequence[str]) -> list[str]:
    """Those of `names` that are decided below the network they go on from, on large faces and on small ones."""
    below = []
    for name in names:
        found = differences(measure, name, [before] if (before := start(name)) else [])
        if len(found) == len(PLACES) and bool((found.high < 0).all()):
            below.append(name)
    return below


def start(name: str) -> str:
    """The network whose weights a row goes on from; "" where it starts anew, or from a stage that nobody measures."""
    recipe, usual = recipes.get(name), presets.get("laptop").training
    before = recipe.earlier(usual) if recipe.relevant(usual).student_start == "teacher" else ""
    return "" if before in STAGES else before


def difference_table(rows: pd.DataFrame, first: str) -> pd.DataFrame:
    """For reading: a row per network of `differences`, with what `first` is ahead of it by, in points."""
    table = []
    for name, places in rows.groupby("network", sort=False):
        cells = {f"{label(first)} minus": label(str(name))}
        for row in places.itertuples():
            cells[row.place] = verdicts.bracketed(row.difference, row.low, row.high)
        table.append(cells)
    return pd.DataFrame(table)


def table(rank1: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """For reading: a row per network of `rank1` with its rates and their intervals, and what its training costs."""
    work, rows = cost.set_index("network").work, []
    for name, rates in rank1.groupby("network", sort=False):
        cells = {"network": label(str(name))}
        for rate in rates.itertuples():
            place = rate.place if rate.place == GROUPS[HR] else f"{rate.protocol}, {rate.place}"
            cells[f"{place} (%)"] = f"{rate.value:.1f}{ends(rate.low, rate.high, to='–')}"
        rows.append(cells | {"work (10¹²)": f"{work[name]:.2f}"})
    return pd.DataFrame(rows)


@functools.cache
def _multiplies_of_a_photo(name: str, training: Training, earlier: Training | None) -> float:
    """Of a step's forward passes for one of its photos: the network's in all views, and those of the loss."""
    recipe, photos = recipes.get(name), 4
    views = Views(recipe, training).count
    if not recipe.loss:
        return views * _multiplies(training.network, training.embedding)
    student = Student(training, 2)  # two people: the softmax layer does not count
    loss = library.get(recipe.loss)(training, 2)
    before = networks.build(earlier.network, earlier.embedding, 0.0).eval() if earlier else None
    loss.prepare(student.network, before)
    images, labels = torch.zeros(views * photos, 3, 112, 112), torch.arange(photos) // 2
    z_teacher, q_pre = torch.ones(photos, training.embedding), torch.full((photos, 2), 0.5)

    def step(x: Tensor) -> None:
        loss(Step(student(x), student.softmax.weight, labels, z_teacher, q_pre, x))

    return networks.multiplications(step, images) / photos


@functools.cache
def _multiplies(network: str, embedding: int) -> int:
    """Of a network for one image; many methods share one."""
    return networks.count(networks.build(network, embedding, 0.0)).multiplies

"""How large everything is: one frozen dataclass, chosen by name everywhere.

`Training` is also the key of a stored run: two runs with equal fields, faces, seed and sources are one run.
Its fields with a `reason` are choices that the paper leaves open; the book's appendix "Choices" lists them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rifr.degrade import check_width


def choice(default: Any, reason: str) -> Any:
    """A field whose value the paper does not give."""
    return field(default=default, metadata={"reason": reason})


@dataclass(frozen=True)
class Training:
    """Everything that decides a run, but for its recipe, faces and seed. Defaults: section IV of the paper."""

    network: str = "resnet34"
    embedding: int = 512
    epochs: int = 65
    batch_size: int = 64
    learning_rate: float = 0.1
    milestones: tuple[float, ...] = (30 / 65, 45 / 65)
    decay: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    dropout: float = choice(0.4, "The paper draws dropout before the last layer and gives no rate; 0.4 is usual for "
                                 "this layer in face recognition. Presets that train for a few epochs use none.")
    flip: bool = choice(True, "Each photo is mirrored with probability one half, in all its resolutions at once. The "
                              "paper names no augmentation; mirroring keeps the teacher's outputs a table of two "
                              "rows a photo.")
    low_per_photo: str = choice("one", "`one`: each photo comes with one low-resolution version, its width drawn from "
                                       "20 and 16 px anew in each epoch. `both`: with both, at half as much again the "
                                       "cost. The paper says that both widths are used, not whether in each batch.")
    student_start: str = choice("random", "`random`: the student starts from noise, as the baselines do, so that all "
                                          "six networks have had the same number of steps. `teacher`: from the "
                                          "teacher's weights. The paper does not say.")
    softmax_start: str = choice("random", "The shared softmax layer starts from noise. The paper says that w_k "
                                          "approaches w_pre,k in training, so it does not start there.")
    teacher_weight: float = choice(1.0, "The weight of the second term of eq. (3): the paper adds both as they are.")
    temperature: float = choice(1.0, "Eqs. (2) and (3) have no temperature. Other values divide both logits and "
                                     "multiply the loss by the square, after Hinton et al.")
    warmup: float = choice(0.0, "The share of the steps over which the learning rate rises from zero; the paper "
                                "mentions none. Presets of a few epochs need one at the same learning rate.")
    precision: str = choice("32-true", "Arithmetic of the network: full precision on a CPU, `bf16-mixed` on a GPU.")

    def __post_init__(self) -> None:
        for name, allowed in {"low_per_photo": ("one", "both"), "student_start": ("random", "teacher"),
                              "softmax_start": ("random", "teacher")}.items():  # fmt: skip
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(allowed)}.")
        for name in ("epochs", "batch_size", "embedding", "learning_rate", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above zero.")


@dataclass(frozen=True)
class Preset:
    """How many faces, which training, and at which face widths it is evaluated.

    people and images     of the rendered sets; folders of real faces give what they hold
    widths                face widths of P1 and P2 in pixels
    mirror                whether an embedding sums the features of an image and its mirror image
    resamples             of the bootstrap over identities
    """

    name: str
    train_people: int
    train_images: int
    probe_people: int
    probe_images: int
    distractor_people: int
    training: Training
    widths: tuple[int, ...] = (112, 100, 80, 60, 50, 40, 30, 25, 20, 16)
    mirror: bool = True
    resamples: int = 2000

    def __post_init__(self) -> None:
        for width in self.widths:
            check_width(width)


PRESETS = {
    preset.name: preset
    for preset in [
        Preset(
            "smoke", 24, 8, 10, 4, 40, widths=(112, 40, 20, 16), resamples=500,
            training=Training("thin", embedding=32, epochs=2, batch_size=32, learning_rate=0.03, dropout=0.0, warmup=0.1),
        ),
        Preset(
            "mini", 500, 20, 150, 8, 1000, widths=(112, 100, 60, 40, 30, 25, 20, 16),
            training=Training("thin", embedding=128, epochs=4, batch_size=32, learning_rate=0.03, dropout=0.0, warmup=0.1),
        ),
        Preset("rendered", 10_000, 50, 80, 44, 10_000, training=Training(precision="bf16-mixed", epochs=65)),
        Preset("paper", 10_572, 46, 80, 44, 10_000, training=Training(precision="bf16-mixed")),
    ]
}  # fmt: skip


def get(name: str | Preset = "", **changes: Any) -> Preset:
    """The preset of that name; an empty name is `$RIFR_PRESET`, else `mini`.

    `changes` replace fields of the preset, or of its training; falsy ones are passed over, so that an empty papermill
    parameter means the preset's own value. Raises ValueError listing what is allowed.
    """
    if isinstance(name, Preset):
        preset = name
    else:
        name = name or os.environ.get("RIFR_PRESET") or "mini"
        if name not in PRESETS:
            raise ValueError(f"no preset is called {name!r}: choose one of {', '.join(PRESETS)}.")
        preset = PRESETS[name]
    changes = {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items() if value}
    ours, trainings = ({f.name for f in fields(kind)} for kind in (Preset, Training))
    for key in changes:
        if key not in ours | trainings:
            raise ValueError(f"a preset has no field {key!r}: choose one of {', '.join(sorted(ours | trainings))}.")
    training = replace(preset.training, **{key: value for key, value in changes.items() if key in trainings})
    return replace(preset, training=training, **{key: value for key, value in changes.items() if key in ours})


def choices() -> list[tuple[str, Any, str]]:
    """(name, default, reason) of each choice where the paper is silent, for the appendix."""
    return [(f.name, f.default, f.metadata["reason"]) for f in fields(Training) if "reason" in f.metadata]

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
    dropout: float = choice(
        0.4,
        "The paper draws dropout before the last layer and gives no rate; 0.4 is usual for "
        "this layer in face recognition. Presets that train for a few epochs use none.",
    )
    flip: bool = choice(
        True,
        "Each photo is mirrored with probability one half, in all its resolutions at once. The "
        "paper names no augmentation; mirroring keeps the teacher's outputs a table of two "
        "rows a photo.",
    )
    low_per_photo: str = choice(
        "one",
        "`one`: each photo comes with one low-resolution version, its width drawn from "
        "20 and 16 px anew in each epoch. `both`: with both, at half as much again the "
        "cost. The paper says that both widths are used, not whether in each batch.",
    )
    low_kind: str = choice(
        "bicubic",
        "`bicubic`: low-resolution versions are shrunk by bicubic interpolation, as the "
        "paper has it. `camera`: as a camera gives them (`rifr.camera`), which the paper "
        "does not try.",
    )
    tight_crops: float = choice(
        0.0,
        "The share of the student's images that are tight crops (`rifr.camera.tight`). "
        "The paper augments so for TinyFace and gives neither share nor shape; the "
        "teacher's outputs stay those of the whole photo.",
    )
    student_start: str = choice(
        "random",
        "`random`: the student starts from noise, as the baselines do, so that all "
        "six networks have had the same number of steps. `teacher`: from the "
        "teacher's weights. The paper does not say.",
    )
    softmax_start: str = choice(
        "random",
        "The shared softmax layer starts from noise. The paper says that w_k "
        "approaches w_pre,k in training, so it does not start there.",
    )
    teacher_weight: float = choice(1.0, "The weight of the second term of eq. (3): the paper adds both as they are.")
    temperature: float = choice(
        1.0,
        "Eqs. (2) and (3) have no temperature. Other values divide both logits and "
        "multiply the loss by the square, after Hinton et al.",
    )
    warmup: float = choice(
        0.0,
        "The share of the steps over which the learning rate rises from zero; the paper "
        "mentions none. Presets of a few epochs need one at the same learning rate.",
    )
    precision: str = choice("32-true", "Arithmetic of the network: full precision on a CPU, `bf16-mixed` on a GPU.")

    micro_batch: int = 0
    """Photos that a device takes at a time, their gradients added up to the batch's; 0: its whole share of the batch. For
    memory alone, but batch normalisation then sees no more than these."""

    compile: bool = False
    """Whether `torch.compile` makes the network; where it does not work, a warning says so and training goes on."""

    threads: int = 0
    """Of a training on a CPU; 0: all. Presets for laptops take one: a run is then the same on any number of cores, and
    several are trained side by side."""

    def __post_init__(self) -> None:
        for name, allowed in {
            "low_per_photo": ("one", "both"),
            "student_start": ("random", "teacher"),
            "softmax_start": ("random", "teacher"),
            "low_kind": ("bicubic", "camera"),
        }.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(allowed)}.")
        for name in ("epochs", "batch_size", "embedding", "learning_rate", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above zero.")
        if not 0 <= self.tight_crops <= 1:
            raise ValueError(f"tight_crops is {self.tight_crops}: it is a share, 0 to 1.")


@dataclass(frozen=True)
class LandmarkTraining:
    """Everything that decides a landmark network, but for its faces and seed (chapter 6). Ours: the paper gives none.

    people, images      of the rendered pictures to train on, scene pixels wide
    test_people, test_images, test_scene, test_widths: of those to measure on, and the face widths to measure at
    channels            of the first convolution; 32 as published
    loss, low           "wing" or "l2"; whether half of the faces are brought down to `widths` pixels first
    loose, off, turn    how faces are cut out: side in face widths, centre off by shares of it, turn in radians (deviation)
    threads             of a training on a CPU; 0: all
    """

    people: int
    images: int
    test_people: int
    test_images: int = 4
    scene: int = 160
    test_scene: int = 224
    test_widths: tuple[int, ...] = (60, 40, 30, 20, 16, 12, 8)
    channels: int = 32
    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 2e-3
    loss: str = "wing"
    low: bool = True
    widths: tuple[float, float] = (6.0, 48.0)
    loose: tuple[float, float] = (0.75, 1.9)
    off: float = 0.12
    turn: float = 0.12
    threads: int = 0


@dataclass(frozen=True)
class Preset:
    """How many faces, which training, and at which face widths it is evaluated.

    people and images     of the rendered sets; folders of real faces give what they hold
    tiny_people           of the stand-in for TinyFace, with four photos each, and tiny_distractors, with one
    surveillance_people   of the stand-in for SCface
    landmarks             the landmark networks of chapter 6 and the rendered pictures that they see
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
    tiny_people: int = 150
    tiny_distractors: int = 1500
    surveillance_people: int = 130
    landmarks: LandmarkTraining = LandmarkTraining(5000, 10, 500)

    def __post_init__(self) -> None:
        for width in self.widths:
            check_width(width)


PRESETS = {
    preset.name: preset
    for preset in [
        Preset(
            "smoke", 24, 8, 10, 4, 40, widths=(112, 40, 20, 16), resamples=500,
            tiny_people=8, tiny_distractors=24, surveillance_people=6,
            landmarks=LandmarkTraining(16, 6, 10, scene=96, test_scene=96, test_widths=(30, 16), channels=8, epochs=3, threads=1),
            training=Training("thin", embedding=32, epochs=2, batch_size=32, learning_rate=0.03, dropout=0.0, warmup=0.1,
                              threads=1),
        ),
        Preset(
            "mini", 500, 20, 150, 8, 1000, widths=(112, 100, 60, 40, 30, 25, 20, 16),
            landmarks=LandmarkTraining(400, 6, 100, channels=8, epochs=12, threads=1),
            training=Training("thin", embedding=128, epochs=4, batch_size=32, learning_rate=0.03, dropout=0.0, warmup=0.1,
                              threads=1),
        ),
        Preset(  # a larger `mini`, for a record of several seeds: about two hours on two cores
            "laptop", 800, 20, 150, 8, 1000, widths=(112, 100, 60, 40, 30, 25, 20, 16),
            landmarks=LandmarkTraining(400, 6, 100, channels=8, epochs=12, threads=1),
            training=Training("thin", embedding=128, epochs=4, batch_size=32, learning_rate=0.03, dropout=0.0, warmup=0.1,
                              threads=1),
        ),
        Preset("rendered", 10_000, 50, 80, 44, 10_000, tiny_people=1500, tiny_distractors=15_000,
               training=Training(precision="bf16-mixed", epochs=65)),
        Preset("paper", 10_572, 46, 80, 44, 10_000, tiny_people=1500, tiny_distractors=15_000,
               training=Training(precision="bf16-mixed")),
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

"""How large everything is: one frozen dataclass, chosen by name everywhere.

`Training` is also the key of a stored run: two runs with equal fields, faces, seed and sources are one run.
Its fields with a `reason` are choices that the paper leaves open; the book's appendix "Choices" lists them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, InstanceOf

from rifr import networks, settings
from rifr.degrade import check_width
from rifr.errors import SettingError
from rifr.settings import Ascending, Checked, Count, Fraction, NonNegative, Number, Positive, Size, Tuple

Width = Annotated[int, Number, AfterValidator(check_width)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1), Tuple]
LANDMARKS = "landmarks_"  # before the name of a field of `LandmarkTraining` where fields of a preset are changed
Span = Annotated[tuple[Positive, Positive], Ascending]


def choice(default: Any, reason: str) -> Any:
    """A field whose value the paper does not give."""
    return field(default=default, metadata={"reason": reason})


@dataclass(frozen=True)
class Training(Checked):
    """Everything that decides a run, but for its recipe, faces and seed. Defaults: section IV of the paper.

    Attributes
    ----------
    network, embedding
        A name of `rifr.networks.NETWORKS`, and the number of its features D.
    epochs, batch_size
        Passes over the photos; photos of a step, over all processes.
    learning_rate, milestones, decay
        The rate is multiplied by `decay` after each of these shares of the steps.
    momentum, weight_decay
        Of stochastic gradient descent.
    flip
        Mirrors photos in training; a preset's `mirror`, changed by the same options, is of embeddings.
    dropout, augment, teacher_sees, low_per_photo, low_kind, tight_crops, landmark_error
    student_start, softmax_start, softmax_rate, teacher_weight, temperature, teacher_epochs
    label_smoothing, label_noise, warmup, clip_norm, precision
        What the paper leaves open, each with its reason: see `choices`.
    """

    network: Annotated[str, AfterValidator(networks.check_name)] = "resnet34"
    embedding: Count = 512
    epochs: Count = 65
    batch_size: Count = 64
    learning_rate: Positive = 0.1
    milestones: Annotated[tuple[Fraction, ...], Ascending, Tuple] = (30 / 65, 45 / 65)
    decay: Annotated[Positive, Field(le=1)] = 0.1
    momentum: Annotated[NonNegative, Field(lt=1)] = 0.9
    weight_decay: NonNegative = 1e-4
    dropout: Annotated[NonNegative, Field(lt=1)] = choice(
        0.4,
        "The paper draws dropout before the last layer and gives no rate; 0.4 is usual for "
        "this layer in face recognition. Presets that train for a few epochs use none.",
    )
    flip: bool = choice(
        True,
        "Each photo is mirrored with probability one half, in all its resolutions at once. The "
        "paper names no augmentation; mirroring keeps the teacher's outputs a table of two "
        "rows per photo.",
    )
    augment: NonNegative = choice(
        0.0,
        "How strongly each photo is changed anew in each epoch, in light, colour, turn, size and "
        "place but not in resolution (`rifr.augment`); 0: not at all, as in the paper, 1: as "
        "photos from anywhere differ. All networks see the same changes.",
    )
    teacher_sees: Literal["view", "photo"] = choice(
        "view",
        "Of a photo that is changed anew, the teacher answers for `view`, what the student is shown "
        "at 112 px, or for `photo`, which is not changed: then its outputs are a table. "
        "Without changes both are one.",
    )
    low_per_photo: Literal["one", "both"] = choice(
        "one",
        "`one`: each photo comes with one low-resolution version, its width drawn from "
        "20 and 16 px anew in each epoch. `both`: with both, at half as much again the "
        "cost. The paper says that both widths are used, not whether in each batch.",
    )
    low_kind: Literal["bicubic", "camera"] = choice(
        "bicubic",
        "`bicubic`: low-resolution versions are shrunk by bicubic interpolation, as the "
        "paper has it. `camera`: as a camera gives them (`rifr.camera`), which the paper "
        "does not try.",
    )
    tight_crops: Fraction = choice(
        0.0,
        "The share of the student's images that are tight crops (`rifr.camera.tight`). "
        "The paper augments so for TinyFace and gives neither share nor shape; the "
        "teacher's outputs stay those of the whole photo.",
    )
    landmark_error: NonNegative = choice(
        0.0,
        "The deviation, in pixels of the aligned face, of landmarks by which each of the student's images is aligned "
        "once more: found landmarks are off on small faces, and rendered faces are aligned by true ones. The paper "
        "aligns its training faces by found landmarks; the teacher's outputs stay those of the photo as it is.",
    )
    student_start: Literal["random", "teacher"] = choice(
        "random",
        "`random`: the student starts from noise, as the baselines do, so that all "
        "six networks have had the same number of steps. `teacher`: from the "
        "teacher's weights, HR+LR too, which sees the same photos. The paper does not say.",
    )
    softmax_start: Literal["random", "teacher"] = choice(
        "random",
        "The shared softmax layer starts from noise. The paper says that w_k "
        "approaches w_pre,k in training, so it does not start there. `teacher`: from the "
        "teacher's, HR+LR too.",
    )
    softmax_rate: NonNegative = choice(
        1.0,
        "The softmax layer learns at the network's rate times this. 0 leaves it as it starts: with "
        "`softmax_start` at `teacher` that is the inherited classifier of later work. The teacher "
        "is trained at 1.",
    )
    teacher_weight: NonNegative = choice(
        1.0, "The weight of the second term of eq. (3): the paper adds both as they are."
    )
    temperature: Positive = choice(
        1.0,
        "Eqs. (2) and (3) have no temperature. Other values divide both logits and "
        "multiply the loss by the square, after Hinton et al.",
    )
    teacher_epochs: Size = choice(
        0,
        "Epochs of the network that teaches; 0: as many as `epochs`. The paper gives one number for "
        "all. With another number the teacher is a training of its own beside HR-only.",
    )
    label_smoothing: Fraction = choice(
        0.0,
        "The share of a hard target that goes to all people alike: what soft targets are without a "
        "teacher. Not in the paper; soft targets and the teacher have none.",
    )
    label_noise: Fraction = choice(
        0.0,
        "The share of training photos that carry another person's name, drawn once for all networks "
        "of a seed, the teacher too. The web photos of the paper have such; rendered faces have none.",
    )
    warmup: Fraction = choice(
        0.0,
        "The share of the steps over which the learning rate rises from zero; the paper "
        "mentions none. Presets of a few epochs need one at the same learning rate.",
    )
    clip_norm: NonNegative = choice(
        0.0,
        "Gradients longer than this, all of the step's together, are shortened to it; 0: never. The paper mentions "
        "none. Without it our ResNet-34 overflows at the paper's rate after some fifty steps, and with a warm-up "
        "before the rate has risen to it; of 5 and 1, 5 came to the lower loss in two epochs.",
    )
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = choice(
        "32-true", "Arithmetic of the network: full precision on a CPU, `bf16-mixed` on a GPU."
    )

    micro_batch: Size = 0
    """Photos that a device takes at a time, their gradients added up to the batch's; 0: all of its part of the batch.
    For memory alone, but batch normalisation then sees no more than these."""

    compile: bool = False
    """Whether `torch.compile` makes the network; where it does not work, a warning says so and training goes on."""

    threads: Size = 0
    """Of a training on a CPU; 0: all. Presets for laptops take one: a run is then the same on any number of cores, and
    several are trained side by side."""

    @property
    def teacher_in_step(self) -> bool:
        """Whether the teacher runs in each step: what it sees is another picture each time."""
        return self.augment > 0 and self.teacher_sees == "view"


@dataclass(frozen=True)
class LandmarkTraining(Checked):
    """Everything that decides a landmark network, but for its faces and seed (chapter 6). Ours: the paper gives none.

    Attributes
    ----------
    people, images, scene
        Of the rendered pictures to train on, `scene` pixels wide.
    test_people, test_images, test_scene, test_widths
        Of those to measure on, and the face widths to measure at.
    channels
        Of the first convolution; 32 as published.
    loss, low
        "wing" or "l2"; whether half of the faces are brought down to `widths` pixels first. The recipe gives both.
    crop_scale
        How faces are cut out: side in face widths, from and to.
    center_jitter, rotation_std
        The most that the centre is off, in face widths; of the rotation, in radians.
    threads
        Of a training on a CPU; 0: all.
    """

    people: Count
    images: Count
    test_people: Count
    test_images: Count = 4
    scene: Annotated[Count, Field(ge=32)] = 160
    test_scene: Annotated[Count, Field(ge=32)] = 224
    test_widths: Widths = (60, 40, 30, 20, 16, 12, 8)
    channels: Count = 32
    epochs: Count = 60
    batch_size: Count = 32
    learning_rate: Positive = 2e-3
    loss: Literal["wing", "l2"] = "wing"
    low: bool = True
    widths: Span = (6.0, 48.0)
    crop_scale: Span = (0.75, 1.9)
    center_jitter: NonNegative = 0.12
    rotation_std: NonNegative = 0.12
    threads: Size = 0


@dataclass(frozen=True)
class Preset(Checked):
    """How many faces, which training, and at which face widths it is evaluated.

    Attributes
    ----------
    train_people, train_images, probe_people, probe_images, distractor_people
        Of the rendered sets; folders of real faces give what they hold.
    tiny_people, tiny_distractors
        Of the surrogate of TinyFace: people with four photos each, and with one.
    surveillance_people
        Of the surrogate of SCface.
    landmarks
        The landmark networks of chapter 6 and the rendered pictures that they see.
    widths
        Face widths of P1 and P2 in pixels.
    mirror
        Whether an embedding sums the features of an image and its mirror image.
    resamples
        Of the bootstrap over identities.
    """

    name: str
    train_people: Count
    train_images: Count
    probe_people: Count
    probe_images: Annotated[Count, Field(ge=2)]
    distractor_people: Count
    training: InstanceOf[Training]
    widths: Widths = (112, 100, 80, 60, 50, 40, 30, 25, 20, 16)
    mirror: bool = True
    resamples: Count = 2000
    tiny_people: Count = 150
    tiny_distractors: Count = 1500
    surveillance_people: Count = 130
    landmarks: InstanceOf[LandmarkTraining] = LandmarkTraining(5000, 10, 500)


PRESETS = {
    preset.name: preset
    for preset in [
        Preset(
            "smoke", 24, 8, 10, 4, 40, widths=(112, 40, 20, 16), resamples=500,
            tiny_people=8, tiny_distractors=24, surveillance_people=6,
            landmarks=LandmarkTraining(16, 6, 10, scene=96, test_scene=96, test_widths=(30, 16), channels=8, epochs=3,
                                       threads=1),
            training=Training("thin", embedding=32, epochs=2, batch_size=32, learning_rate=0.03, dropout=0.0,
                              warmup=0.1, threads=1),
        ),
        Preset(
            "mini", 500, 20, 600, 4, 1000, widths=(112, 100, 60, 40, 30, 25, 20, 16),
            landmarks=LandmarkTraining(400, 6, 100, channels=8, epochs=12, threads=1),
            training=Training("thin", embedding=128, epochs=4, batch_size=32, learning_rate=0.03, dropout=0.0,
                              warmup=0.1, threads=1),
        ),
        Preset(  # `mini` trained twice as long, for a record of several seeds: about two hours on two cores
            "laptop", 500, 20, 600, 4, 1000, widths=(112, 100, 60, 40, 30, 25, 20, 16),
            landmarks=LandmarkTraining(400, 6, 100, channels=8, epochs=12, threads=1),
            training=Training("thin", embedding=128, epochs=8, batch_size=32, learning_rate=0.03, dropout=0.0,
                              warmup=0.1, threads=1),
        ),
        Preset("rendered", 10_000, 50, 80, 44, 10_000, tiny_people=1500, tiny_distractors=15_000,
               training=Training(precision="bf16-mixed", compile=True, warmup=0.02, clip_norm=5.0)),
        Preset("paper", 10_572, 46, 80, 44, 10_000, tiny_people=1500, tiny_distractors=15_000,
               training=Training(precision="bf16-mixed", compile=True, warmup=0.02, clip_norm=5.0)),
    ]
}  # fmt: skip


def get(
    preset: str | Preset | None = None, /, changes: str | Iterable[str] | Mapping[str, Any] | None = None, **values: Any
) -> Preset:
    """The preset of that name, with some fields of it or of its trainings changed.

    Parameters
    ----------
    preset
        A name, or a preset to change. None (or no text): `$RIFR_PRESET`, else `mini`.
    changes
        Fields by name: "flip=False dropout=0", a list of such pairs, or a mapping. Those of the landmark networks have
        `landmarks_` before their names: "landmarks_epochs=8".
    **values
        The same as arguments. None is the preset's own value; any other is used. Texts are read as the shell's are
        (`settings.parse`): what papermill was given.

    Raises
    ------
    SettingError
        For a name or a field that there is not, a field that is given twice, and a value that does not fit its field.
    """
    if not isinstance(preset, Preset):
        name = preset or os.environ.get("RIFR_PRESET") or "mini"
        if name not in PRESETS:
            raise SettingError(f"no preset is called {name!r}: choose one of {', '.join(PRESETS)}.")
        preset = PRESETS[name]
    values = {name: value for name, value in values.items() if value is not None}
    given = settings.named(changes)
    if twice := sorted(given.keys() & values):
        raise SettingError(f"{', '.join(twice)} is given twice, by itself and among the changes: give it once.")
    given = {
        name: settings.parse(value) if isinstance(value, str) else value for name, value in (given | values).items()
    }
    given = {name: value for name, value in given.items() if value is not None}
    sizes, of_training, of_landmarks = ({f.name for f in fields(kind)} for kind in (Preset, Training, LandmarkTraining))
    sizes -= {"training", "landmarks"}
    of_landmarks = {LANDMARKS + name for name in of_landmarks - {"loss", "low"}}  # those two are the recipe's
    known = sizes | of_training | of_landmarks
    for name in given:
        if name not in known:
            raise SettingError(f"a preset has no field {name!r}: choose one of {', '.join(sorted(known))}.")
    training, landmarks, own = (
        {name.removeprefix(prefix): value for name, value in given.items() if name in names}
        for prefix, names in (("", of_training), (LANDMARKS, of_landmarks), ("", sizes))
    )
    return replace(
        preset, training=replace(preset.training, **training), landmarks=replace(preset.landmarks, **landmarks), **own
    )


def choices() -> list[tuple[str, Any, str]]:
    """(name, default, reason) of each choice where the paper is silent, for the appendix."""
    return [(f.name, f.default, f.metadata["reason"]) for f in fields(Training) if "reason" in f.metadata]

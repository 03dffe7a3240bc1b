"""One trainer for the six networks.

    rifr train --recipe proposed --preset mini --seed 0

A run is found by what made it, or trained (`loop`). Killed at any moment, the same command goes on from the last
finished epoch and ends with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from rifr import (
    align,
    augment,
    camera,
    degrade,
    devices,
    losses,
    methods,
    networks,
    presets,
    recipes,
    similarity,
    splits,
    storage,
)
from rifr.errors import SettingError
from rifr.packs import FacePack
from rifr.presets import Preset, Training
from rifr.recipes import Recipe
from rifr.training import batches, loop, parallel, process_group, student, teacher
from rifr.training.batches import Views
from rifr.training.loop import Trainer
from rifr.training.parallel import Call
from rifr.training.runs import Run

OF_STUDENTS = ("tight_crops", "landmark_error", "softmax_rate", "label_smoothing", "teacher_epochs")
"""Fields that a network of any recipe uses, but not where it is the teacher of another."""

MIN_IMAGES_FOR_SUBPROCESS = 20_000
"""Photos in all epochs from which a training is given a process of its own: starting one takes seconds."""


def fit(
    recipe: str, preset: str | Preset = "", seed: int = 0, faces: FacePack | None = None, progress: bool = True
) -> Run:
    """Find the run that these arguments describe, or train it (and first the teacher it learns from).

    Callers in several processes that ask for one run train it once: the others wait.

    Parameters
    ----------
    recipe
        The name of one of `rifr.recipes.RECIPES`.
    preset
        A preset or its name; "" is the default one.
    seed
        Of first weights, order and augmentation, and of the rendered people.
    faces
        The training pack; None takes the preset's rendered people of this seed.
    progress
        Whether to show progress bars.

    Raises
    ------
    SettingError
        For an unknown recipe or preset, faces that are no pack, or a batch that the processes cannot share.
    DataError
        Where the faces cannot fill a batch.
    TrainingError
        When the loss is not finite.
    """
    plan, preset = recipes.get(recipe), presets.get(preset)
    faces = _training_faces(faces, preset, seed, progress)
    before = earlier(plan, preset)
    teacher_run = fit(*before, seed, faces, progress) if before else None
    training = plan.relevant(preset.training)
    key = run_key(plan, training, seed, faces, teacher_run)
    fabric = process_group.fabric(training.precision)

    def make(path: Path) -> None:
        with (
            parallel.threads(training.threads),
            torch.random.fork_rng(devices.generators(fabric.device)),
            process_group.fast_arithmetic(fabric.device),
        ):
            steps = len(faces) // training.batch_size
            trainer = Trainer(plan, training, len(faces.people), fabric, seed, steps, teacher_run)
            reached = trainer.train(path, faces, progress and process_group.is_rank_zero())
            if process_group.is_rank_zero():
                record = trainer.record | {"preset": preset.name, "key": key}
                reached.write_run(path, trainer.student.state_dict(), faces, record)

    return storage.found_or_made(
        "runs",
        _name(plan, preset, seed),
        key,
        make,
        Run.open,
        missing=lambda path: process_group.rank_zero_creates(path, fabric),
    )


def fit_all(
    names: Iterable[str], preset: str | Preset = "", seed: int = 0, faces: FacePack | None = None, progress: bool = True
) -> dict[str, Run]:
    """The runs of several recipes by name, found or trained.

    On a CPU those that are missing are trained side by side, the teacher first, where that is worth starting processes.

    Parameters
    ----------
    names
        Of recipes.
    preset, seed, faces, progress
        As for `fit`.
    """
    names, preset = [recipes.get(name).name for name in names], presets.get(preset)
    faces = _training_faces(faces, preset, seed, progress)
    parallel.run(calls(names, preset, seed, faces, progress))
    return {name: fit(name, preset, seed, faces, progress) for name in names}


def _training_faces(faces: FacePack | None, preset: Preset, seed: int, progress: bool) -> FacePack:
    if faces is None:
        return splits.face_splits(preset, seed, progress=progress).train
    if not isinstance(faces, FacePack):
        raise SettingError(
            f"faces are a FacePack, not {type(faces).__name__}: open a pack with rifr.FacePack.open(path), or make one "
            "of a folder per person with `rifr prepare`"
        )
    return faces


def calls(names: Iterable[str], preset: Preset, seed: int, faces: FacePack, progress: bool = True) -> list[Call]:
    """The trainings that several recipes still need, the teacher's first.

    None where they are too short to be worth processes, or where several processes train one network already.
    """
    return calls_of([(name, preset) for name in names], seed, faces, progress)


def calls_of(wanted: Iterable[tuple[str, Preset]], seed: int, faces: FacePack, progress: bool = True) -> list[Call]:
    """As `calls`, of recipes each with a preset of its own, in the order of `trainings`."""
    if process_group.size() > 1:
        return []
    return [
        Call(__name__, "fit", {"recipe": name, "preset": preset, "seed": seed, "progress": progress}, faces)
        for name, preset in trainings(wanted)
        if len(faces) * preset.training.epochs >= MIN_IMAGES_FOR_SUBPROCESS and not find(name, preset, seed, faces)
    ]


def trainings(wanted: Iterable[tuple[str, Preset]]) -> list[tuple[str, Preset]]:
    """What has to be trained for recipes, each with its preset, and for the teachers that they need; each once.

    The longest teacher comes first, then what needs none, then the students of the shortest: few wait for another.
    """
    different: dict[str, tuple[str, Preset]] = {}

    def add(name: str, preset: Preset) -> None:
        if teacher := earlier(recipes.get(name), preset):
            add(*teacher)
        training = recipes.get(name).relevant(preset.training)
        of_its_teacher = teacher and recipes.get(teacher[0]).relevant(teacher[1].training)
        different.setdefault(storage.digest(name, training, of_its_teacher), (name, preset))

    def rank(training: tuple[str, Preset]) -> tuple[bool, bool, int]:
        teacher = earlier(recipes.get(training[0]), training[1])
        epochs = teacher[1].training.epochs if teacher else -training[1].training.epochs
        return teacher is not None, training[0] != recipes.TEACHER, epochs

    for name, preset in wanted:
        add(name, preset)
    return sorted(different.values(), key=rank)


def find(recipe: str, preset: str | Preset, seed: int, faces: FacePack) -> Run | None:
    """The run that these arguments describe, if it has been trained."""
    plan, preset = recipes.get(recipe), presets.get(preset)
    before = earlier(plan, preset)
    teacher_run = find(*before, seed, faces) if before else None
    if before and teacher_run is None:
        return None
    key = run_key(plan, preset.training, seed, faces, teacher_run)
    path = storage.place("runs", _name(plan, preset, seed), key)
    return Run.open(path) if path.exists() else None


def run_key(recipe: Recipe, training: Training, seed: int, faces: FacePack, teacher_run: Run | None) -> str:
    """What a run is found by: configuration, faces, seed, teacher, and the sources that determine the result."""
    import rifr.training.trainer as this

    sources = [this, loop, batches, student, teacher, process_group, losses, networks, recipes, degrade]
    if Views(recipe, training).by_camera:
        sources.append(camera)
    if training.augment or training.landmark_error:
        sources += [augment, align, similarity]
    if recipe.loss:
        sources += methods.sources(recipe.loss)
    used = recipe.relevant(training)
    sources.append(networks.source(used.network))
    return storage.digest(
        recipe,
        used,
        seed,
        faces.checksum,
        teacher_run and teacher_run.key,
        torch.__version__,
        storage.sources_digest(*sources),
    )


def _name(recipe: Recipe, preset: Preset, seed: int) -> str:
    return f"{recipe.name}-{preset.name}-s{seed}"


def earlier(recipe: Recipe, preset: Preset) -> tuple[str, Preset] | None:
    """The recipe that is trained before another one, and its preset: the teacher, or what is gone on from; or None."""
    name = recipe.earlier(preset.training)
    return (name, of_teacher(preset) if name == recipes.TEACHER else preset) if name else None


def of_teacher(preset: Preset) -> Preset:
    """The preset of the teacher, which has what only its students are tried with at its default.

    It is trained for `teacher_epochs`, sees whole photos, and its targets and the rate of its softmax layer are plain.
    """
    training = preset.training
    plain = {name: getattr(type(training), name) for name in OF_STUDENTS}
    return replace(preset, training=replace(training, epochs=training.teacher_epochs or training.epochs, **plain))

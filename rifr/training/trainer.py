"""One trainer for the six networks.

    rifr train --recipe proposed --preset mini --seed 0

A step takes a batch of photos, each at 112 px and/or at a low width as the recipe says, and moves the student and the
softmax layer down the recipe's loss. The frozen teacher sees high resolution only and its input changes by nothing but
mirroring, so its outputs are computed once, two rows per photo, and looked up.

Killed at any moment, the same command goes on from the last finished epoch and ends with the same weights: each epoch
draws its order, mirroring and widths from generators of its own. Several processes (`process_group`) take equal parts of
each batch; `micro_batch` cuts a part into pieces that fit a device's memory. The draws are those of the whole batch
either way.
"""

from __future__ import annotations

import copy
import math
import platform
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from rifr import camera, degrade, devices, losses, networks, presets, recipes, splits, storage
from rifr.errors import DataError, SettingError, TrainingError
from rifr.packs import FacePack
from rifr.presets import Preset, Training
from rifr.recipes import Recipe
from rifr.training import batches, parallel, process_group, runs, student, teacher
from rifr.training.batches import RankBatch, Views
from rifr.training.parallel import Call
from rifr.training.runs import Progress, Run
from rifr.training.student import Student, initial_seed, rate_factor, recipe_loss
from rifr.training.teacher import TeacherOutputs

MIN_IMAGES_FOR_SUBPROCESS = 20_000
"""Photos in all epochs from which a training is given a process of its own: starting one takes seconds."""

LOG_EVERY = 50
"""Steps between two looks at the loss on an accelerator: each look waits for the device."""


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
        For an unknown recipe or preset, or a batch that the processes cannot share.
    DataError
        Where the faces cannot fill a batch.
    TrainingError
        When the loss is not finite.
    """
    plan, preset = recipes.get(recipe), presets.get(preset)
    faces = splits.face_splits(preset, seed, progress=progress).train if faces is None else faces
    teacher_run = fit(recipes.TEACHER, _of_teacher(preset), seed, faces, progress) if plan.needs_teacher else None
    training = plan.relevant(preset.training)
    key = run_key(plan, training, seed, faces, teacher_run)
    path = _path(plan, preset, seed, key)
    fabric = process_group.fabric(training.precision)
    with process_group.rank_zero_creates(path, fabric) as missing:
        if missing:
            record = {"preset": preset.name, "key": key}
            with (
                parallel.threads(training.threads),
                torch.random.fork_rng(devices.generators(fabric.device)),
                process_group.fast_arithmetic(fabric.device),
            ):
                _train(path, plan, training, seed, faces, teacher_run, fabric, record, progress)
        elif process_group.is_rank_zero():  # killed in the moment between the run and the end of its checkpoint
            storage.checkpoint_path(path).unlink(missing_ok=True)
    return Run.open(path)


def fit_all(
    names: Iterable[str], preset: str | Preset = "", seed: int = 0, faces: FacePack | None = None, progress: bool = True
) -> dict[str, Run]:
    """The runs of several recipes by name, found or trained; the other arguments are those of `fit`.

    On a CPU those that are missing are trained side by side, the teacher first, where that is worth starting processes.
    """
    names, preset = [recipes.get(name).name for name in names], presets.get(preset)
    faces = splits.face_splits(preset, seed, progress=progress).train if faces is None else faces
    parallel.run(calls(names, preset, seed, faces, progress))
    return {name: fit(name, preset, seed, faces, progress) for name in names}


def calls(names: Iterable[str], preset: Preset, seed: int, faces: FacePack, progress: bool = True) -> list[Call]:
    """The trainings that several recipes still need, the teacher's first; none where they are too short for processes."""
    if len(faces) * preset.training.epochs < MIN_IMAGES_FOR_SUBPROCESS or process_group.size() > 1:
        return []
    missing = [name for name in names if find(name, preset, seed, faces) is None]
    wanted = {name: preset for name in missing}
    if any(recipes.get(name).needs_teacher for name in missing) and recipes.TEACHER not in missing:
        wanted[recipes.TEACHER] = _of_teacher(preset)  # found at once where it is there already
    ordered = sorted(wanted, key=lambda name: (recipes.get(name).needs_teacher, name != recipes.TEACHER))
    return [
        Call(__name__, "fit", {"recipe": name, "preset": wanted[name], "seed": seed, "progress": progress}, faces)
        for name in ordered
    ]


def find(recipe: str, preset: str | Preset, seed: int, faces: FacePack) -> Run | None:
    """The run that these arguments describe, if it has been trained."""
    plan, preset = recipes.get(recipe), presets.get(preset)
    teacher_run = find(recipes.TEACHER, _of_teacher(preset), seed, faces) if plan.needs_teacher else None
    if plan.needs_teacher and teacher_run is None:
        return None
    path = _path(plan, preset, seed, run_key(plan, preset.training, seed, faces, teacher_run))
    return Run.open(path) if (path / "record.json").exists() else None


def run_key(recipe: Recipe, training: Training, seed: int, faces: FacePack, teacher_run: Run | None) -> str:
    """What a run is found by: configuration, faces, seed, teacher, and the sources that determine the result."""
    import rifr.training.trainer as this

    sources = [this, batches, student, teacher, process_group, losses, networks, recipes, degrade]
    if Views(recipe, training).by_camera:
        sources.append(camera)
    return storage.digest(
        recipe,
        recipe.relevant(training),
        seed,
        faces.checksum,
        teacher_run and teacher_run.key,
        torch.__version__,
        storage.sources_digest(*sources),
    )


def _path(recipe: Recipe, preset: Preset, seed: int, key: str) -> Path:
    return runs.folder() / f"{recipe.name}-{preset.name}-s{seed}-{key[:12]}"


def _of_teacher(preset: Preset) -> Preset:
    """The preset of the teacher: it sees whole photos, however its student's are cropped."""
    return replace(preset, training=replace(preset.training, tight_crops=0.0))


class Trainer:
    """A student under training: the network with its softmax layer, optimiser, schedule, and the teacher's outputs.

    Parameters
    ----------
    recipe, training, seed
        What is trained, and from which first weights.
    classes
        K, the number of people.
    fabric
        The device and the other processes.
    steps
        Of an epoch.
    teacher_run
        The teacher whose weights the student may start from.
    teacher_outputs
        Photo numbers (B,) and which are mirrored (B,) -> z_teacher (B, D) and its softmax q_pre (B, K).
    """

    def __init__(
        self,
        recipe: Recipe,
        training: Training,
        classes: int,
        fabric: Fabric,
        seed: int = 0,
        steps: int = 1,
        teacher_run: Run | None = None,
    ):
        if training.batch_size % fabric.world_size:
            raise SettingError(
                f"a batch of {training.batch_size} cannot be shared equally by {fabric.world_size} processes: start "
                f"another number of them, or change batch_size."
            )
        self.recipe, self.training, self.seed, self.fabric = recipe, training, seed, fabric
        self.views = Views(recipe, training)
        self.teacher_outputs: Callable[[np.ndarray, Tensor], tuple[Tensor, Tensor]] | None = None
        torch.manual_seed(initial_seed(recipe, seed))
        network = Student(training, classes)
        if teacher_run:
            network.start_from(teacher_run, training)
        network = process_group.convert_sync_batchnorm(network, fabric.device)
        optimiser = torch.optim.SGD(
            network.parameters(),
            training.learning_rate,
            training.momentum,
            weight_decay=training.weight_decay,
            fused=fabric.device.type == "cuda",
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: rate_factor(step, steps * training.epochs, training)
        )
        self.student = network.to(memory_format=torch.channels_last)
        self.module, self.optimiser = fabric.setup(self.student, optimiser)
        rank_photos = training.batch_size // fabric.world_size
        self.micro_batch = min(training.micro_batch or rank_photos, rank_photos)
        if training.compile:
            _compile(self.student.network, self.views.count * self.micro_batch, fabric)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return self.schedule.get_last_lr()[0]

    def step(self, batch: RankBatch) -> Tensor:
        """Move down the loss of one batch; returns (2,) the sum of the losses of its photos and of its hits."""
        total = torch.zeros(2, dtype=torch.float64, device=self.fabric.device)
        photos = len(batch.labels)
        for start in range(0, photos, self.micro_batch):
            part = batch.part(start, self.micro_batch)
            x = networks.to_input(part.views.flatten(0, 1))  # (V n, 3, 112, 112)
            last = start + self.micro_batch >= photos
            with self.fabric.no_backward_sync(self.module, enabled=self.fabric.world_size > 1 and not last):
                z_student, w = self.module(x).float(), self.module.softmax.weight
                teacher_of = self.teacher_outputs and self.teacher_outputs(part.which, part.mirrored)
                loss = recipe_loss(self.recipe, self.training, z_student, w, part.labels, teacher_of)
                self.fabric.backward(loss * (len(part.labels) / photos))  # DDP takes the mean over processes
            with torch.no_grad():
                hits = (z_student @ w.T).argmax(1) == part.labels.repeat(self.views.count)
                total += torch.stack([loss.double() * len(part.labels), hits.sum() / self.views.count])
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()
        return total

    def epoch(self, number: int, faces: FacePack, progress: bool = True) -> dict[str, float]:
        """Train for one pass over the photos; the last step's learning rate, the mean loss and accuracy."""
        size, fabric = self.training.batch_size, self.fabric
        draw, camera_draw = np.random.default_rng([self.seed, number]), np.random.default_rng([self.seed, number, 1])
        torch.manual_seed(int(draw.integers(2**31)) + fabric.global_rank)  # dropout
        order = batches.epoch_order(len(faces), size, draw)
        ranks = fabric.global_rank, fabric.world_size
        bar = tqdm(
            batches.batches(faces, order, self.views, draw, camera_draw, fabric.device, ranks),
            desc=f"{self.recipe.label} {number + 1}/{self.training.epochs}",
            total=len(order),
            unit_scale=size,
            unit="image",
            leave=False,
            disable=None if progress else True,
            mininterval=0.5,
            position=parallel.progress_bar_position(),
        )
        self.student.train()
        total = torch.zeros(2, dtype=torch.float64, device=fabric.device)
        for step, batch in enumerate(bar):
            learning_rate = self.learning_rate
            total += self.step(batch)
            if fabric.device.type == "cpu" or step % LOG_EVERY == 0 or step + 1 == len(order):
                mean = total[0].item() / (step + 1) / len(batch.labels)
                if not math.isfinite(mean):
                    raise TrainingError(
                        f"{self.recipe.label}: the loss is {mean} at step {step + 1} of epoch {number + 1}, at "
                        f"learning rate {learning_rate:.3g}. Try a lower learning_rate or a longer warmup; the last "
                        f"finished epoch is kept."
                    )
                bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
        loss, hits = (fabric.all_reduce(total, reduce_op="sum") / order.size).tolist()
        return {"learning_rate": learning_rate, "loss": loss, "accuracy": hits}


def _train(
    path: Path,
    recipe: Recipe,
    training: Training,
    seed: int,
    faces: FacePack,
    teacher_run: Run | None,
    fabric: Fabric,
    record: dict[str, str],
    progress: bool,
) -> None:
    size = training.batch_size
    if len(faces) < size:
        raise DataError(f"{len(faces)} images cannot fill a batch of {size}: give more faces or a smaller batch_size.")
    progress = progress and process_group.is_rank_zero()
    trainer = Trainer(recipe, training, len(faces.people), fabric, seed, len(faces) // size, teacher_run)
    state = {"student": trainer.student, "optimiser": trainer.optimiser, "schedule": trainer.schedule}
    reached = Progress(path, state)
    # Rank 0 reads for all: on a network file system another process may not see the file yet, or see an older one.
    reached.resume(fabric.broadcast(reached.read() if process_group.is_rank_zero() else None))
    if teacher_run:
        with reached.timed():
            trainer.teacher_outputs = TeacherOutputs(teacher_run, faces, training.temperature, fabric, progress)
    while reached.epoch < training.epochs:
        with reached.timed():
            row = trainer.epoch(reached.epoch, faces, progress)
        reached.finish(row)
        if process_group.is_rank_zero():
            reached.write()
    if process_group.is_rank_zero():
        on_gpu = fabric.device.type == "cuda"
        record = record | {
            "recipe": recipe.name,
            "seed": seed,
            "training": asdict(training),
            "teacher": teacher_run and teacher_run.key,
            "device": str(fabric.device),
            "machine": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
            "processes": fabric.world_size,
        }
        reached.write_run(path, trainer.student.state_dict(), faces, record)


def _compile(network: nn.Module, rows: int, fabric: Fabric) -> None:
    """`torch.compile` the network where that works, tried on a copy; else say so and leave it as it is."""
    trial = copy.deepcopy(network).train()
    trial.compile()
    try:
        with fabric.autocast():
            trial(torch.zeros(rows, 3, 112, 112, device=fabric.device)).sum().backward()
    except Exception as error:  # a missing compiler, an unknown device: whatever it is, training needs none of it
        warnings.warn(
            f"torch.compile does not work here ({str(error).strip().splitlines()[0][:200]}): training goes on "
            f"without it, only slower.",
            stacklevel=2,
        )
    else:
        network.compile()

"""One trainer for the six networks.

    python -m rifr train --recipe proposed --preset mini --seed 0

A step takes a batch of photos, each at 112 px and/or at a low width as the recipe says, and moves the student and the
softmax layer down the recipe's loss. The frozen teacher sees high resolution only and its input changes by nothing but
mirroring, so its outputs are computed once, two rows a photo, and looked up.

Killed at any moment, the same command goes on from the last finished epoch and ends with the same weights: each epoch
draws its order, mirroring and widths from a stream of its own.

Several processes (`rifr.training.process_group`) take equal shares of each batch; `micro_batch` cuts a share into parts that fit a
device's memory. The draws are those of the whole batch either way.
"""

from __future__ import annotations

import copy
import datetime
import math
import platform
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

import rifr
from rifr import camera, degrade, losses, networks, presets, recipes, side_by_side, splits, storage
from rifr.packs import FacePack
from rifr.presets import Preset, Training
from rifr.recipes import Recipe
from rifr.side_by_side import Call
from rifr.training import batches, process_group, runs
from rifr.training.batches import TeacherOutputs
from rifr.training.runs import Run

WORTH_A_PROCESS = 20_000
"""Photos in all epochs from which a training is given a process of its own: starting one takes seconds."""

DETERMINED_BY = (losses, networks, recipes, degrade, camera, batches, process_group)

GLANCE = 50
"""Steps between two looks at the loss on an accelerator: each look waits for the device."""


class Student(nn.Module):
    """A network and the softmax layer `w_shared` (K, D) that is thrown away after training."""

    def __init__(self, training: Training, classes: int):
        super().__init__()
        self.network = runs.build(asdict(training))
        self.softmax = nn.Linear(training.embedding, classes, bias=False)
        nn.init.normal_(self.softmax.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


def fit(
    recipe: str, preset: str | Preset = "", seed: int = 0, faces: FacePack | None = None, progress: bool = True
) -> Run:
    """Find the run that these arguments describe, or train it (and first the teacher it learns from).

    `faces` is the training pack; None takes the preset's rendered people. Two askers for one run train it once: the
    second waits. Raises ValueError for an unknown recipe or preset, FloatingPointError when the loss is not finite.
    """
    recipe, preset = recipes.get(recipe), presets.get(preset)
    if faces is None:
        faces = splits.face_splits(preset, progress=progress).train
    teacher = fit(recipes.TEACHER, _of_teacher(preset), seed, faces, progress) if recipe.needs_teacher else None
    key = run_key(recipe, preset.training, seed, faces, teacher)
    path = _path(recipe, preset, seed, key)
    fabric = process_group.fabric(preset.training.precision)
    with process_group.one_makes(path, fabric) as missing:
        if missing:
            with side_by_side.threads(preset.training.threads):
                _train(path, key, recipe, preset, seed, faces, teacher, fabric, progress and process_group.first())
        elif process_group.first():  # killed in the moment between the run and the end of its checkpoint
            storage.checkpoint_path(path).unlink(missing_ok=True)
    return Run.open(path)


def fit_all(
    names: Iterable[str], preset: str | Preset = "", seed: int = 0, faces: FacePack | None = None, progress: bool = True
) -> dict[str, Run]:
    """The runs of several recipes by name, found or trained; arguments as in `fit`.

    On a CPU those that are missing are trained side by side, the teacher first, where that is worth starting processes.
    """
    names, preset = [recipes.get(name).name for name in names], presets.get(preset)
    if faces is None:
        faces = splits.face_splits(preset, progress=progress).train
    side_by_side.run(calls(names, preset, seed, faces, progress))
    return {name: fit(name, preset, seed, faces, progress) for name in names}


def calls(names: Iterable[str], preset: Preset, seed: int, faces: FacePack, progress: bool = True) -> list[Call]:
    """The trainings that several recipes still need, the teacher's first; none where they are too short for processes."""
    if len(faces) * preset.training.epochs < WORTH_A_PROCESS or process_group.size() > 1:
        return []
    missing = [name for name in names if find(name, preset, seed, faces) is None]
    if any(recipes.get(name).needs_teacher for name in missing) and recipes.TEACHER not in missing:
        missing.append(recipes.TEACHER)  # found at once where it is there already
    missing.sort(key=lambda name: (recipes.get(name).needs_teacher, name != recipes.TEACHER))
    return [
        Call(
            "rifr.training.trainer",
            "fit",
            {"recipe": name, "preset": preset, "seed": seed, "progress": progress},
            faces,
        )
        for name in missing
    ]


def find(recipe: str, preset: str | Preset, seed: int, faces: FacePack) -> Run | None:
    """The run that these arguments describe, if it has been trained."""
    recipe, preset = recipes.get(recipe), presets.get(preset)
    teacher = find(recipes.TEACHER, _of_teacher(preset), seed, faces) if recipe.needs_teacher else None
    if recipe.needs_teacher and teacher is None:
        return None
    path = _path(recipe, preset, seed, run_key(recipe, preset.training, seed, faces, teacher))
    return Run.open(path) if (path / "record.json").exists() else None


def _path(recipe: Recipe, preset: Preset, seed: int, key: str) -> Path:
    return runs.folder() / f"{recipe.name}-{preset.name}-s{seed}-{key[:12]}"


def _of_teacher(preset: Preset) -> Preset:
    """The preset of the teacher: it sees whole photos at 112 px alone, however its student's are changed."""
    return replace(preset, training=replace(preset.training, low_kind="bicubic", tight_crops=0.0))


def run_key(recipe: Recipe, training: Training, seed: int, faces: FacePack, teacher: Run | None) -> str:
    """What a run is found by: configuration, faces, seed, teacher, and the sources that determine the result."""
    import rifr.training.trainer  # its own source counts too

    return storage.digest(
        recipe,
        training,
        seed,
        faces.checksum,
        teacher and teacher.key,
        torch.__version__,
        storage.sources_digest(*DETERMINED_BY, rifr.training.trainer),
    )


def _train(
    path: Path,
    key: str,
    recipe: Recipe,
    preset: Preset,
    seed: int,
    faces: FacePack,
    teacher: Run | None,
    fabric: Fabric,
    progress: bool,
) -> None:
    training, size = preset.training, preset.training.batch_size
    if len(faces) < size:
        raise ValueError(f"{len(faces)} images cannot fill a batch of {size}: give more faces or a smaller batch_size.")
    if size % fabric.world_size:
        raise ValueError(
            f"a batch of {size} cannot be shared equally by {fabric.world_size} processes: start another "
            f"number of them, or change batch_size."
        )
    torch.manual_seed(_start(recipe, seed))
    student = Student(training, len(faces.people))
    if teacher:
        _start_from(student, teacher, training)
    student = process_group.synchronised(student, fabric.device)
    steps = len(faces) // size
    optimiser = torch.optim.SGD(
        student.parameters(),
        training.learning_rate,
        training.momentum,
        weight_decay=training.weight_decay,
        fused=fabric.device.type == "cuda",
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps * training.epochs, training))
    module, optimiser = fabric.setup(student.to(memory_format=torch.channels_last), optimiser)
    if training.compile:
        _compile(student.network, _rows(recipe, training) * _at_once(training, fabric), fabric)
    began = time.perf_counter()
    looked_up = TeacherOutputs(teacher, faces, training, fabric, progress) if teacher else None
    looked = time.perf_counter() - began

    checkpoint = storage.checkpoint_path(path)
    state: dict[str, Any] = {"epoch": 0, "history": [], "seconds": 0.0}
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
        student.load_state_dict(saved["student"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        state = {name: saved[name] for name in state}
    state["seconds"] += looked

    for epoch in range(state["epoch"], training.epochs):
        began = time.perf_counter()
        means = _epoch(epoch, recipe, training, seed, faces, module, looked_up, fabric, optimiser, schedule, progress)
        state["epoch"], state["seconds"] = epoch + 1, state["seconds"] + time.perf_counter() - began
        state["history"].append({"epoch": epoch + 1, "learning_rate": schedule.get_last_lr()[0], **means})
        if process_group.first():
            storage.atomic_write(
                checkpoint,
                lambda file: torch.save(
                    {
                        "student": student.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "schedule": schedule.state_dict(),
                        **state,
                    },
                    file,
                ),
            )
    if not process_group.first():
        return

    with storage.atomic_directory(path) as folder:
        save_file(
            {name: value.cpu().contiguous() for name, value in student.state_dict().items()},
            folder / "weights.safetensors",
        )
        record = {
            "recipe": recipe.name,
            "preset": preset.name,
            "seed": seed,
            "key": key,
            "training": asdict(training),
            "faces": {
                name: faces.manifest[name] for name in ("source", "licence", "spec", "images", "people", "checksum")
            },
            "teacher": teacher and teacher.key,
            "history": state["history"],
            "seconds": round(state["seconds"], 1),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "device": str(fabric.device),
            "machine": _machine(fabric),
            "processes": fabric.world_size,
            "threads": torch.get_num_threads(),
            "versions": {"rifr": rifr.__version__, "torch": torch.__version__, "python": platform.python_version()},
        }
        storage.atomic_write(folder / "record.json", storage.readable_json(record))
    checkpoint.unlink(missing_ok=True)


def _epoch(
    epoch: int,
    recipe: Recipe,
    training: Training,
    seed: int,
    faces: FacePack,
    student: nn.Module,
    looked_up: TeacherOutputs | None,
    fabric: Fabric,
    optimiser: Any,
    schedule: Any,
    progress: bool,
) -> dict[str, float]:
    """Train for one pass over the photos; returns the mean loss and accuracy."""
    draw = np.random.default_rng([seed, epoch])
    torch.manual_seed(int(draw.integers(2**31)) + fabric.global_rank)  # dropout
    size, at_once, device = training.batch_size, _at_once(training, fabric), fabric.device
    order = draw.permutation(len(faces))[: len(faces) // size * size].reshape(-1, size)
    # What cameras do to a share of a batch is drawn by the process that holds it.
    by_camera = draw if fabric.world_size == 1 else np.random.default_rng([seed, epoch, 1 + fabric.global_rank])
    student.train()
    total = torch.zeros(2, dtype=torch.float64, device=device)  # loss by photo, hits
    bar = tqdm(
        batches.batches(faces, order, recipe, training, draw, fabric),
        desc=f"{recipe.label} {epoch + 1}/{training.epochs}",
        total=len(order),
        unit_scale=size,
        unit="image",
        leave=False,
        disable=None if progress else True,
        mininterval=0.5,
        position=side_by_side.line(),
    )
    for step, share in enumerate(bar):
        for start in range(0, len(share.labels), at_once):
            part = share.part(start, at_once)
            x = batches.batch_of(
                part.images, part.width_of, recipe, training, by_camera
            )  # (R, 3, 112, 112): R = n, 2 n, 3 n
            copies, last = len(x) // len(part.labels), start + at_once >= len(share.labels)
            with fabric.no_backward_sync(student, enabled=fabric.world_size > 1 and not last):
                z_student = student(x).float()
                w = student.softmax.weight
                teacher = looked_up and looked_up(part.which, part.mirrored)
                loss = recipe_loss(recipe, training, z_student, w, part.labels, teacher, copies)
                fabric.backward(loss * (len(part.labels) * fabric.world_size / size))  # DDP takes the mean of processes
            with torch.no_grad():
                hits = ((z_student @ w.T).argmax(1) == part.labels.repeat(copies)).sum()
                total += torch.stack([loss.double() * len(part.labels), hits / copies])
        if device.type == "cpu" or step % GLANCE == 0 or step + 1 == len(order):
            _check(loss.item(), recipe, step, epoch, schedule)
            bar.set_postfix(loss=f"{total[0].item() / (step + 1) / len(share.labels):.3f}", refresh=False)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    loss, hits = (fabric.all_reduce(total, reduce_op="sum") / order.size).tolist()
    return {"loss": loss, "accuracy": hits}


def _check(loss: float, recipe: Recipe, step: int, epoch: int, schedule: Any) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"{recipe.label}: the loss is {loss} at step {step + 1} of epoch {epoch + 1}, at learning rate "
            f"{schedule.get_last_lr()[0]:.3g}. Try a lower learning_rate or a longer warmup; the last finished "
            f"epoch is kept."
        )


def _at_once(training: Training, fabric: Fabric) -> int:
    """How many photos a process takes at a time."""
    share = training.batch_size // fabric.world_size
    return min(training.micro_batch or share, share)


def _rows(recipe: Recipe, training: Training) -> int:
    """How many images a photo gives: at 112 px, and one or two at low widths."""
    return recipe.high + recipe.low * (len(recipes.LR_WIDTHS) if training.low_per_photo == "both" else 1)


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


def _machine(fabric: Fabric) -> str:
    """The GPU's or the processor's name."""
    return (
        torch.cuda.get_device_name(fabric.device)
        if fabric.device.type == "cuda"
        else platform.processor() or platform.machine()
    )


def recipe_loss(
    recipe: Recipe,
    training: Training,
    z_student: Tensor,
    w: Tensor,
    labels: Tensor,
    teacher: tuple[Tensor, Tensor] | None,
    copies: int,
) -> Tensor:
    """The loss of a recipe: eq. (1), (2) or (3).

    z_student (R, D) holds `copies` blocks of the B photos; w (K, D); labels (B,); teacher: z_teacher (B, D) and
    its softmax q_pre (B, K).
    """
    if teacher is None:
        return losses.softmax_cross_entropy(z_student @ w.T, labels.repeat(copies))
    z_teacher, q_pre = teacher
    q = q_pre if recipe.targets == "soft" else F.one_hot(labels, len(w)).float()  # (B, K)
    q, scale = q.repeat(copies, 1), training.temperature
    if recipe.shared:
        loss = losses.shared_softmax_loss(
            z_student / scale, z_teacher.repeat(copies, 1) / scale, w, q, training.teacher_weight
        )
    else:
        loss = losses.soft_cross_entropy(z_student @ w.T / scale, q)
    return loss * scale**2


def _start(recipe: Recipe, seed: int) -> int:
    """The seed of a network's first weights: one for the teacher, another for all others of the same seed.

    From the teacher's own noise a student's axes would lie near the teacher's before any lesson, and sharing the
    softmax layer would seem to do less than it does. The others start alike, so that they differ by their recipes alone.
    """
    return int(np.random.default_rng([seed, recipe.name == recipes.TEACHER]).integers(2**31))


def _start_from(student: Student, teacher: Run, training: Training) -> None:
    """Copy the teacher's weights where the configuration says so."""
    weights = teacher.weights()
    keep = {"network.": training.student_start, "softmax.": training.softmax_start}
    wanted = {
        name: value
        for name, value in weights.items()
        if any(name.startswith(part) and start == "teacher" for part, start in keep.items())
    }
    student.load_state_dict(wanted, strict=False)


def _rate(step: int, steps: int, training: Training) -> float:
    """The learning rate's factor at a step: a rise over the warm-up, then a fall by `decay` at each milestone."""
    rise = training.warmup * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return training.decay ** sum(step >= milestone * steps for milestone in training.milestones)

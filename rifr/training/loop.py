"""The training loop: a student, its optimiser and schedule, one step, one epoch, and all epochs of a run.

A step takes a batch of photos, each at 112 px and/or at a low width as the recipe says, and moves the student and the
softmax layer down the recipe's loss. The frozen teacher sees high resolution only. Where its input changes by nothing
but mirroring, its outputs are computed once, two rows per photo, and looked up; else it runs in the step.

Each epoch draws its order, mirroring and widths from generators of its own. Several processes (`process_group`) take
equal parts of each batch; `micro_batch` cuts a part into pieces that fit a device's memory. Either way the draws are
those of the whole batch.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from rifr import networks
from rifr.bars import progress_bar
from rifr.errors import DataError, SettingError, TrainingError
from rifr.methods import Step
from rifr.packs import FacePack
from rifr.presets import Training
from rifr.recipes import Recipe
from rifr.training import batches, parallel, process_group
from rifr.training.batches import RankBatch, Views
from rifr.training.runs import Progress, Run
from rifr.training.student import Student, compile_where_possible, initial_seed, rate_factor, recipe_loss
from rifr.training.teacher import TeacherInStep, TeacherOutputs

LOG_EVERY = 50
"""Steps between two looks at the loss on an accelerator: each look waits for the device."""


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
        The teacher that the student learns from, or whose weights it starts from.
    teacher_outputs
        A batch of B photos -> z_teacher (B, D) and its softmax q_pre (B, K).
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
        self.teacher_run = teacher_run
        self.views = Views(recipe, training)
        self.teacher_outputs: Callable[[RankBatch], tuple[Tensor, Tensor]] | None = None
        torch.manual_seed(initial_seed(recipe, seed))
        network = Student(training, classes, recipe.loss)
        if teacher_run:
            network.start_from(teacher_run, training)
        # What rests has no gradient, which would count in the length that `clip_norm` cuts.
        uses_softmax = network.loss is None or network.loss.uses_softmax
        network.softmax.requires_grad_(uses_softmax and training.softmax_rate > 0)
        self.student = networks.channels_last(process_group.convert_sync_batchnorm(network, fabric.device))
        rates = {"network": 1.0, "softmax": training.softmax_rate, "loss": 1.0}
        optimiser = torch.optim.SGD(
            [
                {"params": parameters, "lr": rate * training.learning_rate}
                for part, rate in rates.items()
                if (parameters := list(module.parameters()) if (module := getattr(self.student, part)) else [])
            ],
            training.learning_rate,
            training.momentum,
            weight_decay=training.weight_decay,
            fused=fabric.device.type == "cuda",
        )
        self.steps = steps * training.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: rate_factor(step, self.steps, training)
        )
        self.module, self.optimiser = fabric.setup(self.student, optimiser)
        rank_photos = training.batch_size // fabric.world_size
        self.micro_batch = min(training.micro_batch or rank_photos, rank_photos)
        if self.student.loss is not None:
            earlier = networks.channels_last(teacher_run.network(), fabric.device) if teacher_run else None
            self.student.loss.prepare(self.student.network, earlier)
        if training.compile:
            # Neither processes that exchange gradients, nor pieces whose gradients add up, nor losses that look inside.
            alone = fabric.world_size == 1 and self.micro_batch == rank_photos and self.student.loss is None
            compile_where_possible(self.student.network, self.views.count * self.micro_batch, fabric, alone)

    @property
    def learning_rate(self) -> float:
        """Of the network's next step."""
        return float(self.schedule.get_last_lr()[0])

    @property
    def record(self) -> dict[str, Any]:
        """What is trained, and on what, for the run's record."""
        on_gpu = self.fabric.device.type == "cuda"
        return {
            "recipe": self.recipe.name,
            "seed": self.seed,
            "training": asdict(self.training),
            "teacher": self.teacher_run and self.teacher_run.key,
            "device": str(self.fabric.device),
            "machine": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
            "processes": self.fabric.world_size,
        }

    def train(self, path: Path, faces: FacePack, progress: bool = True) -> Progress:
        """Train to the end, from the last epoch that a training of `path` has finished."""
        if len(faces) < self.training.batch_size:
            raise DataError(
                f"{len(faces)} images cannot fill a batch of {self.training.batch_size}: give more faces or a smaller "
                "batch_size."
            )
        state = {"student": self.student, "optimiser": self.optimiser, "schedule": self.schedule}
        reached = Progress(path, state)
        # Rank 0 reads for all: on a network file system another process may not see the file yet, or see an older one.
        reached.resume(self.fabric.broadcast(reached.read() if process_group.is_rank_zero() else None))
        if self.teacher_run and self.recipe.needs_teacher:
            temperature = self.training.temperature
            if self.training.teacher_in_step:
                self.teacher_outputs = TeacherInStep(self.teacher_run, temperature, self.fabric)
            else:
                with reached.timed():
                    self.teacher_outputs = TeacherOutputs(self.teacher_run, faces, temperature, self.fabric, progress)
        while reached.epoch < self.training.epochs:
            with reached.timed():
                row = self.epoch(reached.epoch, faces, progress)
            reached.finish(row)
            if process_group.is_rank_zero():
                reached.write()
        return reached

    def loss(
        self, x: Tensor, z_student: Tensor, w: Tensor, labels: Tensor, teacher_of: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """The recipe's loss of a batch that the network was shown as `x`: `recipe_loss`, or that of another method."""
        if self.student.loss is None:
            return recipe_loss(self.recipe, self.training, z_student, w, labels, teacher_of)
        z_teacher, q_pre = teacher_of or (None, None)
        progress = self.schedule.last_epoch / self.steps
        return self.student.loss(Step(z_student, w, labels, z_teacher, q_pre, x, progress))

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
                teacher_of = self.teacher_outputs and self.teacher_outputs(part)
                loss = self.loss(x, z_student, w, part.labels, teacher_of)
                if not (isinstance(loss, Tensor) and loss.dim() == 0 and loss.requires_grad):
                    found = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
                    raise SettingError(
                        f"the loss of the recipe {self.recipe.name!r} gave {found}: it has to give one number that "
                        "follows from the features, the softmax layer or weights of its own."
                    )
                self.fabric.backward(loss * (len(part.labels) / photos))  # DDP takes the mean over processes
            with torch.no_grad():
                hits = (z_student @ w.T).argmax(1) == part.labels.repeat(self.views.count)
                total += torch.stack([loss.double() * len(part.labels), hits.sum() / self.views.count])
        if longest := self.training.clip_norm:
            # What is not finite shows in the loss, which `epoch` looks at.
            self.fabric.clip_gradients(self.module, self.optimiser, max_norm=longest, error_if_nonfinite=False)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()
        return total

    def epoch(self, number: int, faces: FacePack, progress: bool = True) -> dict[str, float]:
        """Train for one pass over the photos; the last step's learning rate, the mean loss and accuracy."""
        size, fabric = self.training.batch_size, self.fabric
        draw, camera_draw = np.random.default_rng([self.seed, number]), np.random.default_rng([self.seed, number, 1])
        dropout = np.random.default_rng([self.seed, number, 3])  # not the generator that has drawn first weights
        torch.manual_seed(int(dropout.integers(2**31)) + fabric.global_rank)
        classes = batches.shown_labels(faces.labels, self.training.label_noise, self.seed)
        order = batches.epoch_order(len(faces), size, draw, classes, self.recipe.together)
        ranks = fabric.global_rank, fabric.world_size
        bar = progress_bar(
            batches.batches(faces, order, self.views, draw, camera_draw, fabric.device, ranks, classes),
            desc=f"{self.recipe.label} {number + 1}/{self.training.epochs}",
            total=len(order),
            unit_scale=size,
            unit="image",
            leave=False,
            show=progress,
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
                    kept = "; the last finished epoch is kept" if number else ""
                    raise TrainingError(
                        f"{self.recipe.label}: the loss is {mean} at step {step + 1} of epoch {number + 1}, at "
                        f"learning rate {learning_rate:.3g}. Try a lower learning_rate or a longer warmup{kept}."
                    )
                bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
        summed = fabric.all_reduce(total, reduce_op="sum")
        assert isinstance(summed, Tensor)
        loss, hits = (summed / order.size).tolist()
        return {"learning_rate": learning_rate, "loss": loss, "accuracy": hits}

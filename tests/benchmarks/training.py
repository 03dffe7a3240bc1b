"""Training the proposed method as `rifr.train` does and as published code does: `training.py [--small]`.

Ours trains as the chapters' networks are trained at the preset `mini`, on fewer photos: as many networks side by side as
there are cores, a thread each. The teacher's look-up table, spread over the preset's epochs, is in its time; what is in
neither's is the training of the teacher and the starting of Python. The rival takes the same number of steps with the
same network, batches and loss, with all threads on one network: both networks run in each step, and a DataLoader
degrades the photos one by one with OpenCV.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from harness import SEED, Row, Side, main, measure
from torch.utils.data import DataLoader, Dataset

from rifr import losses, presets, side_by_side, train
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.recipes import LR_WIDTHS, TEACHER
from rifr.runs import Run
from rifr.side_by_side import Call


class Photos(Dataset):
    """Photos as published code reads them: one by one, each mirrored or not, and with a low-resolution version."""

    def __init__(self, pack: FacePack):
        self.images, self.labels = pack.images, pack.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        image = np.array(self.images[index])
        if torch.rand(()) < 0.5:
            image = cv2.flip(image, 1)
        width = LR_WIDTHS[int(torch.randint(len(LR_WIDTHS), ()))]
        small = cv2.resize(image, (width, width), interpolation=cv2.INTER_CUBIC)
        low = cv2.resize(small, image.shape[:2], interpolation=cv2.INTER_CUBIC)
        return as_input(image), as_input(low), int(self.labels[index])


def as_input(image: np.ndarray) -> torch.Tensor:
    """(112, 112, 3) uint8 -> (3, 112, 112) in [-1, 1]."""
    return torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)


def make(people: int, images: int, epochs: int, batch: int, workers: int = 0) -> tuple:
    """A pack of smooth patterns under noise, `mini` with so many epochs, and a teacher that was trained for one."""
    folder = Path(tempfile.mkdtemp(dir=os.environ["RIFR_STORE"]))
    draw = np.random.default_rng(SEED)
    patterns = np.kron(draw.integers(40, 216, (people, 7, 7, 3), np.uint8), np.ones((1, 16, 16, 1), np.uint8))
    parts = ((pattern + draw.normal(0, 12, (images, 112, 112, 3))).clip(0, 255).astype(np.uint8)
             for pattern in patterns)
    names = np.repeat([f"{person:04d}" for person in range(people)], images)
    pack = FacePack.write(folder / "pack", parts, names, source="patterns", licence="CC0")
    mini = presets.get("mini")
    preset = replace(mini, training=replace(mini.training, batch_size=batch, epochs=epochs))
    teachers = [train.fit(TEACHER, preset, seed, pack, progress=False) for seed in seeds()]
    return preset, pack, teachers[0], workers


def ours(preset: Preset, pack: FacePack, teacher: Run, workers: int) -> list[Run]:
    """A run a core, side by side; the faster of two times, as the rival's."""
    calls = [Call("rifr.train", "fit", {"recipe": "proposed", "preset": preset, "seed": seed, "progress": False}, pack)
             for seed in seeds()]
    made = []
    for _ in range(2):
        made.append(side_by_side.run(calls))
        for run in made[-1]:
            shutil.rmtree(run.path)  # or the next time finds it
    return min(made, key=slowest)


def slowest(runs: list[Run]) -> float:
    return max(run.record["seconds"] for run in runs)


def seeds() -> range:
    return range(SEED, SEED + (os.cpu_count() or 1))


def of_runs(inputs: tuple, runs: list[Run]) -> tuple[float, float]:
    """Mean loss of all epochs of the first run, and the seconds that the slowest took."""
    return float(np.mean([epoch["loss"] for epoch in runs[0].history])), slowest(runs)


def two_networks(preset: Preset, pack: FacePack, teacher: Run, workers: int) -> float:
    """Mean loss of all epochs."""
    training = preset.training
    torch.manual_seed(SEED)
    loader = DataLoader(Photos(pack), training.batch_size, shuffle=True, drop_last=True, num_workers=workers,
                        persistent_workers=workers > 0)
    network, w_pre = teacher.network(), teacher.softmax()
    student = train.Student(training, len(pack.people)).train()
    optimiser = torch.optim.SGD(student.parameters(), training.learning_rate, training.momentum,
                                weight_decay=training.weight_decay)
    steps = len(loader) * training.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: train._rate(step, steps, training))
    values = []
    for _ in range(training.epochs):
        for high, low, _ in loader:
            loss = loss_of(student, network, w_pre, high, low)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            values.append(loss.item())
    return float(np.mean(values))


def loss_of(student: train.Student, teacher: torch.nn.Module, w_pre: torch.Tensor, high: torch.Tensor,
            low: torch.Tensor) -> torch.Tensor:
    """Eq. (3) of a batch: high and low (B, 3, 112, 112)."""
    with torch.no_grad():
        z_teacher = teacher(high)
        q = torch.softmax(z_teacher @ w_pre.T, dim=1)
    z_student = student(torch.cat([high, low]))
    return losses.shared_softmax_loss(z_student, z_teacher.repeat(2, 1), student.softmax.weight, q.repeat(2, 1))


def mean_loss(inputs: tuple, answer: float) -> float:
    return answer


def rows(small: bool = False) -> list[Row]:
    mini = presets.get("mini").training
    tiny = {"people": 4, "images": 4, "epochs": 1, "batch": 4}
    size = tiny if small else {"people": 100, "images": 20, "epochs": mini.epochs, "batch": mini.batch_size}
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("RIFR_STORE")
        os.environ["RIFR_STORE"] = folder  # the children's: no run of a benchmark among the user's
        try:
            repeats = 1 if small else 2
            one = measure(Side(make, ours, of_runs), size, repeats=1)
            others = {workers: measure(Side(make, two_networks, mean_loss), {**size, "workers": workers}, tiny, repeats)
                      for workers in ((0,) if small else (0, 2))}
        finally:
            os.environ.pop("RIFR_STORE")
            os.environ.update({"RIFR_STORE": before} if before is not None else {})
    workers = min(others, key=lambda number: others[number].seconds)
    other = others[workers]
    steps = size["people"] * size["images"] // size["batch"] * size["epochs"]
    loss, seconds = one.summary
    each, photos, beside = seconds / (steps * len(seeds())), size["batch"], len(seeds())
    apart = abs(loss - other.summary) / other.summary
    return [Row("a training step of the proposed method", f"{steps} steps of {size['batch']} photos at 112 px "
                f"and at one low width, {mini.network} network, CPU", each,
                "two networks in each step, photos degraded one by one in a DataLoader", other.seconds / steps, 1.5,
                one.peak_mib, other.peak_mib, None if small else apart < 0.1,
                note=f"{photos / each:,.0f} against {photos * steps / other.seconds:,.0f} photos a second: {beside} "
                f"networks side by side, a thread each, against one with all threads. The teacher's look-up table is spread "
                f"over {size['epochs']} epochs; the mean losses are {apart:.1%} apart (other noise, other order). "
                f"DataLoader with {workers} workers, the faster of {' and '.join(map(str, others))}. Memory is that of the "
                "asking process.")]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(rows, __doc__))

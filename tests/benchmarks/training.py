"""Training the proposed method as `rifr.training.trainer` does and as published code does: `training.py [--small]`.

Ours trains as the chapters' networks are trained at the preset `mini`, on fewer photos: as many networks side by side
as there are cores, a thread each. The teacher's look-up table, spread over the preset's epochs, is in its time; what is
in neither's is the training of the teacher and the starting of Python. The rival takes as many steps with the
same network, batches and loss, with all threads on one network: both networks run in each step, and a DataLoader
degrades the photos one by one with OpenCV.

Where there is a GPU, a second row trains ResNet-34 on it as the preset `paper` does (bf16, photos degraded on the GPU),
against the rival in full precision, and says what share of the GPU's bf16 matrix peak we reach.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from harness import SEED, Row, Side, main, measure
from torch.utils.data import DataLoader, Dataset

from rifr import losses, machine, networks, presets
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.recipes import LR_WIDTHS, TEACHER
from rifr.training import parallel, trainer
from rifr.training.parallel import Call
from rifr.training.runs import Run
from rifr.training.student import Student, rate_factor


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


def matrix_peak(size: int = 8192, repeats: int = 30) -> float:
    """Operations a second of a large bf16 matrix product on the GPU: the ceiling that a step is held against."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(repeats):
        a @ b
    end.record()
    torch.cuda.synchronize()
    return 2 * size**3 * repeats / (start.elapsed_time(end) / 1000)


def make(
    people: int, images: int, epochs: int, batch: int, workers: int = 0, preset: str = "mini", **changes: Any
) -> tuple:
    """A pack of smooth patterns under noise, a preset with so many epochs and such changes, and its teacher."""
    folder = Path(tempfile.mkdtemp(dir=os.environ["RIFR_STORE"]))
    draw = np.random.default_rng(SEED)
    patterns = np.kron(draw.integers(40, 216, (people, 7, 7, 3), np.uint8), np.ones((1, 16, 16, 1), np.uint8))
    parts = (
        (pattern + draw.normal(0, 12, (images, 112, 112, 3))).clip(0, 255).astype(np.uint8) for pattern in patterns
    )
    names = np.repeat([f"{person:04d}" for person in range(people)], images)
    pack = FacePack.write(folder / "pack", parts, names, source="patterns", licence="CC0")
    plan = presets.get(preset)
    plan = replace(plan, training=replace(plan.training, batch_size=batch, epochs=epochs, **changes))
    teachers = [trainer.fit(TEACHER, plan, seed, pack, progress=False) for seed in seeds()]
    return plan, pack, teachers[0], workers


def ours(preset: Preset, pack: FacePack, teacher: Run, workers: int) -> list[Run]:
    """A run a core, side by side; the faster of two times, as the rival's."""
    calls = [
        Call(
            "rifr.training.trainer",
            "fit",
            {"recipe": "proposed", "preset": preset, "seed": seed, "progress": False},
            pack,
        )
        for seed in seeds()
    ]
    made = []
    for _ in range(2):
        made.append(parallel.run(calls))
        for run in made[-1]:
            shutil.rmtree(run.path)  # or the next time finds it
    return min(made, key=slowest)


def slowest(runs: list[Run]) -> float:
    return max(run.record["seconds"] for run in runs)


def seeds() -> range:
    """A network a core, or one on a GPU."""
    return range(SEED, SEED + (1 if torch.cuda.is_available() else machine.available_cores()))


def of_runs(inputs: tuple, runs: list[Run]) -> tuple[float, float]:
    """Mean loss of all epochs of the first run, and the seconds that the slowest took."""
    return float(np.mean([epoch["loss"] for epoch in runs[0].history])), slowest(runs)


def two_networks(preset: Preset, pack: FacePack, teacher: Run, workers: int) -> float:
    """Mean loss of all epochs."""
    training = preset.training
    torch.manual_seed(SEED)
    loader = DataLoader(
        Photos(pack),
        training.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network, w_pre = teacher.network().to(device), teacher.softmax().to(device)
    student = Student(training, len(pack.people)).to(device).train()
    optimiser = torch.optim.SGD(
        student.parameters(), training.learning_rate, training.momentum, weight_decay=training.weight_decay
    )
    steps = len(loader) * training.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, steps, training))
    values = []
    for _ in range(training.epochs):
        for high, low, _ in loader:
            loss = loss_of(student, network, w_pre, high.to(device), low.to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            values.append(loss.item())
    return float(np.mean(values))


def loss_of(
    student: Student, teacher: torch.nn.Module, w_pre: torch.Tensor, high: torch.Tensor, low: torch.Tensor
) -> torch.Tensor:
    """Eq. (3) of a batch: high and low (B, 3, 112, 112)."""
    with torch.no_grad():
        z_teacher = teacher(high)
        q = torch.softmax(z_teacher @ w_pre.T, dim=1)
    z_student = student(torch.cat([high, low]))
    return losses.shared_softmax_loss(z_student, z_teacher.repeat(2, 1), student.softmax.weight, q.repeat(2, 1))


@contextlib.contextmanager
def store_of_its_own() -> Iterator[None]:
    """The children's: no run of a benchmark is among the user's."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("RIFR_STORE")
        os.environ["RIFR_STORE"] = folder
        try:
            yield
        finally:
            os.environ.pop("RIFR_STORE")
            os.environ.update({"RIFR_STORE": before} if before is not None else {})


def mean_loss(inputs: tuple, answer: float) -> float:
    return answer


def rows(small: bool = False) -> list[Row]:
    return [on_a_gpu(small)] if torch.cuda.is_available() else on_the_cpu(small)


def mean_loss_and_peak(inputs: tuple, answer: float) -> tuple[float, float]:
    return answer, torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0


def of_runs_and_peak(inputs: tuple, runs: list[Run]) -> tuple[float, float, float]:
    return *of_runs(inputs, runs), mean_loss_and_peak(inputs, 0.0)[1]


def on_a_gpu(small: bool = False) -> Row:
    """ResNet-34 as at the preset `paper`. Small, it is a thin network, which runs without a GPU too: a trial."""
    size: dict[str, Any] = (
        {"people": 4, "images": 2, "epochs": 1, "batch": 4, "preset": "smoke"}
        if small
        else {"people": 5000, "images": 2, "epochs": 4, "batch": 64, "preset": "paper"}
    )
    size |= {"learning_rate": 0.01, "warmup": 0.1}  # the patterns are no faces: at the paper's rate the loss overflows
    with store_of_its_own():
        one = measure(Side(make, ours, of_runs_and_peak), size, repeats=1)
        other = measure(Side(make, two_networks, mean_loss_and_peak), {**size, "workers": 0 if small else 8}, repeats=1)
    steps = size["people"] * size["images"] // size["batch"] * size["epochs"]
    loss, seconds, peak = one.summary
    rate = 2 * size["batch"] * steps / seconds  # each photo at 112 px and at a low width
    training = presets.get(size["preset"]).training
    work = rate * 3 * 2 * networks.count(networks.NETWORKS[training.network](training.embedding)).multiplies
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    peak_rate = matrix_peak() if torch.cuda.is_available() else 0.0
    reached = (
        f"{work / peak_rate:.0%} of the {peak_rate / 1e12:.0f} TFLOP/s of a bf16 matrix product here (aim: 35 %)"
        if peak_rate
        else "there is no bf16 matrix peak to compare with"
    )
    return Row(
        "a training step of the proposed method",
        f"{steps} steps of {size['batch']} photos at 112 px and at one low width, {training.network}, {name}",
        seconds / steps,
        "two networks in each step, photos degraded one by one in a DataLoader, full precision",
        other.seconds / steps,
        3.0,
        peak,
        other.summary[1],
        None if small else abs(loss - other.summary[0]) / other.summary[0] < 0.1,
        note=f"{rate:,.0f} images a second, {work / 1e12:.0f} TFLOP/s: {reached}. Memory is the GPU's. The teacher's "
        f"look-up table is spread over {size['epochs']} epochs.",
    )


def on_the_cpu(small: bool = False) -> list[Row]:
    mini = presets.get("mini").training
    tiny = {"people": 4, "images": 4, "epochs": 1, "batch": 4}
    size = tiny if small else {"people": 100, "images": 20, "epochs": mini.epochs, "batch": mini.batch_size}
    with store_of_its_own():
        repeats = 1 if small else 2
        one = measure(Side(make, ours, of_runs), size, repeats=1)
        others = {
            workers: measure(Side(make, two_networks, mean_loss), {**size, "workers": workers}, tiny, repeats)
            for workers in ((0,) if small else (0, 2))
        }
    workers = min(others, key=lambda number: others[number].seconds)
    other = others[workers]
    steps = size["people"] * size["images"] // size["batch"] * size["epochs"]
    loss, seconds = one.summary
    each, photos, beside = seconds / (steps * len(seeds())), size["batch"], len(seeds())
    apart = abs(loss - other.summary) / other.summary
    return [
        Row(
            "a training step of the proposed method",
            f"{steps} steps of {size['batch']} photos at 112 px and at one low width, {mini.network} network, CPU",
            each,
            "two networks in each step, photos degraded one by one in a DataLoader",
            other.seconds / steps,
            1.5,
            one.peak_mib,
            other.peak_mib,
            None if small else apart < 0.1,
            note=f"{photos / each:,.0f} against {photos * steps / other.seconds:,.0f} photos a second: {beside} "
            f"networks side by side, a thread each, against one with all threads. The teacher's look-up table is "
            f"spread over {size['epochs']} epochs; the mean losses are {apart:.1%} apart (other noise, other order). "
            f"DataLoader with {workers} workers, the faster of {' and '.join(map(str, others))}. Memory is that of the "
            "asking process.",
        )
    ]


if __name__ == "__main__":
    sys.exit(main(rows, __doc__))

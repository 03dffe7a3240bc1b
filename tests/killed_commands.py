"""The commands that tests/kills.py ends: what they need and store; each runs in a fork, in a folder of its own."""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from rifr import cli, storage
from tests.helpers import easy_faces, people_of_their_own

LIMIT = 120  # seconds that no command takes
TRAINING = ["--preset", "smoke", "--set", "epochs=3", "batch_size=8", "embedding=16", "--widths", "40", "16"]
PASSING = ("seconds", "finished")  # fields of a run's record that are times


@dataclass(frozen=True)
class Job:
    """A command, and what it stores.

    command: its arguments, given the folder of the inputs and its own; stored: patterns of its files in its own folder;
    bytes: a limit of a file's size that it meets on its way
    """

    command: Callable[[Path, Path], list[str]]
    stored: tuple[str, ...]
    bytes: int


def _faces(inputs: Path) -> list[str]:
    return ["--faces", *(str(inputs / name) for name in ("train", "probes", "distractors"))]


JOBS = {
    "render": Job(
        lambda inputs, own: ["render", "--people", "16", "--images", "3", "--out", str(own / "pack")],
        ("pack/*",),
        1_000_000,
    ),
    "prepare": Job(
        lambda inputs, own: ["prepare", str(inputs / "photos"), "--out", str(own / "pack")], ("pack/*",), 1_000_000
    ),
    "train": Job(
        lambda inputs, own: ["train", "--recipe", "proposed", *TRAINING, *_faces(inputs)], ("store/runs/*/*",), 20_000
    ),
    "embed": Job(
        lambda inputs, own: [
            "evaluate",
            "--recipe",
            "proposed",
            *TRAINING,
            *_faces(inputs),
            "--out",
            str(own / "found.csv"),
        ],
        ("store/features/*.npy", "found.csv"),
        500,
    ),
}


class Place:
    """A folder of its own for one command, its store in it; its output goes to the file `said` beside it."""

    def __init__(self, work: Path, name: str):
        self.job, self.inputs = JOBS[name], work / "inputs"
        self.own = Path(tempfile.mkdtemp(dir=work, prefix=f"{name}-"))
        self.own.chmod(0o755)
        self.said = self.own.with_suffix(".said")
        if name == "embed":
            shutil.copytree(work / "trained", self.own / "store")

    def start(self, before: Callable[[], None] = lambda: None) -> int:
        """The command in a process of its own, which is returned when it has begun; `before` is called in it first."""
        ready, begun = os.pipe()
        process = os.fork()
        if process:
            os.close(begun)
            os.read(ready, 1)
            os.close(ready)
            return process
        status = None
        try:
            output = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1), os.dup2(output, 2)
            faulthandler.dump_traceback_later(LIMIT - 5)  # of a command that hangs, where it does
            os.environ["RIFR_STORE"] = str(self.own / "store")
            tqdm.set_lock(threading.RLock())  # its own lock is one of all forks: a killed one would keep it for good
            parser = cli.parser
            cli.parser = lambda: (os.write(begun, b"."), parser())[1]  # from here on, signals are looked after
            before()
            status = cli.main(self.job.command(self.inputs, self.own))
            sys.stdout.flush()
        except BaseException:
            if status is None:
                traceback.print_exc()
        finally:
            os._exit(70 if status is None else status)

    def run(self, before: Callable[[], None] = lambda: None) -> int:
        """Run to the end; returns the exit status. TimeoutError says where a command hangs."""
        try:
            return exit_status(self.start(before))
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.words()[-4000:]}") from None

    def stored(self) -> dict[str, str]:
        """The digests of the files at their final places, by path; times in records do not count."""
        found = {}
        for file in (file for pattern in self.job.stored for file in self.own.glob(pattern)):
            name = file.relative_to(self.own)
            if any(part.startswith(".") or ".partial" in part for part in name.parts):
                continue
            if file.name == "record.json":
                record = json.loads(file.read_bytes())
                found[str(name)] = storage.digest({key: value for key, value in record.items() if key not in PASSING})
            else:
                found[str(name)] = storage.file_digest(file)
        return found

    def left(self) -> list[str]:
        """What is neither at its final place nor a lock: progress to go on from, and what was being written."""
        kinds = {"*.tmp": "tmp", "*.old": "old", "*.partial/*.npz": "progress", "*.partial.pt": "progress"}
        return [kind for pattern, kind in kinds.items() for _ in self.own.rglob(pattern)]

    def words(self) -> str:
        return self.said.read_text()

    def remove(self) -> None:
        shutil.rmtree(self.own)
        self.said.unlink(missing_ok=True)


def exit_status(process: int) -> int:
    """The exit status of a process, negative for a signal; one that goes on for too long is killed."""
    status = _wait(process, LIMIT)
    if status is None:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise TimeoutError(f"the command was not done after {LIMIT} s: does it wait for a stale lock?")
    return status


def signalled(process: int, number: int, after: float) -> int | None:
    """Send a signal after so many seconds; returns the exit status, or None where the command was done."""
    status = _wait(process, after)
    if status is None:
        os.kill(process, number)
        status = exit_status(process)
    return status or None


def _wait(process: int, seconds: float) -> int | None:
    """The exit status of a process that ends within so many seconds; None: it is at work."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return None


def prepared(work: Path, names: list[str]) -> None:
    """What the commands need: faces, a trained network, and code that is imported and compiled already."""
    inputs = work / "inputs"
    if "render" in names:
        from rifr.faces import RenderSpec, faceset

        faceset.CHUNK = 12
        faceset.render(RenderSpec("warm", 1, 1), work / "warm", progress=False)
    if "prepare" in names:
        draw = np.random.default_rng(0)
        for person in range(12):
            (inputs / "photos" / f"person-{person}").mkdir(parents=True)
            for n in range(12):
                pixels = draw.integers(0, 256, (112, 112, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(inputs / "photos" / f"person-{person}" / f"{n}.png")
        from rifr.readers import folder  # noqa: F401
    if {"train", "embed"} & set(names):
        from rifr import degrade
        from rifr.evaluation import (
            score,  # noqa: F401
            small_faces,  # noqa: F401
        )
        from rifr.training import trainer

        trainer.MIN_IMAGES_FOR_SUBPROCESS = 10**9
        degrade.to_width(np.zeros((1, 112, 112, 3), np.uint8), 16)
        for seed, (name, people, images) in enumerate([("train", 4, 6), ("probes", 4, 5), ("distractors", 40, 1)]):
            easy_faces(inputs / name, people, images, seed)
            people_of_their_own(inputs / name, name)
    if "embed" in names:
        place = Place(work, "train")
        if place.run():
            raise RuntimeError(place.words())
        shutil.move(place.own / "store", work / "trained")

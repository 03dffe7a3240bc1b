"""Calls made side by side, one process and one thread each: on a CPU faster than one after the other with all threads.

A thin network's layers are too small to share: two threads on one network train 1.5 times as many photos per second as
one, two networks beside each other twice as many. A call that fails in its process is made again in this one, where its
error is seen; since results are stored, those of the others are then just found.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rifr import machine
from rifr.errors import SettingError
from rifr.packs import FacePack
from rifr.storage import interrupts

__all__ = ["Call", "exit_with_parent", "progress_bar_position", "run", "threads", "worker_count"]

BAR = "RIFR_BAR"
"""Tells a process on which line its progress bar goes."""

WORKERS = "RIFR_WORKERS"
"""Tells a process how many it may start: its share of the cores, in a batch of chapters beside each other."""

WORKER_BYTES = 1_300_000_000
"""What a process that trains comes to hold."""


@dataclass(frozen=True)
class Call:
    """A call of a function of this library that another process can make.

    Attributes
    ----------
    module, function
        Such as "rifr.training.trainer" and "fit".
    keywords
        Its arguments by name.
    faces
        A pack for its argument `faces`.
    """

    module: str
    function: str
    keywords: dict[str, Any] = field(default_factory=dict)
    faces: FacePack | None = None

    def run_inline(self) -> Any:
        """Make the call in this process."""
        given = {} if self.faces is None else {"faces": self.faces}
        return getattr(import_module(self.module), self.function)(**self.keywords, **given)

    @property
    def pack(self) -> Path | None:
        """Where the pack lies; None for one in memory or a part of what lies there, which no other process can open."""
        images = None if self.faces is None else self.faces.images
        if self.faces is None or not isinstance(images, np.memmap) or not images.filename:
            return None
        path = Path(images.filename).parent
        try:
            whole = FacePack.open(path)
        except (OSError, ValueError):
            return None
        same = (
            whole.checksum == self.faces.checksum
            and isinstance(whole.images, np.memmap)
            and whole.images.shape == images.shape
            and whole.images.strides == images.strides  # a reversed pack has other ones
            and np.array_equal(whole.identities, self.faces.identities)
            and np.array_equal(np.asarray(whole.landmarks), np.asarray(self.faces.landmarks))  # or neither has any
        )
        return path if same else None


def worker_count() -> int:
    """How many processes to start: `$RIFR_WORKERS`, else one per core as far as the memory reaches; at least 1.

    Raises
    ------
    SettingError
        Where `$RIFR_WORKERS` is no whole number.
    """
    asked = os.environ.get(WORKERS, "").strip()
    if asked and not asked.isdecimal():
        raise SettingError(f"{WORKERS} is {asked!r}: set it to a whole number from 1, or leave it unset.")
    return int(asked or 0) or max(1, min(machine.available_cores(), machine.available_memory() // WORKER_BYTES))


def run(calls: Sequence[Call], workers: int | None = None) -> list[Any]:
    """Make the calls and return their results, in order; each stores what it makes and finds it the next time.

    On a GPU, with one worker, or for a single call everything happens in this process, one call after the other.

    Parameters
    ----------
    calls
        They are started in this order.
    workers
        How many run at a time; by default `worker_count()`.
    """
    workers = min(workers or worker_count(), len(calls))
    if workers > 1 and not torch.cuda.is_available() and all(call.faces is None or call.pack for call in calls):
        _run_in_subprocesses(calls, workers)
    return [call.run_inline() for call in calls]


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """PyTorch on so many threads within the block, 0 leaves it as it is; what a step frees is kept for the next one."""
    machine.keep_freed_memory()
    before = torch.get_num_threads()
    if number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def progress_bar_position() -> int | None:
    """The line of this process's progress bars: below those of the processes beside it."""
    return int(os.environ[BAR]) if BAR in os.environ else None


def exit_with_parent(parent: int, interval: float = 0.5) -> None:
    """End this process, at once, when the process `parent` (by its id) is no longer the one that it belongs to.

    However that one ended: after SIGKILL nobody else is left to end it. It is looked for every `interval` seconds.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def _run_in_subprocesses(calls: Sequence[Call], workers: int) -> None:
    waiting, positions = list(calls), list(range(workers))
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and positions:
                position = positions.pop(0)
                running[position] = _start(waiting.pop(0), position)
            time.sleep(0.05)
            ended = [position for position, process in running.items() if process.poll() is not None]
            for position in ended:
                del running[position]
                positions.append(position)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def _start(call: Call, position: int) -> subprocess.Popen[bytes]:
    # The library as it is imported here, wherever the other process is started.
    path = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    environment = os.environ | {BAR: str(position), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:  # it ended at once: the call is made here later
        pickle.dump((call.module, call.function, call.keywords, call.pack), process.stdin)
    return process


def _serve() -> int:
    """What the other process does: the one call on its standard input, which our own process wrote."""
    exit_with_parent(os.getppid())
    module, function, keywords, pack = pickle.load(sys.stdin.buffer)
    faces = None if pack is None else FacePack.open(pack)
    try:
        Call(module, function, keywords, faces).run_inline()
    except Exception:
        return 1  # the call is made again by the process that asked for it, which shows the error
    return 0


if __name__ == "__main__":
    try:
        with interrupts.stoppable():  # what it was writing is cleared away when it is ended, too
            sys.exit(_serve())
    except KeyboardInterrupt:
        sys.exit(130)

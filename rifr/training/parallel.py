"""Work done side by side, a process and a thread each: on a CPU that is faster than one after the other with all threads.

A thin network's layers are too small to share: two threads on one network train about as many photos a second as one and
a half, two networks beside each other twice as many as one. A call that fails in its process is made again in ours,
where its error is seen; since results are stored, the others are then just found.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rifr.packs import FacePack
from rifr.storage import interrupts
from rifr.training import orphans

__all__ = ["Call", "line", "run", "threads"]

BAR = "RIFR_BAR"
"""Tells a process on which line its progress bar goes."""

WORKERS = "RIFR_WORKERS"
"""Tells a process how many it may start: its share of the cores, in a batch of chapters beside each other."""


@dataclass(frozen=True)
class Call:
    """A function of this library by name ("rifr.training.trainer", "fit"), its keywords, and a pack for its keyword `faces`."""

    module: str
    function: str
    keywords: dict[str, Any] = field(default_factory=dict)
    faces: FacePack | None = None

    def here(self) -> Any:
        """Make the call in this process."""
        given = {} if self.faces is None else {"faces": self.faces}
        return getattr(import_module(self.module), self.function)(**self.keywords, **given)

    @property
    def pack(self) -> Path | None:
        """Where the pack lies; None for one in memory, which another process cannot open."""
        images = self.faces.images if self.faces is not None else None
        return Path(images.filename).parent if isinstance(images, np.memmap) and images.filename else None


def run(calls: Sequence[Call], workers: int | None = None) -> list[Any]:
    """Make the calls and return their answers, in order; each stores what it makes and finds it the next time.

    Processes are started in the order of the calls, `workers` at a time (default: $RIFR_WORKERS, else one a core). On a
    GPU, with one core, or for a single call everything happens here, one after the other.
    """
    workers = min(workers or int(os.environ.get(WORKERS) or 0) or os.cpu_count() or 1, len(calls))
    if workers > 1 and not torch.cuda.is_available() and all(call.faces is None or call.pack for call in calls):
        _elsewhere(calls, workers)
    return [call.here() for call in calls]


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """PyTorch on so many threads within the block; 0 leaves it as it is."""
    before = torch.get_num_threads()
    if number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def line() -> int | None:
    """The line for this process's progress bars: below those of the processes beside it."""
    return int(os.environ[BAR]) if BAR in os.environ else None


def _elsewhere(calls: Sequence[Call], workers: int) -> None:
    waiting, running = list(calls), {}
    free = list(range(workers))
    try:
        while waiting or running:
            while waiting and free:
                place, call = free.pop(0), waiting.pop(0)
                running[place] = _start(call, place)
            time.sleep(0.05)
            for place in [place for place, process in running.items() if process.poll() is not None]:
                del running[place]
                free.append(place)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def _start(call: Call, place: int) -> subprocess.Popen:
    environment = {**os.environ, BAR: str(place), "OMP_NUM_THREADS": "1"}
    # The library as it is imported here, wherever the other process is started.
    path = [str(Path(__file__).resolve().parent.parent), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    environment["PYTHONPATH"] = os.pathsep.join(path)
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
    )
    with contextlib.suppress(BrokenPipeError):  # it ended at once: the call is made here later
        pickle.dump((call.module, call.function, call.keywords, call.pack), process.stdin)
        process.stdin.close()
    return process


def _serve() -> int:
    """What the other process does: the one call on its standard input, which our own process wrote."""
    orphans.end_with(os.getppid())
    module, function, keywords, pack = pickle.load(sys.stdin.buffer)
    faces = None if pack is None else FacePack.open(pack)
    try:
        Call(module, function, keywords, faces).here()
    except Exception:
        return 1  # the asker makes the call again and shows the error
    return 0


if __name__ == "__main__":
    try:
        with interrupts.stoppable():  # what it was writing is cleared away when the asker ends it, too
            sys.exit(_serve())
    except KeyboardInterrupt:
        sys.exit(130)

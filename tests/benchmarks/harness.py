"""Our time beside a rival's: what each benchmark shares.

A side makes its inputs from a seed and works on them, in a process of its own, so that its peak memory is its own too.
There it first works through a small case (compiling and loading are not timed), then makes its inputs, notes its
memory, and works; the best of a few repeats counts, for a busy machine only ever adds time. What it answers is brought
down to something small after the peak is noted, so that the two sides' answers can be compared.

A script makes `Row`s; run alone it prints them, and exits with 1 where one falls short of what it should reach.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SEED = 0


@dataclass(frozen=True)
class Side:
    """One way to do the work; three functions of a module, so that another process can find them.

    make     (**size) -> a tuple of inputs
    work     (*inputs) -> an answer: this is what is timed
    summary  (inputs, answer) -> what is compared, small
    """

    make: Callable[..., tuple]
    work: Callable[..., Any]
    summary: Callable[[tuple, Any], Any]


@dataclass(frozen=True)
class Measured:
    """Seconds of the best repeat; MiB of the process at its peak, and beyond libraries and inputs; the summary."""

    seconds: float
    peak_mib: float
    added_mib: float
    summary: Any


@dataclass(frozen=True)
class Row:
    """One line of the table of speeds.

    ratio is how many times as fast as the rival we are, and reach how many times it should be at least; memory_aim says
    what the memory should be and memory_met whether it is (None: nothing is asked); peaks are those of the whole
    process, in MiB; agree says whether both sides gave the same answer (None: there is none to compare).
    """

    what: str
    size: str
    ours_seconds: float
    rival: str
    rival_seconds: float
    reach: float
    peak_ours_mib: float
    peak_rival_mib: float | None
    agree: bool | None
    memory_aim: str = ""
    memory_met: bool | None = None
    note: str = ""
    ratio: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", self.rival_seconds / self.ours_seconds)

    @property
    def shortfalls(self) -> list[str]:
        """What is not as it should be, in words; empty when all is."""
        found = [f"{self.ratio:.2f} times as fast, not {self.reach:.3g}"] if self.ratio < self.reach else []
        found += ["the answers differ"] if self.agree is False else []
        return found + ([f"memory is not {self.memory_aim}"] if self.memory_met is False else [])

    def __str__(self) -> str:
        memory = f"{self.peak_ours_mib:,.0f}"
        memory += "" if self.peak_rival_mib is None else f" against {self.peak_rival_mib:,.0f}"
        answers = {True: "equal answers", False: "DIFFERENT answers", None: "no answers to compare"}[self.agree]
        lines = [
            f"{self.what} ({self.size})",
            f"  ours {self.ours_seconds:.4g} s; {self.rival}: {self.rival_seconds:.4g} s; {self.ratio:.2f} times "
            f"as fast (reach {self.reach:.3g})",
            f"  peak memory {memory} MiB{f' (aim: {self.memory_aim})' if self.memory_aim else ''}; {answers}",
        ]
        lines += [f"  {self.note}"] if self.note else []
        lines.append(f"  SHORT OF REACH: {'; '.join(self.shortfalls)}" if self.shortfalls else "  PASS")
        return "\n".join(lines)


def measure(side: Side, size: dict[str, Any], small: dict[str, Any] | None = None, repeats: int = 3) -> Measured:
    """Run one side in a fresh process; `small` is the size of the case that is worked through before.

    Raises RuntimeError with the process's traceback where it failed.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(there, side, size, small, repeats))
    process.start()
    there.close()
    try:
        answer = here.recv()
    except EOFError:
        process.join()
        answer = f"it ended with code {process.exitcode} (-9: the machine had no memory left)"
    process.join()
    if isinstance(answer, str):
        raise RuntimeError(f"{side.work.__module__}.{side.work.__name__} failed: {answer}")
    return answer


def _run(pipe: Connection, side: Side, size: dict, small: dict | None, repeats: int) -> None:
    try:
        if small is not None:
            side.work(*side.make(**small))
        inputs = side.make(**size)
        gc.collect()
        _forget_peak()
        before, seconds, answer = _memory_mib("VmRSS"), [], None
        for _ in range(repeats):
            answer = None  # or the next answer is made beside it
            start = time.perf_counter()
            answer = side.work(*inputs)
            seconds.append(time.perf_counter() - start)
        peak = _memory_mib("VmHWM")
        pipe.send(Measured(min(seconds), peak, peak - before, side.summary(inputs, answer)))
    except BaseException:
        pipe.send(traceback.format_exc())


def _memory_mib(which: str) -> float:
    """Memory of this process: "VmRSS" now, "VmHWM" at its peak; where Linux does not tell, the peak for both."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def _forget_peak() -> None:
    """Start the peak anew: what making the inputs took shall not hide what the work takes."""
    with contextlib.suppress(OSError):  # not Linux, or not allowed: the peak then includes the making of the inputs
        Path("/proc/self/clear_refs").write_text("5")


def main(rows: Callable[[bool], Sequence[Row]], doc: str) -> int:
    """The command line of a script: `[--small]`; prints the rows, and returns 1 where one falls short.

    Of a small case the times say nothing: there it is 1 where the answers differ.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes: shows that it runs; its times say nothing")
    small = parser.parse_args().small
    os.environ["TQDM_DISABLE"] = "1"
    found = rows(small)
    for row in found:
        print(row)
    return int(any(row.agree is False if small else row.shortfalls for row in found))

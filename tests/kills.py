"""Kills: rendering, preparing, training and embedding are ended at random moments, and the same command goes on.

    python tests/kills.py --kills 50                             a table of fifty kills of each
    python tests/kills.py --kills 12 --what train --seed 3       of one alone, other moments
    python tests/kills.py --kills 12 --more --json               what tests/test_killed.py asks for

Everything is imported and compiled once; each command runs in a fork, so that a signal finds it at work and not at
starting Python. The moments are drawn evenly from the time that the command takes undisturbed. Several kills follow one
another on one store; then the command is run to its end, and every file that it stored is compared with those of a run
that nobody disturbed. What lies at its final place is compared after every kill too: it must be whole at any moment.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = os.environ["TQDM_DISABLE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from rifr import cli, storage
from rifr.packs import FacePack
from tests.helpers import easy_faces

LIMIT = 120  # seconds that no command takes
NOBODY = 65534
TRAINING = ["--preset", "smoke", "--set", "epochs=3", "batch_size=8", "embedding=16", "--widths", "40", "16"]
PASSING = ("seconds", "finished")  # fields of a run's record that are times


@dataclass(frozen=True)
class Job:
    """A command, and what it stores.

    command: its arguments, given the folder of the inputs and its own; stored: patterns of its files in its own folder;
    bytes: a limit of a file's size that it meets on its way; seconds it may take at least to be killed at work
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
            os.environ["RIFR_STORE"] = str(self.own / "store")
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
        """Run to the end; returns the exit status."""
        return _ended(self.start(before))

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


def _ended(process: int) -> int:
    """The exit status, negative for a signal."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        if (ended := os.waitpid(process, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(ended[1])
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    raise TimeoutError(f"the command was not done after {LIMIT} s: does it wait for a stale lock?")


def _signalled(process: int, number: int, after: float) -> int | None:
    """Send a signal after so many seconds; returns the exit status, or None where the command had ended before."""
    until = time.monotonic() + after
    while time.monotonic() < until:
        if (ended := os.waitpid(process, os.WNOHANG))[0]:
            return None if ended[1] == 0 else os.waitstatus_to_exitcode(ended[1])
        time.sleep(0.001)
    os.kill(process, number)
    status = _ended(process)
    return status if status else None


class Trial:
    """One job, disturbed in every way; what is wrong is collected in `wrong`, as sentences."""

    def __init__(self, work: Path, name: str, seed: int):
        self.work, self.name, self.draw = work, name, random.Random(f"{seed} {name}")
        self.wrong: list[str] = []
        place, began = Place(work, name), time.monotonic()
        self.expect(place.run() == 0, f"undisturbed, it failed: {place.words() if place.said.exists() else ''}")
        self.seconds = time.monotonic() - began
        self.expected = place.stored()
        self.expect(bool(self.expected), "it stored nothing")
        self.clean(place)
        place.remove()

    def expect(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.wrong.append(sentence)

    def clean(self, place: Place) -> None:
        self.expect(not place.left(), f"left at the end: {place.left()}")

    def completes(self, place: Place, after: str) -> None:
        """The same command ends well, with the same bytes, and leaves nothing else."""
        status = place.run()
        self.expect(status == 0, f"after {after}, the same command ended with {status}: {place.words()[-500:]}")
        differing = {name for name, _ in self.expected.items() ^ place.stored().items()}
        self.expect(not differing, f"after {after}, other bytes in {sorted(differing)}")
        self.clean(place)
        place.remove()

    def whole(self, place: Place, after: str) -> str:
        """Whether what lies at its final place is whole; says when the command was ended."""
        stored = place.stored()
        self.expect(stored.items() <= self.expected.items(), f"after {after}, not whole: {sorted(stored)}")
        return "after" if stored == self.expected else "middle" if stored or place.left() else "before"

    def ends(self, signals: list[int], number: int) -> Counter[str]:
        """End the command so many times, several times on one store; counts when it was ended, and what was left."""
        counts: Counter[str] = Counter()
        while counts["landed"] < number:
            place = Place(self.work, self.name)
            for _ in range(self.draw.randint(1, 4)):
                sent = self.draw.choice(signals)
                status = _signalled(place.start(), sent, self.draw.uniform(0, self.seconds))
                if status is None or counts["landed"] == number:
                    break
                what = signal.Signals(sent).name
                if sent == signal.SIGKILL:
                    self.expect(status == -sent, f"{what}: ended with {status}: {place.words()[-500:]}")
                elif status != -sent:  # that of the moment between the command's end and the process's
                    said = place.words().split("\n")
                    self.expect(
                        status == 130 and "the same command goes on" in said[-2] and "Traceback" not in place.words(),
                        f"{what}: ended with {status}: {place.words()[-1500:]}",
                    )
                    self.expect(not {"tmp", "old"} & set(place.left()), f"{what} left {place.left()}")
                counts.update(["landed", self.whole(place, what), *(f"left {kind}" for kind in set(place.left()))])
            self.completes(place, "being ended")
        return counts

    def two_at_once(self) -> None:
        place = Place(self.work, self.name)
        both = [place.start(), place.start()]
        statuses = [_ended(process) for process in both]
        self.expect(statuses == [0, 0], f"two at once ended with {statuses}: {place.words()}")
        times = {file: file.stat().st_mtime_ns for pattern in place.job.stored for file in place.own.glob(pattern)}
        self.expect(place.run() == 0, "a third time, it failed")
        self.expect(
            all(file.name == "found.csv" or file.stat().st_mtime_ns == then for file, then in times.items()),
            "what was there was made again",
        )
        self.completes(place, "two at once")

    def full_disk(self) -> None:
        """No file may grow beyond some bytes: the system's own error, as of a full disk."""
        place = Place(self.work, self.name)

        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (place.job.bytes, place.job.bytes))

        for _ in range(2):
            status, said = place.run(limit), place.words().strip().split("\n")[-1]
            self.expect(
                status == 1
                and str(place.own) in said
                and "free some space" in said
                and "same command" in said
                and "Traceback" not in place.words(),
                f"full disk: ended with {status}: {place.words()}",
            )
            self.expect(not {"tmp", "old"} & set(place.left()), f"a full disk left {place.left()}")
            self.whole(place, "a full disk")
        self.completes(place, "a full disk")

    def closed_folder(self) -> bool:
        """A folder that may not be written to; False where this process cannot become someone who may not."""
        place = Place(self.work, self.name)
        for path in (place.own, *place.own.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)

        def become_nobody() -> None:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)

        status, said = place.run(become_nobody), place.words()
        if os.geteuid() == 0 and "Operation not permitted" in said and "setg" in said:
            return False
        remedy = "--out" if self.name in ("render", "prepare") else "RIFR_STORE"
        self.expect(
            status == 1
            and str(place.own) in said
            and "cannot be written to" in said
            and remedy in said
            and "Traceback" not in said,
            f"closed folder: ended with {status}: {said}",
        )
        for path in (place.own, *place.own.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        self.completes(place, "a closed folder")
        return True


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
            pack = FacePack.open(inputs / name)  # people of its own
            FacePack.write(
                inputs / name,
                np.array(pack.images),
                [f"{name} {one}" for one in pack.identities],
                source="patterns",
                licence="CC0",
            )
    if "embed" in names:
        place = Place(work, "train")
        if place.run():
            raise RuntimeError(place.words())
        shutil.move(place.own / "store", work / "trained")


def trials(names: list[str], kills: int, interrupts: int, seed: int, more: bool) -> dict[str, dict]:
    """What came of each job."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        prepared(work, names)
        for name in names:
            trial = Trial(work, name, seed)
            report: dict[str, Any] = {"seconds": round(trial.seconds, 2), "files": len(trial.expected)}
            report["kills"] = trial.ends([signal.SIGKILL], kills)
            report["interrupts"] = trial.ends([signal.SIGINT, signal.SIGTERM], interrupts)
            if more:
                trial.two_at_once()
                trial.full_disk()
                report["closed folder"] = trial.closed_folder()
            found[name] = report | {"wrong": trial.wrong}
    return found


def table(found: dict[str, dict]) -> str:
    lines = [f"{'':9}{'ended':>10}{'before':>9}{'middle':>9}{'after':>9}   left on disk when it was ended"]
    for name, report in found.items():
        for how in ("kills", "interrupts"):
            counts = report[how]
            if counts:
                kinds = [key for key in sorted(counts) if key.startswith("left")]
                left = ", ".join(f"{key.removeprefix('left ')} {counts[key]}" for key in kinds)
                lines.append(
                    f"{name if how == 'kills' else '  Ctrl-C':9}{counts['landed']:10}{counts['before']:9}"
                    f"{counts['middle']:9}{counts['after']:9}   {left or 'nothing'}"
                )
        lines.append(
            f"{'':9}{report['seconds']:.2f} s undisturbed; "
            + ("the same bytes each time" if not report["wrong"] else "WRONG: " + "; ".join(report["wrong"]))
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--interrupts", type=int, default=0, help="Ctrl-C or SIGTERM, so many times")
    parser.add_argument("--what", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--more", action="store_true", help="two at once, a full disk and a closed folder, too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = trials(options.what, options.kills, options.interrupts, options.seed, options.more)
    print(json.dumps(found) if options.json else table(found))
    return int(any(report["wrong"] for report in found.values()))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())

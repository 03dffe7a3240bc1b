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
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = os.environ["TQDM_DISABLE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.killed_commands import JOBS, Place, exit_status, prepared, signalled

NOBODY = 65534


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
                status = signalled(place.start(), sent, self.draw.uniform(0, self.seconds))
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
        statuses = [exit_status(process) for process in both]
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
        remedy = "--out" if self.name in ("render", "prepare", "embed") else "RIFR_STORE"
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

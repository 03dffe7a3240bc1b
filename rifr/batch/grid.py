"""A chapter over a grid of parameters, runs beside each other on this machine's cores or on a cluster.

    rifr batch book/ablation.ipynb --grid preset=mini seed=0,1,2,3,4 --out runs/ablation

Each combination of values is a run (`rifr.batch.jobs`): papermill executes the chapter into a notebook of its own in
the folder `out`, which appears there whole or not at all and says in its metadata what made it. So the same command
does what is missing, and a changed chapter or library does all of it again. A run that fails leaves NAME.failed.ipynb, and
the others go on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from rifr import settings, storage
from rifr.batch.jobs import TRIES, Job, end_kernels, environment, execute, jobs, made_by
from rifr.errors import SettingError, StorageError

PATIENCE = 20  # seconds for a scheduler to answer
WORKER_PATIENCE = 10  # seconds without a worker before it is said


def grid(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """{"seed": [0, 1], "widths": [[112, 16]]} from ["seed=0,1", "widths=[112,16]"]; values as for `settings.parse`.

    Raises
    ------
    SettingError
        For what is not NAME=VALUE, and for a name that stands twice.
    """
    return {name: settings.values(text) for name, text in settings.assignments(pairs, "--grid").items()}


class MachinePart(NamedTuple):
    """How a machine is divided: so many workers, with threads and bytes for each."""

    workers: int
    threads: int
    memory: int


def divide(runs: int, workers: int | None, cores: int, memory: int) -> MachinePart:
    """No more workers than runs, by default one per core; cores and memory in equal parts among them."""
    number = min(workers or cores, runs)
    return MachinePart(number, max(1, cores // number), memory // number)


def run(
    chapter: Path,
    values: dict[str, list[Any]],
    out: Path,
    scheduler: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> dict[str, str]:
    """Do what is missing of a chapter's grid.

    Parameters
    ----------
    chapter, values, out
        The notebook, the values of its parameters (every combination is a run), and the folder of executed notebooks.
    scheduler
        Address of a dask scheduler whose workers share this file system; None: a cluster of this machine.
    workers
        Of this machine; None: one per core, but no more than runs.
    threads
        Of a run; None: the cores divided among the workers, or one on a scheduler's.

    Returns
    -------
    dict
        The error of each run by its name, "" for those that are there.

    Raises
    ------
    SettingError
        For a parameter that the chapter does not have.
    StorageError
        For a folder that cannot be written.
    """
    for name, number in {"workers": workers, "threads": threads}.items():
        if number is not None and number < 1:
            raise SettingError(f"{name} is {number}: give a whole number from 1.")
    todo = jobs(chapter, values, out)
    try:
        probe = todo[0].running.with_name("probe")
        storage.atomic_write(probe, "can this folder be written?")
        probe.unlink()
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}.") from error
    errors = {job.name: "" for job in todo}
    missing = [job for job in todo if not job.done()]
    with (
        tqdm(
            total=len(todo),
            initial=len(todo) - len(missing),
            desc="runs",
            unit="run",
            disable=None if progress else True,
        ) as bar,
        contextlib.ExitStack() as stack,
    ):
        if missing:
            client, share = stack.enter_context(_cluster(scheduler, workers, len(missing)))
            for job, problem in _results(client, missing, threads or share):
                errors[job.name] = problem
                bar.update()
    return errors


@contextlib.contextmanager
def _cluster(scheduler: str | None, workers: int | None, runs: int) -> Iterator[tuple[Any, int]]:
    """A client of dask and the threads that a run may take."""
    import dask
    import distributed
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is said at the end
    if scheduler:
        with distributed.Client(scheduler, timeout=PATIENCE) as client:
            try:
                client.wait_for_workers(1, timeout=WORKER_PATIENCE)
            except TimeoutError:
                tqdm.write(
                    f"no worker has joined {scheduler} so far, the runs wait: start one with `dask worker {scheduler}` on a "
                    f"machine that shares {Path.cwd()}, or look at {client.dashboard_link}",
                    file=sys.stderr,
                )
            yield client, 1
        return
    share = divide(runs, workers, CPU_COUNT, MEMORY_LIMIT)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": TRIES - 1}),
        distributed.LocalCluster(
            n_workers=share.workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=share.memory,
            dashboard_address=None,
            preload=[__name__],
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client, share.threads


def dask_setup(worker: Any) -> None:
    """What a worker of our own does first: it leaves Ctrl-C, which a terminal sends it too, to the process above it."""
    signal.signal(signal.SIGINT, lambda *rest: None)


def _results(client: Any, missing: list[Job], threads: int) -> Iterator[tuple[Job, str]]:
    """The jobs as they end, with their errors; when this is interrupted their kernels are ended."""
    import distributed

    batch = uuid.uuid4().hex
    task = partial(execute, settings=environment(threads, batch), folder=str(Path.cwd()))
    futures = {client.submit(task, job, key=f"{job.name}-{batch}"): job for job in missing}
    try:
        for future in distributed.as_completed(futures):
            error = future.result() if future.status == "finished" else _why(future)
            if future.status != "finished" and futures[future].running.exists():
                with contextlib.suppress(OSError, ValueError):
                    futures[future].keep(futures[future].made_by(), error)
            yield futures[future], error
    except BaseException:
        client.cancel(list(futures))
        client.run(end_kernels, batch, on_error="ignore")
        raise


def _why(future: Any) -> str:
    from distributed.scheduler import KilledWorker

    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return f"its worker was killed {TRIES} times (out of memory?)"
    return " ".join(f"{type(error).__name__}: {error}".split()) if error else "the scheduler is gone"


def finished(out: Path) -> list[Path]:
    """The notebooks of the runs that have ended well, by name."""
    return sorted(path for path in Path(out).glob("*.ipynb") if made_by(path) and "error" not in made_by(path))


def summary(out: Path) -> pd.DataFrame:
    """The numbers that chapters record (`rifr.report.show.record`), over the seeds: their mean with a 95 % t-interval.

    A row for each chapter, set of other parameters, measure and what the number is of: mean, low, high, seeds. One seed
    has no interval, low and high are NaN; numbers that a run could not measure are left out and not counted. Runs of
    different versions of a chapter or of the library are not averaged: a column `version` tells them apart.
    `attrs["by"]` says what a measure's numbers are of, in the order in which the chapter names it.
    """
    from rifr.evaluation import metrics  # not at the top: workers import this module too
    from rifr.report.show import RECORDED

    rows: list[dict[str, Any]] = []
    settings = {"chapter": "", "version": ""}  # the columns that say which run, in their order
    by: dict[str, list[str]] = {}
    for path in finished(out):
        source = made_by(path)
        run = {
            "chapter": source["chapter"],
            "version": storage.digest(source["source"], source["library"])[:8],
            **{
                name: json.dumps(value) if isinstance(value, list) else value
                for name, value in source["parameters"].items()
                if name != "seed"
            },
        }
        settings |= run
        for cell in json.loads(path.read_text())["cells"]:
            for output in cell.get("outputs", []):
                recorded = output.get("metadata", {}).get(RECORDED)
                if not recorded:
                    continue
                by[recorded["name"]] = recorded["by"]
                for *keys, value in recorded["rows"]:
                    of = dict(zip(recorded["by"], keys, strict=True))
                    rows.append({**run, "measure": recorded["name"], **of, "value": value})
    if not rows:
        return pd.DataFrame(columns=["chapter", "measure", "mean", "low", "high", "seeds"])
    tidy = pd.DataFrame(rows, dtype=object).astype({"value": float})
    if tidy.groupby("chapter").version.nunique().max() == 1:
        del settings["version"], tidy["version"]
    columns = [*settings, "measure"]
    columns += [name for name in tidy.columns if name not in (*columns, "value")]
    groups = tidy.groupby(columns, sort=False, dropna=False).value.agg(list).reset_index()
    measured = [np.array(values)[np.isfinite(values)] for values in groups.value]
    means = [metrics.t_interval(values) if len(values) else metrics.UNKNOWN for values in measured]
    numbers = groups[columns].assign(
        mean=[mean.estimate for mean in means],
        low=[mean.low for mean in means],
        high=[mean.high for mean in means],
        seeds=[len(values) for values in measured],
    )
    numbers.attrs["by"] = by
    return numbers


def write_summary(out: Path) -> Path:
    """Write the summary as summary.csv beside the notebooks; returns the file."""
    file = Path(out) / "summary.csv"
    storage.atomic_write(file, summary(out).to_csv(index=False))
    return file

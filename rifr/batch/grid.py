"""A chapter over a grid of parameters, runs beside each other on this machine's cores or on a cluster.

    rifr batch book/ablation.ipynb --grid preset=mini seed=0,1,2,3,4 --out runs/ablation

Each combination of values is a run (`rifr.batch.jobs`), which papermill executes into a notebook in the folder `out`.
The notebook is written atomically and says in its metadata what made it: the same command does what is missing, and
after a change of the chapter or the library all of it. A run that fails leaves NAME.failed.ipynb, and the others go on.
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
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from rifr import settings, storage
from rifr.bars import progress_bar
from rifr.batch.jobs import TRIES, Job, end_kernels, environment, execute, jobs, made_by
from rifr.errors import SettingError, StorageError

SCHEDULER_TIMEOUT = 20  # seconds for a scheduler to answer
WORKER_TIMEOUT = 10  # seconds without a worker before a message says so


def grid(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """{"seed": [0, 1], "widths": [[112, 16]]} from ["seed=0,1", "widths=[112,16]"], read as `settings.parse` does.

    Raises
    ------
    SettingError
        For what is not NAME=VALUE, and for a name that stands twice.
    """
    return {name: settings.values(text) for name, text in settings.assignments(pairs, "--grid").items()}


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
    bar = progress_bar(total=len(todo), initial=len(todo) - len(missing), desc="runs", unit="run", show=progress)
    with bar, _cluster(scheduler, workers, len(missing)) if missing else contextlib.nullcontext() as cluster:
        for job, problem in _results(cluster[0], missing, threads or cluster[1]) if cluster else ():
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

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors are reported at the end
    if scheduler:
        with distributed.Client(scheduler, timeout=SCHEDULER_TIMEOUT) as client:
            try:
                client.wait_for_workers(1, timeout=WORKER_TIMEOUT)
            except TimeoutError:
                tqdm.write(
                    f"no worker has joined {scheduler} so far, the runs wait: start one with `dask worker {scheduler}` "
                    f"on a machine that shares {Path.cwd()}, or look at {client.dashboard_link}",
                    file=sys.stderr,
                )
            yield client, 1
        return
    number = min(workers or CPU_COUNT, runs)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": TRIES - 1}),
        distributed.LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            memory_limit=MEMORY_LIMIT // number,
            dashboard_address=":0",
            preload=[__name__],
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client, max(1, CPU_COUNT // number)


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
            error = future.result() if future.status == "finished" else _problem(future)
            if future.status != "finished" and futures[future].running.exists():
                with contextlib.suppress(OSError, ValueError):
                    futures[future].keep(futures[future].made_by(), error)
            yield futures[future], error
    except BaseException:
        client.cancel(list(futures))
        client.run(end_kernels, batch, on_error="ignore")
        raise


def _problem(future: Any) -> str:
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

    Returns
    -------
    pandas.DataFrame
        One row per chapter, set of other parameters, measure and what the number is of: mean, low, high, seeds.
        With one seed low and high are NaN; numbers that a run could not measure are left out and not counted. Runs
        of different versions of a chapter or of the library are not averaged: a column `version` tells them apart.
        `attrs["by"]`
        holds the columns that a measure's numbers are of, in the order in which the chapter names them.
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
        for cell in storage.read_json(path)["cells"]:
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

"""Records of measurements that take too long for a page: a run writes them, the book reads them.

A record is a JSON file in `book/records`, written by the command that the page names.

`speed`, by `make benchmarks`
    provenance: date, rifr, commit, processor, cores, threads, load_before, python, versions; small: whether the cases
    were tiny ones, whose times say nothing; rows, each: what, size, ours_seconds, rival, rival_seconds, ratio, reach,
    peak_ours_mib, peak_rival_mib, memory_aim, memory_met, agree, note, shortfalls (what misses its aim, in words).
`detector`, by `python tests/benchmarks/detector.py --model FILE` (YuNet, which is no part of this project)
    provenance: as above, and model, model_sha256, least (the score from which a face counts), faces, setting; rows: as
    `rifr.evaluation.alignment.detected` gives them.
`yardsticks`, `ingredients`, `worlds`, `lfw`, by `python tests/benchmarks/NAME.py --out FILE` (`lfw`: of yardsticks; see
those)
    provenance as above; rows: what two judges make of rendered and of real faces; what is lost without an ingredient;
    how two networks do in each world that was tried, and, beside the rows, which was taken; how many of LFW's pairs
    networks get right. `worlds` and `lfw` grow row by row: each row has the date and commit of its own.
`large`, by `make record`
    See `rifr.report.study`.
`study_NAME`, by `make record STUDY=NAME`
    See `rifr.report.studies_record`.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

import rifr
from rifr import machine, presets, storage
from rifr.errors import DataError
from rifr.presets import LandmarkTraining, Preset, Training

__all__ = [
    "commit",
    "folder",
    "merge",
    "preset",
    "provenance",
    "read",
    "speed_caption",
    "speed_notes",
    "speed_sentence",
    "speed_table",
    "write",
]

PACKAGES = ("numpy", "torch", "numba", "opencv-python-headless", "scikit-learn")

LONG = 900_000
"""Characters of rows with their names above which a record is written as tables: those kept stay under 1 MB."""
Record = dict[str, Any]


def folder() -> Path:
    """Where records are: `$RIFR_RECORDS`, else `book/records` in the checkout."""
    if os.environ.get("RIFR_RECORDS"):
        return Path(os.environ["RIFR_RECORDS"]).expanduser().resolve()
    return storage.checkout() / "book" / "records"


def read(name: str) -> Record | None:
    """The record of that name; None where it has not been made. DataError for a file that is no record."""
    path = folder() / f"{name}.json"
    if (record := _opened(path)) is not None:
        storage.note_use(path)
    return record


def _opened(path: Path) -> Record | None:
    try:
        record = storage.read_json(path)
    except FileNotFoundError:
        return None
    if not isinstance(record, dict) or not {"provenance", "rows"} <= record.keys():
        raise DataError(f"{path} has no provenance or no rows: delete it and make it again")
    return record | {"rows": [*_expanded(record["rows"])]}


def preset(values: Mapping[str, Any]) -> Preset:
    """The preset that a record was made with, from its provenance.

    Of an older record, fields that are no more are left out, and fields that came later are at their defaults: of a
    preset's sizes, those of the preset that has its name today.
    """
    usual = presets.PRESETS.get(values["name"], presets.PRESETS["mini"])
    training = Training(**_fields(Training, values.get("training", {})))
    landmarks = replace(usual.landmarks, **_fields(LandmarkTraining, values.get("landmarks", {})))
    return replace(usual, **{**_fields(Preset, values), "training": training, "landmarks": landmarks})


def _fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that the dataclass has a field for."""
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def write(path: Path | str, record: Record) -> None:
    """Write a record, atomically; each of its rows is a line.

    A row has its names; in a record that would be longer than `LONG`, they stand once, above rows that have the same.
    `read` gives the same rows of both.
    """
    beside = {name: value for name, value in record.items() if name != "rows"}
    head = storage.readable_json({**beside, "rows": []}).rstrip().removesuffix('"rows": []\n}')
    lines = _lines(record["rows"])
    if len(lines) > LONG:
        tables = [(head, [*rows]) for head, rows in itertools.groupby(record["rows"], key=tuple)]
        lines = ",\n".join(
            f'  {{"columns": {json.dumps(columns)}, "rows": [\n{_lines([[*row.values()] for row in rows])}\n  ]}}'
            for columns, rows in tables
        )
    storage.atomic_write(Path(path), f'{head}"rows": [\n{lines}\n ]\n}}\n')


def _lines(rows: Iterable[Any]) -> str:
    return ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)


def _expanded(rows: Iterable[Record]) -> Iterator[Record]:
    """The rows of a record, each with its names."""
    for row in rows:
        if row.keys() == {"columns", "rows"}:
            yield from (dict(zip(row["columns"], values, strict=True)) for values in row["rows"])
        else:
            yield row


def merge(path: Path | str, rows: Sequence[Record], by: Sequence[str], **beside: Any) -> Record:
    """Add measured rows to a record, each in the place of the row that has the same values of `by`, and write it.

    Each new row is given today's date and commit; `beside` goes beside the rows.
    """
    path, about = Path(path), provenance()
    kept = (_opened(path) or {"rows": []})["rows"]
    placed = {tuple(row.get(name) for name in by): row for row in kept}
    for row in rows:
        dated = {"date": about["date"], "commit": about["commit"]}
        placed[tuple(row.get(name) for name in by)] = json.loads(json.dumps(row | dated))
    record = {"provenance": about, **beside, "rows": list(placed.values())}
    write(path, record)
    return record


def provenance() -> dict[str, Any]:
    """When, where and with what something was measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "rifr": rifr.__version__,
        "commit": commit(),
        "processor": _processor(),
        "cores": machine.available_cores(),
        "python": platform.python_version(),
        "versions": {name: _installed(name) for name in PACKAGES},
    }


def commit() -> str:
    """The checkout's commit, marked where library or benchmarks differ from it; "" outside a checkout."""
    return _commit_of(Path(__file__).resolve().parents[2])


@functools.cache
def _commit_of(root: Path) -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root or not git("ls-files", "rifr/__init__.py"):
            return ""  # installed into some other repository
        changed = git("status", "--porcelain", "--", "rifr", "tests/benchmarks")
        return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    """The processor's model as Linux names it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def speed_table(record: Record) -> pd.DataFrame:
    """A line for each row of the record `speed`, for reading: times, ratio and aim, peak memory, answers, outcome.

    Sizes and what memory aims at are in `speed_notes`: the table has to fit its page.
    """
    lines = []
    for row in record["rows"]:
        lines.append(
            {
                "What": row["what"],
                "Rival": row["rival"].replace("`", ""),
                "Time": f"{_seconds(row['ours_seconds'])} / {_seconds(row['rival_seconds'])}",
                "Times as fast": f"{row['ratio']:.3g} (aim\u00a0{row['reach']:.2g})",
                "MiB": _memory(row),
                "Same answer": {True: "yes", False: "no", None: "–"}[row["agree"]],
                "Aim": "missed" if row["shortfalls"] else "reached",
            }
        )
    return pd.DataFrame(lines)


def speed_caption(record: Record) -> str:
    """When, where and with what the speeds were measured; what the columns are."""
    about = record["provenance"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    load = about.get("load_before")
    return (
        f"Measured on {about['date'][:10]} with rifr {about['rifr']}"
        + (f" (commit {about['commit']})" if about["commit"] else "")
        + f", {about['cores']} cores of {about['processor']}, threads: {about['threads']}"
        + ("" if load is None else f", load {load:.1f} before the first row")
        + f"; Python {about['python']}, {versions}. Time and memory are ours / the rival's; memory is the peak "
        "of the whole process, libraries and inputs included."
        + (" **Small cases: the times say nothing.**" if record.get("small") else "")
    )


def speed_sentence(record: Record | None) -> str:
    """Which rows reach their aims and which do not; without a record, how to make it."""
    if record is None:
        return (
            "There is no record of speeds here yet. `make benchmarks` measures them, each beside its rival, and "
            "writes the record that this page shows; then build the book again."
        )
    rows = record["rows"]
    missed = [row for row in rows if row["shortfalls"]]
    if not missed:
        return f"All {len(rows)} rows reach their aims."
    listed = "; ".join(f"{row['what']}, beside {row['rival']} ({', '.join(row['shortfalls'])})" for row in missed)
    if len(missed) == len(rows):
        return f"No row of {len(rows)} reaches its aim: {listed}."
    return f"{len(rows) - len(missed)} of {len(rows)} rows reach their aims. Short of them: {listed}."


def speed_notes(record: Record | None) -> str:
    """The size of each row, what its memory aims at, and what has to be known to read it, as a list."""
    lines = []
    for row in (record or {"rows": []})["rows"]:
        aim = f" Memory aims at {row['memory_aim']}." if row["memory_aim"] else ""
        lines.append(f"- **{row['what']}**, beside {row['rival']}: {row['size']}. {row['note']}{aim}".rstrip())
    return "\n".join(lines)


def gpu_table(record: Record) -> pd.DataFrame:
    """A line for each row of the record `gpu`: how ResNet-34 was run, rows of a step, speed, and share of the peak."""
    lines = [
        {
            "ResNet-34": row["mode"],
            "rows": row["rows"],
            "images/s": row["images"],
            "share": f"{100 * row['share']:.0f} %",
            "ms": f"{row['milliseconds']:.1f}",
            "host": f"{row['host']:.1f}",
        }
        for row in record["rows"]
    ]
    return pd.DataFrame(lines)


def gpu_sentence(record: Record | None) -> str:
    """Where and how often the record `gpu` was measured; "" without one."""
    if record is None:
        return ""
    about = record["provenance"]
    often = "once" if about["times"] == 1 else f"{about['times']} times (the median)"
    return (
        f"{about['device']}, where a large bf16 matrix product runs at {about['peak_tflops']:.0f} TFLOP/s; torch "
        f"{about['versions']['torch']}, {about['date'][:10]}, commit {about['commit']}; each row timed {often}."
    )


def rates_table(record: Record) -> pd.DataFrame:
    """A line for each row of the record `rates`: learning rate, warm-up, clipping, and how two epochs went."""
    lines = [
        {
            "rate": f"{row['learning_rate']:g}",
            "warm-up": f"{100 * row['warmup']:.0f} %" if row["warmup"] else "none",
            "longest": f"{row['clip_norm']:g}" if row["clip_norm"] else "any",
            "loss": "not finite" if row["loss"] is None else f"{row['loss']:.3f}",
            "right": "–" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f} %",
        }
        for row in record["rows"]
    ]
    return pd.DataFrame(lines)


def _memory(row: Record) -> str:
    peaks = [f"{peak:,.0f}" for peak in (row["peak_ours_mib"], row["peak_rival_mib"]) if peak is not None]
    return " / ".join(peaks)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g}\u00a0s" if seconds >= 1 else f"{1000 * seconds:.3g}\u00a0ms"

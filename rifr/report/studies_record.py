"""The record of a study: its networks trained side by side, measured, and written after each seed.

    python -m rifr record --study teacher --seeds 0 1 2

What is finished is stored: stopped at any moment, the same command goes on, and more seeds are added by naming them
with the first. `book/records/study_NAME.json` holds

provenance
    As `rifr.report.study`, with what the study was when it was made (name, title, question, criterion, variants,
    claims), and training_seconds of all its seeds and networks.
rows
    Each: seed, measure, protocol, variant, network, at, value, low, high (over people), n.
    measure: "rank1" (per cent; at: a face width, or `LOW`, the mean over the small ones), "tpr" (at: "25 px, 0.001"),
    "accuracy" (of the last epoch of training, per cent), "right" and "entropy" (of the teacher's softmax on photos that
    it was trained on: the right class in per cent, nats); "difference" (points of rank-1; `claim` in place of variant
    and network); with stand-ins "tinyface", "tinyface map" and "scface" as in `rifr.report.study`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rifr import presets, recipes, splits, storage
from rifr.evaluation import evaluate, metrics
from rifr.evaluation.metrics import Interval
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification
from rifr.presets import Preset
from rifr.report import claims, evidence, records, studies, study
from rifr.report.studies_plan import LOW, TEACHER, Cell, Study
from rifr.splits import FaceSplits
from rifr.training import parallel, trainer
from rifr.training.runs import Run

LOW_WIDTHS = claims.LR
"""Of the widths of the preset, those whose mean stands for low resolution."""
TPR_WIDTH, FPR = 25, 1e-3


def make(
    name: str | Study,
    seeds: Sequence[int] = (),
    changes: Sequence[str] = (),
    out: Path | None = None,
    progress: bool = True,
) -> Path:
    """Train and measure what is missing of a study, and write its record.

    Parameters
    ----------
    name
        Of `studies.STUDIES`, or a study.
    seeds
        Those of the study if empty.
    changes
        Of fields of the study's preset, beside its own.
    out
        By default the book's record of that study.
    progress
        Show progress bars.

    Returns
    -------
    Path
        Where the record is.

    Raises
    ------
    SettingError
        For an unknown study or field, or a seed given twice.
    """
    plan = studies.get(name) if isinstance(name, str) else name
    preset, seeds = plan.preset(changes), study.each_once(seeds or plan.seeds)
    out = out or records.folder() / f"{record_name(plan)}.json"
    rows: dict[int, list[dict[str, Any]]] = {}
    seconds: dict[str, float] = {}
    for seed in seeds:
        faces = splits.face_splits(preset, seed, progress=progress)
        wanted = [_training(plan, preset, cell) for cell in plan.cells]
        parallel.run(trainer.calls_of(wanted, seed, faces.train, progress))
        evaluate.store_features([(*training, seed) for training in wanted], progress=progress)
        rows[seed] = measured(plan, preset, seed, progress)
        for cell, run in _trained(plan, preset, seed, faces, progress).items():
            seconds[", ".join(cell)] = round(seconds.get(", ".join(cell), 0) + run.record["seconds"])
        records.write(out, _record(plan, preset, changes, rows, seconds, faces))
    return out


def record_name(plan: Study) -> str:
    """What its record is called."""
    return f"study_{plan.name}"


def measured(plan: Study, preset: Preset, seed: int, progress: bool = True) -> list[dict[str, Any]]:
    """The rows of one seed, found in the store or measured."""
    faces = splits.face_splits(preset, seed, progress=progress)
    trained = _trained(plan, preset, seed, faces, progress)
    key = storage.digest(
        [asdict(variant) for variant in plan.variants],
        [asdict(difference) for difference in plan.differences],
        plan.stand_ins,
        preset,
        [run.key for run in trained.values()],
        [faces.train.checksum, faces.probes.checksum, faces.distractors.checksum],
        storage.sources_digest(*study.DECIDED_BY, claims, study, sys.modules[__name__]),
    )

    def make(path: Path) -> None:
        named = {_joined(cell): run for cell, run in trained.items()}
        outcome = evaluate.identify(named, faces, preset, progress=progress)
        rows = [
            *_told(study.table_rows("rank1", outcome.table(), "rank1", "width", "trials")),
            *_low(plan, outcome),
            *_differences(plan, outcome),
            *_verified(named, faces, preset, progress),
            *_training_rows(plan, preset, seed, faces, trained),
            *(_told(_on_stand_ins(named, preset, seed, progress)) if plan.stand_ins else []),
        ]
        storage.atomic_write(path, json.dumps([{"seed": seed, **row} for row in rows]))

    name = f"study-{plan.name}-s{seed}"
    return storage.found_or_made("measured", name, key, make, storage.read_json, ".json")


def contrast(
    outcome: Outcome[Identification], protocol: str, plus: Sequence[str], minus: Sequence[str], widths: Sequence[int]
) -> Interval:
    """Rank-1, its mean over widths, of networks minus that of as many others, paired by person; or of one alone.

    The sum of the differences, for more than one network on each side.
    """
    terms = [
        (factor / len(widths), outcome.results[protocol, name, width].hits)
        for factor, names in ((1, plus), (-1, minus))
        for name in names
        for width in widths
    ]
    trials = outcome.results[protocol, plus[0], widths[0]].trials_per_person  # the same for all
    return metrics.contrast(terms, trials, outcome.resamples)


def places(widths: Sequence[int]) -> dict[int | str, list[int]]:
    """Where a study is decided, and the face widths that each of them averages over."""
    low = [width for width in widths if width in LOW_WIDTHS]
    high = {max(widths): [max(widths)]}
    return high | ({LOW: low} if low else {})


def _low(plan: Study, outcome: Outcome[Identification]) -> list[dict[str, Any]]:
    rows = []
    for protocol, widths in _widths(outcome).items():
        low = places(widths).get(LOW)
        for cell in plan.cells if low else []:
            interval = contrast(outcome, protocol, [_joined(cell)], [], low or [])
            rows.append(_row("rank1", protocol, cell, LOW, interval.percent(), _people(outcome)))
    return rows


def _differences(plan: Study, outcome: Outcome[Identification]) -> list[dict[str, Any]]:
    rows = []
    for protocol, widths in _widths(outcome).items():
        for difference in plan.differences:
            plus, minus = ([_joined(cell) for cell in side] for side in (difference.plus, difference.minus))
            for at, averaged in places(widths).items():
                interval = contrast(outcome, protocol, plus, minus, averaged)
                row = _row("difference", protocol, ("", ""), at, interval.percent(), _people(outcome))
                rows.append({"claim": difference.claim, **row})
    return rows


def _verified(named: dict[str, Run], faces: FaceSplits, preset: Preset, progress: bool) -> list[dict[str, Any]]:
    width = TPR_WIDTH if TPR_WIDTH in preset.widths else min(preset.widths)
    table = evaluate.verify(named, faces, preset, [width], progress=progress).table([FPR])
    table = table[table.tpr.notna()]
    return _told(study.table_rows("tpr", table.assign(at=f"{width} px, {FPR:g}"), "tpr", "at", "genuine"))


def _training_rows(
    plan: Study, preset: Preset, seed: int, faces: FaceSplits, trained: dict[Cell, Run]
) -> list[dict[str, Any]]:
    """How well each network knows its photos, and how sure the teacher of each variant is of them."""
    rows = []
    for cell, run in trained.items():
        rows.append(_row("accuracy", "", cell, "", _exactly(100 * run.history[-1]["accuracy"]), len(faces.train)))
    for variant in plan.variants:
        changed = presets.get(preset, variant.changes)
        if any(name == TEACHER or recipes.get(name).needs_teacher for name in variant.recipes):
            teacher = trainer.fit(recipes.TEACHER, trainer.of_teacher(changed), seed, faces.train, progress=False)
            told = evaluate.teacher_entropy(teacher, faces.train)
            cell, asked = (variant.label, TEACHER), int(told["photos"])
            rows.append(_row("right", "", cell, "", _exactly(100 * told["right"]), asked))
            rows.append(_row("entropy", "", cell, "", _exactly(told["entropy"]), asked))
    return rows


def _trained(plan: Study, preset: Preset, seed: int, faces: FaceSplits, progress: bool) -> dict[Cell, Run]:
    """The networks of a seed, found or trained."""
    runs = {}
    for cell in plan.cells:
        name, changed = _training(plan, preset, cell)
        runs[cell] = trainer.fit(name, changed, seed, faces.train, progress)
    return runs


def _training(plan: Study, preset: Preset, cell: Cell) -> tuple[str, Preset]:
    """The recipe and the preset of a network."""
    label, recipe = cell
    changed = presets.get(preset, plan.variant(label).changes)
    return (recipes.TEACHER, trainer.of_teacher(changed)) if recipe == TEACHER else (recipe, changed)


def _joined(cell: Cell) -> str:
    return "\n".join(cell)


def _on_stand_ins(trained: dict[str, Run], preset: Preset, seed: int, progress: bool) -> list[dict]:
    return study.of_stand_ins(*evidence.on_stand_ins(trained, preset, seed, progress))


def _told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with variant and network apart again."""
    names = [row["network"].split("\n") for row in rows]
    return [{**row, "variant": variant, "network": network} for row, (variant, network) in zip(rows, names)]


def _widths(outcome: Outcome[Identification]) -> dict[str, list[int]]:
    """The face widths of each protocol."""
    keys = list(outcome.results)
    return {
        protocol: list(dict.fromkeys(width for other, _, width in keys if other == protocol))
        for protocol in dict.fromkeys(key[0] for key in keys)
    }


def _people(outcome: Outcome[Identification]) -> int:
    return len(next(iter(outcome.results.values())).people)


def _exactly(value: float) -> Interval:
    return Interval(np.nan, value, np.nan)


def _row(measure: str, protocol: str, cell: Cell, at: Any, interval: Interval, n: int) -> dict[str, Any]:
    row = {"measure": measure, "protocol": protocol, "variant": cell[0], "network": cell[1], "at": at}
    numbers = interval.columns("value").items()
    return {**row, **{name: round(number, 3) if np.isfinite(number) else None for name, number in numbers}, "n": n}


def _record(
    plan: Study,
    preset: Preset,
    changes: Sequence[str],
    rows: dict[int, list[dict[str, Any]]],
    seconds: dict[str, float],
    faces: FaceSplits,
) -> dict[str, Any]:
    command = f"python -m rifr record --study {plan.name} --seeds {' '.join(map(str, rows))}"
    provenance = {
        **records.provenance(),
        "command": command + (f" --set {' '.join(changes)}" if changes else ""),
        "study": about(plan),
        "preset": asdict(preset),
        "seeds": list(rows),
        "training_seconds": seconds,
        "faces": study.counts(faces),
    }
    return {"provenance": provenance, "rows": [row for seed in rows for row in rows[seed]]}


def about(plan: Study) -> dict[str, Any]:
    """What a study asks and tries, for its record."""
    return {
        "name": plan.name,
        "title": plan.title,
        "question": plan.question,
        "criterion": plan.criterion,
        "variants": [{"label": v.label, "recipes": list(v.recipes), "changes": dict(v.changes)} for v in plan.variants],
        "claims": [difference.claim for difference in plan.differences],
    }

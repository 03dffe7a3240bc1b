"""The multi-seed study: the six networks over several seeds, measured under every protocol, too long a run for a page.

    python -m rifr record --preset laptop --seeds 0 1 2 3 4        two cores, about two hours
    python -m rifr record --preset rendered --seeds 0              one GPU, many hours

A seed draws the people to train on, the first weights and the order anew; probes and distractors are one set for all
seeds. An interval over seeds speaks of the next such training, tested on the same people.
With a single seed the intervals are those over its people.

What is finished is stored, and the record is written after each network (after each seed, where all are trained):
stopped at any moment, the same command goes on, and what has been written is a true, smaller record.

`book/records/large.json` holds

provenance
    Date, rifr, commit, machine, versions, preset (all of its fields), seeds, networks, seconds of training (by network,
    all seeds), accuracy on the photos of the last epoch (0 to 1, the seeds' mean; not in older records), faces (counts
    of one seed), pairs (the name of the list of pairs, if there was one).
rows
    Each: seed, measure, protocol, network, at, value, low, high (per cent; over people), n; a difference also `other`.
    measure: "rank1" (at: face width), "rank1 difference" (network minus other), "hard difference" (how much larger it
    is in hard galleries, at: "112 px, random" or "112 px, larger"; not in older records), "tpr" (at: "25 px, 0.001"),
    "tinyface", "tinyface map", "scface" (at: distance), "pairs" (at: face width), "rank1 group" (at: "112 px" or
    "25–16 px"; a network's mean, or `network` minus `other`, paired by person), "claim" (network: the claim's number,
    at: which of its differences, n: 0, for it has those of its rates; neither in older records of the six alone).
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rifr import (
    align,
    camera,
    degrade,
    evaluation,
    faces,
    landmarks,
    packs,
    presets,
    readers,
    recipes,
    similarity,
    splits,
    storage,
)
from rifr.errors import DataError, SettingError
from rifr.evaluation import evaluate, hard_galleries, one_probe, score
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification
from rifr.evaluation.protocols.scface import Scface
from rifr.evaluation.protocols.tinyface import TinyFace
from rifr.evaluation.protocols.verification import Verification
from rifr.methods import readers_files
from rifr.presets import Preset
from rifr.report import claims, evidence, methods, records
from rifr.splits import FaceSplits
from rifr.training import parallel, runs, trainer
from rifr.training.parallel import Call
from rifr.training.runs import Run

ORDER = ("hr-only", "hr+lr", "proposed", "lr-only", "kl-only", "shared-only")
"""The networks in the order of training: what a time that runs out leaves is the paper's main comparison."""

COMPARED = (
    ("proposed", "hr+lr"),
    ("proposed", "kl-only"),
    ("proposed", "shared-only"),
    ("kl-only", "hr+lr"),
    ("shared-only", "hr+lr"),
    ("proposed", "hr-only"),
    ("proposed", "lr-only"),
    ("hr+lr", "hr-only"),
    ("hr-only", "lr-only"),
)
COMPARED_WITH_OTHERS = ("proposed", "shared-only")
"""Of these two, each other method's difference is kept."""

DECIDED_BY = (align, camera, degrade, evaluation, faces, landmarks, packs, readers, runs, similarity, splits)
"""The code that decides what is measured, beside that which each network is found by; no text and no figure."""

ROC_WIDTHS, FPRS = (112, 25, 16), (1e-3, 1e-4)
PAIR_WIDTHS = (112, 16)


def make(
    preset: str | Preset = "laptop",
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    networks: Sequence[str] = (),
    pairs: str | Path = "",
    images: str | Path = "",
    out: Path | None = None,
    progress: bool = True,
    changes: Sequence[str] = (),
) -> Path:
    """Train and measure what is missing, and write the record.

    Parameters
    ----------
    networks
        All six if empty; those of other methods (`rifr.recipes.OTHERS`) may be among them.
    pairs, images
        A list of pairs as LFW's pairs.txt and the folder of its aligned photos, one folder per person; real faces are
        scored here, never trained on.
    changes
        Of fields of the preset, as --set takes them.

    Returns
    -------
    Path
        Where the record is.

    Raises
    ------
    SettingError
        For an unknown preset, field or network, or a seed given twice.
    """
    preset, seeds = presets.get(preset, changes), each_once(seeds)
    wished = [recipes.get(name).name for name in networks or ORDER]
    names = [name for name in (*ORDER, *recipes.OTHERS) if name in wished]
    if bool(pairs) != bool(images):
        raise SettingError("a list of pairs and the folder of its images belong together: give both or none.")
    if absent := [str(path) for path in (pairs, images) if path and not Path(path).exists()]:
        raise DataError(f"{' and '.join(absent)} does not exist: nothing was trained yet, give the right path.")
    out = out or records.folder() / "large.json"
    faces = {seed: splits.face_splits(preset, seed, progress=progress) for seed in seeds}
    calls = [call for seed in seeds for call in trainer.calls(names, preset, seed, faces[seed].train, progress)]
    # Teachers first, so that no student waits for one; landmark networks, which are short, last.
    calls.sort(key=lambda call: call.keywords["recipe"] != recipes.TEACHER)
    parallel.run(calls + [call for seed in seeds for call in landmarks.calls(["wing+lr"], preset, seed)])
    wanted: dict[str, Any] = {"preset": preset, "pairs": str(pairs), "images": str(images), "progress": progress}
    trained = all(trainer.find(name, preset, seed, faces[seed].train) for name in names for seed in seeds)
    if trained:  # networks are embedded, and seeds measured, side by side
        evaluate.store_features([(name, preset, seed) for seed in seeds for name in names], progress=progress)
        parallel.run(
            [Call("rifr.report.study", "measured", {**wanted, "seed": seed, "networks": names}) for seed in seeds]
        )
    rows: dict[int, list[dict]] = {}
    for seed in seeds:
        done: list[str] = []
        for name in names:
            trainer.fit(name, preset, seed, faces[seed].train, progress)
            done.append(name)
            if not trained or name == names[-1]:
                rows[seed] = measured(seed=seed, networks=done, **wanted)
                made_by = command(preset.name, list(rows), names, changes, pairs, images, out)
                records.write(out, _record(preset, names, rows, faces, pairs, made_by))
    return out


def command(
    preset: str,
    seeds: Sequence[int],
    networks: Sequence[str],
    changes: Sequence[str] = (),
    pairs: str | Path = "",
    images: str | Path = "",
    out: str | Path = "record.json",
) -> str:
    """The command that makes a record again; its files by name, wherever they lie.

    The six networks' own record needs no name.
    """
    readers = os.pathsep.join(Path(file).name for file in readers_files())
    words = ["--preset", preset, "--seeds", *map(str, seeds)]
    words += ["--recipe", *networks, "--out", Path(out).name] if set(networks) != set(ORDER) else []
    words += ["--set", *changes] if changes else []
    words += ["--pairs", Path(pairs).name, "--images", Path(images).name] if pairs else []
    return f"{f'RIFR_METHODS={shlex.quote(readers)} ' if readers else ''}python -m rifr record {shlex.join(words)}"


def each_once(seeds: Sequence[int]) -> list[int]:
    """The seeds as a list; SettingError where there is none, or one that is given twice."""
    if not seeds or len(set(seeds)) < len(seeds):
        raise SettingError(f"seeds are {list(seeds)}: give at least one, each once.")
    return list(seeds)


def measured(
    preset: str | Preset, seed: int, networks: Sequence[str], pairs: str = "", images: str = "", progress: bool = True
) -> list[dict[str, Any]]:
    """The rows of one seed, found in the store or measured."""
    preset = presets.get(preset)
    faces = splits.face_splits(preset, seed, progress=progress)
    trained = {name: trainer.fit(name, preset, seed, faces.train, progress) for name in networks}
    key = storage.digest(
        preset,
        [run.key for run in trained.values()],
        [faces.train.checksum, faces.probes.checksum, faces.distractors.checksum],
        [storage.file_digest(pairs), storage.folder_digest(images, contents=True)] if pairs else None,
        storage.sources_digest(*DECIDED_BY, claims, evidence, methods, sys.modules[__name__]),
    )

    def make(path: Path) -> None:
        widths = [width for width in ROC_WIDTHS if width in preset.widths] or [min(preset.widths)]
        identified = evaluate.identify(trained, faces, preset, progress=progress)
        verified = evaluate.verify(trained, faces, preset, widths, progress=progress)
        tiny, filmed = evidence.on_stand_ins(trained, preset, seed, progress)
        rows = [
            *_identified(identified, list(trained), len(faces.probes.people)),
            *_alike(trained, faces, preset, progress),
            *_verified(verified),
            *of_stand_ins(tiny, filmed),
            *_claimed(evidence.of_outcomes(identified, verified, filmed, tiny)),
            *(_paired(trained, preset, pairs, images, progress) if pairs else []),
        ]
        storage.atomic_write(path, json.dumps([{"seed": seed, **row} for row in rows]))

    name = f"{preset.name}-s{seed}"
    return storage.found_or_made("measured", name, key, make, storage.read_json, ".json")


def _identified(outcome: Outcome[Identification], names: list[str], people: int) -> list[dict]:
    rows = table_rows("rank1", outcome.table(), "rank1", "width", "trials")
    for network, other in COMPARED:
        if {network, other} <= set(names):
            table = outcome.difference(network, other).assign(network=network)
            compared = table_rows("rank1 difference", table, "difference", "width", "people")
            rows += [{**row, "other": other} for row in compared]
    return [*rows, *_grouped(outcome, names, people)]


def _grouped(outcome: Outcome[Identification], names: list[str], people: int) -> list[dict]:
    """What chapters compare, with intervals over people: of a single seed the record has no other ones."""
    measure = evidence.of_outcomes(outcome)
    rates = methods.rates(measure, names).assign(other="")
    others = [name for name in names if name in recipes.OTHERS]
    pairs = [(first, others) for first in COMPARED_WITH_OTHERS if first in names]
    single = [*COMPARED, *((name, other) for name, (other, _) in methods.CONTROLS.items())]
    single += [(name, before) for name in others if (before := methods.start(name))]
    pairs += [(first, [other]) for first, other in dict.fromkeys(single) if {first, other} <= set(names)]
    minus = [
        methods.differences(measure, first, those)
        .rename(columns={"network": "other", "difference": "value"})
        .assign(network=first, protocol="P1")
        for first, those in pairs
    ]
    table = pd.concat([rates, *minus]).assign(n=people)
    rows = table_rows("rank1 group", table, "value", "place", "n")
    return [{**row, "other": other} for row, other in zip(rows, table.other, strict=True)]


def _claimed(measure: claims.Measure) -> list[dict]:
    """The paper's claims with intervals over people, of which those of a single seed are made."""
    found = [
        {"network": claim.id, "at": difference.name, "n": 0, **interval.columns("value")}
        for claim in claims.CLAIMS
        for difference in claim.differences
        if (interval := measure(difference))
    ]
    return table_rows("claim", pd.DataFrame(found), "value", "at", "n")


def _alike(trained: dict[str, Run], faces: FaceSplits, preset: Preset, progress: bool) -> list[dict]:
    pairs = [pair for pair in hard_galleries.EXPECTED if set(pair) <= set(trained)]
    if not pairs or not hard_galleries.known(faces):
        return []
    widths = one_probe.nearest_widths(preset.widths, hard_galleries.WIDTHS)
    galleries = hard_galleries.identify(trained, faces, preset, widths, progress=progress)
    gaps = hard_galleries.gap_changes(galleries, pairs)
    at = [f"{row.width} px, {row.kind}" for row in gaps.itertuples()]
    rows = table_rows("hard difference", gaps.assign(at=at, n=len(faces.probes.people)), "difference", "at", "n")
    return [{**row, "other": other} for row, other in zip(rows, gaps.other, strict=True)]


def _verified(outcome: Outcome[Verification]) -> list[dict]:
    table = outcome.table(FPRS)
    table = table[table.tpr.notna()]
    at = [f"{row.width} px, {row.fpr:g}" for row in table.itertuples()]
    return table_rows("tpr", table.assign(at=at), "tpr", "at", "genuine")


def of_stand_ins(tiny: Outcome[TinyFace], filmed: Outcome[Scface]) -> list[dict]:
    """Rank-1 and mean average precision on TinyFace's, rank-1 at each distance on SCface's."""
    table, distances = tiny.table().assign(at=""), filmed.table()
    return [
        *table_rows("tinyface", table, "rank1", "at", "probes"),
        *table_rows("tinyface map", table.drop(columns=["low", "high"]), "mean_ap", "at", "probes"),
        *table_rows("scface", distances, "rank1", "distance", "probes"),
    ]


def _paired(trained: dict[str, Run], preset: Preset, pairs: str, images: str, progress: bool) -> list[dict]:
    table = score.score(
        trained, pairs=pairs, images=images, protocols=["P1"], widths=PAIR_WIDTHS, preset=preset, progress=progress
    ).table
    return table_rows("pairs", table.assign(protocol=""), "value", "width", "trials")


def table_rows(measure: str, table: pd.DataFrame, value: str, at: str, n: str) -> list[dict[str, Any]]:
    """The record's rows of one measure; `value`, `at` and `n` name the table's columns."""

    def short(number: float | None) -> float | None:
        return None if number is None else round(float(number), 3)

    return [
        {
            "measure": measure,
            "protocol": row.get("protocol", ""),
            "network": row["network"],
            "at": row[at],
            "value": short(row[value]),
            "low": short(row.get("low")),
            "high": short(row.get("high")),
            "n": int(row[n]),
        }
        for row in table.to_dict("records")
    ]


def _record(
    preset: Preset,
    names: list[str],
    rows: dict[int, list[dict]],
    faces: dict[int, FaceSplits],
    pairs: str | Path,
    made_by: str,
) -> dict[str, Any]:
    seeds = list(rows)
    runs = {
        name: [run for seed in seeds if (run := trainer.find(name, preset, seed, faces[seed].train))] for name in names
    }
    first, device = faces[seeds[0]], next(run.record for found in runs.values() for run in found)
    provenance = {
        **records.provenance(),
        "command": made_by,
        "device": device["device"],
        "trained_on": device.get("machine", ""),
        "threads": device["threads"],
        "preset": asdict(preset),
        "seeds": seeds,
        "networks": [name for name in names if runs[name]],
        "training_seconds": {name: round(sum(run.record["seconds"] for run in found)) for name, found in runs.items()},
        "training_accuracy": {
            name: round(float(np.mean([run.history[-1]["accuracy"] for run in found])), 4)
            for name, found in runs.items()
            if found
        },
        "faces": counts(first),
        "pairs": Path(pairs).name if pairs else "",
    }
    return {"provenance": provenance, "rows": [row for seed in seeds for row in rows[seed]]}


def counts(faces: FaceSplits) -> dict[str, Any]:
    """How many photos and people a record's seeds have, for its provenance."""
    return {
        "train": len(faces.train),
        "train_people": len(faces.train.people),
        "probes": len(faces.probes),
        "probe_people": len(faces.probes.people),
        "distractors": len(faces.distractors),
        "one_test_set": True,
        "source": faces.train.manifest["source"],
    }

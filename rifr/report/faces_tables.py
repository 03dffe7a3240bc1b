"""What the rendered faces are worth, and how their world was chosen: tables of three records (`report.records`)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from rifr.report import records
from rifr.report.style import label
from rifr.report.text import verdicts

YARDSTICKS, INGREDIENTS, WORLDS, LFW = "yardsticks", "ingredients", "worlds", "lfw"
"""The records, by the benchmark of that name in `tests/benchmarks` that writes each (`lfw`: yardsticks)."""

LEAST = 0.60
"""Of the criterion by which a world is taken: what HR-only is to find at 112 px."""


def _rate(figures: list[float]) -> str:
    low, value, high = (100 * figure for figure in figures)
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _cosine(figures: list[float]) -> str:
    low, value, high = figures
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def yardsticks(record: records.Record) -> pd.DataFrame:
    """A row for each judge and kind of faces: accuracy and rank-1 in per cent, cosines, with intervals over people."""
    rows = []
    for row in record["rows"]:
        ranks = {
            f"rank-1, {name.removeprefix('rank1_')} px": _rate(row[name]) for name in row if name.startswith("rank1_")
        }
        rows.append(
            {
                "judge": row["judge"],
                "faces": f"{row['faces']}: {row['photos']:,} photos of {row['people']} people",
                "best accuracy": _rate(row["accuracy"]),
                "cosine of one person": _cosine(row["same"]),
                "of two people": _cosine(row["different"]),
                **ranks,
            }
        )
    return pd.DataFrame(rows)


def ingredients(record: records.Record) -> pd.DataFrame:
    """A row for each ingredient: rank-1 without it, and what is lost, in points with the interval over people."""
    widths = [name.removeprefix("rank-1, ") for name in record["rows"][0] if name.startswith("rank-1")]
    rows = []
    for row in record["rows"]:
        cells = {f"rank-1, {width}": f"{100 * row[f'rank-1, {width}']:.1f}" for width in widths}
        lost = {f"change, {width}": _points(row.get(f"difference, {width}")) for width in widths}
        rows.append({"faces": row["faces"], **cells, **lost})
    return pd.DataFrame(rows)


def _points(figures: list[float] | None) -> str:
    return verdicts.bracketed(100 * figures[1], 100 * figures[0], 100 * figures[2]) if figures else ""


def worlds(record: records.Record) -> pd.DataFrame:
    """A row for each world that was tried: gap and fall in points, the distance, and rank-1 of the two networks.

    Gap and fall have intervals over the probes' people where the record holds them.
    """
    rows: list[dict[str, Any]] = []
    for row in record["rows"]:
        both = {
            f"{label(recipe)}, {width} px": f"{100 * row[f'{recipe} {width}']:.1f}"
            for recipe in ("hr-only", "lr-only")
            for width in (112, 60, 20)
        }
        criterion = {
            name: _rate([row[f"{name} interval"][0], row[name], row[f"{name} interval"][1]])
            if f"{name} interval" in row
            else f"{100 * row[name]:.1f}"
            for name in ("gap", "fall", "distance")
        }
        presets = [preset for preset, name in record["taken"].items() if name == row["name"]]
        name = row["name"] + (f" ({' and '.join(presets)})" if presets else "")
        rows.append({"world": name, **criterion, **both})
    return pd.DataFrame(rows)


def nearest_world(record: records.Record) -> str:
    """How near the worlds that were taken come to the paper's figures, in a few sentences."""
    rows = {row["name"]: row for row in record["rows"]}
    able = sum(row["hr-only 112"] >= LEAST for row in rows.values())
    said = f"HR-only finds {100 * LEAST:.0f} % at 112 px in {able} of {len(rows)} worlds."
    for preset, name in record["taken"].items():
        row = rows[name]
        said += (
            f" `{preset}` takes *{name}*: HR-only {100 * row['hr-only 112']:.1f} %, a gap of {100 * row['gap']:.1f} "
            f"points, a fall of {100 * row['fall']:.1f}."
        )
    return (
        f"{said} Rates fall less from 60 to 20 px here than in the paper, whose network, faces and gallery "
        "are all other ones."
    )


def lfw(record: records.Record) -> pd.DataFrame:
    """A row for each network: what it was trained on and how long, and its accuracy on LFW's pairs."""
    rows = []
    for row in record["rows"]:
        rows.append(
            {
                "network": label(row["recipe"]),
                "LFW, % of pairs": "{:.1f} ({:.1f} to {:.1f})".format(row["value"], row["low"], row["high"]),
                "people": f"{row['people']:,}",
                "photos": f"{row['photos']:,}",
                "epochs": row["epochs"],
                "camera": row["camera"],
                "changed anew": "yes" if row["augment"] else "no",
                "other settings": _in_words(row["changes"]),
                "seed": row["seed"],
                "minutes": f"{row['seconds'] / 60:.1f}",
            }
        )
    return pd.DataFrame(rows)


def _in_words(changes: str) -> str:
    """ "batch size 64, learning rate 0.05": the changed fields that have no column of their own."""
    pairs = [change.partition("=") for change in changes.split()]
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, _, value in pairs if name != "augment") or "–"


def most_on_lfw(record: records.Record) -> str:
    """What the network with the most views brought over those with the least that had photos of its kind."""
    *others, most = sorted(record["rows"], key=lambda row: row["views"])
    fewer = [row for row in others if row["views"] < most["views"]] or others
    kind = [row for row in fewer if row["augment"] == most["augment"]] or fewer
    few = kind[0]
    by = "" if most["recipe"] == few["recipe"] else f"{label(most['recipe'])}, "
    of_most, of_few = (_mean_of_seeds(record, like, unit) for like, unit in ((most, " %"), (few, "")))
    return (
        f"With {by}{most['people']:,} people and {most['views'] / few['views']:.3g} times the views, {of_most} instead "
        f"of {of_few}; what else differs, the columns say."
    )


def _mean_of_seeds(record: records.Record, like: records.Record, unit: str) -> str:
    """ "76.4 % (2 seeds)": of the rows that differ from one by their seed alone, as far as these are told apart."""
    told = ("people", "views", "augment", "recipe")
    values = [row["value"] for row in record["rows"] if all(row.get(name) == like.get(name) for name in told)]
    return f"{sum(values) / len(values):.1f}{unit} ({len(values)} seed{'s' if len(values) > 1 else ''})"


def source(record: records.Record) -> str:
    """When, where and by which code a record was made."""
    about = record["provenance"]
    return f"Measured {about['date'][:10]}, rifr {about['rifr']} ({about['commit'][:7]}), {about['processor']}."

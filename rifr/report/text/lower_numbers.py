"""Sentences of the page "Why is my number lower?": what each trap costs, from the tables of `rifr.doctor`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rifr.doctor import Examination
from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.metrics import Interval
from rifr.report.style import label
from rifr.report.text import verdicts

PIXELS, PHOTOS = "pixels", "photos"
"""Rounds of `Examination.table`: how pixels are given, and what is done to the photos."""


def setting(found: Mapping[int, Examination], preset: str, seed: int) -> str:
    """What a caption must say of the pairs: n, preset, seed, and what the bars are."""
    made = next(iter(found.values())).provenance
    pairs, source = made["pairs"], made["faces"]["source"]
    return (
        f"{verdicts.capital(source)}: {pairs['genuine']:,} genuine and {pairs['impostor']:,} impostor pairs of "
        f"{pairs['photos']:,} photos of {pairs['people']} people, {pairs['folds']} folds of people; preset `{preset}`, "
        f"seed {seed}. Bars: 95 % over people, paired."
    )


def costs(found: Mapping[int, Examination], of: str) -> str:
    """What the settings of a round cost, a line per setting with each face width.

    Parameters
    ----------
    found
        Examinations by face width.
    of
        "pixels" or "photos".
    """
    tables = {width: one.table[one.table["round"] == of].set_index("setting") for width, one in found.items()}
    lines = []
    for name in next(iter(tables.values())).index:
        parts = [f"{_cost(table.loc[name])} at {width} px" for width, table in tables.items()]
        lines.append(f"- **{name}**: {'; '.join(parts)}.")
    declared = [f"{_rate(one.table.iloc[0])} at {width} px" for width, one in found.items()]
    return "\n".join(
        [f"The share of pairs that are right as declared is {', '.join(declared)}. Against that:", "", *lines]
    )


def table(found: Examination) -> pd.DataFrame:
    """What an examination tried, for reading: a row per setting with its accuracy, and what it differs by."""
    rows = []
    for row in found.table.itertuples():
        rate = "–" if row.failed else f"{row.accuracy:.1f} ({row.low:.1f} to {row.high:.1f})"
        gain = "–" if row.round == "declared" else _cost(row, "")
        rows.append({"setting": row.setting, "accuracy, %": rate, "against the declared one, points": gain})
    return pd.DataFrame(rows)


def interpolation(change: pd.DataFrame) -> str:
    """Area against bicubic: a line per network and protocol with the difference at each face width.

    Parameters
    ----------
    change
        Rank-1 on faces shrunk by area minus that on faces shrunk bicubic, as `Outcome.change` gives it.
    """
    lines = []
    for (network, protocol), part in change.groupby(["network", "protocol"], sort=False):
        rows = part.sort_values("width", ascending=False)
        parts = [f"{verdicts.span(row)} at {row.width} px" for row in rows.itertuples()]
        lines.append(f"- **{label(network)}, {PROTOCOLS[protocol]}**: {'; '.join(parts)}.")
    tally = verdicts.tally(verdicts.signs(change), "a loss by area", "a gain by area")
    return "\n".join(
        [
            "Area minus bicubic in rank-1, with 95 % intervals over people:",
            "",
            *lines,
            "",
            f"{verdicts.capital(tally)}.",
        ]
    )


def folds(table: pd.DataFrame) -> str:
    """How far the best fold and a threshold fitted to the pairs lie above the mean of the folds.

    Parameters
    ----------
    table
        As `rifr.doctor.traps.folds` gives it.
    """
    one, above = table.iloc[0], table.sub(table["mean"], axis=0)
    mean, best, fitted = _range(table["mean"], ".1f"), _range(above.best, "+.1f"), _range(above.fitted, "+.2f")
    return (
        f"The same features, {len(table)} times: {int(one.people):,} people divided into {int(one.folds)} folds "
        f"anew, about {table.pairs.mean():,.0f} pairs each time. The mean over the folds is {mean} %, the best fold "
        f"lies {best} points above it, and one threshold fitted to the pairs themselves {fitted} points. In "
        "brackets: where 95 % of the divisions lie."
    )


def ties(table: pd.DataFrame) -> str:
    """What the rule for equal scores is worth at each number of bits: a line each.

    Parameters
    ----------
    table
        As `rifr.doctor.traps.ties` gives it.
    """
    lines = []
    for bits, part in table.groupby("bits"):
        miss, hit = (part[part.ties == rule].iloc[0] for rule in ("miss", "hit"))
        name = f"{bits} {'bit' if bits == 1 else 'bits'}" if bits else "one feature for all photos"
        gap = _cost(miss)
        lines.append(
            f"- **{name}**: rank-1 {miss.rank1:.1f} % with equal scores as misses, {hit.rank1:.1f} % as hits, {gap}."
        )
    row = table.iloc[0]
    return "\n".join(
        [*lines, "", f"{row.trials:,} trials of {row.people} people; intervals: 95 % over people, paired."]
    )


def own_photo(table: pd.DataFrame) -> str:
    """What the probe's own photo in the gallery is worth: a line per protocol, at the largest and the smallest width.

    Parameters
    ----------
    table
        A row per protocol and width, as `rifr.doctor.traps.own_photo` gives them.
    """
    lines = []
    for protocol, part in table.groupby("protocol", sort=False):
        rows = part.sort_values("width", ascending=False).iloc[[0, -1]]
        parts = [
            f"at {row.width} px {row.within:.1f} % instead of {row.without:.1f} %, {_cost(row)}"
            for row in rows.drop_duplicates("width").itertuples()
        ]
        lines.append(f"- **{PROTOCOLS[protocol]}**: {'; '.join(parts)}.")
    row = table.iloc[0]
    return "\n".join(
        [*lines, "", f"{row.probes:,} probes of {row.people} people; intervals: 95 % over people, paired."]
    )


def summary(
    found: Mapping[int, Examination], change: pd.DataFrame, divided: pd.DataFrame, tied: pd.DataFrame, own: pd.DataFrame
) -> pd.DataFrame:
    """Every trap in one table: what it moves, by how much, on how many.

    Parameters
    ----------
    found, change, divided, tied, own
        Examinations by face width, and the tables that `interpolation`, `folds`, `ties` and `own_photo` take.
    """
    rows = []

    def add(trap: str, figure: str, moves: str, n: str) -> None:
        rows.append({"trap": trap, "figure": figure, "moves it by, points": moves, "n": n})

    names = {
        "BGR": "channels in the other order",
        "[0, 1]": "pixels in [0, 1]",
        "[0, 255]": "pixels in [0, 255]",
        "photos shrunk 1.25 x": "loose crops",
        "photos moved 8 px left": "a template 8 px off",
        "no mirror image": "no mirror image",
    }
    for setting_name, trap in names.items():
        for width, one in found.items():
            row = one.table[one.table.setting == setting_name]
            if len(row):
                add(trap, f"pairs, {width} px", _cost(row.iloc[0], ""), f"{len(one.pairs):,} pairs")
    least, searches = change[change.width == change.width.min()], f"{own.probes.iloc[0]:,} probes"
    for row in least.itertuples():
        where = f"rank-1, {row.protocol}, {row.width} px, {label(row.network)}"
        add("area instead of bicubic", where, verdicts.bracketed(row.difference, row.low, row.high), searches)
    n = f"{divided.pairs.mean():,.0f} pairs"
    add("best fold for the mean", "pairs", _range(divided.best - divided["mean"], "+.1f"), n)
    add("threshold fitted to the pairs", "pairs", _range(divided.fitted - divided["mean"], "+.2f"), n)
    for row in tied[(tied.ties == "hit") & tied.bits.isin([0, 1, 8])].itertuples():
        add(
            f"ties as hits, {row.bits} {'bit' if row.bits == 1 else 'bits'}",
            "rank-1",
            _cost(row, ""),
            f"{row.trials:,} trials",
        )
    for row in own[own.width == own.width.min()].itertuples():
        add(
            "the probe in the gallery",
            f"rank-1, {row.protocol}, {row.width} px",
            _cost(row, ""),
            f"{row.probes:,} probes",
        )
    return pd.DataFrame(rows)


def _interval(row: object) -> Interval:
    low, difference, high = (getattr(row, name) for name in ("difference_low", "difference", "difference_high"))
    return Interval(low, difference, high)


def _cost(row: object, unit: str = " points") -> str:
    """ "-3.1 points (-4.2 to -2.0)"; that there is none, where the setting could not be run."""
    of = _interval(row)
    if not np.isfinite(of.estimate):
        return "could not be run"
    return verdicts.bracketed(of.estimate, of.low, of.high, unit)


def _rate(row: pd.Series) -> str:
    return f"{row.accuracy:.1f} % ({row.low:.1f} to {row.high:.1f})"


def _range(values: pd.Series, form: str) -> str:
    """The mean and where 95 % of the values lie."""
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{values.mean():{form}} ({low:{form}} to {high:{form}})"

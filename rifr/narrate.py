"""Sentences chosen by results: tables in, Markdown out. A sentence says only what its numbers show."""

from __future__ import annotations

import pandas as pd

from rifr import recipes, reported
from rifr.results import PROTOCOLS


def percent(row: pd.Series) -> str:
    """"48.4 % (45.0 to 51.9)": a rate with its interval."""
    return f"{row.rank1:.1f} % ({row.low:.1f} to {row.high:.1f})"


def row_of(table: pd.DataFrame, protocol: str, network: str, width: int) -> pd.Series:
    """The one row of a table; KeyError says what there is."""
    found = table[(table.protocol == protocol) & (table.network == network) & (table.width == width)]
    if len(found) != 1:
        raise KeyError(f"{len(found)} rows for {protocol}, {network}, {width} px; "
                       f"widths are {sorted(table.width.unique())}, networks {list(table.network.unique())}.")
    return found.iloc[0]


def verdict(row: pd.Series, first: str, second: str) -> str:
    """One paired difference in words: which is ahead and whether its interval leaves out zero."""
    ahead, behind = (first, second) if row.difference >= 0 else (second, first)
    size, ends = abs(row.difference), sorted((abs(row.low), abs(row.high)))
    if row.low <= 0 <= row.high:
        return (f"at {row.width:.0f} px the run does not decide between {first} and {second} "
                f"({row.difference:+.1f} points, {row.low:+.1f} to {row.high:+.1f})")
    return f"at {row.width:.0f} px {ahead} is ahead of {behind} by {size:.1f} points ({ends[0]:.1f} to {ends[1]:.1f})"


def comparison(difference: pd.DataFrame, protocol: str, network: str, other: str, widths: list[int] | None = None) -> str:
    """The verdicts of a paired difference at some widths, as one sentence."""
    first, second = (_name(name) for name in (network, other))
    rows = difference[difference.protocol == protocol]
    if widths is not None:
        rows = rows[rows.width.isin(widths)]
    parts = [verdict(row, first, second) for _, row in rows.sort_values("width", ascending=False).iterrows()]
    text = "; ".join(parts)
    return f"**{PROTOCOLS[protocol]}.** {text[0].upper()}{text[1:]}."


def dilemma(table: pd.DataFrame, protocol: str = "P1") -> str:
    """Section III-A's claim about the three baselines, held against the run at its widest and narrowest faces."""
    wide, narrow = table.width.max(), table.width.min()
    at = {width: {name: row_of(table, protocol, name, width) for name in recipes.BASELINES} for width in (wide, narrow)}
    best = {width: max(rows.values(), key=lambda row: row.rank1) for width, rows in at.items()}
    worst = {width: min(rows.values(), key=lambda row: row.rank1) for width, rows in at.items()}
    lines = [f"- **{width} px:** " + ", ".join(f"{_name(name)} {percent(row)}" for name, row in rows.items()) + "."
             for width, rows in at.items()]
    held = best[wide].network == "hr-only" and worst[narrow].network == "hr-only"
    said = ("The dilemma is there: the network that is best on the largest faces is the worst on the smallest."
            if held else
            f"The run does not show the paper's dilemma as the paper has it: {_name(best[wide].network)} is best at "
            f"{wide} px and {_name(worst[narrow].network)} is worst at {narrow} px.")
    drop = at[wide]["hr-only"].rank1 - at[narrow]["hr-only"].rank1
    return "\n".join([said, "", *lines, "", f"From {wide} to {narrow} px HR-only loses {drop:.1f} points; LR-only, trained "
                      f"on such faces, loses {at[wide]['lr-only'].rank1 - at[narrow]['lr-only'].rank1:.1f}."])


def beside_the_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Each figure that the paper's text gives beside this run's at the same width, or the nearest the run has."""
    rows = []
    for told in reported.RANK1:
        widths = table[(table.protocol == told.protocol) & (table.network == told.network)].width
        if widths.empty:
            continue
        width = min(widths, key=lambda w: abs(w - told.width))
        row = row_of(table, told.protocol, told.network, width)
        rows.append({"protocol": told.protocol, "network": _name(told.network), "width (px)": told.width,
                     "paper (%)": f"{'about ' if told.rounded else ''}{told.rank1:g}",
                     "this run (%)": percent(row).replace(" %", "") + ("" if width == told.width else f" at {width} px"),
                     "people": row.people, "trials": f"{row.trials:,}"})  # fmt: skip
    return pd.DataFrame(rows)


def rank1_table(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """A row a network, a column a width: rank-1 in per cent with its interval, for reading."""
    part = table[table.protocol == protocol].copy()
    part["text"] = [f"{row.rank1:.1f} ({row.low:.1f}–{row.high:.1f})" for row in part.itertuples()]
    wide = part.pivot(index="network", columns="width", values="text")
    wide = wide.loc[list(dict.fromkeys(part.network)), sorted(wide.columns, reverse=True)]
    wide.index = [_name(name) for name in wide.index]
    wide.columns = [f"{width} px" for width in wide.columns]
    return wide


def _name(network: str) -> str:
    return recipes.get(network).label

"""The one verdict: a paired difference is decided where its 95 % interval excludes zero.

Rows are those of tables of differences: `difference`, `low` and `high` in percentage points, in favour of the first of
the two that are compared where positive. An interval that is not known (NaN) leaves its difference open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from rifr.evaluation.metrics import Interval
from rifr.report.style import label


def sign(row: Any) -> int:
    """1 where the row's interval lies above zero, -1 where it lies below, 0 where it is not decided."""
    return Interval(row.low, row.low, row.high).sign


def signs(table: pd.DataFrame) -> pd.Series:
    """The `sign` of each row of a table."""
    return pd.Series([sign(row) for row in table.itertuples()], index=table.index, dtype=int)


def signed(value: float, digits: int = 1) -> str:
    """A difference: "+3.0", "-0.4"; "0.0" without a sign where it rounds to zero."""
    return f"{value:+.{digits}f}" if round(value, digits) else f"{0:.{digits}f}"


def bound(value: float, digits: int = 1) -> str:
    """An end of an interval, as `signed`; with up to two more decimals where zero would hide on which side it lies."""
    more = next((places for places in (digits, digits + 1, digits + 2) if round(value, places)), digits)
    return signed(value, more)


def ends(low: float, high: float, digits: int = 1) -> str:
    """The interval of a difference: "+1.0 to +5.0"."""
    return f"{bound(low, digits)} to {bound(high, digits)}"


def capital(text: str) -> str:
    """A text as a sentence begins: "proposed" is "Proposed"."""
    return text[:1].upper() + text[1:]


def sizes(low: float, high: float) -> str:
    """The same for who is ahead, without signs and the smaller end first: "1.0 to 5.0"."""
    smaller, larger = sorted((abs(low), abs(high)))
    return ends(smaller, larger).replace("+", "")


def span(row: Any, unit: str = " points", digits: int = 1, column: str = "difference") -> str:
    """The difference with its interval, where that is known: "+3.0 points, +1.0 to +5.0"."""
    after = f", {ends(row.low, row.high, digits)}" if pd.notna(row.low) else ""
    return f"{signed(getattr(row, column), digits)}{unit}{after}"


def bracketed(estimate: float, low: float, high: float, unit: str = "") -> str:
    """The same with its interval in brackets: "+3.0 (+1.0 to +5.0)"."""
    return f"{signed(estimate)}{unit}" + (f" ({ends(low, high)})" if pd.notna(low) and pd.notna(high) else "")


def compared(row: Any, first: str, second: str) -> str:
    """Which of the two is ahead and by how much, or that the run does not decide it."""
    direction = sign(row)
    if not direction:
        return f"the run does not decide between {first} and {second} ({span(row)})"
    ahead, behind = (first, second) if direction > 0 else (second, first)
    return f"{ahead} is ahead of {behind} by {abs(row.difference):.1f} points ({sizes(row.low, row.high)})"


def over_networks(table: pd.DataFrame) -> str:
    """The mean difference over networks, its range, and for how many it is decided; one row per network."""
    most, least, decided = table.loc[table.difference.idxmax()], table.loc[table.difference.idxmin()], signs(table)
    parts = [
        f"as {what} for {number} of them"
        for number, what in (((decided > 0).sum(), "a gain"), ((decided < 0).sum(), "a loss"))
        if number
    ]
    return (
        f"{signed(table.difference.mean())} points of rank-1 on average over {len(table)} networks, from "
        f"{signed(least.difference)} ({label(least.network)}) to {signed(most.difference)} ({label(most.network)}); "
        f"decided {', '.join(parts) or 'for none of them'}"
    )


def agreement(decisions: Iterable[int], subject: str = "The run") -> str:
    """Whether a run says what the paper says; `decisions` are signs, 1 where a comparison comes out as in the paper."""
    decisions = list(decisions)
    ahead, behind = decisions.count(1), decisions.count(-1)
    if ahead and behind:
        return f"{subject} is divided."
    if not ahead and not behind:
        return f"{subject} neither agrees with the paper nor contradicts it: no interval excludes zero."
    verb = "agrees with" if ahead else "contradicts"
    where = "" if ahead + behind == len(decisions) else " where it decides"
    return f"{subject} {verb} the paper{where}."


def tally(decisions: Iterable[int], loss: str = "a loss", gain: str = "a gain") -> str:
    """How many of some comparisons decide for a loss and for a gain."""
    decisions = list(decisions)
    numbers = ((decisions.count(-1), loss), (decisions.count(1), gain))
    decided = [(number, name) for number, name in numbers if number]
    if not decided:
        return f"in none of {len(decisions)} comparisons does the interval exclude zero"
    (number, name), *others = decided
    more = "".join(f" and {count} for {other}" for count, other in others)
    return f"of {len(decisions)} comparisons {number} {'decides' if number == 1 else 'decide'} for {name}{more}"


def listed(names: Sequence[str]) -> str:
    """One name, or several with "and" before the last."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

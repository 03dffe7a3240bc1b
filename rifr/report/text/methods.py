"""Words of chapter 12: what the comparison with other methods decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from rifr.report.style import label
from rifr.report.text import verdicts

ANSWERS = {1: "better", -1: "worse"}


def against(table: pd.DataFrame, network: str, paired: str = "person") -> str:
    """Whom `network` is ahead of and behind, a sentence per place; `table` is of `rifr.report.methods.differences`."""
    lines = []
    for place, part in table.groupby("place", sort=False):
        by_sign = {sign: [*part[verdicts.signs(part) == sign].network] for sign in (1, -1, 0)}
        words = {1: "is ahead of", -1: "is behind", 0: "is not decided against"}
        said = [f"{word} {_names(by_sign[sign])}" for sign, word in words.items() if by_sign[sign]]
        lines.append(f"- **{place}**: {label(network)} {'; '.join(said)}.")
    return "\n".join([f"Paired by {paired}, with 95 % intervals:", "", *lines])


def question(shared: pd.DataFrame) -> str:
    """Whether the shared softmax layer is ahead of pairwise losses; `shared` is its differences to theirs."""
    signs = verdicts.signs(shared)
    ahead, behind, count = int((signs > 0).sum()), int((signs < 0).sum()), len(shared)
    tally = f"of {count} comparisons ({_names(shared.network)}), decided for it: {ahead}, against it: {behind}"
    if ahead and not behind:
        answer = "Where this decides, a shared softmax layer does better than a pairwise loss"
    elif behind and not ahead:
        answer = "Where this decides, a shared softmax layer does worse than a pairwise loss"
    elif ahead:
        answer = "This is divided"
    else:
        answer = "This does not decide it"
    return f"{answer}: {tally}."


def apart(shared: pd.DataFrame, reasons: Mapping[str, str]) -> str:
    """The same of losses that differ in something else as well, each with that reason; "" of none."""
    lines = []
    for name, rows in shared.groupby("network", sort=False):
        places = "; ".join(f"{row.place} {verdicts.span(row)}" for row in rows.itertuples())
        lines.append(f"- {label(str(name))} {reasons[str(name)]}: {places}.")
    if not lines:
        return ""
    opening = "Other losses of distances differ in more than the distance, so that these differences have two causes:"
    return "\n".join([opening, "", *lines])


def of_the_distance(rows: pd.DataFrame, network: str, control: str) -> str:
    """What a method's distance adds to the same loss without it; `rows` is of `network` minus `control`, by place."""
    places = "; ".join(
        f"{row.place} {verdicts.span(row)}, {ANSWERS.get(int(sign), 'not decided')}"
        for row, sign in zip(rows.itertuples(), verdicts.signs(rows), strict=True)
    )
    return f"What the distance adds is {label(network)} minus {label(control)}, the same loss without it: {places}."


def below_their_start(names: Sequence[str]) -> str:
    """That methods end below the network they went on from, which says nothing of the method; "" of none."""
    if not names:
        return ""
    return (
        f"{_names(names)} {'ends' if len(names) == 1 else 'end'} below the network gone on from, on large faces and on "
        "small ones: at these settings the method undoes what it starts with, which is no evidence against the idea."
    )


def _names(names: Sequence[str] | pd.Series) -> str:
    return ", ".join(label(name) for name in dict.fromkeys(names))

"""Words of chapter 12: what the comparison with other methods decides."""

from __future__ import annotations

import pandas as pd

from rifr.report.style import label
from rifr.report.text import verdicts


def against(table: pd.DataFrame, network: str, paired: str = "person") -> str:
    """`network` against other methods, a sentence per place; `table` as `rifr.report.methods.differences` gives it."""
    lines = []
    for place, part in table.groupby("place", sort=False):
        by_sign = {sign: part[verdicts.signs(part) == sign] for sign in (1, -1, 0)}
        words = {1: "is ahead of", -1: "is behind", 0: "is not decided against"}
        said = [
            f"{word} " + ", ".join(f"{label(row.network)} ({verdicts.span(row)})" for row in by_sign[sign].itertuples())
            for sign, word in words.items()
            if len(by_sign[sign])
        ]
        lines.append(f"- **{place}**: {label(network)} {'; '.join(said)}.")
    return "\n".join([f"Paired by {paired}, with 95 % intervals:", "", *lines])


def question(shared: pd.DataFrame) -> str:
    """Whether the shared softmax layer is ahead of losses that compare pairs of features, place by place."""
    signs = verdicts.signs(shared)
    ahead, behind, count = int((signs > 0).sum()), int((signs < 0).sum()), len(shared)
    losses = ", ".join(label(name) for name in dict.fromkeys(shared.network))
    tally = f"of {count} comparisons with such losses ({losses}) {ahead} are decided for it and {behind} against it"
    if ahead and not behind:
        answer = "Where this run decides, a shared softmax layer does better"
    elif behind and not ahead:
        answer = "Where this run decides, a shared softmax layer does worse"
    elif ahead:
        answer = "This run is divided"
    else:
        answer = "This run does not decide it"
    return f"{answer}: {tally}."

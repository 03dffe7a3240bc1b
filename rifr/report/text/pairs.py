"""Differences between networks on pairs of real photos, as the record over seeds has them: a table and a sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rifr.report import evidence
from rifr.report.claims import Difference, minus
from rifr.report.study_tables import Study
from rifr.report.style import label
from rifr.report.text import verdicts

COMPARED = (
    ("hr+lr", "hr-only"),
    ("proposed", "hr-only"),
    ("proposed", "hr+lr"),
    ("proposed", "shared-only"),
    ("kl-only", "hr+lr"),
)
RULE = (
    "Whether one network is ahead of another cannot be read off the intervals of two rates: seeds can differ more than "
    "networks do. Within a seed both saw the same people; so the difference is taken there and averaged over seeds."
)
COLUMNS = ["network", "other", "width", "difference", "low", "high"]


def differences(study: Study | None) -> pd.DataFrame:
    """Accuracy of one network minus another's in points, paired within a seed, with Student's intervals over seeds.

    Returns
    -------
    DataFrame
        One row per pair of `COMPARED` and face width in the record: network, other, width, difference, low, high.
    """
    rows = []
    measure = evidence.of_record(study)
    widths = [] if study is None else sorted(study.rows[study.rows.measure == "pairs"]["at"].unique(), reverse=True)
    for network, other in COMPARED:
        for width in widths:
            terms = minus(network, other, (width,), "", "pairs")
            interval = measure(Difference(f"{network} minus {other}, {width} px", 1, "", terms))
            if interval is not None:
                rows.append((network, other, width, interval.estimate, interval.low, interval.high))
    return pd.DataFrame(rows, columns=COLUMNS)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """One row per comparison, one column per face width: "+1.2 (+0.3 to +2.1)"."""
    rows: dict[str, dict[str, str]] = {}
    for row in found.itertuples():
        name = f"{label(row.network)} minus {label(row.other)}"
        rows.setdefault(name, {})[f"both photos at {row.width} px"] = verdicts.bracketed(
            row.difference, row.low, row.high
        )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("accuracy, points").reset_index()


def sentence(found: pd.DataFrame) -> str:
    """Who is ahead where the interval excludes zero, and what could not have been seen where it does not."""
    if found.empty:
        return ""
    signs = verdicts.signs(found)
    parts = [
        f"{verdicts.compared(row, label(row.network), label(row.other))} at {row.width} px"
        for row in found[signs != 0].itertuples()
    ]
    still_open = found[signs == 0]
    ahead = f"{'; '.join(parts)}. " if parts else "No interval excludes zero. "
    text = f"Paired within a seed, {ahead}" if parts else ahead
    halves = ((still_open.high - still_open.low) / 2).to_numpy(float)
    halves = halves[np.isfinite(halves)]
    if len(halves):
        of = "The other comparisons stay" if parts else "The comparisons stay"
        text += (
            f"{of} open ({len(still_open)} of {len(found)}); their intervals reach {halves.min():.1f} to "
            f"{halves.max():.1f} points to each side, and most smaller differences go unseen."
        )
    chance = f" By chance about {0.05 * len(found):.1f} of {len(found)} would be decided." if parts else ""
    return text.strip() + chance

"""What the book finds beside the paper's claims: the lines of the front page, from a measurement and two records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rifr.align import FACE_SIZE
from rifr.report import evidence, methods
from rifr.report.style import label
from rifr.report.text import small_faces, verdicts

if TYPE_CHECKING:
    from rifr.report.studies_tables import Recorded
    from rifr.report.study_tables import Study

MARGINS = ("arcface", "arcface-ft", "adaface")
"""Methods whose loss asks for a margin between angles."""
LONG = "trained long, shared softmax only is above HR+LR"
"""What the study of length asks of sharing alone."""
TAUGHT = "with the longest teacher proposed is above HR+LR"
"""What the study of teachers asks of the whole method."""


def camera(difference: pd.DataFrame) -> str:
    """What training with camera-like faces does on SCface's stand-in: `proposed, camera` minus `proposed`."""
    said = small_faces.against_by_distance(difference, "proposed, camera", "proposed")
    return f"- **Training on camera-like faces**, on SCface's stand-in ([chapter 11](scface.ipynb)). {said}"


def margins(record: Study | None) -> str:
    """How losses with a margin stand against the proposed network in the record of all methods; "" without it."""
    table = methods.differences(evidence.of_record(record), "proposed", MARGINS)
    if record is None or table.empty:
        return ""
    table = table.assign(difference=-table.difference, low=-table.high, high=-table.low)  # minus proposed
    places = [
        f"at {place} "
        + ", ".join(
            f"{label(row.network)} {verdicts.bracketed(row.difference, row.low, row.high)}" for row in part.itertuples()
        )
        for place, part in table.groupby("place", sort=False)
    ]
    seeds = "one seed" if record.seeds == 1 else f"{record.seeds} seeds"
    tally = verdicts.tally(verdicts.signs(table), "the proposed network", "the margin")
    return (
        f"- **Losses with an angular margin**, in the record of other methods ([chapter 12](methods.ipynb), {seeds}). "
        f"Minus the proposed network under P1, in points: {'; '.join(places)}: {tally}."
    )


def sharing(record: Recorded | None) -> str:
    """Whether sharing the softmax layer alone still helps after a long training; "" without the study of length."""
    parts = _compared(record, LONG, "shared-only", "hr+lr")
    return f"- **Half of the method, trained for longer**, {parts}" if parts else ""


def teacher(record: Recorded | None) -> str:
    """What the whole method brings with a teacher that has finished; "" without the study of teachers."""
    parts = _compared(record, TAUGHT, "proposed", "hr+lr")
    return f"- **The whole method, with a teacher trained to the end**, {parts}" if parts else ""


def _compared(record: Recorded | None, claim: str, network: str, other: str) -> str:
    """Which of two networks is ahead by a claim of a study, at both places; "" without it."""
    rows = [] if record is None else [row for row in record.differences().itertuples() if row.claim == claim]
    if record is None or not rows:
        return ""
    parts = [
        f"{'at 112 px' if row.at == FACE_SIZE else 'over small faces'} "
        f"{verdicts.compared(row, label(network), label(other))}"
        for row in rows
    ]
    return f"in a study of {record.seeds} seeds ([chapter 9](ablation.ipynb)): {'; '.join(parts)}."

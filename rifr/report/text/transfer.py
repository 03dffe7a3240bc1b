"""What the networks' differences become on the stand-in for SCface (chapter 11), beside shrunk faces: table, sentences.

Measures are those of `rifr.report.evidence`: of a build, whose outcomes hold both kinds of faces, and of the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from rifr.evaluation.metrics import Interval
from rifr.readers.scface import METRES
from rifr.report import claims
from rifr.report.claims import Measure
from rifr.report.style import label
from rifr.report.text import claims as text_of_claims
from rifr.report.text import verdicts

PAIRS = (("kl-only", "hr+lr"), ("proposed", "shared-only"), ("proposed", "hr-only"))
SHRUNK = f"shrunk, {claims.GROUPS[claims.LR]}"
"""Under P1: the small faces of chapter 7, made by bicubic interpolation as those of the training were."""


def table(measure: Measure) -> pd.DataFrame:
    """One row per pair, in HTML: first minus second at each distance and on shrunk faces, bold where decided."""
    rows = []
    for network, other in PAIRS:
        cells = {"rank-1, points": f"{label(network)} minus {label(other)}"}
        rows.append(cells | {place: text_of_claims.cell(found) for place, found in _places(measure, network, other)})
    return pd.DataFrame(rows)


def sentence(build: Measure, record: Measure | None = None) -> str:
    """For each pair where it is ahead, behind and open; then what build and record decide alike."""
    sources = {"this build": build} | ({"the record": record} if record else {})
    lines, alike, apart = [], [], []
    for network, other in PAIRS:
        found = {name: dict(_places(measure, network, other)) for name, measure in sources.items()}
        pair = f"{label(network)} minus {label(other)}"
        lines.append(f"- **{pair}**: " + "; ".join(f"{name} {_told(of)}" for name, of in found.items()) + ".")
        for sign, side in {1: "above", -1: "below"}.items():
            if both := [
                place for place in found["this build"] if all(_sign(of[place]) == sign for of in found.values())
            ]:
                alike.append(f"{pair} {side} zero {_at(both)}")
        of_build = found["this build"]
        shrunk, filmed = of_build.pop(SHRUNK, None), [one for one in of_build.values() if one]
        if shrunk and any(one.sign * shrunk.sign < 0 for one in filmed):
            apart.append(pair)
    text = "\n".join(lines)
    if apart:
        text += (
            f"\n\nIn this build {' and '.join(apart)} changes its sign from shrunk faces to a camera's: what holds in "
            "the world of the training need not hold outside it."
        )
    if record:
        text += f"\n\nDecided by build and record alike: {'; '.join(alike) or 'none of these'}."
        text += (
            " What the record alone decides holds over its seeds and is not seen in this build; what this build alone "
            "decides may be a matter of its one training."
        )
    return text


def leaders(rates: pd.DataFrame, of: str) -> str:
    """Which network has the highest rank-1 at each distance; `rates`: network, distance, rank1. No verdict."""
    best = rates.loc[rates.groupby("distance").rank1.idxmax()].sort_values("distance")
    told: dict[str, list[str]] = {}
    for row in best.itertuples():
        told.setdefault(label(str(row.network)), []).append(f"d{row.distance}")
    parts = [f"{name} at {verdicts.listed(places)}" for name, places in told.items()]
    return f"{of} the highest rank-1 of {rates.network.nunique()} networks is that of {', '.join(parts)}."


def _places(measure: Measure, network: str, other: str) -> Iterator[tuple[str, Interval | None]]:
    def difference(*places: int, **kind: str) -> Interval | None:
        return measure(claims.Difference("", 1, "", claims.minus(network, other, places, **kind)))

    for distance, metres in METRES.items():
        yield f"d{distance} ({metres:.2f} m)", difference(distance, protocol="", measure="scface")
    yield SHRUNK, difference(*claims.LR)


def _sign(found: Interval | None) -> int:
    return found.sign if found else 0


def _told(found: dict[str, Interval | None]) -> str:
    """ "ahead at d1 and d2, behind on shrunk faces, open at d3"."""
    words = {1: "ahead", -1: "behind", 0: "open"}
    groups = {word: [p for p, one in found.items() if one and one.sign == sign] for sign, word in words.items()}
    return ", ".join(f"{word} {_at(places)}" for word, places in groups.items() if places) or "not measured"


def _at(places: Sequence[str]) -> str:
    near = [place.partition(" ")[0] for place in places if place != SHRUNK]
    parts = [f"at {verdicts.listed(near)}"] if near else []
    return " and ".join([*parts, *(["on shrunk faces"] if SHRUNK in places else [])])

"""The tables of `rifr.evaluation.subgroups` in sentences: what is real, what is not decided, what went unseen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rifr import recipes
from rifr.evaluation.subgroups import MIN_PEOPLE, OF_THE_PERSON, Bands
from rifr.report.text import verdicts

WORDS = {
    "change": ("loses more than the reference", "loses less than the reference"),
    "gain": ("gains less than the reference", "gains more than the reference"),
}
"""What a negative and a positive difference of two effects means."""
UNDECIDED = "not decided"
MOST = 6
"""Bands that a sentence lists before it breaks off."""


def known(cuts: dict[str, Bands], rates: pd.DataFrame) -> str:
    """What cannot be measured: everything, where nothing is known of the photos, or the groups of too few people."""
    if not cuts:
        return (
            "Nothing is known of these photos but who is in them: pose, light and age come with rendered faces "
            "alone. This section stays without figures."
        )
    each = rates.drop_duplicates(["attribute", "band"])
    few = each[each.people < MIN_PEOPLE]
    if few.empty:
        return f"Each group holds at least {MIN_PEOPLE} people."
    listed = [f"{row.attribute} {row.band} ({row.people})" for row in few.itertuples()]
    return (
        f"{len(few)} of {len(each)} groups hold fewer than {MIN_PEOPLE} people, are drawn without an interval and not "
        f"compared: {', '.join(listed[:MOST])}{', ...' if len(few) > MOST else ''}."
    )


def family(effects: pd.DataFrame) -> str:
    """How many comparisons are made and at which level, so that all of them together can be believed."""
    if effects.empty:
        return _nothing()
    thin = int(effects.low.isna().sum())
    left = (
        (
            f" In {thin} of the comparisons one group has hits, or misses, of fewer than {MIN_PEOPLE} people: too few "
            f"for an interval, so that these comparisons stay undecided."
        )
        if thin
        else ""
    )
    return (
        f"{len(effects)} comparisons are made. At 95 % each, about {0.05 * len(effects):.0f} of them would look "
        f"real even if no group differed; so each interval is at {100 * effects.level.iloc[0]:.2f} %, which keeps the "
        f'chance of a single false one at about 5 %. Where an interval includes "no difference", this run cannot tell '
        f"the group from its reference, however large the estimate.{left}"
    )


def _nothing() -> str:
    return f"No group and its reference have {MIN_PEOPLE} people each: nothing is compared."


def real(effects: pd.DataFrame, width: int) -> str:
    """Which groups are recognised less or more often than their reference at one width, one paragraph per network."""
    rows = effects[(effects.kind == "effect") & (effects.width == width)]
    paragraphs = []
    for network, part in rows.groupby("network", sort=False):
        outcomes = [_sign(row, ("below the reference", "above the reference"), 0) for row in part.itertuples()]
        sizes = [_points(row) for row in part.itertuples()]
        paragraphs.append(f"**{recipes.get(network).label}, {width} px.** {_grouped(part, outcomes, sizes)}")
    return "\n\n".join(paragraphs)


def differences(effects: pd.DataFrame, kind: str) -> str:
    """Each "change" or "gain", one paragraph per network: what both scales say, or which of them decides alone."""
    rows, paragraphs = effects[effects.kind == kind], []
    if rows.empty:
        return _nothing() if effects.empty else ""
    wide, first = effects.width.max(), effects.network.iloc[0]
    for (network, width), part in rows.groupby(["network", "width"], sort=False):
        points, odds = part[part.scale == "points"], part[part.scale == "odds"]
        both = list(zip(points.itertuples(), odds.itertuples(), strict=True))
        outcomes = [_on_both(_sign(one, WORDS[kind], 0), _sign(other, WORDS[kind], 1)) for one, other in both]
        sizes = [
            f"{_points(one)}; odds × {other.estimate:.2f}, {other.low:.2f} to {other.high:.2f}" for one, other in both
        ]
        where = f", {wide} to {width} px" if kind == "change" else f" over {recipes.get(first).label}, {width} px"
        paragraphs.append(f"**{recipes.get(network).label}{where}.** {_grouped(points, outcomes, sizes)}")
    return "\n\n".join(paragraphs)


def over_all(difference: pd.DataFrame, effects: pd.DataFrame) -> str:
    """What the other network gains over all probes at the smallest width, and what more or less could have been seen.

    difference: rank-1 of that network minus the first under the protocol of `effects`, by `Outcome.difference`.
    """
    gains = effects[(effects.kind == "gain") & (effects.scale == "points")]
    if gains.empty:
        return ""
    width, network, first = gains.width.min(), gains.network.iloc[0], effects.network.iloc[0]
    (row,) = difference[difference.width == width].itertuples()
    said = verdicts.compared(row, recipes.get(network).label, recipes.get(first).label)
    sizes = _half_lengths(gains[gains.low.notna()])
    return f"Over all probes of {width} px {said}." + (
        f" Whether a group gains more or less than its reference is known less exactly: half an interval is {sizes}, "
        "and most smaller differences go unseen."
        if sizes
        else ""
    )


def unseen(effects: pd.DataFrame) -> str:
    """How large an effect has to be for this run to see it: the half-lengths of the corrected intervals."""
    sizes = _half_lengths(effects[(effects.kind == "effect") & effects.low.notna()])
    return f"Half an interval is {sizes}; most smaller differences go unseen." if sizes else ""


def _half_lengths(rows: pd.DataFrame) -> str:
    """ "6.5 points between groups of photos (5.3 to 18.5)": the median and the range of half an interval."""
    parts = []
    for kind, part in (
        ("groups of photos", rows[~rows.attribute.isin(OF_THE_PERSON)]),
        ("groups of people", rows[rows.attribute.isin(OF_THE_PERSON)]),
    ):
        if len(part):
            half = (part.high - part.low) / 2
            parts.append(f"{half.median():.1f} points between {kind} ({half.min():.1f} to {half.max():.1f})")
    return "; ".join(parts)


def _points(row: Any) -> str:
    return verdicts.span(row, column="estimate")


def _sign(row: Any, words: tuple[str, str], nothing: float) -> str:
    """What a row says: the first word below "no difference", the second above it, or that it is not decided."""
    return UNDECIDED if not row.decided else words[int(row.estimate > nothing)]


def _on_both(points: str, odds: str) -> str:
    """What the two scales say together."""
    if points == odds:
        return points if points == UNDECIDED else f"{points}, in points and in odds"
    if UNDECIDED in (points, odds):
        return f"{points} in points, odds {UNDECIDED}" if odds == UNDECIDED else f"{odds} in odds, points {UNDECIDED}"
    return f"{points} in points, but {odds} in odds"


def _grouped(rows: pd.DataFrame, outcomes: list[str], sizes: list[str]) -> str:
    """Bands with one verdict in one sentence: "Below the reference: yaw from 30° (-20.1 points, -27.0 to -13.2)."

    What is not decided comes last and without its sizes, an attribute at a time where none of its groups is decided.
    """
    names = (rows.attribute + " " + rows.band).tolist()
    found, sentences = np.array(outcomes, object), []
    for verdict in dict.fromkeys(outcomes):
        if verdict != UNDECIDED:
            texts = [f"{names[i]} ({sizes[i]})" for i in np.flatnonzero(found == verdict)]
            sentences.append(f"{verdicts.capital(verdict)}: {', '.join(texts)}.")
    texts = []
    for attribute in dict.fromkeys(rows.attribute):
        own = np.flatnonzero((rows.attribute == attribute).to_numpy())
        left = [i for i in own if outcomes[i] == UNDECIDED]
        texts += [attribute] if len(left) == len(own) else [names[i] for i in left]
    return " ".join(sentences + ([f"Not decided: {', '.join(texts)}."] if texts else []))

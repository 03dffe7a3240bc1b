"""The verdicts on the paper's claims in sentences, and the table of all of them."""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from rifr.evaluation.metrics import Interval
from rifr.report import claims
from rifr.report.claims import CHAPTERS, Claim, Difference, Judged, minus
from rifr.report.made_by import made_by
from rifr.report.show import Table
from rifr.report.style import label
from rifr.report.text import studies, verdicts

if TYPE_CHECKING:
    from rifr.report.studies_tables import Recorded
    from rifr.report.study_tables import Study

MARKS = {"reproduced": "✓", "contradicted": "✗", "undecided": "○", "not tested": "–"}
FEW = 3
"""Differences that a sentence lists; of more it gives the number that are decided."""

MEASURES = {"rank1": "rank-1", "tpr": "TPR", "scface": "rank-1 at SCface's distance", "tinyface": "rank-1 on TinyFace"}
"""What a rate of the record is called."""

RULE = (
    "Each claim says on which side of zero some differences lie. It is **reproduced** where every 95 % interval "
    "excludes zero on the paper's side, **contradicted** where one excludes it on the other side, else **undecided**; "
    "**not tested** where a difference could not be measured."
)


def span(interval: Interval | None) -> str:
    """ "-2.1 (-3.7 to -0.5)", in percentage points."""
    if interval is None:
        return "–"
    return verdicts.bracketed(interval.estimate, interval.low, interval.high)


def cell(interval: Interval | None) -> str:
    """`span` in HTML on two lines, bold where it is decided."""
    text = span(interval).replace(" (", "<br>(")
    return f"<strong>{text}</strong>" if interval and interval.decided else text


def sentences(
    build: Sequence[Judged], record: Sequence[Judged] = (), larger: Study | None = None, taught: Recorded | None = None
) -> str:
    """A line for each claim: what it says, the verdict of the build and, where there is one, of the record.

    To the claims that they can speak to are added the differences of `larger`, the record of the paper's own network,
    and of `taught`, the study of teachers.
    """
    over_seeds = {judged.claim.id: judged.verdict for judged in record}
    lines = []
    for judged in build:
        claim = judged.claim
        later = f"Over the record's seeds: {over_seeds[claim.id]}." if claim.id in over_seeds else ""
        said = (_measured(judged), later, _of_larger(claim, larger), studies.taught_longer(taught, claim.id))
        lines.append(" ".join(filter(None, (f"- **{claim.id}. {claim.says}: {judged.verdict}.**", *said))))
    return "\n".join(lines)


def _of_larger(claim: Claim, larger: Study | None) -> str:
    """What the record of the paper's network says of a claim that is one difference on large faces; "" of others."""
    networks = [] if larger is None else larger.provenance["networks"]
    for network, other in ((one, two) for one in networks for two in networks if one != two):
        if larger is None or [one.terms for one in claim.differences] != [minus(network, other)]:
            continue
        row = larger.apart_on_large(network, other)
        side = claim.differences[0].sign * verdicts.sign(row)
        paper = f" (which has {claim.differences[0].paper})" if claim.differences[0].paper else ""
        agrees = {1: f"with the paper's sign{paper}", -1: "against the paper", 0: "undecided"}
        seeds = "one seed" if larger.seeds == 1 else f"{larger.seeds} seeds"
        chapter = f"[chapter {CHAPTERS[claim.chapter]}]({claim.chapter}.ipynb)"
        return f"With ResNet-34, the paper's network ({seeds}, {chapter}): {verdicts.span(row)}, {agrees[side]}."
    return ""


def failing(build: Sequence[Judged], record: Sequence[Judged] = ()) -> str:
    """Of each contradicted claim that has several differences, which of them lie against the paper; "" if none is."""
    over_seeds = {judged.claim.id: judged for judged in record}
    lines = []
    for one in build:
        sources = {"this build": one} | ({"the record": over_seeds[one.claim.id]} if one.claim.id in over_seeds else {})
        for name, judged in sources.items():
            count, agree, against = len(judged.signs), judged.signs.count(1), judged.signs.count(-1)
            if judged.verdict != "contradicted" or count == 1:
                continue
            parts = zip(judged.claim.differences, judged.intervals, judged.signs, strict=True)
            which = "; ".join(f"{part.name}: {span(interval)}" for part, interval, sign in parts if sign < 0)
            others = f"{agree or 'none'} of the others {'are' if agree > 1 else 'is'} decided for it"
            if count - against == 1:
                others = f"the other is {'decided for it' if agree else 'undecided'}"
            rest = f"; {others}." if against < count else "."
            number = (
                f"{against} of {count} differences"
                if against < count
                else "both differences"
                if count == 2
                else f"all {count} differences"
            )
            verb = "lies" if against == 1 else "lie"
            lines.append(f"- **{one.claim.id}**, {name}: {number} {verb} against the paper ({which}){rest}")
    return "\n".join(lines)


def counts(judged: Sequence[Judged]) -> str:
    """ "9 reproduced, 3 contradicted, 4 undecided, 1 not tested"."""
    verdicts = [one.verdict for one in judged]
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in MARKS if verdict in verdicts)


def summary(build: Sequence[Judged], record: Sequence[Judged] = ()) -> str:
    """How many claims the build and the record reproduce, and which they contradict."""
    lines = [
        f"- **{name}**: {counts(judged)}." for name, judged in (("This build", build), ("The record", record)) if judged
    ]
    return f"Of {len(build)} claims:\n\n" + "\n".join(lines)


def unseen(build: Sequence[Judged], record: Sequence[Judged] = ()) -> str:
    """For each undecided claim, how large its open differences would have to be: half of their intervals."""
    over_seeds = {judged.claim.id: judged for judged in record}
    lines = []
    for one in build:
        sources = {"this build": one} | ({"the record": over_seeds[one.claim.id]} if one.claim.id in over_seeds else {})
        parts = [f"{name} {_halves(judged)}" for name, judged in sources.items() if judged.verdict == "undecided"]
        lines += [f"- **{one.claim.id}**: {'; '.join(parts)}"] if parts else []
    if not lines:
        return "No claim is undecided."
    return (
        "Undecided is not refuted: the difference may be there and too small to be seen. Half of an interval that "
        "includes zero says what could have been seen: a true difference of that size comes out decided in about half "
        "of such runs, a smaller one less often. In points, for the open differences of each undecided claim:\n\n"
        + "\n".join(lines)
    )


def seeds_needed(record: Sequence[Judged], by_seed: Callable[[Difference], pd.Series | None]) -> pd.DataFrame:
    """How much the record's open differences vary from seed to seed, and how many seeds a shorter interval would take.

    Parameters
    ----------
    record, by_seed
        As for `one_sided`.

    Returns
    -------
    DataFrame
        A row per difference: claims, difference, standard deviation over seeds, half of Student's 95 % interval, and
        the least seeds by which that is expected to be one point and half a point, were the deviation the one found.
    """
    rows: dict[tuple[claims.Term, ...], dict[str, object]] = {}
    for judged in record:
        for difference, sign in zip(judged.claim.differences, judged.signs, strict=True):
            values = by_seed(difference)
            if sign or values is None or len(values) < 2 or not (deviation := float(values.std())):
                continue
            if known := rows.get(difference.terms):
                known["claim"] = f"{known['claim']}, {judged.claim.id}"
                continue
            rows[difference.terms] = {
                "claim": judged.claim.id,
                "difference": difference.name,
                "standard deviation": f"{deviation:.1f}",
                f"± with {len(values)} seeds": f"{_half(len(values), deviation):.1f}",
                **{f"seeds for ±{wanted:g}": _least_seeds(wanted, deviation) for wanted in (1.0, 0.5)},
            }
    return pd.DataFrame([*rows.values()])


def _half(seeds: int, deviation: float) -> float:
    """Half of Student's 95 % interval for the mean of so many seeds."""
    return float(stats.t.ppf(0.975, seeds - 1)) * deviation / float(np.sqrt(seeds))


def _least_seeds(wanted: float, deviation: float) -> int:
    return next(seeds for seeds in itertools.count(2) if _half(seeds, deviation) <= wanted)


def one_sided(record: Sequence[Judged], by_seed: Callable[[Difference], pd.Series | None]) -> str:
    """How many open differences of the record have every seed on one side of zero, and which seed sticks out most.

    by_seed: `rifr.report.evidence.by_seed` of the record.
    """
    found: list[tuple[str, Difference]] = []
    rates: dict[claims.Term, pd.Series] = {}
    number, by_chance = 0, 0.0
    for judged in record:
        for difference, sign in zip(judged.claim.differences, judged.signs, strict=True):
            values = by_seed(difference)
            if sign or values is None or len(values) < 2:
                continue
            number += 1
            by_chance += 0.5 ** (len(values) - 1)
            if abs(np.sign(values).sum()) == len(values):
                found.append((judged.claim.id, difference))
                terms = [replace(term, factor=1) for term in difference.terms]
                rates |= {term: of for term in terms if (of := by_seed(Difference("", 1, "", (term,)))) is not None}
    if not found:
        return ""
    most = max(rates, key=lambda term: rates[term].std())
    of_most = rates[most]
    seed = of_most.index[(of_most - of_most.median()).abs().argmax()]
    inside = [name for name, one in found if most in [replace(term, factor=1) for term in one.terms]]
    others = " and ".join(f"{value:.1f}" for value in of_most.drop(seed))
    places = claims.GROUPS.get(most.places) or ", ".join(str(place) for place in most.places)
    place = ", ".join(filter(None, (MEASURES[most.measure], places)))
    return (
        f"Of {number} open differences of the record {len(found)} have every seed on one side of zero "
        f"({', '.join(dict.fromkeys(name for name, _ in found))}); were all equal, about {by_chance:.0f} would. "
        f"The rate that varies most among these is that of {label(most.network)} ({place}): seed {seed} has "
        f"{of_most[seed]:.1f} %, where the others have {others}. It is in {' and '.join(dict.fromkeys(inside))}."
    )


def table(build: Sequence[Judged], record: Sequence[Judged] = (), links: bool = True) -> Table:
    """The claims with their verdicts; below each a row for each difference, as paper, build and record have it.

    links: whether each claim links to its chapter, a page of the built book beside this one.
    """
    over_seeds = {judged.claim.id: judged for judged in record}
    columns = ["claim; its differences in points", "paper", "this build"] + ["record, over seeds"] * bool(record)
    head = "".join(f"<th>{name}</th>" for name in columns)
    parts = [_rows([one, *filter(None, [over_seeds.get(one.claim.id)])], links) for one in build]
    page = f'<table class="dataframe wrapped claims"><thead><tr>{head}</tr></thead>{"".join(parts)}</table>'
    return Table(page, made_by())


def _measured(judged: Judged) -> str:
    differences = judged.claim.differences
    if not differences:
        return judged.claim.untested
    if judged.verdict == "not tested":
        return "What it compares could not be measured here."
    if len(differences) > FEW:
        agree, against = judged.signs.count(1), judged.signs.count(-1)
        return f"Of {len(differences)} differences {agree} are decided for the paper and {against} against it."
    parts, before = [], ""
    for difference, interval in zip(differences, judged.intervals, strict=True):
        pair, _, place = difference.name.partition(", ")
        paper = f", the paper {difference.paper}" if difference.paper else ""
        parts.append(f"{place if pair == before else difference.name}: {span(interval)}{paper}")
        before = pair
    return f"{'; '.join(parts)}."


def _halves(judged: Judged) -> str:
    """ "1.2 to 3.4 (3 differences)": half of each interval that includes zero."""
    pairs = zip(judged.signs, judged.intervals, strict=True)
    halves = [(one.high - one.low) / 2 for sign, one in pairs if not sign and one is not None]
    known = [half for half in halves if np.isfinite(half) and half > 0]  # zero: too few hits, the same in each resample
    if not known:
        return "gives no interval of any length"
    low, high = f"{min(known):.1f}", f"{max(known):.1f}"
    number = f"{len(halves)} difference{'s' if len(halves) > 1 else ''}"
    return f"{low if low == high else f'{low} to {high}'} ({number})"


def _rows(sources: Sequence[Judged], links: bool) -> str:
    """A <tbody>: the claim with the verdict of each source, then a row for each of its differences."""
    claim = sources[0].claim
    where = claim.where + (f'; <a href="{claim.chapter}.html">chapter {CHAPTERS[claim.chapter]}</a>' if links else "")
    verdicts = "".join(f"<td>{MARKS[one.verdict]} {one.verdict}</td>" for one in sources)
    says = f"<strong>{claim.id}. {html.escape(claim.says)}.</strong> ({where})"
    head = f"<td>{says}</td><td>{claim.paper}</td>" if claim.paper else f'<td colspan="2">{says}</td>'
    rows = [f'<tr class="claim">{head}{verdicts}</tr>']
    for place, difference in enumerate(claim.differences):
        measured = "".join(f"<td>{_broken(span(one.intervals[place]))}</td>" for one in sources)
        rows.append(f"<tr><td>{difference.name}</td><td>{difference.paper}</td>{measured}</tr>")
    if claim.untested:
        rows.append(f'<tr><td colspan="{2 + len(sources)}">{claim.untested}</td></tr>')
    return f"<tbody>{''.join(rows)}</tbody>"


def _broken(text: str) -> str:
    """A number with its interval, which breaks before the interval only."""
    return " ".join(f'<span class="unbroken">{part}</span>' for part in text.replace(" (", "|(").split("|"))

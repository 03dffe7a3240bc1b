"""Sentences and the table of hard galleries (chapter 7): what likeness costs, and whether it moves networks apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from rifr import presets
from rifr.align import FACE_SIZE
from rifr.evaluation.hard_galleries import Galleries
from rifr.evaluation.outcome import Outcome
from rifr.report import paper
from rifr.report.claims import HR, PAPERS_WIDTH
from rifr.report.study_tables import Study, seeds_and_intervals
from rifr.report.style import label
from rifr.report.text import verdicts

UNKNOWN = "*Nothing is known of tone, age and gender of these faces, so that no hard gallery can be made.*"


def places(found: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Protocols and widths with their names, the largest first; at 112 px P1 and P2 are one."""
    return {
        (protocol, width): f"{'P1 and P2' if width == FACE_SIZE else protocol}, {width} px"
        for protocol, width in sorted(set(found), key=lambda place: (-place[1], place[0]))
        if width != FACE_SIZE or protocol == "P1"
    }


def who(galleries: Galleries) -> str:
    """How alike the distractors of a hard gallery are to the probe's person, and how large the galleries are."""
    near = galleries.near

    def apart(of: dict[str, float]) -> str:
        return f"{of['tone']:.2f} in tone, {of['age']:.1f} years in age and {of['gender']:.2f} in gender"

    rates = {
        kind: 100 * _largest(outcome).mean()
        for kind, outcome in {"hard": galleries.hard, "larger": galleries.larger}.items()
    }
    return (
        f"The {near.size} most alike of {near.distractors:,} distractors differ from the probe's person by "
        f"{apart(near.apart)} on average (tone and gender run from 0 to 1); {near.size} at random differ by "
        f"{apart(near.apart_of_all)}. Of all galleries at random, those of {galleries.larger_size} come nearest in "
        f"hardness: on the largest faces the {len(_largest(galleries.hard))} networks have {rates['larger']:.1f} % "
        f"rank-1 there on average, and {rates['hard']:.1f} % among the most alike."
    )


def costs(galleries: Galleries) -> str:
    """What likeness costs the networks: a line for each protocol and width."""
    change, size = galleries.hard.change(galleries.random), galleries.near.size
    return "\n".join(
        f"- **{name}**, the {size} most alike minus {size} at random: "
        f"{verdicts.over_networks(change[(change.protocol == protocol) & (change.width == width)])}."
        for (protocol, width), name in _places(galleries.hard).items()
    )


def table(galleries: Galleries, gaps: pd.DataFrame) -> pd.DataFrame:
    """The difference of each pair in every kind of gallery, in points: one row per pair, protocol and width.

    gaps: as `hard_galleries.gap_changes` gives them.
    """
    size, rows = galleries.near.size, []
    for (network, other, place), kinds in _by_place(galleries, gaps):
        row = {
            "minus": f"{label(network)} minus {label(other)}",
            "where": place,
            f"{size} most alike": verdicts.signed(kinds["random"].hard),
        }
        for kind, of in kinds.items():
            number = size if kind == "random" else galleries.larger_size
            change = verdicts.bracketed(of.difference, of.low, of.high)
            row |= {f"{number} at random": verdicts.signed(of.easy), f"alike minus {number} at random": change}
        rows.append(row)
    return pd.DataFrame(rows)


def moved(galleries: Galleries, gaps: pd.DataFrame) -> str:
    """Whether likeness moves each pair on the largest faces, and beyond what a harder gallery does.

    gaps: as `hard_galleries.gap_changes` gives them; of each pair the first is expected to gain.
    """
    size, lines = galleries.near.size, []
    largest = next(iter(_places(galleries.hard).values()))
    for (network, other, place), kinds in _by_place(galleries, gaps):
        if place != largest:
            continue
        more = kinds["random"]
        line = (
            f"- **{label(network)} minus {label(other)}, {place}**: {verdicts.signed(more.easy)} points among {size} "
            f"at random, {verdicts.signed(more.hard)} among the {size} most alike, a change of {_change(more)}."
        )
        if "larger" in kinds:
            as_hard = kinds["larger"]
            line += (
                f" Among {galleries.larger_size} at random, which are as hard, it is {verdicts.signed(as_hard.easy)}: "
                f"likeness itself makes a difference of {_change(as_hard)}. {_CONCLUSIONS[verdicts.sign(as_hard)]}"
            )
        lines.append(line)
    return "\n".join(lines)


def worth(galleries: Galleries, gaps: pd.DataFrame) -> str:
    """This run's differences on large faces, and how look-alikes move them, beside the paper's."""
    largest, lines = next(iter(_places(galleries.hard).values())), []
    for (network, other, place), kinds in _by_place(galleries, gaps):
        stated = [paper.rank1("P1", name, PAPERS_WIDTH[HR]) for name in (network, other)]
        if place != largest or None in stated:
            continue
        in_paper, more = stated[0].rank1 - stated[1].rank1, kinds["random"]  # type: ignore[union-attr]
        lines.append(
            f"{label(network)} minus {label(other)} is about {in_paper:+.0f} points in the paper and {more.easy:+.1f} "
            f"here at random; among look-alikes it moves by {_change(more)}"
        )
    if not lines:
        return ""
    distractors = presets.get("paper").distractor_people
    return (
        f"{'. '.join(lines)}. The paper's gallery has {distractors:,} distractors, and rates compare within one "
        "gallery alone: how much of the paper's difference look-alikes explain cannot be read off these numbers."
    )


def over_seeds(study: Study | None) -> str:
    """What the record says of the same, over its seeds, at each width under P1; nothing where it does not hold it."""
    if study is None or not (study.rows.measure == "hard difference").any():
        return ""
    rows = study.over_seeds("hard difference", ("network", "other", "protocol", "at"))
    rows = rows.assign(width=[int(at.split()[0]) for at in rows["at"]], difference=rows.value)
    rows, lines = rows[rows.protocol == "P1"].sort_values("width", ascending=False, kind="stable"), []
    for (network, other, width), part in rows.groupby(["network", "other", "width"], sort=False):
        kinds = {row["at"].split(", ")[1]: row for _, row in part.iterrows()}
        lines.append(
            f"- **{label(network)} minus {label(other)}, {width} px, the record**: a change of "
            f"{_change(kinds['random'])}, against as many at random; against as hard ones "
            f"{_change(kinds['larger'])}."
        )
    return "\n".join([*lines, "", f"The record: {seeds_and_intervals(study.seeds)}."])


_CONCLUSIONS = {
    1: "This is what was expected.",
    0: "Whether likeness does more than any harder gallery does, this run does not decide.",
    -1: "This is the opposite of what was expected.",
}


def _by_place(galleries: Galleries, gaps: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], dict[str, pd.Series]]]:
    """The rows by kind of each pair and place; "larger" only where these galleries are larger."""
    names = _places(galleries.hard)
    for (network, other, protocol, width), part in gaps.groupby(["network", "other", "protocol", "width"], sort=False):
        kinds = {row.kind: row for _, row in part.iterrows()}
        if galleries.larger_size <= galleries.near.size:
            del kinds["larger"]
        yield (network, other, names[protocol, width]), kinds


def _change(row: pd.Series) -> str:
    decided = "" if verdicts.sign(row) else ", undecided"
    return f"{verdicts.span(row)}{decided}"


def _places(outcome: Outcome) -> dict[tuple[str, int], str]:
    return places((protocol, width) for protocol, _, width in outcome.results)


def _largest(outcome: Outcome) -> pd.Series:
    """Rank-1 of each network on the largest faces."""
    protocol, at = next(iter(_places(outcome)))
    return pd.Series(
        {name: run.rank1 for (of, name, width), run in outcome.results.items() if (of, width) == (protocol, at)}
    )

"""The paper's claims C1 to C17, each a few differences whose signs a build and the record can test.

    build = evidence.of_build(trained, faces, preset, seed)
    claims.judge(build, ["C3"])[0].verdict

One rule for all, fixed before looking: a claim is *reproduced* where every one of its intervals excludes zero on the
paper's side, *contradicted* where one excludes it on the other side, else *undecided*; *not tested* where a difference
could not be measured. `rifr.report.evidence` measures them, `rifr.report.text.claims` has the sentences and tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rifr.errors import SettingError
from rifr.evaluation.metrics import Interval
from rifr.report import paper
from rifr.report.style import label

HR, MIDDLE, LR = (112,), (60, 40, 30), (25, 20, 16)
"""Face widths in pixels that count as one, by their mean: a verdict is not one on each of them."""

GROUPS = {HR: "112 px", MIDDLE: "60–30 px", LR: "25–16 px"}
PAPERS_WIDTH = {HR: 100, LR: 20}
"""The face width at which the paper's text gives its figures for a group."""

VERIFIED_AT, FPR = 25, 1e-4
AT_FPR = f"{VERIFIED_AT} px, {FPR:g}"
"""What the record calls the place where Figs. 7 and 8 are read."""

CHAPTERS = {"baselines": 3, "identification": 7, "verification": 8, "ablation": 9, "tinyface": 10, "scface": 11}
"""The numbers of the book's chapters that show claims."""

Key = tuple[str, str, str, Any]
"""Measure, protocol, network and place, as the rows of the record are called."""


@dataclass(frozen=True)
class Term:
    """A rate with its factor in a difference; the mean over places where there are several (those that were measured).

    Attributes
    ----------
    factor
        The factors of a difference add up to zero.
    network, places, protocol, measure
        Of which network, where, as the record has it: "rank1" at face widths, "tpr" at `AT_FPR`, "scface" at distances,
        "tinyface" at "".
    """

    factor: int
    network: str
    places: tuple[Any, ...] = HR
    protocol: str = "P1"
    measure: str = "rank1"

    def keys(self, known: Mapping[Key, Any]) -> list[Key]:
        """Those of the term's keys that were measured."""
        keys = ((self.measure, self.protocol, self.network, place) for place in self.places)
        return [key for key in keys if key in known]


@dataclass(frozen=True)
class Difference:
    """What a claim says is above zero (sign 1) or below it (-1), and what the paper gives for it, "" where nothing."""

    name: str
    sign: int
    paper: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes
    ----------
    id, says
        "C3", and the claim in one sentence without its full stop.
    where, chapter
        The paper's section, figure or table; the book's chapter that shows it.
    differences
        All of them must have their signs.
    paper
        What the paper gives for all of it, where it gives nothing for each difference.
    untested
        Of a claim without differences: why a build cannot test it.
    """

    id: str
    says: str
    where: str
    chapter: str
    differences: tuple[Difference, ...] = ()
    paper: str = ""
    untested: str = ""


def minus(
    network: str, other: str, places: tuple[Any, ...] = HR, protocol: str = "P1", measure: str = "rank1"
) -> tuple[Term, Term]:
    """The terms of one network's rate minus another's, at the same places."""
    return Term(1, network, places, protocol, measure), Term(-1, other, places, protocol, measure)


def _gap(first: paper.Reported | paper.ReportedTpr | None, second: paper.Reported | paper.ReportedTpr | None) -> str:
    """The difference of two figures of the paper, as it can be printed; "" where its text gives one of them only."""
    if first is None or second is None:
        return ""
    values = [row.tpr if isinstance(row, paper.ReportedTpr) else row.rank1 for row in (first, second)]
    rounded = first.rounded or second.rounded
    return f"{'about ' if rounded else ''}{round(values[0] - values[1], 0 if rounded else 2):+g}"


def _minus(network: str, other: str, group: tuple[int, ...], sign: int = 1) -> Difference:
    """Rank-1 under P1 of one network minus another at a group of widths."""
    width = PAPERS_WIDTH.get(group)
    reported = "" if width is None else _gap(*(paper.rank1("P1", name, width) for name in (network, other)))
    name = f"{label(network)} minus {label(other)}, {GROUPS[group]}"
    return Difference(name, sign, reported, minus(network, other, group))


def _tpr(protocol: str, network: str, other: str) -> Difference:
    """TPR at 25 px and an FPR of 1e-4 of one network minus another."""
    wanted = (protocol, VERIFIED_AT, FPR)
    reported = {row.network: row for row in paper.TPR if (row.protocol, row.width, row.fpr) == wanted}
    terms = minus(network, other, (AT_FPR,), protocol, "tpr")
    gap = _gap(reported.get(network), reported.get(other))
    return Difference(f"{protocol}: {label(network)} minus {label(other)}", 1, gap, terms)


def _scface(*distances: int) -> Difference:
    """Rank-1 on SCface of proposed minus HR+LR, the training of Table II's RICNN; of two distances, how much more it is
    at the first."""
    rows = {row.method: row for row in paper.TABLE_2}
    reported = [getattr(rows["Proposed"], f"d{at}") - getattr(rows["RICNN"], f"d{at}") for at in distances]
    terms = [
        Term(factor * sign, network, (at,), "", "scface")
        for at, sign in zip(distances, (1, -1), strict=False)
        for factor, network in ((1, "proposed"), (-1, "hr+lr"))
    ]
    more = reported[0] - sum(reported[1:])
    name = ", d" + " minus the same, d".join(str(at) for at in distances)
    return Difference(f"proposed minus HR+LR{name}", 1, f"{more:+.1f}", tuple(terms))


def _tinyface(other: str) -> Difference:
    """Rank-1 on TinyFace of proposed minus another network."""
    terms = minus("proposed", other, ("",), "", "tinyface")
    return Difference(f"proposed minus {label(other)}", 1, "", terms)


def _fall() -> Difference:
    """How much more HR-only loses below 60 px than above."""
    rows = [paper.rank1("P1", "hr-only", width) for width in (60, 100, 20)]
    known = [row.rank1 for row in rows if row is not None]
    reported = f"about {2 * known[0] - known[1] - known[2]:+.0f}" if len(known) == 3 else ""
    terms = (Term(2, "hr-only", (60,)), Term(-1, "hr-only", HR), Term(-1, "hr-only", LR))
    return Difference("HR-only: fall from 60 to 25–16 px minus fall from 112 to 60 px", 1, reported, terms)


def _protocols() -> Difference:
    """P2 minus P1 of the proposed network on small faces."""
    gap = _gap(*(paper.rank1(protocol, "proposed", 20) for protocol in ("P2", "P1")))
    return Difference(
        "proposed: P2 minus P1, 25–16 px", 1, gap, (Term(1, "proposed", LR, "P2"), Term(-1, "proposed", LR))
    )


def _claims() -> Iterator[Claim]:
    fig5, ablation = "IV-A, Fig. 5", "IV-A, Fig. 9"
    others = ("hr-only", "lr-only", "hr+lr")
    yield Claim("C1", "HR-only keeps its rank-1 down to 60 px, then falls fast", fig5, "identification", (_fall(),))
    yield Claim(
        "C2",
        "HR-only is ahead of LR-only on large faces and behind it on small ones",
        "III-A",
        "baselines",
        (_minus("hr-only", "lr-only", HR), _minus("hr-only", "lr-only", LR, -1)),
    )
    yield Claim(
        "C3",
        "HR+LR falls below HR-only on large faces, the price of training on both",
        "III-A",
        "baselines",
        (_minus("hr+lr", "hr-only", HR, -1),),
    )
    yield Claim(
        "C4",
        "HR+LR is ahead of LR-only on large and on small faces",
        fig5,
        "baselines",
        (_minus("hr+lr", "lr-only", HR), _minus("hr+lr", "lr-only", LR)),
    )
    yield Claim(
        "C5",
        "The proposed network is the best of four on small faces",
        fig5,
        "identification",
        tuple(_minus("proposed", other, LR) for other in others),
    )
    yield Claim(
        "C6",
        "The proposed network is ahead of HR+LR at all resolutions",
        fig5,
        "identification",
        tuple(_minus("proposed", "hr+lr", group) for group in (HR, MIDDLE, LR)),
    )
    yield Claim(
        "C7",
        "The proposed network stays below HR-only on large faces",
        fig5,
        "identification",
        (_minus("proposed", "hr-only", HR, -1),),
    )
    yield Claim(
        "C8",
        "P2, with large photos in the gallery, is easier than P1 for the proposed network on small faces",
        "IV-A, Fig. 6",
        "identification",
        (_protocols(),),
    )
    yield Claim(
        "C9",
        "The proposed network is the best of four in verification at 25 px, at an FPR of 0.0001",
        "IV-A, Figs. 7 and 8",
        "verification",
        tuple(_tpr(protocol, "proposed", other) for protocol in ("P1", "P2") for other in others),
    )
    yield Claim(
        "C10",
        "HR-only is ahead of LR-only in verification under P2 at 25 px, at an FPR of 0.0001",
        "IV-A, Fig. 8",
        "verification",
        (_tpr("P2", "hr-only", "lr-only"),),
    )
    mechanisms = {
        ("kl-only", "hr+lr"): "Soft targets alone help: KL only is ahead of HR+LR",
        ("shared-only", "hr+lr"): "Sharing alone helps: shared softmax only is ahead of HR+LR",
        ("proposed", "shared-only"): "Soft targets help a shared softmax: proposed is ahead of shared softmax only",
        ("proposed", "kl-only"): "Sharing helps soft targets: proposed is ahead of KL only",
    }
    for number, (pair, says) in enumerate(mechanisms.items(), 11):
        yield Claim(f"C{number}", says, ablation, "ablation", tuple(_minus(*pair, group) for group in (HR, LR)))
    yield Claim(
        "C15",
        "On SCface the proposed network is ahead at all distances, most at the farthest (RICNN is trained as HR+LR)",
        "IV-B, Table II",
        "scface",
        (_scface(1), _scface(2), _scface(3), _scface(1, 3)),
    )
    on_tinyface = {row.method: row.rank1 for row in paper.TABLE_1}
    yield Claim(
        "C16",
        "On TinyFace the proposed network is ahead",
        "IV-B, Table I",
        "tinyface",
        tuple(_tinyface(other) for other in others),
        paper=f"{on_tinyface['Proposed'] - on_tinyface['C-T']:+.1f} on C-T",
    )
    synthetic = paper.rank1("P1", "proposed", 20)
    yield Claim(
        "C17",
        "Faces that were small when taken are easier than shrunk ones, because they vary less",
        "IV-B",
        "tinyface",
        paper=f"{on_tinyface['Proposed']:.1f} % on TinyFace, {synthetic.rank1:g} % under P1" if synthetic else "",
        untested="The two are of other people in other galleries, with several mates per probe on TinyFace, and how "
        "much our stand-in varies is our own choice.",
    )


CLAIMS: tuple[Claim, ...] = tuple(_claims())

Measure = Callable[[Difference], Interval | None]
"""Gives a difference with its interval in percentage points, or None where it was not measured."""


@dataclass(frozen=True)
class Judged:
    """A claim with its differences as measured, and the verdict that follows."""

    claim: Claim
    intervals: tuple[Interval | None, ...]

    @property
    def signs(self) -> list[int]:
        """1 for each interval on the paper's side of zero, -1 on the other side, 0 across it or not measured."""
        pairs = zip(self.claim.differences, self.intervals, strict=True)
        return [0 if found is None else difference.sign * found.sign for difference, found in pairs]

    @property
    def verdict(self) -> str:
        """The rule of this module."""
        if not self.intervals or None in self.intervals:
            return "not tested"
        if -1 in self.signs:
            return "contradicted"
        return "reproduced" if all(self.signs) else "undecided"


def judge(measure: Measure, ids: Sequence[str] = ()) -> list[Judged]:
    """The claims of these ids (all where none are given), judged by what was measured; SettingError for an unknown."""
    known = {claim.id: claim for claim in CLAIMS}
    if unknown := [name for name in ids if name not in known]:
        raise SettingError(f"there is no claim {unknown[0]!r}: those there are: {', '.join(known)}")
    chosen = [known[name] for name in ids or known]
    return [Judged(claim, tuple(measure(difference) for difference in claim.differences)) for claim in chosen]

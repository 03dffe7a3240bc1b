"""The results of `rifr.evaluation.small_faces` in sentences and tables, and what may be set beside what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.tinyface import TinyFace
from rifr.presets import Preset
from rifr.readers.scface import ScfaceSets
from rifr.readers.tinyface import TinyFaceSets, counts
from rifr.report import errata, paper
from rifr.report.paper import ReportedScface, ReportedTinyFace
from rifr.report.style import label
from rifr.report.text import verdicts
from rifr.splits import FaceSplits

NOT_SHOWN = "Pictures of the set itself are not printed here: its agreement leaves them with those who signed it."
SHORT = {"tinyface": "TinyFace", "scface": "SCface"}


def faces_of(name: str, root: str) -> str:
    """What the faces of a chapter are, as a caption begins: the set where a root is given, else its stand-in."""
    return SHORT[name] if root else f"Rendered stand-in of {SHORT[name]} (`rendered-{name}`)"


def notice(name: str, root: str) -> str:
    """What a reader must know before any figure: whether this page was built on the set or on its stand-in."""
    if root:
        return f"This page was built on {SHORT[name]} itself, from the root that was given as `{name}_root`."
    return (
        f"**This page was built on a stand-in.** `rendered-{name}` are rendered people in {SHORT[name]}'s own folders "
        f"and lists, read by the reader of {SHORT[name]}. Nobody in it lives, and none of its figures is a figure on "
        f"{SHORT[name]}. With the set at hand: `papermill book/{name}.ipynb out.ipynb -p {name}_root FOLDER`."
    )


def missing(faces: TinyFaceSets, root: str) -> str:
    """What TinyFace at a root of the reader's lacks against the published set; nothing of a stand-in."""
    return " ".join(counts(faces) or ["The set is whole: photos and ids are as many as published."]) if root else ""


def tinyface_setting(preset: Preset, seed: int, tiny: TinyFaceSets, faces: FaceSplits, root: str) -> str:
    """What a caption on TinyFace must say: faces, n, preset, seed, and what the bands are."""
    gallery = len(tiny.gallery) + len(tiny.distractors)
    return (
        f"{faces_of('tinyface', root)}: {len(tiny.probes):,} probes of {len(tiny.probes.people):,} people in a "
        f"gallery of {gallery:,}, of which {len(tiny.distractors):,} distractors; "
        f"{_trained(preset, seed, faces)}"
    )


def scface_setting(preset: Preset, seed: int, filmed: ScfaceSets, faces: FaceSplits, root: str) -> str:
    """What a caption on SCface must say; which of a reader's own photos no listed points have aligned, too."""
    stretched = {
        kind: int((~pack.attributes["by_points"].astype(bool)).sum())
        for kind, pack in (("frames", filmed.probes), ("mugshots", filmed.mugshots))
        if "by_points" in pack.attributes
    }
    counts = " and ".join(f"{count:,} {kind}" for kind, count in stretched.items() if count)
    without = f" ({counts} have no points in all.txt: resized, not aligned)" if counts else ""
    return (
        f"{faces_of('scface', root)}: {len(filmed.probes):,} frames of {len(filmed.probes.people):,} people "
        f"against {len(filmed.mugshots):,} mugshots{without}; {_trained(preset, seed, faces)}"
    )


def tinyface_table(outcome: Outcome[TinyFace], networks: Iterable[str]) -> pd.DataFrame:
    """This run's rows in the form of Table I: ranks and mAP in per cent with intervals over people."""
    rows = []
    for network in networks:
        result = outcome.results[network,]
        rates = {f"rank-{rank}": result.interval(rank, resamples=outcome.resamples).format() for rank in (1, 20, 50)}
        mean_ap = result.mean_ap_interval(resamples=outcome.resamples).format()
        steps = f"{100 * result.mean_ap_step:.1f}"
        rows.append({"network": label(network), **rates, "mAP": mean_ap, "mAP, steps": steps})
    return pd.DataFrame(rows)


def scface_table(table: pd.DataFrame) -> pd.DataFrame:
    """This run's rows in the form of Table II: one row per network, rank-1 in per cent at each distance."""
    rows = []
    for network, part in table.groupby("network", sort=False):
        rows.append(
            {
                "network": label(network),
                **{
                    f"d{row.distance} ({row.metres:.2f} m)": f"{row.rank1:.1f} ({row.low:.1f}–{row.high:.1f})"
                    for row in part.itertuples()
                },
                "avg.": f"{part.rank1.mean():.1f}",
                "probes": f"{_few_or_one(part.probes)} of {part.people.iloc[0]}",
            }
        )
    return pd.DataFrame(rows)


def of_fewer_people(all_of_them: pd.DataFrame, fewer: pd.DataFrame) -> str:
    """How much higher rank-1 is where fewer people are in the gallery, by distance, on average over the networks.

    Both tables as `Outcome.table()` gives them for SCface, of the same networks.
    """
    keys = ["network", "distance"]
    gain = (fewer.set_index(keys).rank1 - all_of_them.set_index(keys).rank1).groupby("distance").mean()
    parts = [f"{verdicts.signed(value)} points at d{distance}" for distance, value in gain.items()]
    return (
        f"With {fewer.people.max()} instead of {all_of_them.people.max()} people rank-1 changes by {', '.join(parts)}, "
        f"on average over {fewer.network.nunique()} networks, for this draw of people: so much of a "
        "difference can be the protocol's alone, before any tuning; how much on SCface itself is not known."
    )


def reported_tinyface(rows: list[ReportedTinyFace]) -> pd.DataFrame:
    """Rows on TinyFace as published; columns that no row has are left out."""
    table = pd.DataFrame(
        [
            {
                "method": row.method,
                "rank-1": row.rank1,
                "rank-5": row.rank5,
                "rank-20": row.rank20,
                "rank-50": row.rank50,
                "mAP": row.mean_ap,
            }
            for row in rows
        ]
    )
    return table.dropna(axis="columns", how="all").astype(object).fillna("")


def reported_scface(rows: list[ReportedScface], people: int | None) -> pd.DataFrame:
    """Rows on SCface as published, of one protocol alone: 130 or 80 people, or None for rows that do not say.

    For the last, `fits` says of how many people all three figures can be, by `errata.possible_counts`.
    """
    table = pd.DataFrame(
        [
            {
                "method": row.method,
                "d1 (4.20 m)": row.d1,
                "d2 (2.60 m)": row.d2,
                "d3 (1.00 m)": row.d3,
                "avg.": row.average,
                "people": row.people,
                "probes per distance": row.people and 5 * row.people,
                "fits": None if row.people else _fits(row),
            }
            for row in rows
            if row.people == people
        ]
    )
    return table.dropna(axis="columns", how="all")


EFFECTS = {1: "better", 0: "not decided", -1: "worse"}


def against(table: pd.DataFrame, network: str) -> str:
    """`network` against others on TinyFace, a line each, as `effects` has them; `table` of `small_faces.against`."""
    minus = {other: f"{verdicts.capital(label(network))} minus {label(other)}" for other in table.what.unique()}
    return f"Paired by person. {effects(table.assign(what=table.what.map(minus)))}"


def against_by_distance(difference: pd.DataFrame, network: str, other: str) -> str:
    """`network` against `other` on SCface: at which distances it is ahead, and by how much at each."""
    rows = [
        (f"d{row.distance}", verdicts.sign(row), verdicts.bracketed(row.difference, row.low, row.high))
        for row in difference.itertuples()
    ]
    parts = [
        f"{word} at {verdicts.listed(at)}"
        for wanted, word in ((1, "ahead"), (-1, "behind"), (0, "not decided"))
        if (at := [place for place, sign, _ in rows if sign == wanted])
    ]
    by = ", ".join(f"{place} {interval}" for place, _, interval in rows)
    compared = f"{verdicts.capital(label(network))} against {label(other)}"
    return f"{compared}, paired by person: {'; '.join(parts)}. In points: {by}."


def chance(table: pd.DataFrame, mates: float = 1) -> str:
    """What guessing would give; `mates`: right photos in the gallery for each probe, on average."""
    gallery, probes = table.gallery.iloc[0], table.probes.iloc[0]
    has = "one right photo" if mates == 1 else f"{mates:.3g} right photos"
    return (
        f"Each probe has {has} in the gallery of {gallery:,}: guessing would be right once in {gallery / mates:,.0f} "
        f"times. One of {probes:,} probes is {100 / probes:.2f} points."
    )


def lost(change: pd.DataFrame, network: str) -> str:
    """What a network loses, or does not, on faces from a camera against the same faces, shrunk."""
    rows = change[change.network == network]
    parts = [
        f"{PROTOCOLS[protocol]}: " + ", ".join(_at(row) for row in part.sort_values("width").itertuples())
        for protocol, part in rows.groupby("protocol", sort=False)
    ]
    tally = verdicts.tally(verdicts.signs(rows))
    return f"**{label(network)}**, camera minus bicubic: {tally}. {'; '.join(parts)}."


def won_back(gain: pd.DataFrame, network: str, other: str) -> str:
    """What training with camera-like faces gives on camera-like faces; gain: `network` minus `other` there."""
    parts = [
        f"{row.protocol} at {row.width} px {verdicts.bracketed(row.difference, row.low, row.high)}"
        for row in gain.sort_values(["protocol", "width"]).itertuples()
    ]
    tally = verdicts.tally(verdicts.signs(gain))
    return f"**{label(network)} minus {label(other)}**, both on faces from a camera: {tally}. {'; '.join(parts)}."


def effects(table: pd.DataFrame) -> str:
    """What each change of training or input does, one line each: by each measure better, worse, or not decided.

    `table` as `small_faces.effects` gives it.
    """
    lines = []
    for what, part in table.groupby("what", sort=False):
        by_measure = [
            f"{row.measure} {EFFECTS[verdicts.sign(row)]}, {verdicts.bracketed(row.difference, row.low, row.high)}"
            for row in part.itertuples()
        ]
        lines.append(f"- **{what}:** {'; '.join(by_measure)}.")
    return "\n".join(["In points:", "", *lines])


def found_early(outcome: Outcome[TinyFace], network: str) -> str:
    """How many probes a network finds at ranks 1 and 20, and so how much either rank can decide."""
    result = outcome.results[network,]
    first, early = (round(result.n * result.rank(n)) for n in (1, 20))
    return (
        f"Of {result.n:,} probes {label(network)} has {first:,} at rank 1 and {early:,} by rank 20. The fewer are "
        "found, the fewer can tell two trainings apart; mAP counts all of them."
    )


def by_distance(table: pd.DataFrame, network: str) -> str:
    """How rank-1 changes from the nearest camera to the farthest."""
    rows = table[table.network == network].sort_values("metres")
    near, far = rows.iloc[0], rows.iloc[-1]
    apart = far.high < near.low or near.high < far.low
    return (
        f"{label(network)} finds {near.rank1:.1f} % ({near.low:.1f} to {near.high:.1f}) at {near.metres:.2f} m and "
        f"{far.rank1:.1f} % ({far.low:.1f} to {far.high:.1f}) at {far.metres:.2f} m"
        + ("." if apart else "; the intervals overlap.")
    )


def comparable(name: str, root: str, people: int = 0) -> str:
    """Which of the figures on a page may be set beside the paper's."""
    if not root:
        return (
            f"No figure of this run may be compared with a row of the paper's table: these are not {SHORT[name]}'s "
            f"faces. Within this run the networks can be compared with each other."
        )
    if name == "tinyface":
        return (
            "Probes, gallery and scoring are those of Table I; training set, network and aligner are those named under "
            "the figures, and other ones than the paper's. The official mAP is the one by trapezoids."
        )
    fits = [row.method for row in paper.TABLE_2 if row.people == people]
    return (
        f"This run has {people} people in it. Of Table II only rows with as many are of the same protocol: "
        f"{', '.join(fits) or 'none'}."
    )


def _trained(preset: Preset, seed: int, faces: FaceSplits) -> str:
    return (
        f"trained on {len(faces.train):,} images of {len(faces.train.people):,} other people; preset "
        f"`{preset.name}`, seed {seed}. Intervals: 95 % bootstrap over people."
    )


def _few_or_one(numbers: pd.Series) -> str:
    return (
        f"{numbers.iloc[0]:,}" if (numbers == numbers.iloc[0]).all() else ", ".join(f"{number:,}" for number in numbers)
    )


def _fits(row: ReportedScface) -> str:
    """The protocols in which each of a row's figures is a whole number of hits."""
    fits = [
        name
        for name, probes in errata.PROBES.items()
        if all(errata.possible_counts(value, probes) for value in (row.d1, row.d2, row.d3))
    ]
    return " or ".join(fits) or "neither"


def _at(row: Any) -> str:
    return verdicts.bracketed(row.difference, row.low, row.high, f" at {row.width} px")

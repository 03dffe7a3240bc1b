"""Sentences chosen by results: tables in, Markdown out. A sentence says only what its numbers show."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import pandas as pd

from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.one_probe import OneProbe
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.report import claims, evidence, paper
from rifr.report.study_tables import Study
from rifr.report.style import ends, label, scientific
from rifr.report.text import claims as text_of_claims
from rifr.report.text import verdicts
from rifr.splits import FaceSplits


def percent(row: pd.Series) -> str:
    """ "48.4 % (45.0 to 51.9)": a rate with its interval."""
    return f"{row.rank1:.1f} % ({row.low:.1f} to {row.high:.1f})"


def row_of(table: pd.DataFrame, protocol: str, network: str, width: int) -> pd.Series:
    """The one row of a table; KeyError says what there is."""
    rows = table[(table.protocol == protocol) & (table.network == network) & (table.width == width)]
    if len(rows) != 1:
        raise KeyError(
            f"{len(rows)} rows for {protocol}, {network}, {width} px; "
            f"widths are {sorted(table.width.unique())}, networks {list(table.network.unique())}."
        )
    return rows.iloc[0]


def comparison(
    difference: pd.DataFrame, protocol: str, network: str, other: str, widths: list[int] | None = None
) -> str:
    """Where a network is ahead of another, behind it or undecided, paired: neighbouring widths in one clause."""
    if widths is not None:
        difference = difference[difference.width.isin(widths)]
    compared = f"{verdicts.capital(label(network))} against {label(other)}"
    return f"**{PROTOCOLS[protocol]}.** {compared}: {_clauses(difference, protocol)}."


def comparisons(outcome: Outcome[Identification], pairs: Iterable[tuple[str, str]]) -> str:
    """What `comparison` says of each pair of networks, a line each with all protocols of an outcome."""
    lines = []
    for network, other in pairs:
        table = outcome.difference(network, other)
        said = [f"{protocol} {_clauses(table, protocol)}" for protocol in table.protocol.unique()]
        lines.append(f"- **{verdicts.capital(label(network))} against {label(other)}**: {'. '.join(said)}.")
    return "\n".join(lines)


def leaders(outcome: Outcome[Identification]) -> str:
    """Who finds most at each width, a line per protocol, and where the lead over the second is decided, paired."""
    table, lines = outcome.table(), []
    for protocol, part in table.groupby("protocol", sort=False):
        first: dict[str, list[int]] = {}
        decided = []
        for width, rows in part.sort_values("width", ascending=False).groupby("width", sort=False):
            best, second = rows.sort_values("rank1", ascending=False, kind="stable").network.iloc[:2]
            lead = outcome.difference(best, second).set_index(["protocol", "width"]).loc[(protocol, width)]
            first.setdefault(best, []).append(width)
            decided += [width] if verdicts.sign(lead) else []
        count = part.width.nunique()
        who = "; ".join(
            f"{label(name)} at {'every width' if len(widths) == count else ', '.join(map(str, widths)) + ' px'}"
            for name, widths in first.items()
        )
        sure = {count: "at each of them", 0: "at none"}.get(len(decided), f"at {', '.join(map(str, decided))} px")
        lines.append(f"- **{PROTOCOLS[protocol]}**: {who}. The lead over the second is decided {sure}.")
    return "\n".join(["Who has the highest rank-1 of the six:", "", *lines])


def of_intervals(study: Study | None, network: str, other: str, protocol: str = "P1") -> str:
    """`comparison` of a record that keeps no paired difference of two networks; "" without a record."""
    if study is None:
        return ""
    known = study.provenance.get("training_accuracy", {})
    learnt = ", ".join(f"{label(name)} {100 * known[name]:.1f} %" for name in (network, other) if name in known)
    return (
        f"{comparison(study.apart(network, other), protocol, network, other)} The difference combines the two separate "
        "intervals at their extremes, which is more cautious than a paired interval."
        + (f" Right on the training photos of the last epoch: {learnt}." if learnt else "")
    )


def beyond_rank1(study: Study | None, network: str, other: str) -> str:
    """Two networks of a record in verification under P1 and on both stand-ins: ahead or behind where intervals part."""
    if study is None:
        return ""
    kinds = {
        "tpr": f"in verification (TPR at an FPR of {claims.FPR:g})",
        "tinyface": "on TinyFace's stand-in",
        "scface": "on SCface's",
    }
    parts = []
    for measure, kind in kinds.items():
        rates, clauses = study.over_seeds(measure), []
        for at, part in rates[rates.protocol.isin(["P1", ""])].groupby("at", sort=False):
            rows, (place, _, fpr) = part.set_index("network"), str(at).partition(", ")
            if {network, other} <= set(rows.index) and fpr in ("", f"{claims.FPR:g}"):
                one, two = rows.loc[network], rows.loc[other]
                word = "ahead" if one.low > two.high else "behind" if one.high < two.low else "not told apart"
                where = f" at {'d' * (measure == 'scface')}{place}" if place else ""
                clauses.append(f"{word}{where}, {one.value:.1f} against {two.value:.1f} %")
        parts += [f"{kind} {'; '.join(clauses)}"] if clauses else []
    if not parts:
        return ""
    return (
        f"{label(network)} against {label(other)} beyond rank-1 under P1, ahead or behind where their intervals do not "
        f"overlap: {'. '.join(verdicts.capital(part) if n else part for n, part in enumerate(parts))}."
    )


def _clauses(difference: pd.DataFrame, protocol: str) -> str:
    rows = difference[difference.protocol == protocol].sort_values("width", ascending=False)
    signs = verdicts.signs(rows)
    parts = [_clause(part, signs[part.index[0]]) for _, part in rows.groupby((signs != signs.shift()).cumsum())]
    return "; ".join(parts)


def _clause(rows: pd.DataFrame, sign: int) -> str:
    """ "ahead from 112 to 30 px by 2.9 to 4.5 points", "behind at 16 px by 2.0 points (0.5 to 3.5)"."""
    widths, sizes = rows.width.tolist(), rows.difference.abs()
    if len(widths) > 2:
        where = f"from {widths[0]} to {widths[-1]} px"
    else:
        where = f"at {' and '.join(str(width) for width in widths)} px"
    row = rows.iloc[0]
    if not sign:
        return f"undecided {where}" + (f" ({verdicts.span(row)})" if len(rows) == 1 else "")
    by = f"{' to '.join(dict.fromkeys((f'{sizes.min():.1f}', f'{sizes.max():.1f}')))} points"
    return f"{'ahead' if sign > 0 else 'behind'} {where} by {by}" + (
        f" ({verdicts.sizes(row.low, row.high)})" if len(rows) == 1 else ""
    )


def beside_the_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Each figure that the paper's text gives beside the rate at the same width, or the nearest that was measured.

    People and trials stand in the head of the measured column where all rows have the same.
    """
    rows = []
    for reported in paper.RANK1:
        widths = table[(table.protocol == reported.protocol) & (table.network == reported.network)].width
        if widths.empty:
            continue
        width = min(widths, key=lambda own: abs(own - reported.width))
        row = row_of(table, reported.protocol, reported.network, width)
        rows.append(
            {
                "protocol": reported.protocol,
                "network": label(reported.network),
                "width (px)": reported.width,
                "paper (%)": f"about {reported.rank1:.0f}" if reported.rounded else f"{reported.rank1:.2f}",
                "measured (%)": percent(row).replace(" %", "") + ("" if width == reported.width else f" at {width} px"),
                "people": row.people,
                "trials": f"{row.trials:,}",
            }
        )
    beside = pd.DataFrame(rows)
    if rows and len(beside[["people", "trials"]].drop_duplicates()) == 1:
        of_all = f"measured (%), {rows[0]['trials']} trials of {rows[0]['people']} people"
        beside = beside.rename(columns={"measured (%)": of_all}).drop(columns=["people", "trials"])
    return beside


def resolvable(table: pd.DataFrame) -> str:
    """How many pairs there are, and which of the table's FPRs they cannot resolve."""
    row, missing = table.iloc[0], sorted(set(table[table.tpr.isna()].fpr), reverse=True)
    text = (
        f"There are {row.genuine:,} genuine and {row.impostor:,} impostor pairs: one accepted impostor is an FPR of "
        f"{scientific(1 / row.impostor)}."
    )
    if missing:
        text += (
            f" So few pairs say nothing about an FPR of {' or '.join(f'{fpr:g}' for fpr in missing)}; it is left out "
            "below."
        )
    return text


def tpr_table(table: pd.DataFrame, width: int) -> pd.DataFrame:
    """A row per protocol and network: TPR in per cent with its interval at each FPR, beside the paper's if any."""
    rows = []
    for (protocol, network), part in table[(table.width == width) & table.tpr.notna()].groupby(
        ["protocol", "network"], sort=False
    ):
        row = {"protocol": protocol, "network": label(network)}
        row |= {
            f"TPR (%) at FPR {one.fpr:g}": f"{one.tpr:.1f} ({one.low:.1f}–{one.high:.1f})" for one in part.itertuples()
        }
        for one in paper.TPR:
            if (one.protocol, one.network, one.width) == (protocol, network, width):
                row[f"paper (%) at FPR {one.fpr:g}"] = f"{'about ' if one.rounded else ''}{one.tpr:g}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("").sort_values("protocol", kind="stable")


def sides(tables: Mapping[str, pd.DataFrame], fpr: float) -> str:
    """TPRs under P2 by which photo of a pair is small, a table of one network for each, and how far they differ."""
    rows = {side: table[table.protocol == "P2"].iloc[0] for side, table in tables.items()}
    lines = [
        f"- **{side}**: TPR {row.tpr:.1f} %{ends(row.low, row.high)} at an FPR of {fpr:g}, {row.genuine:,} "
        "genuine pairs"
        for side, row in rows.items()
    ]
    first, second = rows.values()
    lines += [
        "",
        f"They are {abs(first.tpr - second.tpr):.1f} points apart. Both are of the same people, and no interval of the "
        "difference is computed: whether the choice matters is not decided here.",
    ]
    return "\n".join(lines)


def averages(outcome: Outcome) -> str:
    """Whether it matters that trials are averaged (micro) and not people (macro): the paper's words and the public
    evaluators differ."""
    apart = outcome.table(average="macro").rank1 - outcome.table().rank1
    text = (
        "The rates are means over *trials*, as the public evaluators have it; the paper's text says *over identities*, "
        "which gives a person with few photos as much weight as one with many. "
    )
    if apart.abs().max() < 1e-9:
        return text + "Here everybody has the same number of photos, so both are the same."
    most = apart.loc[apart.abs().idxmax()]
    return text + (
        f"Over identities the rates of this run are {verdicts.signed(apart.mean())} points apart on average, "
        f'{verdicts.signed(most)} at most (`outcome.table(average="macro")`).'
    )


def decisions(outcome: Outcome, networks: list[str], protocol: str) -> tuple[pd.DataFrame, str]:
    """For each pair of networks, whether the run decides which is ahead: a table in HTML, and a summary.

    A cell is the paired difference in rank-1 in points, with its 95 % interval; bold where the interval excludes zero.
    Of a pair the later in `networks` comes first, or the one that does in a claim. Near widths count once, as in
    `rifr.report.claims`.
    """
    measure, rows, found = evidence.of_outcomes(outcome), {}, []
    claimed = {tuple(term.network for term in one.terms) for claim in claims.CLAIMS for one in claim.differences}
    for earlier, later in itertools.combinations(networks, 2):
        first, second = (earlier, later) if (earlier, later) in claimed else (later, earlier)
        pair, cells = f"{label(first)} minus {label(second)}", {}
        for group, name in claims.GROUPS.items():
            interval = measure(claims.Difference(pair, 1, "", claims.minus(first, second, group, protocol)))
            if interval is not None:
                found.append(interval)
                cells[name] = text_of_claims.cell(interval)
        rows[pair] = cells
    table = pd.DataFrame(rows).T.fillna("–").rename_axis(f"{protocol}: rank-1, points").reset_index()
    return table, (
        f"{PROTOCOLS[protocol]}: {sum(one.decided for one in found)} of {len(found)} differences are decided. If no "
        f"network were better than any other, about {0.05 * len(found):.0f} would come out so by chance."
    )


def rank1_table(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """One row per width, one column per network: rank-1 in per cent with its interval, for reading."""
    rows: dict[str, dict[str, str]] = {}
    for row in table[table.protocol == protocol].sort_values("width", ascending=False, kind="stable").itertuples():
        cells = rows.setdefault(f"{row.width} px", {"face width": f"{row.width} px"})
        cells[label(row.network)] = f"{row.rank1:.1f}{ends(row.low, row.high, to='–')}"
    return pd.DataFrame(list(rows.values())).fillna("–")


def source(pack: FacePack) -> str:
    """What a pack says its faces are, as a sentence begins."""
    return verdicts.capital(pack.manifest["source"])


def setting(preset: Preset, seed: int, faces: FaceSplits) -> str:
    """What a chapter says once of its figures: faces, n, preset, seed, and what the bands are."""
    return (
        f"{source(faces.probes)}: {len(faces.probes):,} probes of {len(faces.probes.people)} people among "
        f"{len(faces.distractors):,} distractors; trained on {len(faces.train):,} images of "
        f"{len(faces.train.people):,} other people; preset `{preset.name}`, seed {seed}. "
        f"Intervals: 95 % bootstrap over people."
    )


def once(build: str, record: str = "") -> str:
    """The setting of a chapter's figures and tables, which no caption then repeats: this build's and the record's."""
    sentences = [f"*Setting, unless a caption says otherwise.* This build: {build}"]
    return "\n\n".join([*sentences, *([f"In the tabs named Record: {record}"] if record else [])])


def chosen(trial: OneProbe, network: str = "hr-only") -> str:
    """By what rule this trial was chosen."""
    order = "in the order of the probes"
    kind = f"that {label(network)} finds at {trial.widths[0]} px and misses at {trial.widths[-1]} px"
    return f"The first trial, {order}, {kind}." if trial.lost else f"The first trial, {order}: there is none {kind}."


def excluded(faces: FaceSplits) -> str:
    """Whether people can be told to be others in the three splits, and who was left out."""
    sentences = [faces.comparison]
    if faces.excluded:
        sentences.append(
            f"{len(faces.excluded)} people are in more than one of the sets of faces and were left out of training and "
            f"distractors: {', '.join(faces.excluded)}."
        )
    others = [str(entry) for entry in faces.left_out if not set(entry.names) <= set(faces.excluded)]
    if others:
        sentences.append(f"Not taken besides: {'; '.join(others)}.")
    return " ".join(sentences)


def angles(table: pd.DataFrame, network: str, width: int) -> str:
    """How far one network's features move with the face width, beside what tells people apart."""
    rows = {row.kind: row for row in table[(table.network == network) & (table.width == width)].itertuples()}
    photo, own, others = rows["same photo"], rows["same person"], rows["other people"]
    return (
        f"**{label(network)}.** At {width} px a photo's feature lies {photo.angle:.1f}° ({photo.low:.1f} to "
        f"{photo.high:.1f}) from its own feature at 112 px; another photo of the same person {own.angle:.1f}°, "
        f"other people {others.angle:.1f}° away, {others.angle - own.angle:.1f}° more."
    )

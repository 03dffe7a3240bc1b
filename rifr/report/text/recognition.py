"""Sentences chosen by results: tables in, Markdown out. A sentence says only what its numbers show."""

from __future__ import annotations

import itertools

import pandas as pd

from rifr import recipes
from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.outcome import Outcome
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.report import paper
from rifr.report.style import label
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
    """The verdicts of a paired difference at some widths, as one sentence."""
    first, second = (label(name) for name in (network, other))
    rows = difference[difference.protocol == protocol]
    if widths is not None:
        rows = rows[rows.width.isin(widths)]
    rows = rows.sort_values("width", ascending=False)
    parts = [f"at {row.width} px {verdicts.compared(row, first, second)}" for row in rows.itertuples()]
    text = "; ".join(parts)
    return f"**{PROTOCOLS[protocol]}.** {text[0].upper()}{text[1:]}."


def dilemma(outcome: Outcome, protocol: str = "P1") -> str:
    """Section III-A's claim about the three baselines, held against the run at its widest and narrowest faces.

    The dilemma: HR-only is ahead of LR-only on the widest faces and behind it on the narrowest, both decided.
    """
    table, compared = outcome.table(), outcome.difference("hr-only", "lr-only")
    compared = compared[compared.protocol == protocol].set_index("width")
    wide, narrow = table.width.max(), table.width.min()
    ahead, behind = compared.low[wide] > 0, compared.high[narrow] < 0
    if ahead and behind:
        verdict = (
            f"The dilemma is there: HR-only is ahead of LR-only at {wide} px and behind it at {narrow} px, and the "
            f"paired intervals decide both."
        )
    elif ahead or behind:
        which = f"ahead at {wide} px" if ahead else f"behind at {narrow} px"
        verdict = f"Half of the dilemma is there: HR-only is {which}, but the other end of the axis is not decided so."
    else:
        verdict = f"This run does not decide whether the dilemma is there: neither at {wide} nor at {narrow} px."
    lines = []
    for width in (wide, narrow):
        rows = (f"{label(name)} {percent(row_of(table, protocol, name, width))}" for name in recipes.BASELINES)
        lines.append(f"- **{width} px:** {', '.join(rows)}.")
    change = {
        name: row_of(table, protocol, name, narrow).rank1 - row_of(table, protocol, name, wide).rank1
        for name in ("hr-only", "lr-only")
    }
    return "\n".join(
        [
            verdict,
            "",
            *lines,
            "",
            f"From {wide} to {narrow} px HR-only changes by {change['hr-only']:+.1f} "
            f"points and LR-only, trained on small faces, by {change['lr-only']:+.1f}.",
        ]
    )


def protocols(table: pd.DataFrame, network: str) -> str:
    """P1 against P2 for one network at the narrowest faces; the paper finds P2 the easier for its student."""
    width = table.width.min()
    first, second = (row_of(table, protocol, network, width) for protocol in PROTOCOLS)
    apart = first.high < second.low or second.high < first.low
    easier = "P2" if second.rank1 > first.rank1 else "P1"
    reported = " The paper reports about 51 % under P1 and 64 % under P2 for it at 20 px."
    return (
        f"At {width} px {label(network)} reaches {percent(first)} under P1 and {percent(second)} under P2: "
        + (f"{easier} is the easier here." if apart else "the intervals overlap.")
        + (reported if network == "proposed" else "")
    )


def beside_the_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Each figure that the paper's text gives beside this run's at the same width, or the nearest the run has."""
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
                "paper (%)": f"{'about ' if reported.rounded else ''}{reported.rank1:g}",
                "this run (%)": percent(row).replace(" %", "") + ("" if width == reported.width else f" at {width} px"),
                "people": row.people,
                "trials": f"{row.trials:,}",
            }
        )
    return pd.DataFrame(rows)


def resolvable(table: pd.DataFrame) -> str:
    """How many pairs there are, and which of the table's FPRs they cannot resolve."""
    row, missing = table.iloc[0], sorted(set(table[table.tpr.isna()].fpr), reverse=True)
    text = (
        f"There are {row.genuine:,} genuine and {row.impostor:,} impostor pairs: one accepted impostor is a FPR of "
        f"{1 / row.impostor:.1e}."
    )
    if missing:
        text += (
            f" So few pairs say nothing about a FPR of {' or '.join(f'{fpr:g}' for fpr in missing)}; it is left out "
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
        row |= {f"at FPR {one.fpr:g}": f"{one.tpr:.1f} ({one.low:.1f}–{one.high:.1f})" for one in part.itertuples()}
        for one in paper.TPR:
            if (one.protocol, one.network, one.width) == (protocol, network, width):
                row[f"paper at FPR {one.fpr:g}"] = f"{'about ' if one.rounded else ''}{one.tpr:g}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("").sort_values("protocol", kind="stable")


def tpr_bands(rates: pd.DataFrame) -> str:
    """How long the intervals are at each FPR."""
    rates = rates[rates.tpr.notna()]
    parts = [
        f"{(part.high - part.low).mean():.1f} points at a FPR of {fpr:g}"
        for fpr, part in rates.groupby("fpr", sort=False)
    ]
    return f"From end to end the intervals of these figures are on average {' and '.join(parts)} long."


def tpr_verdicts(outcome: Outcome, width: int, fpr: float, network: str, others: list[str]) -> str:
    """Whether `network` is ahead of the others in TPR at one width, as the paper says, in paired comparisons."""
    lines, decisions = [], []
    for protocol in PROTOCOLS:
        parts = []
        for other in others:
            difference = outcome.difference(network, other, fpr)
            row = difference[(difference.protocol == protocol) & (difference.width == width)].iloc[0]
            decisions.append(verdicts.sign(row))
            parts.append(verdicts.compared(row, label(network), label(other)))
        lines.append(f"- **{PROTOCOLS[protocol]}**: {'; '.join(parts)}.")
    ahead, behind, undecided = (decisions.count(sign) for sign in (1, -1, 0))
    summary = (
        f"The paper finds {label(network)} ahead of {', '.join(label(other) for other in others)} at {width} px. "
        f"At a FPR of {fpr:g} this run has {len(decisions)} paired comparisons: {ahead} decide for {label(network)}, "
        f"{behind} against it, and {undecided} stay open at 95 %. {verdicts.agreement(decisions)}"
    )
    return "\n".join([summary, "", *lines])


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
        f"Over identities the rates of this run are {apart.mean():+.1f} points apart on average, "
        f'{most:+.1f} at most (`outcome.table(average="macro")`).'
    )


def decisions(outcome: Outcome, networks: list[str], protocol: str) -> tuple[pd.DataFrame, str]:
    """For each pair of networks and width, whether the run decides which is ahead: a table in HTML, and a summary.

    A cell is the paired difference in rank-1, first minus second, in points, with its 95 % interval; bold where the
    interval leaves out zero.
    """
    rows, decided, count = {}, 0, 0
    for first, second in itertools.combinations(networks, 2):
        compared, cells = outcome.difference(first, second), {}
        for row in compared[compared.protocol == protocol].sort_values("width", ascending=False).itertuples():
            sure = verdicts.sign(row) != 0
            text = f"{row.difference:+.1f}<br>({row.low:+.1f} to {row.high:+.1f})"
            cells[f"{row.width} px"] = f"<strong>{text}</strong>" if sure else text
            decided, count = decided + sure, count + 1
        rows[f"{label(first)} minus {label(second)}"] = cells
    table = pd.DataFrame(rows).T.rename_axis("rank-1, points").reset_index()
    return table, (
        f"{PROTOCOLS[protocol]}: {decided} of {count} comparisons are decided. If no network were better than any "
        f"other, about {0.05 * count:.0f} of {count} would come out so by chance, and neighbouring widths come out "
        f"so together; a lone bold cell is no result."
    )


def rank1_table(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """One row per network, one column per width: rank-1 in per cent with its interval, for reading."""
    rows: dict[str, dict[str, str]] = {}
    for row in table[table.protocol == protocol].sort_values("width", ascending=False, kind="stable").itertuples():
        rows.setdefault(label(row.network), {})[f"{row.width} px"] = f"{row.rank1:.1f} ({row.low:.1f}–{row.high:.1f})"
    return pd.DataFrame(rows).T


def source(pack: FacePack) -> str:
    """What a pack says its faces are, as a sentence begins."""
    text = pack.manifest["source"]
    return text[0].upper() + text[1:]


def setting(preset: Preset, seed: int, faces: FaceSplits) -> str:
    """What a caption must say: faces, n, preset, seed, and what the bands are."""
    return (
        f"{source(faces.probes)}: {len(faces.probes):,} probes of {len(faces.probes.people)} people among "
        f"{len(faces.distractors):,} distractors; trained on {len(faces.train):,} images of "
        f"{len(faces.train.people):,} other people; preset `{preset.name}`, seed {seed}. "
        f"Intervals: 95 % bootstrap over people."
    )


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
    """What Fig. 3 claims of directions, in one network's numbers at one width."""
    rows = {row.kind: row for row in table[(table.network == network) & (table.width == width)].itertuples()}
    photo, own, others = rows["same photo"], rows["same person"], rows["other people"]
    return (
        f"**{label(network)}.** At {width} px a photo's feature lies {photo.angle:.1f}° ({photo.low:.1f} to "
        f"{photo.high:.1f}) from its own feature at 112 px; another photo of the same person {own.angle:.1f}°, "
        f"other people {others.angle:.1f}° away. What tells people apart is the gap between the last two: "
        f"{others.angle - own.angle:.1f}°."
    )


def towards_teacher(table: pd.DataFrame, width: int) -> str:
    """Fig. 3 (b) in numbers: who is near the teacher's features, and who is no nearer than chance (90 degrees)."""
    rows = table[table.width == width]
    near = [f"{label(row.network)} {row.angle:.1f}° ({row.low:.1f} to {row.high:.1f})" for row in rows.itertuples()]
    return f"Angle to the teacher's feature of the same photo, the student's photo at {width} px: {', '.join(near)}."


def against_the_paper(difference: pd.DataFrame, network: str, other: str) -> str:
    """How many of the run's paired comparisons say what the paper says: `network` ahead of `other` at every width."""
    decisions = verdicts.signs(difference).tolist()
    ahead, behind, undecided = (decisions.count(sign) for sign in (1, -1, 0))
    return (
        f"The paper finds {label(network)} ahead of {label(other)} at every width. Of this run's {len(decisions)} "
        f"paired comparisons (P1 and P2, all widths), {ahead} decide for {label(network)}, {behind} for "
        f"{label(other)}, and {undecided} leave it open at 95 %. {verdicts.agreement(decisions)}"
    )

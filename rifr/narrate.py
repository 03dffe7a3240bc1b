"""Sentences chosen by results: tables in, Markdown out. A sentence says only what its numbers show."""

from __future__ import annotations

import pandas as pd

from rifr import recipes, reported
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.results import PROTOCOLS, Outcome
from rifr.sets import FaceSets


def percent(row: pd.Series) -> str:
    """"48.4 % (45.0 to 51.9)": a rate with its interval."""
    return f"{row.rank1:.1f} % ({row.low:.1f} to {row.high:.1f})"


def row_of(table: pd.DataFrame, protocol: str, network: str, width: int) -> pd.Series:
    """The one row of a table; KeyError says what there is."""
    found = table[(table.protocol == protocol) & (table.network == network) & (table.width == width)]
    if len(found) != 1:
        raise KeyError(f"{len(found)} rows for {protocol}, {network}, {width} px; "
                       f"widths are {sorted(table.width.unique())}, networks {list(table.network.unique())}.")
    return found.iloc[0]


def verdict(row: pd.Series, first: str, second: str) -> str:
    """One paired difference in words: which is ahead and whether its interval leaves out zero."""
    ahead, behind = (first, second) if row.difference >= 0 else (second, first)
    size, ends = abs(row.difference), sorted((abs(row.low), abs(row.high)))
    if row.low <= 0 <= row.high:
        return (f"at {row.width:.0f} px the run does not decide between {first} and {second} "
                f"({row.difference:+.1f} points, {row.low:+.1f} to {row.high:+.1f})")
    return f"at {row.width:.0f} px {ahead} is ahead of {behind} by {size:.1f} points ({ends[0]:.1f} to {ends[1]:.1f})"


def comparison(difference: pd.DataFrame, protocol: str, network: str, other: str, widths: list[int] | None = None) -> str:
    """The verdicts of a paired difference at some widths, as one sentence."""
    first, second = (_name(name) for name in (network, other))
    rows = difference[difference.protocol == protocol]
    if widths is not None:
        rows = rows[rows.width.isin(widths)]
    parts = [verdict(row, first, second) for _, row in rows.sort_values("width", ascending=False).iterrows()]
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
        said = (f"The dilemma is there: HR-only is ahead of LR-only at {wide} px and behind it at {narrow} px, and the "
                f"paired intervals decide both.")
    elif ahead or behind:
        which = f"ahead at {wide} px" if ahead else f"behind at {narrow} px"
        said = f"Half of the dilemma is there: HR-only is {which}, but the other end of the axis is not decided so."
    else:
        said = f"This run does not decide whether the dilemma is there: neither at {wide} nor at {narrow} px."
    lines = []
    for width in (wide, narrow):
        rows = (f"{_name(name)} {percent(row_of(table, protocol, name, width))}" for name in recipes.BASELINES)
        lines.append(f"- **{width} px:** {', '.join(rows)}.")
    change = {name: row_of(table, protocol, name, narrow).rank1 - row_of(table, protocol, name, wide).rank1
              for name in ("hr-only", "lr-only")}
    return "\n".join([said, "", *lines, "", f"From {wide} to {narrow} px HR-only changes by {change['hr-only']:+.1f} "
                      f"points and LR-only, trained on small faces, by {change['lr-only']:+.1f}."])


def protocols(table: pd.DataFrame, network: str) -> str:
    """P1 against P2 for one network at the narrowest faces; the paper finds P2 the easier for its student."""
    width = table.width.min()
    first, second = (row_of(table, protocol, network, width) for protocol in PROTOCOLS)
    apart = first.high < second.low or second.high < first.low
    easier = "P2" if second.rank1 > first.rank1 else "P1"
    told = "" if network != "proposed" else " The paper reports about 51 % under P1 and 64 % under P2 for it at 20 px."
    return (f"At {width} px {_name(network)} reaches {percent(first)} under P1 and {percent(second)} under P2: "
            + (f"{easier} is the easier here." if apart else "the intervals overlap.") + told)


def beside_the_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Each figure that the paper's text gives beside this run's at the same width, or the nearest the run has."""
    rows = []
    for told in reported.RANK1:
        widths = table[(table.protocol == told.protocol) & (table.network == told.network)].width
        if widths.empty:
            continue
        width = min(widths, key=lambda w: abs(w - told.width))
        row = row_of(table, told.protocol, told.network, width)
        rows.append({"protocol": told.protocol, "network": _name(told.network), "width (px)": told.width,
                     "paper (%)": f"{'about ' if told.rounded else ''}{told.rank1:g}",
                     "this run (%)": percent(row).replace(" %", "") + ("" if width == told.width else f" at {width} px"),
                     "people": row.people, "trials": f"{row.trials:,}"})  # fmt: skip
    return pd.DataFrame(rows)


def rank1_table(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """A row a network, a column a width: rank-1 in per cent with its interval, for reading."""
    part = table[table.protocol == protocol].copy()
    part["text"] = [f"{row.rank1:.1f} ({row.low:.1f}–{row.high:.1f})" for row in part.itertuples()]
    wide = part.pivot(index="network", columns="width", values="text")
    wide = wide.loc[list(dict.fromkeys(part.network)), sorted(wide.columns, reverse=True)]
    wide.index = [_name(name) for name in wide.index]
    wide.columns = [f"{width} px" for width in wide.columns]
    return wide


def _name(network: str) -> str:
    return recipes.get(network).label


def source(pack: FacePack) -> str:
    """What a pack says its faces are, as a sentence begins."""
    text = pack.manifest["source"]
    return text[0].upper() + text[1:]


def setting(preset: Preset, seed: int, faces: FaceSets) -> str:
    """What a caption must say: faces, n, preset, seed, and what the bands are."""
    return (f"{source(faces.probes)}: {len(faces.probes):,} probes of {len(faces.probes.people)} people among "
            f"{len(faces.distractors):,} distractors; trained on {len(faces.train):,} images of "
            f"{len(faces.train.people):,} other people; preset `{preset.name}`, seed {seed}. "
            f"Intervals: 95 % bootstrap over people.")


def excluded(faces: FaceSets) -> str:
    """Who was left out because they are in two of the sets."""
    if not faces.excluded:
        return "Nobody is in two of the three sets of faces."
    return (f"{len(faces.excluded)} people are in more than one of the folders and were left out of training and "
            f"distractors: {', '.join(faces.excluded)}.")


def angles(table: pd.DataFrame, network: str, width: int) -> str:
    """What Fig. 3 claims of directions, in one network's numbers at one width."""
    rows = {row.kind: row for row in table[(table.network == network) & (table.width == width)].itertuples()}
    photo, own, others = rows["same photo"], rows["same person"], rows["other people"]
    return (f"**{_name(network)}.** At {width} px a photo's feature lies {photo.angle:.1f}° ({photo.low:.1f} to "
            f"{photo.high:.1f}) from its own feature at 112 px; another photo of the same person {own.angle:.1f}°, "
            f"other people {others.angle:.1f}° away. What tells people apart is the gap between the last two: "
            f"{others.angle - own.angle:.1f}°.")


def towards_teacher(table: pd.DataFrame, width: int) -> str:
    """Fig. 3 (b) in numbers: who is near the teacher's features, and who is no nearer than chance (90 degrees)."""
    rows = table[table.width == width]
    near = [f"{_name(row.network)} {row.angle:.1f}° ({row.low:.1f} to {row.high:.1f})" for row in rows.itertuples()]
    return f"Angle to the teacher's feature of the same photo, the student's photo at {width} px: {', '.join(near)}."


def against_the_paper(difference: pd.DataFrame, network: str, other: str) -> str:
    """How many of the run's paired comparisons say what the paper says: `network` ahead of `other` at every width."""
    decided = difference[(difference.low > 0) | (difference.high < 0)]
    ahead, behind = int((decided.difference > 0).sum()), int((decided.difference < 0).sum())
    count = len(difference)
    first, second = _name(network), _name(other)
    text = (f"The paper finds {first} ahead of {second} at every width. Of this run's {count} paired comparisons (P1 and P2, "
            f"all widths), {ahead} decide for {first}, {behind} for {second}, and {count - ahead - behind} "
            f"leave it open at 95 %. ")
    if ahead and not behind:
        return text + ("The run agrees with the paper." if ahead == count else
                       "The run agrees with the paper where it decides.")
    if behind and not ahead:
        return text + "The run contradicts the paper where it decides."
    return text + ("The run decides nothing here." if not ahead else "The run is divided.")

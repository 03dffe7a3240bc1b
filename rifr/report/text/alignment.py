"""Sentences of chapter 6, chosen by the tables of `rifr.evaluation.alignment` and `step_order`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from rifr.align import FACE_SIZE
from rifr.evaluation.alignment import Errors
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification
from rifr.evaluation.step_order import ORDERS
from rifr.landmarks import wing_loss
from rifr.packs import FacePack
from rifr.presets import Preset
from rifr.report.figures.alignment import NAMES
from rifr.report.records import Record
from rifr.report.style import label
from rifr.report.text import verdicts
from rifr.report.text.recognition import source


def setting(preset: Preset, seed: int, pack: FacePack) -> str:
    """What a caption must say: pictures, n, preset, seed, and what the bands are."""
    of = "photos" if any("#" in name for name in pack.identities[:1].tolist()) else "people"
    number = len({name.partition("#")[0] for name in pack.identities.tolist()})
    return (
        f"{source(pack)}: {len(pack):,} faces of {number:,} {of} that no network was trained on; preset "
        f"`{preset.name}`, seed {seed}. Intervals: 95 % bootstrap over {of}."
    )


def compared(errors: Errors, network: str, other: str) -> str:
    """Where one landmark network is more exact than another, paired by person, width by width."""
    table = errors.difference(network, other).sort_values("width", ascending=False)
    signs = verdicts.signs(table)
    better, worse, undecided = (table[signs == sign] for sign in (-1, 1, 0))
    parts = [
        f"its error is {word} {_where(rows, 'difference', ' % of the face width', 2)}"
        for rows, word in ((better, "smaller"), (worse, "larger"))
        if len(rows)
    ]
    if len(undecided):
        parts.append(f"not decided at {_widths(undecided.width)}")
    return f"**{NAMES[network]}** against *{NAMES[other]}*: {'; '.join(parts)}."


def wing_against_l2(errors: Errors, network: str = "wing+lr", other: str = "l2+lr") -> str:
    """What the gradients of the two losses suggest of small and large errors, and which of it the intervals show."""
    sizes = torch.tensor([0.5, 5.0], requires_grad=True)  # pixels of the network's input
    slopes = torch.autograd.grad(len(sizes) * wing_loss(sizes[None], torch.zeros(1, len(sizes))), sizes)[0].tolist()
    small, large = sizes.tolist()
    expected = (
        f"Why they should differ: from an error of {small:g} to one of {large:g} px of the 64 the gradient of L2 grows "
        f"{large / small:.0f} times, so that large errors take over; Wing's falls from {slopes[0]:.1f} to "
        f"{slopes[1]:.1f}, so that small ones go on pulling. Wing should gain where errors are small, on large faces, "
        f"and L2 where they are large, on small faces."
    )
    table = errors.difference(network, other).sort_values("width", ascending=False)
    signs = verdicts.signs(table)
    parts = [
        f"{name} is the more exact at {_widths(table[signs == sign].width)}"
        for name, sign in (("Wing", -1), ("L2", 1))
        if (signs == sign).any()
    ]
    if (signs == 0).any():
        open_ones = table[signs == 0]
        half = ((open_ones.high - open_ones.low) / 2).max()
        parts.append(
            f"at {_widths(open_ones.width)} this run cannot tell them apart (half of the widest interval: {half:.2f} % "
            "of the face width)"
        )
    found = f"{expected} By the intervals over people, {'; '.join(parts)}."
    if signs[table.width.idxmax()] == 1:
        found += " On the largest faces that is the opposite of what the gradients suggest; why, we do not know."
    return f"{found} One network of each was trained: another start may order them otherwise."


def worst(errors: Errors, network: str) -> str:
    """The error of one network on its largest and on its smallest faces."""
    table = errors.table()
    rows = table[table.network == network].sort_values("width")
    small, large = rows.iloc[0], rows.iloc[-1]
    pixels = [row.error * FACE_SIZE / 100 for row in (large, small)]
    return (
        f"{NAMES[network]}: {large.error:.1f} % of the face width ({large.low:.1f} to {large.high:.1f}) on pictures as "
        f"they are, a median of {large.width:.0f} px wide, and {small.error:.1f} % ({small.low:.1f} to "
        f"{small.high:.1f}) at {small.width:.0f} px; that is {pixels[0]:.1f} and {pixels[1]:.1f} px of the "
        f"aligned face. {small.failed:.1f} % of the faces are off by a tenth of their width or more at "
        f"{small.width:.0f} px. {large.faces:,} faces of {len(set(errors.identities.tolist()))} people."
    )


def detector(table: pd.DataFrame, least: float) -> str:
    """How many faces YuNet finds on the largest and smallest faces, and from which width on it finds half of them."""
    rows = table.sort_values("width", ascending=False)
    large, small = rows.iloc[0], rows.iloc[-1]
    lost = rows[rows.found < 50]
    half = (
        f"From {lost.width.max():.0f} px down it finds fewer than half of the faces."
        if len(lost)
        else "It finds more than half of the faces at every width."
    )
    return (
        f"OpenCV's YuNet (score from {least:g}) finds {_share(large.found, large.faces)} of the "
        f"{int(large.faces):,} faces of the figure in the pictures as they are and {_share(small.found, small.faces)} "
        f"at {small.width:.0f} px. {half} Enlarged again, the pictures of {small.width:.0f} px give "
        f"{_share(small.found_enlarged, small.faces)}. A landmark network is always given the face and "
        f"always answers: the two are not rivals but the two halves of what a camera needs."
    )


def _share(found: float, faces: int) -> str:
    """ "399 (99.8 %)" of 400 faces, from 99.75 %."""
    return f"{round(found * faces / 100):,} ({found:.1f} %)"


def recorded(record: Record | None) -> pd.DataFrame | None:
    """The table of `alignment.detected` as a run with the model recorded it; None where there is no record."""
    return None if record is None else pd.DataFrame(record["rows"])


def recorded_on(record: Record | None) -> str:
    """When and on what the record was made; "" where there is none."""
    if record is None:
        return ""
    about = record["provenance"]
    faces = about["setting"].partition(" Intervals:")[0]  # none are drawn
    return (
        f"Recorded on {about['date'][:10]} with the model {about['model']} (rifr {about['rifr']}, commit "
        f"{about['commit'][:7]}, whose faces this build need not have). {faces}"
    )


def cost_table(table: pd.DataFrame, errors: Errors, finder: str = "wing+lr") -> pd.DataFrame:
    """What landmark errors cost, one row per network and width: points of rank-1 lost at each size of the error.

    Parameters
    ----------
    table
        As `alignment.cost_of_errors` gives it.
    errors, finder
        How far the landmark network of this name is off: what its own error costs is read off between the sizes.
    """
    rows = []
    for (network, width), part in table.groupby(["network", "width"], sort=False):
        rates = part.set_index("pixels").rank1.sort_index()
        off = _own_error(errors, finder, width)
        own = float(np.interp(off, rates.index, rates))
        rows.append(
            {
                "network": label(network),
                "face width": f"{width} px",
                "rank-1 (%), exact": f"{rates[0]:.1f}",
                **{f"{size:g} px off": verdicts.signed(rates[size] - rates[0]) for size in rates.index if size},
                "the network's own error": f"{verdicts.signed(own - rates[0])} ({off:.1f} px)",
            }
        )
    return pd.DataFrame(rows)


def _own_error(errors: Errors, finder: str, width: int) -> float:
    """The error of a landmark network at the width nearest to `width`, as a standard deviation in aligned pixels.

    The mean length of a plane vector whose coordinates are normal is the square root of pi/2 times their deviation.
    """
    rows = errors.table()
    rows = rows[rows.network == finder]
    nearest = rows.loc[(rows.width - width).abs().idxmin()]
    return float(nearest.error * FACE_SIZE / 100 / np.sqrt(np.pi / 2))


def exact_or_found(cost: pd.DataFrame, rates: pd.DataFrame, gaps: pd.DataFrame) -> str:
    """What found landmarks cost beside true ones, and what the order of the steps adds, on the smallest common faces.

    cost: as `alignment.cost_of_errors` gives it, with errors of 0 px; rates, gaps: as `step_order.order_of_steps` does.
    """
    width = min(set(cost.width) & set(rates.width))
    exact = cost[(cost.width == width) & (cost.pixels == 0)].set_index("network").rank1
    found = rates[rates.width == width].set_index(["network", "order"]).rank1
    first, last = list(ORDERS)[:2]
    parts = [
        f"{label(name)} has {exact[name]:.1f} % with true landmarks, {found[name, first]:.1f} % with found ones, "
        f"aligned first, and {found[name, last]:.1f} % shrunk first"
        for name in exact.index
    ]
    at = gaps[gaps.width == width].set_index("network")
    landmarks = {name: exact[name] - found[name, first] for name in exact.index}
    prices = [f"{label(name)} {_gap(at.loc[name], 'optimism')} points" for name in exact.index]
    others = [f"{label(name)} {verdicts.signed(landmarks[name])}" for name in exact.index]
    return (
        f"At {width} px {'; '.join(parts)}. Aligned first minus shrunk first: {', '.join(prices)}. True landmarks "
        f"minus found ones, the gallery's among them: {', '.join(others)}; no interval stands behind the latter."
    )


def _gap(row: pd.Series, column: str = "difference") -> str:
    return verdicts.bracketed(row[column], row.low, row.high)


def two_prices(
    gaps: pd.DataFrame, distractors: int, first: Outcome[Identification], last: Outcome[Identification]
) -> str:
    """What the order costs under P2 by both measurements, at the smallest common width, and what differs between them.

    gaps, distractors: as `step_order.order_of_steps` gives them, and among how many distractors; first, last: as
    `step_order.identify_in_both_orders` gives them.
    """
    change = first.change(last)
    width = min(set(gaps.width) & set(change.width))
    change = change[(change.protocol == "P2") & (change.width == width)].set_index("network")
    before = gaps[gaps.width == width].set_index("network")
    names = [name for name in before.index if name in change.index]
    gained = [
        f"{label(name)} {_gap(before.loc[name], 'optimism')} above and {_gap(change.loc[name])} here" for name in names
    ]
    strangers = first.results["P2", names[0], width].distractors
    return (
        "This difference is not the one above: under P2 at "
        f"{width} px aligned first minus shrunk first is {'; '.join(gained)}, in points. "
        f"Probes and landmarks are the same. Above, the gallery holds {distractors:,} distractors of chapter 7, which "
        f"are aligned by their true landmarks; here it holds {strangers:,} strangers, aligned by found ones, as the "
        "people who are looked for are."
    )


def both_orders_table(first: Outcome[Identification], last: Outcome[Identification]) -> pd.DataFrame:
    """One row per network: rank-1 in per cent, aligned first → shrunk first, for each protocol and width."""
    before, after = (outcome.table().set_index(["network", "protocol", "width"]).rank1 for outcome in (first, last))
    rows: dict[str, dict[str, str]] = {}
    for network, protocol, width in after.index:
        cell = f"{before[network, protocol, width]:.1f} → {after[network, protocol, width]:.1f}"
        rows.setdefault(label(network), {})[f"{protocol}, {width} px"] = cell
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network").reset_index()


def flattered(first: Outcome[Identification], last: Outcome[Identification]) -> str:
    """By how much aligning first flatters, over all networks: one line per protocol and width."""
    change, lines = first.change(last), []
    for (protocol, width), part in change.groupby(["protocol", "width"], sort=False):
        lines.append(
            f"- **{protocol} at {width} px**, aligned first minus shrunk first: {verdicts.over_networks(part)}."
        )
    return "\n".join(lines)


def comparisons_kept(
    first: Outcome[Identification], last: Outcome[Identification], pairs: Sequence[tuple[str, str]]
) -> str:
    """Whether comparisons between networks come out alike in both orders: those that do not are listed.

    Where the order makes the proposed network fall behind HR+LR, what that means for claim C6 is said.
    """
    kept, reversed_, total = 0, 0, 0
    other: list[str] = []
    behind: list[str] = []
    for network, rival in pairs:
        tables = (outcome.difference(network, rival) for outcome in (first, last))
        before, after = (table.set_index(["protocol", "width"]) for table in tables)
        for place in after.index:
            one, two = before.loc[place], after.loc[place]
            total += 1
            if verdicts.sign(one) == verdicts.sign(two):
                kept += 1
                continue
            reversed_ += verdicts.sign(one) * verdicts.sign(two) < 0
            where = f"{place[0]} at {place[1]} px"
            said = [verdicts.compared(row, label(network), label(rival)) for row in (one, two)]
            other.append(f"- **{where}**: aligned first {said[0]}; shrunk first {said[1]}.")
            if (network, rival) == ("proposed", "hr+lr") and verdicts.sign(two) < 0:
                behind.append(where)
    named = ", ".join(f"{label(network)} minus {label(rival)}" for network, rival in pairs)
    text = f"Of {total} comparisons ({named}; by protocol and width) {kept} have the same verdict in both orders."
    if other:
        turned = (
            f"{reversed_} of these {'is' if reversed_ == 1 else 'are'} decided one way in one order and the other way "
            "in the other."
            if reversed_
            else "None of these is decided one way in one order and the other way in the other: one of the two is "
            "undecided, and whether the order changes the difference is not tested."
        )
        text += "\n".join([" The others:\n", *other, f"\n{turned}"])
    text += (
        f" If no network were better than any other, about {0.05 * 2 * total:.0f} of the {2 * total} verdicts of both "
        "orders would come out decided by chance."
    )
    if behind:
        text += (
            "\n\nIn the paper's own order the proposed network of this seed is behind HR+LR under "
            f"{' and '.join(behind)}. Claim C6, that it is ahead at all resolutions, is tested aligned first "
            "([chapter 7](identification.ipynb)), where the faces are aligned by the truth."
        )
    return text


def optimism(table: pd.DataFrame, network: str) -> str:
    """How much rank-1 gains from aligning before shrinking, and how much of that the landmarks are to blame for."""
    rows = table[table.network == network].sort_values("width", ascending=False)
    sure = rows[verdicts.signs(rows) != 0]
    name = f"**{verdicts.capital(label(network))}**"
    if sure.empty:
        return (
            f"{name}: this run does not decide at any width whether aligning first is optimistic (largest gap "
            f"{rows.optimism.abs().max():.1f} points)."
        )
    parts = [
        f"{word} {_where(part, 'optimism')}"
        for part, word in ((sure[sure.optimism > 0], "higher"), (sure[sure.optimism < 0], "lower"))
        if len(part)
    ]
    most = sure.loc[sure.optimism.abs().idxmax()]
    share = (
        f"Aligned by the landmarks that were found on the large face, the small face of {most.width:.0f} px differs by "
        f"{verdicts.bracketed(most.landmarks, most.landmarks_low, most.landmarks_high, ' points')} from the one "
        f"aligned by its own"
        + ("." if most.landmarks_low <= 0 <= most.landmarks_high else ": that part is the landmarks' doing.")
    )
    return f"{name}: rank-1 of faces aligned before they were shrunk is {' and '.join(parts)}. {share}"


def _where(rows: pd.DataFrame, column: str, unit: str = " points", digits: int = 1) -> str:
    """The widths of some rows, and the largest difference among them with its interval."""
    most = rows.loc[rows[column].abs().idxmax()]
    most_at = f"most at {most.width:.0f} px: " if len(rows) > 1 else ""
    return f"at {_widths(rows.width)} ({most_at}{verdicts.span(most, unit, digits, column)})"


def _widths(widths: pd.Series) -> str:
    return ", ".join(f"{width:.0f}" for width in widths) + " px"

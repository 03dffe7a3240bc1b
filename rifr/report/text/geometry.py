"""Sentences of chapter 5 on Fig. 3: chosen by angles, by d' and by the likeness of softmax weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rifr import recipes
from rifr.align import FACE_SIZE
from rifr.evaluation import geometry
from rifr.evaluation.geometry import Likeness
from rifr.evaluation.metrics import Interval
from rifr.report.style import ends, label
from rifr.report.text import verdicts

FAR = 5.0
"""Degrees from the teacher beyond which a student is not called arrived."""


def likeness_table(found: Likeness, names: list[str]) -> pd.DataFrame:
    """One row and one column per network: the correlation of their softmax weights' cosines."""
    rows = [
        {"network": label(one)} | {label(two): "1" if one == two else f"{found.value[one, two]:.2f}" for two in names}
        for one in names
    ]
    return pd.DataFrame(rows)


def lies_between(found: Likeness, middle: str = "hr+lr", first: str = "hr-only", second: str = "lr-only") -> str:
    """Whether one network's weights are more like each of two others' than these are like one another."""
    nearer = [found.difference((middle, end), (first, second)) for end in (first, second)]
    numbers = (
        f"{label(middle)} correlates with {label(first)} at {found.value[middle, first]:.2f}, with {label(second)} at "
        f"{found.value[middle, second]:.2f}; these two with one another at {found.value[first, second]:.2f}. "
    )
    signs = [one.sign for one in nearer]
    if signs == [1, 1]:
        verdict = f"So {label(middle)} lies between them, as the drawing has it; both differences are decided."
    elif -1 in signs:
        farther = " and ".join(label(end) for end, sign in zip((first, second), signs, strict=True) if sign < 0)
        verdict = f"So it does not lie between them: it is less like {farther} than they are like one another."
    else:
        verdict = "The intervals over people do not decide whether it lies between them."
    return f"{numbers}{verdict}"


def nearest_to_teacher(found: Likeness, students: list[str], teacher: str = recipes.TEACHER) -> str:
    """The students in the order of their weights' likeness to the teacher's."""
    order = sorted(students, key=lambda name: -found.value[name, teacher])
    parts = [f"{label(name)} {found.value[name, teacher]:.2f}" for name in order]
    return f"Most like {label(teacher)} first: {', '.join(parts)}."


def nearness_table(
    toward: pd.DataFrame, weights: Mapping[str, np.ndarray], teacher: np.ndarray, widths: tuple[int, int]
) -> pd.DataFrame:
    """One row per student: degrees from the teacher, of its features at two widths and of its softmax weights.

    Weights are compared after their mean over the classes is removed, which the loss does not determine.
    """
    rows = []
    for name, own in weights.items():
        at = toward[toward.network == name].set_index("width")
        row = {"student": label(name)}
        for width in widths:
            one = at.loc[width]
            row[f"features, {width} px"] = f"{one.angle:.1f}° ({one.low:.1f} to {one.high:.1f})"
        rows.append(row | {"softmax weights": f"{weights_apart(own, teacher):.1f}°"})
    return pd.DataFrame(rows)


def weights_apart(own: np.ndarray, teacher: np.ndarray) -> float:
    """Degrees between two networks' softmax weights, each minus their mean over the classes; the mean over classes."""
    return float(geometry.same_image(geometry.centred(own), geometry.centred(teacher)).mean())


def sharing_brings_near(toward: pd.DataFrame, width: int, weights: Mapping[str, float] | None = None) -> str:
    """Whether the students that share the softmax layer, and these alone, come near the teacher's features.

    weights: how far the students' softmax weights are from the teacher's, by `weights_apart`: what the proof is about.
    """
    at = toward[toward.width == width].set_index("network")
    shared, alone = ([name for name in at.index if recipes.get(name).shared == kind] for kind in (True, False))
    if at.loc[shared].high.max() < at.loc[alone].low.min():
        verdict = "Every student that shares the layer is nearer to the teacher than every one that does not"
    else:
        verdict = "By these intervals not every student that shares the layer is nearer than every one that does not"
    parts = [f"{label(name)} {at.angle[name]:.0f}°" for name in [*shared, *alone]]
    text = f"{verdict} ({width} px: {', '.join(parts)})."
    left = at.angle[[name for name in shared if recipes.get(name).targets == "soft"]]
    if width == FACE_SIZE and left.max() > FAR:
        farthest = str(left.idxmax())
        text += (
            f" But even where student and teacher see the same photo, {label(farthest)} is {left.max():.0f}° away. "
            "That $z_t = z_{pre}$ is proved for soft targets at the minimum of the loss, of photos that were trained "
            "on; these are of other people, whom the loss never saw."
        )
        own = (weights or {}).get(farthest, 0.0)
        if own > FAR:
            text += (
                f" The softmax weights are what both have in common: where both terms are at their minimum they are "
                f"the teacher's but for a common vector, and they are {own:.0f}° from them. So not both are: the "
                "training stopped before, or the small photos, for which a student should hedge (chapter 4), pull "
                "elsewhere."
            )
    return text


def more_invariant(table: pd.DataFrame, difference: Interval, network: str, other: str, width: int) -> str:
    """Which of two networks gives a photo features that change less with resolution.

    `table` as `evaluate.angles`, `difference` as `evaluate.angle_difference` gives them.
    """
    at = table[(table.width == width) & (table.kind == "same photo")].set_index("network").angle
    numbers = (
        f"({at[network]:.1f}° against {at[other]:.1f}° between the same photo at 112 and at {width} px; paired by "
        f"person {verdicts.span(difference, '°', column='estimate')})"
    )
    if not difference.sign:
        return f"{label(network)} and {label(other)} are not told apart by their invariance {numbers}."
    how = ("more", "*less*")[difference.sign > 0]
    return f"{label(network)} is {how} resolution-invariant than {label(other)} {numbers}."


def separation_table(table: pd.DataFrame, rank1: pd.DataFrame) -> pd.DataFrame:
    """One row per network: d' with its interval, the mean gap, and rank-1 under P2, at each width."""
    rates = rank1[rank1.protocol == "P2"].set_index(["network", "width"])
    rows: dict[str, dict[str, str]] = {}
    for row in table.itertuples():
        cells = rows.setdefault(row.network, {"network": label(row.network)})
        rate = rates.loc[(row.network, row.width)]
        cells[f"d\u2032, {row.width} px"] = f"{row.d_prime:.2f} ({row.low:.2f} to {row.high:.2f})"
        cells[f"gap, {row.width} px"] = f"{row.gap:.1f}°"
        cells[f"rank-1 (%), {row.width} px"] = f"{rate.rank1:.1f}{ends(rate.low, rate.high)}"
    return pd.DataFrame(rows.values())


def recognised(table: pd.DataFrame, rank1: pd.DataFrame, width: int) -> str:
    """Which of mean gap and d' has the networks in the order of rank-1 under P2 at a width."""
    measured = table[table.width == width].set_index("network")
    rates = rank1[(rank1.protocol == "P2") & (rank1.width == width)].set_index("network").rank1[measured.index]
    order = list(rates.sort_values(ascending=False).index)
    names = {"d\u2032": "d_prime", "the mean gap": "gap"}
    agree = {name for name, by in names.items() if list(measured[by].sort_values(ascending=False).index) == order}
    numbers = ", ".join(f"{label(name)} {rates[name]:.1f} %" for name in order)
    if len(agree) == 1:
        verdict = f"{' '.join(agree)} puts the networks in this order, {' '.join(names.keys() - agree)} does not"
    else:
        verdict = f"{'both' if agree else 'neither'} {' and '.join(names)} put{'' if agree else 's'} them in this order"
        verdict = verdict if agree else verdict.replace(" and ", " nor ")
    return f"Rank-1 under P2 at {width} px: {numbers}; {verdict}. No interval stands behind an order."


def gap_and_spread(table: pd.DataFrame, width: int) -> str:
    """Whether the mean gap and d' put the networks in the same order at a width, and who leads by each."""
    rows = table[table.width == width].set_index("network")
    by_gap, by_d = (list(rows[column].sort_values(ascending=False).index) for column in ("gap", "d_prime"))
    if by_gap == by_d:
        return f"At {width} px the mean gap and d\u2032 put the networks in one order; {label(by_d[0])} is first."
    first = f"{label(by_gap[0])} has the largest gap, {label(by_d[0])} the largest d\u2032"
    if by_gap[0] == by_d[0]:
        first = f"{label(by_d[0])} is first by both"
    return f"At {width} px the mean gap and d\u2032 put the networks in different orders: {first}."

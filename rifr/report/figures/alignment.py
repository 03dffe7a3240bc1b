"""Figures of chapter 6: pure functions of the tables that `rifr.evaluation.alignment` makes, and of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rifr.evaluation.alignment import errors
from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.step_order import ORDERS
from rifr.landmarks import boxes_of
from rifr.report.figures.axes import LINES, curve, from_zero, hollow_and_filled, legend_below, panels, sheet, width_axis
from rifr.report.style import label, text_color

NAMES = {
    "wing+lr": "Wing, all resolutions (after the paper)",
    "l2+lr": "L2, all resolutions",
    "wing-hr": "Wing, large faces only",
}
DOTS = ("#ffd60a", "#ffd60a", "#00e5ff", "#ff4fd8", "#ff4fd8")


def points_on_faces(
    pictures: Sequence[Sequence[np.ndarray]],
    points: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    widths: Sequence[int],
    names: Sequence[str] = (),
) -> Figure:
    """One row per face, one column per face width: the points that a network found (discs) and the true ones (crosses).

    Below each picture stands its error, the mean distance of the five points.

    Parameters
    ----------
    pictures
        (h, w, 3) each, by row and column.
    points, truth
        (5, 2) each in the picture's pixels, by row and column.
    names
        Of the rows.
    """
    size = 7.0, (7.0 / len(widths) + 0.25) * len(pictures) + 0.3
    figure, lines = sheet(pictures, size, names, [f"{width} px" for width in widths])
    for line, shown, found_points, true_points in zip(lines, pictures, points, truth, strict=True):
        for axes, picture, found, true in zip(line, shown, found_points, true_points, strict=True):
            axes.scatter(true[:, 0], true[:, 1], marker="x", s=26, color="#ffffff", linewidths=1.2)
            axes.scatter(found[:, 0], found[:, 1], s=12, c=DOTS, edgecolors="#000000", linewidths=0.4)
            x, y, face = boxes_of(true[None])[0]
            height, width = picture.shape[:2]
            reach = min(0.8 * face, height / 2, width / 2)  # the rest of the picture makes points small
            x, y = np.clip((x, y), reach - 0.5, np.array([width, height]) - reach - 0.5)
            axes.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))
            axes.set_xlabel(f"{100 * errors(found[None], true[None])[0]:.1f} %", fontsize=8, labelpad=2)
    return figure


def errors_by_width(table: pd.DataFrame) -> Figure:
    """Mean landmark error against face width, one curve per network with its interval over people.

    `table` as `alignment.Errors.table()` gives it; the right scale is in pixels of the aligned face.
    """
    figure, axes = plt.subplots()
    for name, look in zip(dict.fromkeys(table.network), LINES, strict=False):
        curve(axes, table[table.network == name], "width", "error", NAMES.get(name, name), look)
    axes.set(ylabel="landmark error (% of the face width)", ylim=(0, None))
    width_axis(axes, table.width)
    pixels = axes.secondary_yaxis(
        "right", functions=(lambda share: np.multiply(share, 1.12), lambda pixels: np.divide(pixels, 1.12))
    )
    pixels.set_ylabel("pixels of the aligned face")
    legend_below(figure, axes)
    return figure


def found_by_width(table: pd.DataFrame) -> Figure:
    """The share of faces that a detector finds, against face width; `table` as `alignment.detected` gives it."""
    figure, axes = plt.subplots(figsize=(7.0, 3.6))
    rows = table.sort_values("width")
    axes.plot(rows.width, rows.found, label="the picture as it is", **LINES[0])
    axes.plot(rows.width, rows.found_enlarged, label="the picture enlarged again", **LINES[1])
    axes.set(ylabel="faces found by YuNet (%)", ylim=(0, 102))
    width_axis(axes, table.width)
    legend_below(figure, axes)
    return figure


def cost_of_errors(table: pd.DataFrame) -> Figure:
    """Rank-1 against the size of landmark errors, one panel per network, one curve per face width."""
    widths = sorted(table.width.unique(), reverse=True)
    return _rank1_by_network(table, "pixels", "width", {width: f"{width} px" for width in widths})


def orders_by_width(table: pd.DataFrame) -> Figure:
    """Rank-1 against face width for the orders of `step_order.ORDERS`, one panel per network."""
    return _rank1_by_network(table, "width", "order", {order: order for order in ORDERS})


def both_orders(first: pd.DataFrame, last: pd.DataFrame) -> Figure:
    """Rank-1 of each network with all faces aligned first (hollow) and with all faces shrunk first (filled).

    Parameters
    ----------
    first, last
        Tables as `evaluate.Outcome.table()` gives them; one panel per protocol and width.
    """
    places = dict.fromkeys(zip(last.protocol, last.width, strict=True))
    titles = {(protocol, width): f"{PROTOCOLS[protocol]}, {width} px" for protocol, width in places}
    return hollow_and_filled({"aligned, then shrunk": first, "shrunk, then aligned": last}, titles, 4.5)


def wing(w: float = 10.0, epsilon: float = 2.0) -> Figure:
    """The Wing loss beside L1 and L2, and their slopes: small errors still pull, large ones do not take over."""
    x = np.linspace(-20, 20, 801)
    size, c = np.abs(x), w - w * np.log(1 + w / epsilon)
    values = {
        "Wing": (
            np.where(size < w, w * np.log1p(size / epsilon), size - c),
            np.sign(x) * np.where(size < w, w / (epsilon + size), 1),
        ),
        "L1": (size, np.sign(x)),
        "L2, halved": (x**2 / 2, x),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6))
    for (name, (value, slope)), look in zip(values.items(), LINES, strict=False):
        look = look | {"marker": ""}
        left.plot(x, value, label=name, **look)
        right.plot(x, slope, **look)
    for place in (-w, w):
        left.axvline(place, color=text_color(), linewidth=0.6, linestyle=":")
    left.set(xlabel="error (pixels of 64)", ylabel="loss", ylim=(0, 40))
    right.set(xlabel="error (pixels of 64)", ylabel="slope", ylim=(-8, 8))
    legend_below(figure, left)
    return figure


def _rank1_by_network(table: pd.DataFrame, x: str, by: str, names: dict) -> Figure:
    """Rank-1 over column `x`, one panel per network, one curve for each value of column `by`."""
    figure, axes_of = panels(table.network)
    for network, axes in axes_of.items():
        for (value, name), look in zip(names.items(), LINES, strict=False):
            curve(axes, table[(table.network == network) & (table[by] == value)], x, "rank1", name, look)
        axes.set(title=label(network), ylabel="rank-1 (%), P2")
        if x == "width":
            width_axis(axes, table.width)
        else:
            axes.set_xlabel("landmarks off by (pixels of 112)")
        axes.label_outer()
    from_zero(axes_of)
    legend_below(figure, axes)
    return figure

"""Figures of chapter 6: pure functions of the tables that `rifr.evaluation.alignment` makes, and of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rifr.evaluation.alignment import ORDERS
from rifr.landmarks import boxes_of
from rifr.report.figures.recognition import _legend_below, _panels, _width_axis
from rifr.report.style import label, text_color

LINES = (("#0173b2", "o", "-"), ("#d55e00", "s", "--"), ("#029e73", "^", ":"), ("#cc78bc", "D", "-."))
"""Landmark networks, orders and widths are no recognition networks: colours in turn, each with a mark and a dash."""
NAMES = {
    "wing+lr": "Wing, all resolutions (the paper's)",
    "l2+lr": "L2, all resolutions",
    "wing-hr": "Wing, large faces only",
}
DOTS = ("#ffd60a", "#ffd60a", "#00e5ff", "#ff4fd8", "#ff4fd8")


def points_on_faces(
    pictures: Sequence[Sequence[np.ndarray]],
    points: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    widths: Sequence[int],
) -> Figure:
    """One row per face, one column per face width: the points that a network found (discs) and the true ones (crosses).

    pictures[row][column] (h, w, 3), points[row][column] and truth[row][column] (5, 2) in its pixels.
    """
    lines, across = len(pictures), len(widths)
    figure, panels = plt.subplots(
        lines, across, figsize=(9.0, 9.0 * lines / across + 0.3), squeeze=False, layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    for row in range(lines):
        for column, width in enumerate(widths):
            axes, picture = panels[row, column], pictures[row][column]
            axes.imshow(picture)
            axes.scatter(*truth[row][column].T, marker="x", s=26, color="#ffffff", linewidths=1.2)
            axes.scatter(*points[row][column].T, s=12, c=DOTS, edgecolors="#000000", linewidths=0.4)
            x, y, face = boxes_of(truth[row][column][None])[0]
            reach = 0.8 * face  # the rest of the picture makes points small
            axes.set(xticks=[], yticks=[], xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))
            axes.grid(False)
            if row == 0:
                axes.set_title(f"{width} px", fontsize=9)
    return figure


def errors_by_width(table: pd.DataFrame) -> Figure:
    """Mean landmark error against face width, one curve per network with its interval over people.

    `table` as `alignment.Errors.table()` gives it; the right scale is in pixels of the aligned face.
    """
    figure, axes = plt.subplots()
    for (name, part), look in zip(table.groupby("network", sort=False), LINES):
        _band(axes, part, "width", "error", NAMES.get(name, name), look)
    axes.set(xlabel="face width (pixels)", ylabel="landmark error (% of the face width)", ylim=(0, None))
    _width_axis(axes, table.width)
    pixels = axes.secondary_yaxis("right", functions=(lambda share: 1.12 * share, lambda px: px / 1.12))
    pixels.set_ylabel("pixels of the aligned face")
    _legend_below(figure, axes)
    return figure


def found_by_width(table: pd.DataFrame) -> Figure:
    """The share of faces that a detector finds, against face width; `table` as `alignment.detected` gives it."""
    figure, axes = plt.subplots(figsize=(7.0, 3.6))
    for column, name, (colour, mark, dash) in (
        ("found", "the picture as it is", LINES[0]),
        ("found_enlarged", "the picture enlarged again", LINES[1]),
    ):
        rows = table.sort_values("width")
        axes.plot(rows.width, rows[column], color=colour, marker=mark, linestyle=dash, label=name)
    axes.set(xlabel="face width (pixels)", ylabel="faces found by YuNet (%)", ylim=(0, 102))
    _width_axis(axes, table.width)
    _legend_below(figure, axes)
    return figure


def cost_of_errors(table: pd.DataFrame) -> Figure:
    """Rank-1 against the size of landmark errors, one panel per network, one curve per face width."""
    figure, panels = _panels(list(dict.fromkeys(table.network)))
    for name, axes in panels.items():
        widths = sorted(table.width.unique(), reverse=True)
        for width, look in zip(widths, LINES):
            _band(axes, table[(table.network == name) & (table.width == width)], "pixels", "rank1", f"{width} px", look)
        axes.set(title=label(name), xlabel="landmarks off by (pixels of 112)", ylabel="rank-1 (%), P2", ylim=(0, None))
        axes.label_outer()
    _legend_below(figure, axes)
    return figure


def orders_by_width(table: pd.DataFrame) -> Figure:
    """Rank-1 against face width for the orders of `alignment.ORDERS`, one panel per network."""
    figure, panels = _panels(list(dict.fromkeys(table.network)))
    for name, axes in panels.items():
        for order, look in zip(ORDERS, LINES):
            _band(axes, table[(table.network == name) & (table.order == order)], "width", "rank1", order, look)
        axes.set(title=label(name), xlabel="face width (pixels)", ylabel="rank-1 (%), P2", ylim=(0, None))
        _width_axis(axes, table.width)
        axes.label_outer()
    _legend_below(figure, axes)
    return figure


def wing(w: float = 10.0, epsilon: float = 2.0) -> Figure:
    """The Wing loss beside L1 and L2, and their slopes: small errors still pull, large ones do not take over."""
    x = np.linspace(-20, 20, 801)
    size, c = np.abs(x), w - w * np.log(1 + w / epsilon)
    curves = {
        "Wing": (
            np.where(size < w, w * np.log1p(size / epsilon), size - c),
            np.sign(x) * np.where(size < w, w / (epsilon + size), 1),
        ),
        "L1": (size, np.sign(x)),
        "L2, halved": (x**2 / 2, x),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6))
    for (name, (value, slope)), (colour, _, dash) in zip(curves.items(), LINES):
        left.plot(x, value, color=colour, linestyle=dash, label=name)
        right.plot(x, slope, color=colour, linestyle=dash)
    for place in (-w, w):
        left.axvline(place, color=text_color(), linewidth=0.6, linestyle=":")
    left.set(xlabel="error (pixels of 64)", ylabel="loss", ylim=(0, 40))
    right.set(xlabel="error (pixels of 64)", ylabel="slope", ylim=(-8, 8))
    _legend_below(figure, left)
    return figure


def _band(axes: Axes, rows: pd.DataFrame, x: str, y: str, name: str, look: tuple[str, str, str]) -> None:
    colour, mark, dash = look
    rows = rows.sort_values(x)
    axes.plot(rows[x], rows[y], color=colour, marker=mark, linestyle=dash, label=name)
    axes.fill_between(rows[x], rows.low, rows.high, color=colour, alpha=0.15, linewidth=0)

"""Figures of chapter 12: what losses pull on, and methods side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rifr.report.figures.axes import bars, grid, legend_below
from rifr.report.style import NETWORKS, label, page_color, text_color

PEOPLE = [NETWORKS[name] for name in ("hr-only", "lr-only", "hr+lr")]  # three colours and markers that are told apart
LAYER = 1.6
"""How much longer the rows of the softmax layer are drawn than they are."""


def pulls(by_method: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """One panel per method: features of three people, large (filled) and small (hollow), and where the loss moves them.

    Parameters
    ----------
    by_method
        `rifr.report.methods.pulls` by recipe. An arrow's length grows as the root of the gradient's; of a panel's
        features, and of its softmax layer, the longest is one unit long.
    """
    figure, _, shown = grid(len(by_method), 3, 3.0, 3.2)
    for axes, (name, toy) in zip(shown, by_method.items(), strict=True):
        for person, look in enumerate(PEOPLE):
            own, colour = toy["labels"] == person, look["color"]
            for z, face in zip(toy["z"][:, own], (colour, page_color()), strict=True):
                axes.plot(*z.T, look["marker"], color=colour, markerfacecolor=face, markersize=5, zorder=3)
            axes.plot(*np.stack([[0, 0], LAYER * toy["w"][person]]).T, "-", color=colour, linewidth=2.5)
        for start, pull in ((toy["z"].reshape(-1, 2), toy["z_pull"].reshape(-1, 2)), (LAYER * toy["w"], toy["w_pull"])):
            options: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008, "zorder": 4}
            axes.quiver(*start.T, *_arrows(pull).T, color=text_color(), **options)
        axes.set(title=label(name), xlim=(-3.6, 3.6), ylim=(-2.8, 3.8), xticks=[], yticks=[], aspect="equal")
        axes.grid(False)
    first, grey = shown[0], text_color()
    first.plot([], [], "o", color=grey, label="large face")
    first.plot([], [], "o", color=grey, markerfacecolor=page_color(), label="small face")
    first.plot([], [], "-", color=grey, linewidth=2.5, label="a person's row of the softmax layer")
    legend_below(figure, first)
    return figure


def rank1_and_cost(table: pd.DataFrame, cost: pd.DataFrame, ours: tuple[str, ...]) -> Figure:
    """Rank-1 of each method, one line each: at 112 px (filled) and over the small widths (hollow); and what it costs.

    Parameters
    ----------
    table
        As `rifr.report.methods.rates` gives it, of one protocol. The best on small faces, the last place, comes first.
    cost
        As `rifr.report.methods.costs` gives it.
    ours
        The paper's own networks, drawn in another colour.
    """
    places = list(dict.fromkeys(table.place))
    names = list(table[table.place == places[-1]].sort_values("value", ascending=False, kind="stable").network)
    looks = [NETWORKS["proposed" if name in ours else "hr-only"]["color"] for name in names]
    size = (7.0, 1.3 + 0.34 * len(names))
    figure, (axes, work) = plt.subplots(1, 2, figsize=size, sharey=True, width_ratios=(3, 1))
    figure.set_layout_engine("constrained", wspace=0.08)  # or the two scales' last and first numbers touch
    for fill, place in enumerate(places):
        for line, name in enumerate(names):
            row = table[(table.network == name) & (table.place == place)]
            colour = looks[line]
            axes.errorbar(
                row.value,
                [line + 0.26 * fill - 0.13],
                xerr=bars(row, "value"),
                fmt="os"[fill],
                color=colour,
                markerfacecolor=page_color() if fill else colour,
                capsize=3,
            )
        axes.plot(
            [], [], "os"[fill], color=text_color(), markerfacecolor=[text_color(), page_color()][fill], label=place
        )
    for text, look in (("the paper's six", "proposed"), ("other methods", "hr-only")):
        axes.plot([], [], linewidth=6, color=NETWORKS[look]["color"], label=text)
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlabel="rank-1 (%)")
    work.barh(range(len(names)), cost.set_index("network").work[names], color=looks, height=0.55)
    work.set(xlabel="10¹² multiplications")
    for panel in (axes, work):
        panel.grid(axis="y", visible=False)
    legend_below(figure, axes)
    return figure


def _arrows(pull: np.ndarray) -> np.ndarray:
    """(N, 2) the gradients with the roots of their lengths, the longest one unit long."""
    lengths = np.linalg.norm(pull, axis=1, keepdims=True)
    return pull / np.maximum(np.sqrt(lengths * lengths.max()), 1e-12)

"""Figures of pictures that are small by nature: pure functions of the tables that `rifr.evaluation.small_faces` makes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rifr.evaluation.evaluate import PROTOCOLS
from rifr.report.figures.recognition import _legend_below, _panels, _width_axis
from rifr.report.style import label, page_color, styles, text_color


def as_they_come(pictures: Sequence[np.ndarray], columns: int = 8) -> Figure:
    """Pictures (h, w, 3) uint8 of any size on one scale, one square per pixel; each has its size above it."""
    widest = max(picture.shape[1] for picture in pictures)
    lines = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(picture.shape[0] for picture in line) for line in lines]
    side = 9.0 / columns / widest  # of a pixel, in inches
    figure, panels = plt.subplots(
        len(lines),
        columns,
        squeeze=False,
        height_ratios=heights,
        figsize=(9.0, side * sum(heights) + 0.25 * len(lines)),
    )
    for row, line, height in zip(panels, lines, heights, strict=True):
        for axes in row:
            axes.set_axis_off()
        for axes, picture in zip(row, line, strict=False):
            axes.imshow(picture)
            axes.set(xlim=(-0.5, widest - 0.5), ylim=(height - 0.5, -0.5))  # one scale for all
            axes.set_title(f"{picture.shape[1]} × {picture.shape[0]}", fontsize=7, pad=2, loc="left")
    return figure


def rank1_by_network(table: pd.DataFrame) -> Figure:
    """Rank-1 with its interval, one line per network; `table` as `small_faces.SearchOutcome.table()` gives it."""
    figure, axes = plt.subplots(figsize=(7.0, 0.9 + 0.32 * len(table)))
    looks = styles(table.network)
    for place, row in enumerate(table.itertuples()):
        axes.errorbar(
            row.rank1,
            place,
            xerr=[[row.rank1 - row.low], [row.high - row.rank1]],
            capsize=3,
            fmt=looks[row.network]["marker"],
            color=looks[row.network]["color"],
        )
    axes.set_yticks(range(len(table)), [label(name) for name in table.network])
    axes.invert_yaxis()
    axes.set(xlabel="rank-1 (%)", xlim=(0, None))
    axes.grid(axis="y", visible=False)
    return figure


def rank1_by_distance(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """Rank-1 by distance to the camera, one mark per network; `table` as `SurveillanceOutcome.table()` gives it."""
    networks = list(networks or dict.fromkeys(table.network))
    figure, axes = plt.subplots(figsize=(7.0, 4.2))
    distances, looks = sorted(table.distance.unique()), styles(networks)
    shift = min(0.8 / len(networks), 0.14) * (np.arange(len(networks)) - (len(networks) - 1) / 2)
    for network, offset in zip(networks, shift, strict=True):
        rows = table[table.network == network].set_index("distance").loc[distances]
        bars = np.abs(rows[["low", "high"]].to_numpy().T - rows.rank1.to_numpy())
        axes.errorbar(
            np.arange(len(distances)) + offset,
            rows.rank1,
            bars,
            fmt=looks[network]["marker"],
            capsize=2,
            color=looks[network]["color"],
            label=label(network),
        )
    first = table.drop_duplicates("distance").set_index("distance")
    axes.set_xticks(
        range(len(distances)),
        [
            f"d{one}: {first.metres[one]:.2f} m\n{first.probes[one]:,} probes of {first.people[one]} people"
            for one in distances
        ],
    )
    axes.grid(axis="x", visible=False)
    axes.set(ylabel="rank-1 (%)", ylim=(0, 101))
    _legend_below(figure, axes)
    return figure


def bicubic_and_camera(bicubic: pd.DataFrame, by_camera: pd.DataFrame) -> Figure:
    """Rank-1 against face width on faces shrunk by bicubic interpolation (filled, solid) and on the same faces as a
    camera gives them (hollow, dotted), P1 and P2 side by side. Tables as `evaluate.Outcome.table()` gives them."""
    figure, panels = _panels(list(dict.fromkeys(by_camera.protocol)))
    looks, widths = styles(by_camera.network.unique()), sorted(by_camera.width.unique())
    shift = 1 + 0.012 * (np.arange(len(looks)) - (len(looks) - 1) / 2)  # or the bars would hide one another
    for protocol, axes in panels.items():
        for (network, look), aside in zip(looks.items(), shift, strict=True):
            for table, fill, dash in ((bicubic, look["color"], "-"), (by_camera, page_color(), ":")):
                rows = table[(table.protocol == protocol) & (table.network == network) & table.width.isin(widths)]
                rows = rows.sort_values("width")
                axes.errorbar(
                    aside * rows.width,
                    rows.rank1,
                    [rows.rank1 - rows.low, rows.high - rows.rank1],
                    color=look["color"],
                    marker=look["marker"],
                    markerfacecolor=fill,
                    linestyle=dash,
                    capsize=2,
                    elinewidth=0.8,
                    label=label(network) if dash == "-" else "_",
                )  # matplotlib leaves out "_"
        axes.set(xlabel="face width (pixels)", ylabel="rank-1 (%)", title=PROTOCOLS[protocol], ylim=(0, None))
        _width_axis(axes, by_camera.width)
        axes.label_outer()
    axes.plot([], [], color=text_color(), marker="o", label="shrunk by bicubic interpolation")
    axes.plot(
        [],
        [],
        color=text_color(),
        marker="o",
        markerfacecolor=page_color(),
        linestyle=":",
        label="as a camera gives them",
    )
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=3, frameon=False)
    return figure


def differences(table: pd.DataFrame) -> Figure:
    """Paired differences with their intervals, one line each: what lies across zero is not decided.

    `table` has a row each with `what` (the line's label), `difference`, `low` and `high` in percentage points.
    """
    figure, axes = plt.subplots(figsize=(7.0, 0.9 + 0.34 * len(table)))
    axes.axvline(0, color=text_color(), linewidth=1)
    for place, row in enumerate(table.itertuples()):
        axes.errorbar(
            row.difference,
            place,
            xerr=[[row.difference - row.low], [row.high - row.difference]],
            fmt="o",
            capsize=3,
            color=text_color(),
        )
    axes.set_yticks(range(len(table)), table.what)
    axes.invert_yaxis()
    axes.set(xlabel="difference in rank-1 (points)")
    axes.grid(axis="y", visible=False)
    return figure

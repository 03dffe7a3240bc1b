"""Figures of pictures that are small by nature: pure functions of the tables of `rifr.evaluation.small_faces`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rifr.evaluation.evaluate import PROTOCOLS
from rifr.report.figures.axes import Look, bars, from_zero, legend_below, offsets, one_line_each, panels, width_axis
from rifr.report.style import label, page_color, styles, text_color


def as_they_come(pictures: Sequence[np.ndarray], columns: int = 8) -> Figure:
    """Pictures (h, w, 3) uint8 of any size on one scale, one square per pixel; each has its size above it."""
    widest = max(picture.shape[1] for picture in pictures)
    lines = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(picture.shape[0] for picture in line) for line in lines]
    side = 9.0 / columns / widest  # of a pixel, in inches
    size = 9.0, side * sum(heights) + 0.25 * len(lines)
    figure, grid = plt.subplots(len(lines), columns, squeeze=False, height_ratios=heights, figsize=size)
    for row, line, height in zip(grid, lines, heights, strict=True):
        for axes in row:
            axes.set_axis_off()
        for axes, picture in zip(row, line, strict=False):
            axes.imshow(picture)
            axes.set(xlim=(-0.5, widest - 0.5), ylim=(height - 0.5, -0.5))  # one scale for all
            axes.set_title(f"{picture.shape[1]} × {picture.shape[0]}", fontsize=7, pad=2, loc="left")
    return figure


def one_person_per_row(pictures: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """Fig. 1: small photos (h, w, 3) uint8 of one person of each set, each enlarged to the same cell, size above it.

    Each square is one pixel. `pictures` by the name of the row.
    """
    across = max(map(len, pictures.values()))
    figure, grid = plt.subplots(len(pictures), across, squeeze=False, figsize=(1.6 * across, 1.75 * len(pictures)))
    for line, (name, shown) in zip(grid, pictures.items(), strict=True):
        for axes, picture in zip(line, shown, strict=False):
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(f"{picture.shape[1]} × {picture.shape[0]}", fontsize=7, pad=2, loc="left")
        for axes in line:
            axes.set(xticks=[], yticks=[], frame_on=False)
            axes.grid(False)
        line[0].set_ylabel(name, fontsize=8)
    return figure


def rank1_by_network(table: pd.DataFrame) -> Figure:
    """Rank-1 with its interval, one line per network; `table` as `small_faces.SearchOutcome.table()` gives it."""
    names = [label(name) for name in table.network]
    figure, axes = one_line_each(table, "rank1", names, list(styles(table.network).values()))
    axes.set(xlabel="rank-1 (%)", xlim=(0, None))
    return figure


def rank1_by_distance(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """Rank-1 by distance to the camera, one mark per network; `table` as `SurveillanceOutcome.table()` gives it."""
    looks = styles(networks or dict.fromkeys(table.network))
    figure, axes = plt.subplots(figsize=(7.0, 4.2))
    first = table.sort_values("distance").drop_duplicates("distance").set_index("distance")
    places = np.arange(len(first))
    for (network, look), offset in zip(looks.items(), offsets(len(looks), min(0.8 / len(looks), 0.14)), strict=True):
        rows = table[table.network == network].set_index("distance").loc[first.index]
        options = {"fmt": look["marker"], "color": look["color"], "label": label(network), "capsize": 2}
        axes.errorbar(places + offset, rows.rank1, bars(rows, "rank1"), **options)
    names = [
        f"d{row.Index}: {row.metres:.2f} m\n{row.probes:,} probes of {row.people} people" for row in first.itertuples()
    ]
    axes.set_xticks(places, names)
    axes.grid(axis="x", visible=False)
    axes.set(ylabel="rank-1 (%)", ylim=(0, 101))
    legend_below(figure, axes)
    return figure


def bicubic_and_camera(bicubic: pd.DataFrame, camera: pd.DataFrame) -> Figure:
    """Rank-1 against face width on faces shrunk by bicubic interpolation (filled, solid) and on the same faces as a
    camera gives them (hollow, dotted), P1 and P2 side by side. Tables as `evaluate.Outcome.table()` gives them."""
    figure, axes_of = panels(camera.protocol)
    looks = styles(camera.network.unique())
    shift = 1 + offsets(len(looks), 0.012)  # or the bars would hide one another
    for protocol, axes in axes_of.items():
        for (network, look), aside in zip(looks.items(), shift, strict=True):
            for table, fill, dash in ((bicubic, look["color"], "-"), (camera, page_color(), ":")):
                rows = table[(table.protocol == protocol) & (table.network == network)]
                rows = rows[rows.width.isin(camera.width)].sort_values("width")
                options = look | {"markerfacecolor": fill, "linestyle": dash, "capsize": 2, "elinewidth": 0.8}
                name = label(network) if dash == "-" else "_"  # matplotlib leaves out "_"
                axes.errorbar(aside * rows.width, rows.rank1, bars(rows, "rank1"), label=name, **options)
        axes.set(ylabel="rank-1 (%)", title=PROTOCOLS[protocol])
        width_axis(axes, camera.width)
        axes.label_outer()
    of_kinds: Look = {"color": text_color(), "marker": "o"}
    axes.plot([], [], label="shrunk by bicubic interpolation", **of_kinds)
    of_kinds |= {"markerfacecolor": page_color(), "linestyle": ":"}
    axes.plot([], [], label="as a camera gives them", **of_kinds)
    from_zero(axes_of)
    legend_below(figure, axes, columns=3)
    return figure


def differences(table: pd.DataFrame, measure: str = "rank-1") -> Figure:
    """Paired differences with their intervals, one line each: what lies across zero is not decided.

    Parameters
    ----------
    table
        A row each with `what` (the line's label), `difference`, `low` and `high` in percentage points.
    measure
        Of what: the name of the axis.
    """
    looks = [{"marker": "o", "color": text_color()}] * len(table)
    figure, axes = one_line_each(table, "difference", table.what, looks)
    axes.axvline(0, color=text_color(), linewidth=1)
    axes.set(xlabel=f"difference in {measure} (points)")
    return figure

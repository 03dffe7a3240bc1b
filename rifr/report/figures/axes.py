"""What the figures share: panels, curves with intervals, error bars, the axis of face widths, the legend below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rifr.report.style import label, network_style, page_color, styles, text_color

Look = dict[str, Any]
"""Keywords of `Axes.plot`: color, marker, linestyle."""

LINES: tuple[Look, ...] = (
    {"color": "#0173b2", "marker": "o", "linestyle": "-"},
    {"color": "#d55e00", "marker": "s", "linestyle": "--"},
    {"color": "#029e73", "marker": "^", "linestyle": ":"},
    {"color": "#cc78bc", "marker": "D", "linestyle": "-."},
)
"""Curves that are no recognition networks take these in turn."""


def panels(
    names: Iterable[Any], width: float = 9.0, height: float = 4.2, **options: Any
) -> tuple[Figure, dict[Any, Axes]]:
    """One axes for each different name, side by side on one scale; a single one is at most 7 inches wide."""
    names = list(dict.fromkeys(names))
    size = (min(width, 7.0) if len(names) == 1 else width, height)
    figure, axes = plt.subplots(1, len(names), figsize=size, sharey=True, squeeze=False, **options)
    return figure, dict(zip(names, axes[0], strict=True))


def from_zero(axes_of: Mapping[Any, Axes]) -> None:
    """Let the common scale of `panels` begin at zero; after all are drawn, for a limit once set does not grow."""
    next(iter(axes_of.values())).set_ylim(0, None)


def grid(
    count: int, columns: int, width: float, height: float, **options: Any
) -> tuple[Figure, np.ndarray, list[Axes]]:
    """The figure, its whole grid of axes and the first `count` of them; the others are switched off."""
    columns = min(columns, count)
    lines = -(-count // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(width * columns, height * lines), squeeze=False, **options)
    for unused in axes.flat[count:]:
        unused.set_axis_off()
    return figure, axes, list(axes.flat[:count])


def sheet(
    pictures: Sequence[Sequence[np.ndarray]] | np.ndarray,
    size: tuple[float, float],
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> tuple[Figure, list[list[Axes]]]:
    """Pictures close together, with names for rows and columns: the figure, and its axes by row and column."""
    figure, axes = plt.subplots(len(pictures), len(pictures[0]), figsize=size, squeeze=False)
    figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    lines: list[list[Axes]] = axes.tolist()
    for line, shown in zip(lines, pictures, strict=True):
        for panel, picture in zip(line, shown, strict=True):
            panel.imshow(picture)
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
            for spine in panel.spines.values():
                spine.set_visible(False)
    for panel, name in zip(lines[0], columns, strict=False):
        panel.set_title(name, fontsize=9)
    for line, name in zip(lines, rows, strict=False):
        line[0].set_ylabel(name, fontsize=8)
    return figure, lines


def curve(axes: Axes, rows: pd.DataFrame, x: str, y: str, name: str, look: Look) -> None:
    """One curve through column `y` over column `x`, with the interval from `low` to `high` as a band."""
    rows = rows.sort_values(x)
    axes.plot(rows[x], rows[y], label=name, **look)
    axes.fill_between(rows[x], rows.low, rows.high, color=look["color"], alpha=0.15, linewidth=0)


def curves(axes: Axes, table: pd.DataFrame, x: str, y: str, networks: Sequence[str] = ()) -> None:
    """One `curve` per network of the table, or of those in `networks`."""
    looks = styles(table.network.unique())
    for network in networks or looks:
        curve(axes, table[table.network == network], x, y, label(network), looks[network])


def bars(rows: pd.DataFrame, value: str) -> np.ndarray:
    """Lengths of error bars below and above column `value`, (2, rows)."""
    return np.abs(rows[["low", "high"]].to_numpy().T - rows[value].to_numpy())


def offsets(count: int, step: float) -> np.ndarray:
    """Places for `count` marks beside one another around 0."""
    return step * (np.arange(count) - (count - 1) / 2)


def one_line_each(rows: pd.DataFrame, value: str, names: Sequence[str], looks: Sequence[Look]) -> tuple[Figure, Axes]:
    """Each row's value and interval on a line of its own, the first on top."""
    figure, axes = plt.subplots(figsize=(7.0, 0.9 + 0.33 * len(rows)))
    for place, ((_, row), look) in enumerate(zip(rows.iterrows(), looks, strict=True)):
        ends = [[row[value] - row.low], [row.high - row[value]]]
        axes.errorbar(row[value], place, xerr=ends, fmt=look["marker"], color=look["color"], capsize=3)
    axes.set_yticks(range(len(rows)), list(names))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure, axes


def hollow_and_filled(
    tables: dict[str, pd.DataFrame], titles: dict[tuple[str, int], str], width: float, columns: int = 2
) -> Figure:
    """Rank-1 of each network twice, as a hollow and as a filled mark, with intervals.

    Parameters
    ----------
    tables
        Two, as `evaluate.Outcome.table()` gives them, by what the legend calls them: the hollow marks, the filled ones.
    titles
        One panel for each protocol and face width, with its title.
    width, columns
        Of a panel in inches, and panels side by side.
    """
    figure, all_axes, shown = grid(len(titles), columns, width, 2.7, sharex=True, sharey=True)
    looks = styles(next(iter(tables.values())).network.unique())
    for axes, ((protocol, at), title) in zip(shown, titles.items(), strict=True):
        for table, fill, aside in zip(tables.values(), (False, True), (-0.14, 0.14), strict=True):
            rows = table[(table.protocol == protocol) & (table.width == at)].set_index("network")
            for line, (network, look) in enumerate(looks.items()):
                row = rows.loc[[network]]
                options = {"fmt": look["marker"], "color": look["color"], "capsize": 2, "elinewidth": 0.9}
                options |= {} if fill else {"markerfacecolor": page_color()}
                axes.errorbar(row.rank1, [line + aside], xerr=bars(row, "rank1"), **options)
        axes.set(title=title, yticks=range(len(looks)))
        axes.set_yticklabels([label(network) for network in looks])
        axes.grid(axis="y", visible=False)
    shown[0].invert_yaxis()
    for axes in all_axes[-1]:
        axes.set_xlabel("rank-1 (%)")
    for name, face in zip(tables, (page_color(), text_color()), strict=True):
        shown[0].plot([], [], label=name, color=text_color(), marker="o", linestyle="none", markerfacecolor=face)
    legend_below(figure, shown[0])
    return figure


def paper_marks(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """A hollow mark for each figure of the paper that lies on the axes: (network, x, y); one entry in the legend."""
    hollow: Look = {"linestyle": "none", "markersize": 7, "clip_on": False, "zorder": 5}
    for network, x, y in points:
        look = network_style(network)
        axes.plot(x, y, marker=look["marker"], markeredgecolor=look["color"], markerfacecolor=page_color(), **hollow)
    if points:
        hollow |= {"marker": "o", "markeredgecolor": text_color(), "markerfacecolor": page_color(), "clip_on": True}
        axes.plot([], [], label="the paper's, on its faces", **hollow)


def width_axis(axes: Axes, widths: Iterable[int], of: str = "face width (pixels)") -> None:
    """Widths on a logarithmic axis, where halving the pixels is the same step everywhere."""
    axes.set_xscale("log")
    axes.set_xlabel(of)
    axes.minorticks_off()
    ticks: list[int] = []
    for width in sorted(set(widths), reverse=True):
        if not ticks or width < 0.88 * ticks[-1]:  # closer labels would run into one another
            ticks.append(width)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])


def legend_below(figure: Figure, *shown: Axes, columns: int | None = None) -> None:
    """One legend under all panels, where it covers no curve; each entry of any panel stands in it once."""
    entries: dict[str, Artist] = {}
    for axes in shown:
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    across = columns or min(5 if figure.get_figwidth() > 8 else 4, len(entries))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=across, frameon=False)

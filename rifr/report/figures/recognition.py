"""Results to figures: one pure function per figure, from a table or arrays to a matplotlib figure.

No function here opens a pack or a network. Style, colours and the light and dark variants are `rifr.report.show`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rifr.evaluation.evaluate import PROTOCOLS
from rifr.report import paper
from rifr.report.style import label, network_style, page_color, styles, text_color

HOLLOW = {"linestyle": "none", "markersize": 7, "clip_on": False, "zorder": 5}
"""How figures of the paper are drawn beside ours."""


def rank1_by_width(table: pd.DataFrame, protocol: str, networks: Sequence[str] = ()) -> Figure:
    """Figs. 5, 6, 9 and 10: rank-1 against face width, one curve per network with its interval over people.

    `table` as `evaluate.Outcome.table()` gives it. Hollow marks: what the paper's text reports for the same protocol on
    its own faces.
    """
    figure, axes = plt.subplots()
    _rank1_curves(axes, table, protocol, networks)
    _legend_below(figure, axes)
    return figure


def rank1_of_both(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """P1 and P2, or which of them the table has, side by side: `rank1_by_width` on one scale."""
    figure, panels = _panels(list(dict.fromkeys(table.protocol)))
    for protocol, axes in panels.items():
        _rank1_curves(axes, table, protocol, networks)
        axes.label_outer()
    _legend_below(figure, axes)
    return figure


def differences(tables: dict[str, pd.DataFrame], protocol: str, other: str) -> Figure:
    """Networks minus `other`, paired by person, against face width: what lies across zero is not decided.

    `tables` holds `evaluate.Outcome.difference(network, other)` by network.
    """
    figure, axes = plt.subplots(figsize=(7.0, 3.6))
    axes.axhline(0, color=text_color(), linewidth=1)
    widths = sorted(next(iter(tables.values())).width.unique())
    shift = 0.18 * (np.arange(len(tables)) - (len(tables) - 1) / 2)
    looks = styles(tables)
    for (network, table), offset in zip(tables.items(), shift, strict=True):
        part = table[table.protocol == protocol].set_index("width").loc[widths]
        style = looks[network]
        bars = np.abs(part[["low", "high"]].to_numpy().T - part.difference.to_numpy())
        axes.errorbar(
            np.arange(len(widths)) + offset,
            part.difference,
            bars,
            fmt=style["marker"],
            color=style["color"],
            capsize=3,
            label=label(network),
        )
    axes.set_xticks(range(len(widths)), widths)
    axes.set(xlabel="face width (pixels)", title=PROTOCOLS[protocol], ylabel=f"rank-1 minus {label(other)}'s (points)")
    _legend_below(figure, axes)
    return figure


def angles_by_width(table: pd.DataFrame, networks: Sequence[str]) -> Figure:
    """Fig. 3 measured: the angle between features at 112 px and at a lower width, for pairs of photos.

    `table` has a row per network, width and kind ("same photo", "same person", "other people") with `angle`, `low`,
    `high` in degrees; one panel per network.
    """
    figure, panels = plt.subplots(1, len(networks), figsize=(3.1 * len(networks), 3.7), sharey=True, squeeze=False)
    dashes = {"same photo": "-", "same person": "--", "other people": ":"}
    for axes, network in zip(panels[0], networks, strict=True):
        style = network_style(network)
        for kind, dash in dashes.items():
            part = table[(table.network == network) & (table.kind == kind)].sort_values("width")
            axes.plot(part.width, part.angle, dash, color=style["color"], marker=style["marker"], label=kind)
            axes.fill_between(part.width, part.low, part.high, color=style["color"], alpha=0.15, linewidth=0)
        axes.set(title=label(network), xlabel="width of the second photo (pixels)", ylim=(0, None))
        _width_axis(axes, part.width)
    panels[0, 0].set_ylabel("angle (degrees)")
    _legend_below(figure, panels[0, -1])
    return figure


def angles_to_teacher(table: pd.DataFrame, networks: Sequence[str]) -> Figure:
    """Fig. 3 (b) measured: the angle from a student's feature at each width to the teacher's feature at 112 px.

    `table` has a row per network and width with `angle`, `low`, `high` in degrees. The dotted line at 90 degrees is
    what unrelated directions give.
    """
    figure, axes = plt.subplots(figsize=(7.0, 3.8))
    axes.axhline(90, color=text_color(), linewidth=1, linestyle=":")
    for network in networks:
        part = table[table.network == network].sort_values("width")
        style = network_style(network)
        axes.plot(part.width, part.angle, label=label(network), **style)
        axes.fill_between(part.width, part.low, part.high, color=style["color"], alpha=0.15, linewidth=0)
    axes.set(
        xlabel="face width of the student's photo (pixels)", ylabel="angle to the teacher (degrees)", ylim=(0, 100)
    )
    _width_axis(axes, part.width)
    _legend_below(figure, axes)
    return figure


def training_curves(histories: dict[str, list[dict[str, float]]]) -> Figure:
    """Loss and accuracy on the training batches by epoch, one curve per network; `Run.history` by network."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6))
    for network, history in histories.items():
        rows = pd.DataFrame(history)
        style = network_style(network)
        left.plot(rows.epoch, rows.loss, **style)
        right.plot(rows.epoch, 100 * rows.accuracy, label=label(network), **style)
    left.set(xlabel="epoch", ylabel="loss (each network's own)", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="training rows with the right class (%)", ylim=(0, 101))
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    _legend_below(figure, right)
    return figure


def faces_at_widths(images: np.ndarray, widths: Sequence[int]) -> Figure:
    """Fig. 1: one row per person, one column per face width. `images` (rows, len(widths), 112, 112, 3) uint8."""
    return _sheet(images, columns=[f"{width} px" for width in widths])


def people(images: np.ndarray, rows: Sequence[str] = ()) -> Figure:
    """A contact sheet: (rows, columns, 112, 112, 3) uint8, one row per person."""
    return _sheet(images, rows=rows)


def attribute_histograms(attributes: dict[str, np.ndarray]) -> Figure:
    """How attributes are spread: one histogram each; the keys are the axes' labels, with units."""
    columns = min(3, len(attributes))
    lines = -(-len(attributes) // columns)
    figure, panels = plt.subplots(lines, columns, figsize=(3.0 * columns, 2.4 * lines), squeeze=False)
    for axes, (name, values) in zip(panels.flat, attributes.items(), strict=False):
        values = np.asarray(values, float)
        share = np.full(len(values), 100 / len(values))
        axes.hist(values, bins=24, weights=share, color=network_style("hr-only")["color"])
        axes.set(xlabel=name, ylabel="photos (%)" if axes is panels[0, 0] else "")
        axes.grid(False)
    for axes in panels.flat[len(attributes) :]:
        axes.set_axis_off()
    return figure


def cmc(table: pd.DataFrame, width: int | None = None, networks: Sequence[str] = ()) -> Figure:
    """Cumulative match characteristics at one face width (default: the narrowest), P1 and P2 side by side.

    `table` as `evaluate.Outcome.cmc()` gives it.
    """
    width = table.width.min() if width is None else width
    table = table[table.width == width]
    figure, panels = _panels(list(dict.fromkeys(table.protocol)))
    for protocol, axes in panels.items():
        part = table[table.protocol == protocol]
        _curves(axes, part, "rank", "rate", networks)
        axes.set(
            xlabel="rank",
            ylabel="found at this rank or before (%)",
            ylim=(0, 100),
            title=f"{PROTOCOLS[protocol]}, {width} px",
        )
        axes.set_xscale("log")
        axes.minorticks_off()
        ticks = [rank for rank in (1, 2, 5, 10, 20, 50, 100) if rank <= part["rank"].max()]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.label_outer()
    _legend_below(figure, axes)
    return figure


def roc(curves: dict[str, pd.DataFrame], least_fpr: float, protocol: str = "", width: int = 0) -> Figure:
    """Figs. 7 and 8: TPR against FPR, one curve per network (`evaluate.RocOutcome.curve`: shares), every threshold a step.

    The axis begins at `least_fpr`, what the pairs can resolve. Hollow marks: what the paper's text reports for
    `protocol` at the face width `width`.
    """
    figure, axes = plt.subplots()
    looks = styles(curves)
    reported = [row for row in paper.TPR if (row.protocol, row.width) == (protocol, width) and row.fpr >= least_fpr]
    for network, curve in curves.items():
        style = looks[network] | {"marker": ""}
        axes.plot(curve.fpr, 100 * curve.tpr, drawstyle="steps-post", label=label(network), **style)
    _paper_marks(axes, [(row.network, row.fpr, row.tpr) for row in reported if row.network in curves])
    axes.set(
        xscale="log",
        xlim=(least_fpr, 1),
        ylim=(0, 100),
        xlabel="false positive rate",
        ylabel="true positive rate (%)",
        title=", ".join(text for text in (PROTOCOLS.get(protocol, ""), f"{width} px" if width else "") if text),
    )
    _legend_below(figure, axes)
    return figure


def tpr_by_width(table: pd.DataFrame, protocol: str, networks: Sequence[str] = ()) -> Figure:
    """TPR against face width at each FPR of `table` (`evaluate.RocOutcome.table()`), one panel per FPR, one protocol."""
    part = table[table.protocol == protocol]
    drawn = set(networks or part.network)
    reported = [row for row in paper.TPR if row.protocol == protocol and row.network in drawn]
    figure, panels = _panels(list(dict.fromkeys(part.fpr)))
    for fpr, axes in panels.items():
        _curves(axes, part[part.fpr == fpr], "width", "tpr", networks)
        _paper_marks(axes, [(row.network, row.width, row.tpr) for row in reported if row.fpr == fpr])
        axes.set(
            xlabel="face width (pixels)",
            ylabel="true positive rate (%)",
            ylim=(0, 100),
            title=f"{PROTOCOLS[protocol]}, FPR {fpr:g}",
        )
        _width_axis(axes, part.width)
        axes.label_outer()
    _legend_below(figure, *panels.values())
    return figure


def _panels(names: list) -> tuple[Figure, dict]:
    """One axes for each name, side by side on one scale."""
    figure, panels = plt.subplots(
        1, len(names), figsize=(7.0 if len(names) == 1 else 9.0, 4.2), sharey=True, squeeze=False
    )
    return figure, dict(zip(names, panels[0], strict=True))


def _curves(axes: Axes, table: pd.DataFrame, x: str, y: str, networks: Sequence[str] = ()) -> None:
    """One curve per network with its interval as a band."""
    looks = styles(table.network.unique())
    for network in networks or looks:
        rows, style = table[table.network == network].sort_values(x), looks[network]
        axes.plot(rows[x], rows[y], label=label(network), **style)
        axes.fill_between(rows[x], rows.low, rows.high, color=style["color"], alpha=0.15, linewidth=0)


def _paper_marks(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """A hollow mark for each figure of the paper that lies on the axes: (network, x, y); one entry in the legend."""
    for network, x, y in points:
        look = network_style(network)
        axes.plot(x, y, **HOLLOW, marker=look["marker"], markeredgecolor=look["color"], markerfacecolor=page_color())
    if points:
        entry = {"marker": "o", "markeredgecolor": text_color(), "markerfacecolor": page_color()}
        axes.plot([], [], **HOLLOW, **entry, label="the paper's, on its faces")


def _rank1_curves(axes: Axes, table: pd.DataFrame, protocol: str, networks: Sequence[str]) -> None:
    part = table[table.protocol == protocol]
    _curves(axes, part, "width", "rank1", networks)
    drawn = set(networks or part.network)
    reported = [row for row in paper.RANK1 if row.protocol == protocol and row.network in drawn]
    _paper_marks(axes, [(row.network, row.width, row.rank1) for row in reported])
    axes.set(xlabel="face width (pixels)", ylabel="rank-1 (%)", title=PROTOCOLS[protocol], ylim=(0, 100))
    _width_axis(axes, part.width)


def _legend_below(figure: Figure, *panels: Axes) -> None:
    """One legend under all panels, where it covers no curve; each entry of any panel stands in it once."""
    entries = {}
    for axes in panels:
        handles, texts = axes.get_legend_handles_labels()
        entries |= {name: handle for handle, name in zip(handles, texts, strict=True) if name not in entries}
    across = min(5 if figure.get_figwidth() > 8 else 4, len(entries))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=across, frameon=False)


def _width_axis(axes: Axes, widths: pd.Series) -> None:
    """Widths on a logarithmic axis, where halving the pixels is the same step everywhere."""
    axes.set_xscale("log")
    axes.minorticks_off()
    ticks: list[int] = []
    for width in sorted(set(widths), reverse=True):
        if not ticks or width < 0.88 * ticks[-1]:  # closer labels would run into one another
            ticks.append(width)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])


def _sheet(images: np.ndarray, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> Figure:
    lines, across = images.shape[:2]
    side = min(0.95, 9.0 / across)
    figure, panels = plt.subplots(
        lines,
        across,
        figsize=(side * across, side * lines + (0.25 if len(columns) else 0)),
        squeeze=False,
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    for line in range(lines):
        for column in range(across):
            axes = panels[line, column]
            axes.imshow(images[line, column])
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            for spine in axes.spines.values():
                spine.set_visible(False)
            if line == 0 and len(columns):
                axes.set_title(columns[column], fontsize=9)
            if column == 0 and len(rows):
                axes.set_ylabel(rows[line], fontsize=8)
    return figure

"""Soft targets as pictures, and what of a student's error the loss hears."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rifr.evaluation.soft_targets import Resemblance
from rifr.report.figures.axes import Look, legend_below, panels, sheet
from rifr.report.style import label, network_style, text_color


def resemblances(found: Sequence[Resemblance], pictures: Sequence[Sequence[np.ndarray]]) -> Figure:
    """One row per photo: the photo, and the people whom the teacher thinks it resembles with their probabilities.

    A frame marks the right person. Left of each row stands the entropy of the teacher's softmax.

    Parameters
    ----------
    found
        From `soft_targets.resemblances`.
    pictures
        `Resemblance.pictures` of each.
    """
    people = len(pictures[0]) - 1
    rows = [f"{one.entropy:.2f} nats" for one in found]
    columns = ["photo", "likeliest", "2nd", "3rd", "4th", "5th"][: people + 1]
    figure, axes = sheet(pictures, (1.12 * (people + 1) + 0.3, 1.38 * len(rows) + 0.3), rows, columns)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    for one, line in zip(found, axes, strict=True):
        for panel, class_, probability in zip(line[1:], one.classes, one.probabilities, strict=True):
            panel.set_xlabel(percent(probability), fontsize=9, labelpad=3)
            if class_ == one.label:
                for spine in panel.spines.values():
                    spine.set(visible=True, linewidth=2.5, edgecolor=text_color())
    return figure


def percent(share: float) -> str:
    """ "95.7 %", "0.02 %", "under 0.01 %": a probability with as many figures as it has a use for."""
    if share >= 0.9995:
        return f"{100 * share:.2f} %" if share < 0.99995 else "over 99.99 %"
    if share < 1e-4:
        return "under 0.01 %"
    return f"{100 * share:.{1 if share >= 0.001 else 2}f} %"


def second_order(table: pd.DataFrame) -> Figure:
    """Half the variance under q against the divergence, one panel per student, one dot per photo and width.

    On the line the two are equal: there equation (E) holds.

    Parameters
    ----------
    table
        As `soft_targets.off_by` gives it; the two widths with most and fewest pixels are drawn.
    """
    figure, axes_of = panels(table.network, 9.0, 3.9)
    widths = sorted({table.width.max(), table.width.min()}, reverse=True)
    shown = table[(table.divergence > 0) & (table.half_variance > 0)]
    ends = np.log10(np.quantile(shown[["divergence", "half_variance"]], [0.002, 1]))
    least, most = 10 ** np.floor(ends[0]), 10 ** np.ceil(ends[1])  # whole decades, which have labels
    for network, axes in axes_of.items():
        color = network_style(network)["color"]
        for width, marker in zip(widths, "os", strict=False):
            rows = shown[(shown.network == network) & (shown.width == width)]
            filled = width == widths[0]
            axes.scatter(
                rows.divergence,
                rows.half_variance,
                s=9,
                marker=marker,
                facecolors=color if filled else "none",
                edgecolors=color,
                linewidths=0.6,
                alpha=0.55,
            )
            look: Look = {"marker": marker, "markerfacecolor": text_color() if filled else "none"}
            axes.plot([], [], linestyle="none", color=text_color(), label=f"{width} px", **look)
        axes.plot([least, most], [least, most], color=text_color(), linewidth=1, linestyle=":")
        axes.set(xscale="log", yscale="log", xlim=(least, most), ylim=(least, most), title=label(network))
        axes.set(xlabel="KL(q‖p) of a photo (nats)", ylabel="half the variance under q (nats)")
        axes.minorticks_off()
        axes.label_outer()
    legend_below(figure, *list(axes_of.values())[:1])
    return figure

"""Figures of what resolution does to whom: pure functions of the tables that `rifr.evaluation.subgroups` makes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from rifr import recipes
from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.subgroups import BINNINGS
from rifr.report.figures.axes import LINES, bars, curve, grid, panels, width_axis
from rifr.report.style import network_style, page_color, text_color


def rates_by_width(table: pd.DataFrame, network: str, protocol: str) -> Figure:
    """One panel per attribute: rank-1 of one network against face width, one curve per group from the reference on.

    `table` as `subgroups.rates` gives it. A curve without a shade around it is that of too few people for an interval.
    """
    table = table[table.network == network]
    attributes = list(table.attribute.unique())
    figure, all_axes, shown = grid(len(attributes), 2, 3.5, 3.1, sharex=True, sharey=True)  # as wide as a page
    for axes, attribute in zip(shown, attributes, strict=True):
        part = table[table.attribute == attribute]
        bands = list(part.band.unique())
        for band, color, look in zip(bands, _shades(network, len(bands)), LINES, strict=False):
            curve(axes, part[part.band == band], "width", "rank1", band, look | {"color": color, "markersize": 4})
        width_axis(axes, part.width, "")
        axes.tick_params(labelbottom=True, labelsize=8)
        title = BINNINGS[attribute].label if attribute in BINNINGS else attribute
        axes.set_title(title.replace(" (", "\n(", 1), fontsize=9)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=7.5, ncols=1, frameon=False)
    for axes in all_axes[:, 0]:
        axes.set(ylabel="rank-1 (%)", ylim=(0, None))
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(h_pad=0.12)  # a legend is nearer to its own panel than to the next
    figure.supxlabel("face width of the probe (pixels)", fontsize=10)
    figure.suptitle(f"{recipes.get(network).label}, {PROTOCOLS[protocol]}")
    return figure


def effects_at_ends(effects: pd.DataFrame, protocol: str) -> Figure:
    """Each group minus its reference, one panel per network: hollow on the largest faces, filled on the smallest.

    `effects` as `subgroups.effects` gives it; the bars are its corrected intervals: one that excludes zero is
    decided. A mark without a bar has too few people with hits, or misses, for an interval.
    """
    effects = effects[effects.kind == "effect"]
    widths = sorted(effects.width.unique(), reverse=True)
    bands = list(dict.fromkeys(zip(effects.attribute, effects.band, strict=True)))
    size = 4.6 * effects.network.nunique(), 1.2 + 0.34 * len(bands)
    figure, axes_of = panels(effects.network, *size, sharex=True)
    for network, axes in axes_of.items():
        look = network_style(network)
        axes.axvline(0, color=text_color(), linewidth=1)
        for width, offset in zip(widths, (-0.17, 0.17), strict=False):
            rows = effects[(effects.network == network) & (effects.width == width)]
            rows = rows.set_index(["attribute", "band"]).loc[bands]
            filled = width == widths[-1]
            axes.errorbar(
                rows.estimate,
                np.arange(len(bands)) + offset,
                xerr=bars(rows, "estimate"),
                fmt=look["marker"],
                color=look["color"],
                markerfacecolor=look["color"] if filled else page_color(),
                elinewidth=1.6 if filled else 0.9,
                capsize=2,
                label=f"{width} px",
            )
        for place in range(1, len(bands)):  # a line between attributes
            if bands[place][0] != bands[place - 1][0]:
                axes.axhline(place - 0.5, color=text_color(), linewidth=0.4, alpha=0.5)
        axes.grid(axis="y", visible=False)
        axes.set_title(recipes.get(network).label, pad=24)
        axes.set_xlabel("rank-1 minus the reference group's (points)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8, ncols=2, frameon=False)
    figure.axes[0].set_yticks(range(len(bands)), [f"{attribute} {band}" for attribute, band in bands])
    figure.axes[0].invert_yaxis()
    figure.suptitle(PROTOCOLS[protocol])
    return figure


def _shades(network: str, count: int) -> list[str]:
    """Colours from the text's to the network's: in order of lightness on any page, and none near the page's own."""
    first, last = (np.array(to_rgb(color)) for color in (text_color(), network_style(network)["color"]))
    return [to_hex(first + share * (last - first)) for share in np.linspace(0, 1, count)]

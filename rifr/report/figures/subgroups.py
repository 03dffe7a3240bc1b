"""Figures of what resolution does to whom: pure functions of the tables that `rifr.evaluation.subgroups` makes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from rifr import recipes
from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.subgroups import CUTS
from rifr.report.figures.recognition import _width_axis
from rifr.report.style import network_style, page_color, text_color

MARKS = (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."))


def rates_by_width(table: pd.DataFrame, network: str, protocol: str) -> Figure:
    """One panel per attribute: rank-1 of one network against face width, one curve per band from the reference on.

    `table` as `groups.rates` gives it. A curve without a shade around it is that of too few people for an interval.
    """
    table = table[table.network == network]
    attributes = list(table.attribute.unique())
    columns = min(4, len(attributes))
    lines = -(-len(attributes) // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(2.7 * columns, 3.4 * lines), sharex=True, sharey=True, squeeze=False
    )
    for axes, attribute in zip(panels.flat, attributes, strict=False):
        part = table[table.attribute == attribute]
        names = list(part.band.unique())
        for name, colour, (marker, dash) in zip(names, _shades(network, len(names)), MARKS, strict=False):
            rows = part[part.band == name].sort_values("width")
            axes.plot(rows.width, rows.rank1, color=colour, marker=marker, linestyle=dash, label=name, markersize=4)
            axes.fill_between(rows.width, rows.low, rows.high, color=colour, alpha=0.15, linewidth=0)
        _width_axis(axes, part.width)
        axes.tick_params(labelbottom=True, labelsize=8)
        axes.set_title(_title(attribute), fontsize=9)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=7.5, ncols=1, frameon=False)
    for axes in panels.flat[len(attributes) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set(ylabel="rank-1 (%)", ylim=(0, None))
    figure.supxlabel("face width of the probe (pixels)", fontsize=10)
    figure.suptitle(f"{recipes.get(network).label}, {PROTOCOLS[protocol]}")
    return figure


def effects_at_ends(effects: pd.DataFrame, protocol: str) -> Figure:
    """Each band minus its reference, one panel per network: hollow at the widest faces, filled at the narrowest.

    `effects` as `groups.effects` gives it; the bars are its corrected intervals: one that leaves out zero is decided. A
    mark without a bar has too few people with hits, or misses, for an interval.
    """
    effects = effects[effects.kind == "effect"]
    networks, widths = effects.network.unique(), sorted(effects.width.unique(), reverse=True)
    bands = list(dict.fromkeys(zip(effects.attribute, effects.band, strict=True)))
    figure, panels = plt.subplots(
        1,
        len(networks),
        figsize=(4.6 * len(networks), 1.2 + 0.34 * len(bands)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, network in zip(panels[0], networks, strict=True):
        style = network_style(network)
        axes.axvline(0, color=text_color(), linewidth=1)
        for width, offset in zip(widths, (-0.17, 0.17), strict=False):
            rows = effects[(effects.network == network) & (effects.width == width)]
            rows = rows.set_index(["attribute", "band"]).loc[bands]
            bars = np.abs(rows[["low", "high"]].to_numpy().T - rows.estimate.to_numpy())
            filled = width == widths[-1]
            axes.errorbar(
                rows.estimate,
                np.arange(len(bands)) + offset,
                xerr=bars,
                fmt=style["marker"],
                color=style["color"],
                markerfacecolor=style["color"] if filled else page_color(),
                elinewidth=1.6 if filled else 0.9,
                capsize=2,
                label=f"{width} px",
            )
        for place in range(1, len(bands)):  # a line between attributes
            if bands[place][0] != bands[place - 1][0]:
                axes.axhline(place - 0.5, color=text_color(), linewidth=0.4, alpha=0.5)
        axes.grid(axis="y", visible=False)
        axes.set_title(recipes.get(network).label, pad=24)
        axes.set_xlabel("rank-1 minus the reference band's (points)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8, ncols=2, frameon=False)
    panels[0, 0].set_yticks(range(len(bands)), [f"{attribute} {band}" for attribute, band in bands])
    panels[0, 0].invert_yaxis()
    figure.suptitle(PROTOCOLS[protocol])
    return figure


def _shades(network: str, count: int) -> list[str]:
    """Colours from the text's through the network's towards the page's: in order of lightness on any page."""
    ends = [to_rgb(colour) for colour in (text_color(), network_style(network)["color"], page_color())]
    places = np.linspace(0, 1.4, count)
    return [to_hex([np.interp(place, (0, 1, 2), channel) for channel in zip(*ends, strict=True)]) for place in places]


def _title(attribute: str) -> str:
    label = CUTS[attribute].label if attribute in CUTS else attribute
    return label.replace(" (", "\n(", 1)

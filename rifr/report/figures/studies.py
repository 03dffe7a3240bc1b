"""Figures of the studies (`rifr.report.studies`)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rifr.report.figures.axes import bars, grid, legend_below, offsets
from rifr.report.style import ROLES, label, page_color, styles


def by_variant(table: pd.DataFrame) -> Figure:
    """Rank-1 of each network, one line per variant, the first on top; one panel per place.

    Parameters
    ----------
    table
        A row per variant, network and place: `variant`, `network`, `place`, `value`, `low`, `high` in per cent.
    """
    variants, looks = list(dict.fromkeys(table.variant)), styles(table.network.unique())
    places = list(dict.fromkeys(table.place))
    height = 1.3 + len(variants) * (0.25 + 0.11 * len(looks))
    figure, _, axes_of = grid(len(places), 2, 9.0 / len(places), height, sharey=True)
    for place, axes in zip(places, axes_of, strict=True):
        for (network, look), offset in zip(looks.items(), offsets(len(looks), 0.8 / len(looks)), strict=True):
            rows = table[(table.place == place) & (table.network == network)]
            lines = [variants.index(variant) + offset for variant in rows.variant]
            options = {"color": look["color"], "fmt": look["marker"], "capsize": 2, "label": label(network)}
            options |= {"markerfacecolor": page_color()} if network in ROLES else {}  # told from the network itself
            axes.errorbar(rows.value, lines, xerr=bars(rows, "value"), **options)
        axes.set(xlabel="rank-1 (%)", title=place)
        axes.grid(axis="y", visible=False)
        for line in range(1, len(variants)):
            axes.axhline(line - 0.5, color=axes.xaxis.get_gridlines()[0].get_color(), linewidth=0.6)
    first = axes_of[0]
    first.set_yticks(range(len(variants)), variants)
    first.set_ylim(len(variants) - 0.5, -0.5)
    legend_below(figure, *axes_of)
    return figure

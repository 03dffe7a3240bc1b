"""Figures of the page "Why is my number lower?": pure functions of the tables of `rifr.doctor`."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rifr.evaluation.evaluate import PROTOCOLS
from rifr.report.figures.axes import LINES, bars, curve, legend_below, offsets, panels, width_axis
from rifr.report.style import label, page_color, styles, text_color

REPORTED = {"mean": "mean over the folds", "fitted": "threshold chosen on the same pairs", "best": "best fold"}
RULES = {"miss": "equal scores are misses", "hit": "equal scores are hits"}
PHOTOS = {"within": "the probe's own photo in the gallery", "without": "without it"}


def settings(tables: Mapping[int, pd.DataFrame]) -> Figure:
    """What each setting costs against the declared one, a line per setting, a mark per face width.

    Parameters
    ----------
    tables
        By face width: `rifr.doctor.Examination.table`, all of the same settings.
    """
    names = [name for name in next(iter(tables.values())).setting if name != "as declared"]
    figure, axes = plt.subplots(figsize=(7.0, 1.2 + 0.36 * len(names)))
    for (width, table), look, aside in zip(tables.items(), LINES, offsets(len(tables), 0.26), strict=False):
        rows = table.set_index("setting").loc[names]
        ends = np.abs(rows[["difference_low", "difference_high"]].to_numpy().T - rows.difference.to_numpy())
        options = {"fmt": look["marker"], "color": look["color"], "capsize": 2.5, "label": f"{width} px"}
        axes.errorbar(rows.difference, np.arange(len(names)) + aside, xerr=ends, **options)
    axes.axvline(0, color=text_color(), linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="accuracy on pairs against the declared setting (points)")
    legend_below(figure, axes)
    return figure


def interpolation(change: pd.DataFrame) -> Figure:
    """Rank-1 on faces shrunk by area minus rank-1 on faces shrunk bicubic, by face width.

    Parameters
    ----------
    change
        As `Outcome.change` gives it.
    """
    figure, axes_of = panels(change.protocol)
    looks = styles(change.network.unique())
    shift = 1 + offsets(len(looks), 0.02)
    for protocol, axes in axes_of.items():
        for (network, look), aside in zip(looks.items(), shift, strict=True):
            rows = change[(change.protocol == protocol) & (change.network == network)].sort_values("width")
            options = look | {"capsize": 2, "label": label(network)}
            axes.errorbar(aside * rows.width, rows.difference, bars(rows, "difference"), **options)
        axes.axhline(0, color=text_color(), linewidth=1)
        axes.set(ylabel="area minus bicubic (points of rank-1)", title=PROTOCOLS[protocol])
        width_axis(axes, change.width)
        axes.label_outer()
    legend_below(figure, *axes_of.values())
    return figure


def folds(table: pd.DataFrame) -> Figure:
    """What is reported of the same features: a dot per division into folds, and the mean over divisions.

    Parameters
    ----------
    table
        As `rifr.doctor.traps.folds` gives it.
    """
    figure, axes = plt.subplots(figsize=(7.0, 2.6))
    aside = offsets(len(table), 0.5 / max(1, len(table) - 1))  # each division at the same height in every row
    for place, (column, look) in enumerate(zip(REPORTED, LINES, strict=False)):
        axes.plot(table[column], place + aside, ".", color=look["color"], markersize=3, alpha=0.7)
        options = {"color": look["color"], "marker": look["marker"], "markeredgecolor": page_color()}
        axes.plot(table[column].mean(), place, markersize=9, **options)
    axes.set_yticks(range(len(REPORTED)), list(REPORTED.values()))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="accuracy on pairs (%)")
    return figure


def ties(table: pd.DataFrame) -> Figure:
    """Rank-1 against the bits of a feature's numbers, where equal scores count against the network and for it.

    Parameters
    ----------
    table
        As `rifr.doctor.traps.ties` gives it.
    """
    figure, axes = plt.subplots(figsize=(7.0, 3.6))
    places = {bits: place for place, bits in enumerate(sorted(table.bits.unique()))}
    for (rule, name), look in zip(RULES.items(), LINES, strict=False):
        rows = table[table.ties == rule]
        curve(axes, rows.assign(place=rows.bits.map(places)), "place", "rank1", name, look)
    axes.set_xticks(list(places.values()), [str(bits) if bits else "0: one for all" for bits in places])
    axes.set(xlabel="bits of each number of a feature", ylabel="rank-1 (%)", ylim=(-2, 102))
    legend_below(figure, axes)
    return figure


def own_photo(table: pd.DataFrame) -> Figure:
    """Rank-1 by face width, with the probe's own photo in the gallery and without it, P1 and P2 side by side.

    Parameters
    ----------
    table
        A row per protocol and width, as `rifr.doctor.traps.own_photo` gives them.
    """
    figure, axes_of = panels(table.protocol, height=3.8)
    for protocol, axes in axes_of.items():
        part = table[table.protocol == protocol]
        for (column, name), look in zip(PHOTOS.items(), LINES, strict=False):
            rows = part.assign(low=part[f"{column}_low"], high=part[f"{column}_high"])
            curve(axes, rows, "width", column, name, look)
        axes.set(ylabel="rank-1 (%)", title=PROTOCOLS[protocol], ylim=(0, 102))
        width_axis(axes, table.width)
        axes.label_outer()
    legend_below(figure, *axes_of.values())
    return figure

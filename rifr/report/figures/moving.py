"""The figures that move under a slider (`rifr.report.frames`), one frame each."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from rifr.report.figures.axes import legend_below
from rifr.report.states import Plane, Scores
from rifr.report.style import ends, label, network_style, text_color

IMPOSTOR = "#8c6bb1"
"""No network's colour, as far from the text's on a light page as on a dark one."""


def threshold(of: Scores, at: float, network: str) -> Figure:
    """Above, how genuine and impostor pairs score, and a threshold; below, the point that it is on the ROC."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(5.6, 6.4))
    bins = np.linspace(min(of.genuine[0], of.impostor[0]), 1, 80)
    kinds = (of.impostor, "impostor pairs", IMPOSTOR, "--"), (of.genuine, "genuine pairs", text_color(), "-")
    for pairs, name, color, dash in kinds:
        above.hist(pairs, bins, density=True, histtype="step", color=color, linestyle=dash)
        edges = np.array([at, *bins[bins > at]])
        density = np.histogram(pairs, edges)[0] / len(pairs) / np.diff(edges)  # of all pairs
        above.stairs(density, edges, fill=True, color=color, alpha=0.35)
        above.plot([], [], color=color, linestyle=dash, label=name)
    above.axvline(at, color=text_color(), linewidth=1)
    above.set(xlabel="cosine", ylabel="density", title=f"{label(network)}: pairs right of {at:.2f} are accepted")
    above.grid(visible=False)
    edges = np.unique(np.concatenate([of.impostor[:: max(1, len(of.impostor) // 2000)], of.impostor[-2000:]]))
    tpr, fpr = np.array([of.rates(float(edge)) for edge in edges]).T
    look = network_style(network) | {"marker": ""}
    below.plot(fpr, 100 * tpr, **look)
    found, accepted = of.tpr(at).percent(), of.rates(at)[1]
    reach = [[found.estimate - found.low], [found.high - found.estimate]]
    here = max(accepted, 1 / len(of.impostor)), found.estimate
    below.errorbar(*here, yerr=reach, fmt="o", color=text_color(), markersize=7, capsize=3)
    below.set(xscale="log", xlim=(1 / len(of.impostor), 1), ylim=(0, 100))
    below.set(xlabel="false positive rate", ylabel="true positive rate (%)")
    below.set_title(f"TPR {found.estimate:.1f} %{ends(found.low, found.high)} at an FPR of {accepted:.2g}")
    legend_below(figure, above)
    return figure


def features_by_width(of: Mapping[str, Plane], reach: float) -> Figure:
    """One panel a network: where photos' features lie at 112 px (hollow) and at the width (filled), joined by lines."""
    figure, panels = plt.subplots(len(of), 1, figsize=(4.6, 4.2 * len(of)), squeeze=False)
    for axes, (name, plane) in zip(panels[:, 0], of.items(), strict=True):
        for place, person in enumerate(np.unique(plane.people)):
            mine = plane.people == person
            colour, mark = f"C{place}", "osD^v"[place % 5]
            axes.plot(*np.stack([plane.high[mine], plane.low[mine]], 1).transpose(2, 1, 0), color=colour, linewidth=0.7)
            axes.scatter(*plane.high[mine].T, marker=mark, facecolor="none", edgecolor=colour, s=40)
            axes.scatter(*plane.low[mine].T, marker=mark, color=colour, s=24)
        axes.set(title=label(name), aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
        axes.set(ylabel="second direction")
    axes.set_xlabel("first direction")
    return figure

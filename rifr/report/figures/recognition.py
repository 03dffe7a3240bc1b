"""Results to figures: one pure function per figure, from a table or arrays to a matplotlib figure.

No function here opens a pack or a network. Style, colours and the light and dark variants are `rifr.report.show`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rifr.evaluation.evaluate import PROTOCOLS
from rifr.evaluation.geometry import Likeness
from rifr.evaluation.metrics import Interval
from rifr.evaluation.one_probe import Miss, OneProbe
from rifr.report import paper
from rifr.report.figures.axes import (
    bars,
    curve,
    curves,
    from_zero,
    grid,
    hollow_and_filled,
    legend_below,
    offsets,
    panels,
    paper_marks,
    sheet,
    width_axis,
)
from rifr.report.style import label, network_style, styles, text_color
from rifr.report.text.galleries import places


def rank1_by_width(table: pd.DataFrame, protocol: str, networks: Sequence[str] = ()) -> Figure:
    """Figs. 5, 6, 9 and 10: rank-1 against face width under one protocol, as `rank1_of_both` draws it."""
    return rank1_of_both(table[table.protocol == protocol], networks)


def rank1_of_both(table: pd.DataFrame, networks: Sequence[str] = ()) -> Figure:
    """Rank-1 against face width, one panel per protocol, one curve per network with its interval over people.

    Hollow marks: what the paper's text reports for the same protocol on its own faces.

    Parameters
    ----------
    table
        As `evaluate.Outcome.table()` gives it.
    networks
        Those to draw; all of the table if empty.
    """
    drawn = set(networks or table.network)
    figure, axes_of = panels(table.protocol)
    for protocol, axes in axes_of.items():
        part = table[table.protocol == protocol]
        curves(axes, part, "width", "rank1", networks)
        reported = [row for row in paper.RANK1 if row.protocol == protocol and row.network in drawn]
        paper_marks(axes, [(row.network, row.width, row.rank1) for row in reported])
        axes.set(ylabel="rank-1 (%)", title=PROTOCOLS[protocol], ylim=(0, 100))
        width_axis(axes, part.width)
        axes.label_outer()
    legend_below(figure, *axes_of.values())
    return figure


def differences(tables: dict[str, pd.DataFrame], protocol: str, other: str) -> Figure:
    """Networks minus `other`, paired by person, against face width: what lies across zero is not decided.

    Parameters
    ----------
    tables
        `evaluate.Outcome.difference(network, other)` by network.
    """
    figure, axes = plt.subplots(figsize=(7.0, 3.6))
    axes.axhline(0, color=text_color(), linewidth=1)
    widths = sorted(next(iter(tables.values())).width.unique())
    for (network, look), offset in zip(styles(tables).items(), offsets(len(tables), 0.18), strict=True):
        rows = tables[network][tables[network].protocol == protocol].set_index("width").loc[widths]
        places, options = np.arange(len(widths)) + offset, {"color": look["color"], "label": label(network)}
        axes.errorbar(places, rows.difference, bars(rows, "difference"), fmt=look["marker"], capsize=3, **options)
    axes.set_xticks(range(len(widths)), widths)
    axes.set(xlabel="face width (pixels)", title=PROTOCOLS[protocol], ylabel=f"rank-1 minus {label(other)}'s (points)")
    legend_below(figure, axes)
    return figure


def angles_by_width(table: pd.DataFrame, networks: Sequence[str]) -> Figure:
    """Within one network, the angle between features at 112 px and at a lower width; one panel per network.

    Parameters
    ----------
    table
        A row per network, width and kind of pair ("same photo", "same person", "other people") with `angle`, `low`,
        `high` in degrees.
    """
    dashes = {"same photo": "-", "same person": "--", "other people": ":"}
    figure, axes_of = panels(networks, 3.1 * len(networks), 3.7)
    for network, axes in axes_of.items():
        for kind, dash in dashes.items():
            rows = table[(table.network == network) & (table.kind == kind)]
            curve(axes, rows, "width", "angle", "", network_style(network) | {"linestyle": dash})
        axes.set(title=label(network), ylabel="angle (degrees)")
        width_axis(axes, table.width, "width of the second photo (pixels)")
        axes.label_outer()
    for kind, dash in dashes.items():  # of all panels, so in no network's colour
        axes.plot([], [], color=text_color(), linestyle=dash, label=kind)
    from_zero(axes_of)
    legend_below(figure, axes)
    return figure


def angles_to_teacher(table: pd.DataFrame, networks: Sequence[str]) -> Figure:
    """Fig. 3 (b) measured: the angle from a student's feature at each width to the teacher's feature at 112 px.

    The dotted line at 90 degrees is what unrelated directions give.

    Parameters
    ----------
    table
        A row per network and width with `angle`, `low`, `high` in degrees.
    """
    figure, axes = plt.subplots(figsize=(7.0, 3.8))
    axes.axhline(90, color=text_color(), linewidth=1, linestyle=":")
    curves(axes, table, "width", "angle", networks)
    axes.set(ylabel="angle to the teacher (degrees)", ylim=(0, 100))
    width_axis(axes, table.width, "face width of the student's photo (pixels)")
    legend_below(figure, axes)
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
    legend_below(figure, right)
    return figure


def faces_at_widths(images: np.ndarray, widths: Sequence[int]) -> Figure:
    """Fig. 1: one row per person, one column per face width; `images` (people, widths, 112, 112, 3) uint8."""
    return _contact_sheet(images, columns=[f"{width} px" for width in widths])


def people(images: np.ndarray, rows: Sequence[str] = (), side: float = 0.95) -> Figure:
    """A contact sheet, one row per person or name; `images` (rows, columns, 112, 112, 3) uint8.

    side: of a photo, in inches; less where there are too many for the page.
    """
    return _contact_sheet(images, rows=rows, side=side)


def one_probe(trial: OneProbe) -> Figure:
    """A trial of P2: one row per width with the probe and, for each network, the right face and the best wrong one.

    Below a face stands its cosine with the probe, below the right one its rank too; a frame marks the higher cosine.
    """
    networks = list(dict.fromkeys(network for network, _ in trial.answers))
    pictures, columns = [], ["\nprobe"]
    for width, probe in zip(trial.widths, trial.probe_images, strict=True):
        pairs = [(trial.right_image, trial.wrong_images[network, width]) for network in networks]
        pictures.append([probe, *(picture for pair in pairs for picture in pair)])
    for network in networks:
        columns += [f"{label(network)}:\nright", "best\nwrong"]
    size = (0.59 * len(columns), 0.88 * len(pictures) + 0.33)  # two networks fit a phone
    figure, axes = sheet(pictures, size, [f"{width} px" for width in trial.widths], columns)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.03, wspace=0.01, hspace=0.01)
    for panel in axes[0]:
        panel.title.set_fontsize(8)
    for width, line in zip(trial.widths, axes, strict=True):
        for network, right, wrong in zip(networks, line[1::2], line[2::2], strict=True):
            answer = trial.answers[network, width]
            right.set_xlabel(f"{answer.right:.2f}\nrank {answer.rank}", fontsize=8, labelpad=2)
            wrong.set_xlabel(f"{answer.best_wrong:.2f}", fontsize=8, labelpad=2)
            for spine in (right if answer.rank == 1 else wrong).spines.values():
                spine.set(visible=True, linewidth=2, edgecolor=text_color())
    return figure


def like_both(found: Likeness, first: str = "hr-only", second: str = "lr-only") -> Figure:
    """How like each network is to two others, with intervals over people; lines: how like these two are.

    A network up and right of both lines lies between the two: it is more like each than they are like one another.
    """
    between = found.value[first, second]
    names = dict.fromkeys(name for name, _ in found.value)
    figure, axes = plt.subplots(figsize=(4.4, 4.4))
    for name in names:
        options = network_style(name) | {"label": label(name), "capsize": 2, "linestyle": "none"}
        across, up = (Interval(1, 1, 1) if name == end else found.interval((name, end)) for end in (first, second))
        reach = [[[like.estimate - like.low], [like.high - like.estimate]] for like in (across, up)]
        axes.errorbar(across.estimate, up.estimate, xerr=reach[0], yerr=reach[1], **options)
    for draw in (axes.axvline, axes.axhline):
        draw(between, color=text_color(), linewidth=0.6, linestyle=":")
    axes.set(xlabel=f"like {label(first)}", ylabel=f"like {label(second)}")
    legend_below(figure, axes, columns=2)
    return figure


def misses(trials: Sequence[Miss], width: int) -> Figure:
    """Missed trials, one a column: the probe, the right face and the answer, below these their cosines with the probe.

    width: of the probes, in pixels.
    """
    pictures = list(zip(*(trial.images for trial in trials), strict=True))
    size = 0.59 * len(trials) + 0.25, 2.3  # six fit a phone
    figure, (_, right, wrong) = sheet(pictures, size, [f"probe, {width} px", "right", "answer"])
    for trial, *below in zip(trials, right, wrong, strict=True):
        for panel, cosine in zip(below, (trial.right, trial.best_wrong), strict=True):
            panel.set_xlabel(f"{cosine:.2f}", fontsize=8, labelpad=2)
    return figure


def attribute_histograms(attributes: dict[str, np.ndarray]) -> Figure:
    """How attributes are spread: one histogram each; the keys are the axes' labels, with units."""
    figure, _, shown = grid(len(attributes), 3, 3.0, 2.4)
    for axes, (name, values) in zip(shown, attributes.items(), strict=True):
        weights = np.full(len(values), 100 / len(values))
        axes.hist(np.asarray(values, float), bins=24, weights=weights, color=network_style("hr-only")["color"])
        axes.set(xlabel=name, ylabel="photos (%)" if axes is shown[0] else "")
        axes.grid(False)
    return figure


def cmc(table: pd.DataFrame, width: int | None = None, networks: Sequence[str] = ()) -> Figure:
    """Cumulative match characteristics at one face width, P1 and P2 side by side.

    Parameters
    ----------
    table
        As `evaluate.Outcome.cmc()` gives it.
    width
        The smallest of the table if None.
    """
    width = table.width.min() if width is None else width
    table = table[table.width == width]
    figure, axes_of = panels(table.protocol)
    ticks = [rank for rank in (1, 2, 5, 10, 20, 50, 100) if rank <= table["rank"].max()]
    for protocol, axes in axes_of.items():
        curves(axes, table[table.protocol == protocol], "rank", "rate", networks)
        axes.set(xlabel="rank", ylabel="found at this rank or before (%)", ylim=(0, 100), xscale="log")
        axes.set_title(f"{PROTOCOLS[protocol]}, {width} px")
        axes.minorticks_off()
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.label_outer()
    legend_below(figure, axes)
    return figure


def roc(roc_curves: dict[str, pd.DataFrame], least_fpr: float, protocol: str = "", width: int = 0) -> Figure:
    """Figs. 7 and 8: TPR against FPR, one curve per network, every threshold a step.

    Hollow marks: what the paper's text reports for `protocol` at the face width `width`.

    Parameters
    ----------
    roc_curves
        `evaluate.RocOutcome.curve` by network: fractions.
    least_fpr
        Where the axis begins: what the pairs can resolve.
    """
    figure, axes = plt.subplots()
    reported = [row for row in paper.TPR if (row.protocol, row.width) == (protocol, width) and row.fpr >= least_fpr]
    for network, look in styles(roc_curves).items():
        points, look = roc_curves[network], look | {"marker": ""}
        axes.plot(points.fpr, 100 * points.tpr, drawstyle="steps-post", label=label(network), **look)
    paper_marks(axes, [(row.network, row.fpr, row.tpr) for row in reported if row.network in roc_curves])
    axes.set(xscale="log", xlim=(least_fpr, 1), ylim=(0, 100))
    axes.set(xlabel="false positive rate", ylabel="true positive rate (%)")
    axes.set_title(", ".join(text for text in (PROTOCOLS.get(protocol, ""), f"{width} px" if width else "") if text))
    legend_below(figure, axes)
    return figure


def tpr_by_width(table: pd.DataFrame, protocol: str, networks: Sequence[str] = ()) -> Figure:
    """TPR against face width under one protocol, one panel per FPR of `table` (`evaluate.RocOutcome.table()`)."""
    table = table[table.protocol == protocol]
    drawn = set(networks or table.network)
    reported = [row for row in paper.TPR if row.protocol == protocol and row.network in drawn]
    figure, axes_of = panels(table.fpr)
    for fpr, axes in axes_of.items():
        curves(axes, table[table.fpr == fpr], "width", "tpr", networks)
        paper_marks(axes, [(row.network, row.width, row.tpr) for row in reported if row.fpr == fpr])
        axes.set(ylabel="true positive rate (%)", ylim=(0, 100), title=f"{PROTOCOLS[protocol]}, FPR {fpr:g}")
        width_axis(axes, table.width)
        axes.label_outer()
    legend_below(figure, *axes_of.values())
    return figure


def hard_galleries(hard: pd.DataFrame, random: pd.DataFrame, size: int) -> Figure:
    """Rank-1 of each network among distractors at random (hollow) and among as many who are alike (filled).

    Parameters
    ----------
    hard, random
        Tables of `evaluation.hard_galleries.Galleries`.
    size
        Distractors of a gallery.
    """
    titles = places(zip(hard.protocol, hard.width, strict=True))
    tables = {f"{size} distractors at random": random, f"the {size} most alike": hard}
    return hollow_and_filled(tables, titles, 3.1 if len(titles) > 2 else 4.5, columns=3)


def _contact_sheet(
    images: np.ndarray, rows: Sequence[str] = (), columns: Sequence[str] = (), side: float = 0.95
) -> Figure:
    lines, across = images.shape[:2]
    side = min(side, 9.0 / across)
    return sheet(images, (side * across, side * lines + (0.25 if len(columns) else 0)), rows, columns)[0]

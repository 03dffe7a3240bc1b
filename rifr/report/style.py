"""How figures look, and numbers: the colours, markers and dashes of the networks, light and dark pages, intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import matplotlib
from cycler import cycler

import rifr.methods  # noqa: F401 (its networks have labels too)
from rifr import recipes

DPI = 160  # pixels an inch in the file
CSS_PIXELS = 96  # pixels an inch on the page: the ratio of the two keeps lines sharp on dense screens
INK = {"light": "#222832", "dark": "#ced6dd"}  # the theme's own text and page colours, so that a figure
PAPER = {"light": "#ffffff", "dark": "#121212"}  # looks set into the page
GRID = {"light": "#d8dce0", "dark": "#3a434d"}

# Okabe and Ito's colours as seaborn's "colorblind" palette has them, with a marker and a dash of its own for each
# network: told apart without colour as well. The same in every figure.
NETWORKS: dict[str, dict[str, Any]] = {
    "hr-only": {"color": "#0173b2", "marker": "o", "linestyle": "-"},
    "lr-only": {"color": "#de8f05", "marker": "s", "linestyle": "--"},
    "hr+lr": {"color": "#029e73", "marker": "^", "linestyle": "-."},
    "kl-only": {"color": "#cc78bc", "marker": "D", "linestyle": ":"},
    "shared-only": {"color": "#949494", "marker": "v", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
    "proposed": {"color": "#d55e00", "marker": "P", "linestyle": (0, (7, 1.5))},
}

ROLES = {"teacher": "hr-only"}
"""What records of studies call one of the networks for its part."""

# For a reader's own embedders, in the order in which a figure draws them.
OTHERS: list[dict[str, Any]] = [
    {"color": "#56b4e9", "marker": "X", "linestyle": "-"},
    {"color": "#ca9161", "marker": "*", "linestyle": "--"},
    {"color": "#ece133", "marker": "p", "linestyle": "-."},
    {"color": "#fbafe4", "marker": "h", "linestyle": ":"},
]


def network_style(name: str) -> dict[str, Any]:
    """Colour, marker and dash of a network, as keywords for `Axes.plot`; `name` as in `recipes.RECIPES`."""
    if name not in NETWORKS:
        raise ValueError(f"no colour is set for the network {name!r}; known are {', '.join(NETWORKS)}")
    return dict(NETWORKS[name])


def label(name: str) -> str:
    """What a figure calls a network: the paper's name for its own, a method's for others, else the given name."""
    known = recipes.RECIPES | recipes.OTHERS
    if name in ROLES:
        return f"{known[ROLES[name]].label} ({name})"
    return known[name].label if name in known else name


SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def scientific(value: float, digits: int = 1) -> str:
    """ "1.9 × 10⁻⁷"."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def ends(low: float, high: float, to: str = " to ") -> str:
    """ " (48.7 to 53.7)": an interval after its number; "" where it is not known (NaN)."""
    return f" ({low:.1f}{to}{high:.1f})" if math.isfinite(low) and math.isfinite(high) else ""


def styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The styles of all curves of one figure: the paper's networks have their own, others take turns."""
    others = itertools.cycle(OTHERS)
    known = {name: ROLES.get(name, name) for name in names}
    return {name: network_style(own) if own in NETWORKS else dict(next(others)) for name, own in known.items()}


def style(page: str = "light") -> dict[Any, Any]:
    """Matplotlib settings of a figure on a "light" or a "dark" page; use as `with plt.rc_context(style("dark"))`."""
    if page not in INK:
        raise ValueError(f"unknown page {page!r}; allowed are {', '.join(INK)}")
    ink, paper, grid = INK[page], PAPER[page], GRID[page]
    return {
        "figure.facecolor": paper,
        "axes.facecolor": paper,
        "savefig.facecolor": paper,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.edgecolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "grid.color": grid,
        "legend.edgecolor": grid,
        "hatch.color": ink,
        "legend.facecolor": paper,
        "legend.framealpha": 0.85,
        "legend.fontsize": 9,
        "legend.handlelength": 3.2,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.labelsize": 10,
        "figure.titlesize": 12,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.6,
        "lines.markersize": 5.5,
        "figure.figsize": (7.0, 4.2),
        "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=[row["color"] for row in NETWORKS.values()]),
        "image.cmap": "cividis",
        "image.interpolation": "nearest",
    }


def text_color() -> str:
    """The text colour of the style in force: for lines and marks that belong to no network."""
    return matplotlib.rcParams["text.color"]


def page_color() -> str:
    """The page colour of the style in force: for what has to vanish into the page."""
    return matplotlib.rcParams["figure.facecolor"]

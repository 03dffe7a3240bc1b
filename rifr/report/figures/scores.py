"""Figures of a score (`rifr.score`): rank-1 by face width, the CMC, the ROC."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from rifr import storage
from rifr.errors import SettingError
from rifr.evaluation.scorecard import Score, check_out
from rifr.report.figures import recognition
from rifr.report.style import DPI, style

__all__ = ["FORMATS", "draw", "drawn_of", "save"]

FORMATS = (".png", ".svg", ".pdf")
DRAWN = ("rank1", "cmc", "roc")


def draw(score: Score, measure: str = "", protocol: str = "", width: int = 0) -> Figure:
    """Rank-1 by face width, the CMC at one width, or the ROC of one protocol at one width.

    Parameters
    ----------
    score : Score
        What `rifr.score` gave.
    measure : {"rank1", "cmc", "roc"}, optional
        By default what was measured first.
    protocol : {"P1", "P2"}, optional
        Of the ROC; by default the first that was measured.
    width : int, optional
        Face width in pixels, of CMC and ROC; by default the smallest.

    Raises
    ------
    SettingError
        For a measure that was not taken or that has no figure.
    """
    measure = measure or score.measures[0]
    if measure not in score.measures or measure not in DRAWN:
        drawn = [name for name in score.measures if name in DRAWN]
        raise SettingError(f"there is no figure of {measure!r}: choose one of {', '.join(drawn) or 'none, here'}")
    part = score.table[score.table.measure == measure]
    width = width or int(part.width.min())
    with plt.rc_context(style()):
        if measure == "rank1":
            return recognition.rank1_of_both(part.rename(columns={"value": "rank1"}))
        if measure == "cmc":
            ranks = part.rename(columns={"at": "rank", "value": "rate"}).astype({"rank": int})
            return recognition.cmc(ranks, width)
        protocol = protocol or part.protocol.iloc[0]
        curves = {key[1]: curve for key, curve in score.curves.items() if (key[0], key[2]) == (protocol, width)}
        return recognition.roc(curves, 1 / part.impostors.max(), protocol, width)


def drawn_of(measures: Iterable[str]) -> list[str]:
    """Those of the measures that have a figure; SettingError where none has."""
    measures = list(measures)
    drawn = [measure for measure in measures if measure in DRAWN]
    if not drawn:
        raise SettingError(f"there is no figure of {' and '.join(measures)}: measure one of {', '.join(DRAWN)} as well")
    return drawn


def save(score: Score, path: str | Path) -> list[Path]:
    """Draw each measure that has a figure into `path`; of several, a file each: out-rank1.png, out-roc.png.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    SettingError
        For an ending that is not of `FORMATS`, and where no measure has a figure.
    """
    path = check_out(path, FORMATS)
    drawn = drawn_of(score.measures)
    files = []
    for measure in drawn:
        file = path if len(drawn) == 1 else path.with_name(f"{path.stem}-{measure}{path.suffix}")
        figure = draw(score, measure)
        with plt.rc_context(style()):
            storage.atomic_write(file, partial(figure.savefig, format=path.suffix[1:], dpi=DPI))
        plt.close(figure)
        files.append(file)
    return files

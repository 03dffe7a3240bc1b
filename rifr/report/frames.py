"""A figure that moves: frames of one figure under a slider (`book/_static/frames.js`); without scripts, one of them.

frames(two_dim.plot_features, {"step 0": (of, first), "step 9": (of, last)}, label="Descent", alt="...", caption="...")
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from rifr.report.show import Shown, show


@dataclass(frozen=True)
class Frames:
    """Figures as a notebook displays them: one, and with scripts the slider that shows the others.

    Attributes
    ----------
    label
        What the slider moves.
    shown
        A figure by the title of its frame.
    start
        The title of the one that is seen first.
    """

    label: str
    shown: Mapping[str, Shown]
    start: str

    def _repr_html_(self) -> str:
        frames = (
            f'<div class="rifr-frame" data-title="{html.escape(title)}"{"" if title == self.start else " hidden"}>'
            f"{figure._repr_html_()}</div>"
            for title, figure in self.shown.items()
        )
        return f'<div class="rifr-frames" data-label="{html.escape(self.label)}">{"".join(frames)}</div>'

    def _repr_png_(self) -> bytes:
        return self.shown[self.start].light

    def __repr__(self) -> str:
        return f"[{len(self.shown)} frames] {self.shown[self.start]!r}"


def frames(
    draw: Callable[..., Figure],
    of: Mapping[str, tuple[Any, ...]],
    *,
    label: str,
    alt: str,
    caption: str,
    start: str = "",
    **options: Any,
) -> Frames:
    """Draw one figure for each of several states.

    Parameters
    ----------
    draw
        As for `show`: called once for each frame and page style, `draw(*arguments, **options)`.
    of
        The arguments by the frame's title, in the slider's order.
    label
        What the slider moves.
    alt, caption
        Of every frame; its title is added to `alt`.
    start
        The title of the frame that is seen first and without scripts; the last if empty.

    Raises
    ------
    ValueError
        Where there is no frame, or none of the title `start`.
    """
    start = start or next(reversed(list(of)), "")
    if start not in of:
        raise ValueError(f"no frame is called {start!r}: there are {', '.join(of) or 'none'}")
    shown = {
        title: show(draw, *arguments, alt=f"{alt} {title}.", caption=caption, **options)
        for title, arguments in of.items()
    }
    return Frames(label, shown, start)

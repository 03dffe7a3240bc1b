"""How a chapter shows a figure or a sentence: drawn once for a light page and once for a dark one.

    show(figures.recognition.rank1_by_width, table, protocol="P1", alt="...", caption="...")

calls `figures.recognition.rank1_by_width(table, protocol="P1")` under two styles and returns an HTML <figure> with both
pictures, the alternative text and the caption. The book's style sheet shows the picture that suits the page; without it
(plain Jupyter, an executed copy from papermill) the light one alone is seen.

What is shown ends with a small closed "made by": see `rifr.report.made_by`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from rifr.report.made_by import MadeBy, dotted_name, made_by
from rifr.report.style import CSS_PIXELS, DPI, INK, style

WIDE = 450  # CSS pixels: a wider figure would be unreadable as wide as a phone, and scrolls there
TITLE = 80  # characters of a text that lists name it by
ROW, CELL = re.compile(r"<tr[^>]*>.*?</tr>", re.S), re.compile(r"<td>(.*?)</td>", re.S)
NUMERIC = re.compile(r"(about )?[-+−±<]?\d|–?$")  # how the cell of a number begins; or there is none
INTERVAL = re.compile(r"(<td[^>]*>)([^<>()]{0,13}\d[^<>()]{0,4}) (\([^<>()]*\d[^<>()]*\))")
RECORDED = "rifr.record"  # in an output's metadata: numbers kept for programs


@dataclass(frozen=True)
class Written:
    """Text of a cell that is read like the chapter's own.

    Attributes
    ----------
    data
        Markdown.
    made_by
        What stands behind it.
    """

    data: str
    made_by: MadeBy = field(compare=False)

    def _repr_markdown_(self) -> str:
        return f"{self.data.rstrip()}\n\n{self.made_by.html(_first_words(self.data))}\n"

    def __repr__(self) -> str:
        return self.data


@dataclass(frozen=True)
class Table:
    """A table, or several figures and tables in one place.

    Attributes
    ----------
    data
        HTML.
    made_by
        What stands behind it; None where the parts say so themselves.
    """

    data: str
    made_by: MadeBy | None = field(compare=False)

    def _repr_html_(self) -> str:
        heads = ", ".join(filter(None, map(_plain, re.findall(r"<th\b[^>]*>(.*?)</th>", self.data, re.DOTALL)[:4])))
        return self.data + (self.made_by.html(f"Table: {heads}" if heads else "A table") if self.made_by else "")

    def __repr__(self) -> str:
        return "[table]"


@dataclass(frozen=True)
class Shown:
    """A figure as a notebook displays it.

    Attributes
    ----------
    light, dark
        PNG files.
    width
        In CSS pixels.
    alt, caption
        Alternative text, and what stands below.
    source
        Dotted name of the function that drew it, "" where there is none.
    made_by
        What stands behind it.
    """

    light: bytes
    dark: bytes
    width: int
    alt: str
    caption: str
    source: str
    made_by: MadeBy = field(compare=False)

    def _repr_html_(self) -> str:
        # Inline styles serve pages without the book's style sheet, which overrides them.
        return (
            '<figure class="rifr-figure"><div class="rifr-pictures">'
            + self._image("only-light", self.light, "background:#fff")
            + self._image("only-dark", self.dark, "display:none")
            + f"</div><figcaption>{_inline(self.caption)}{self.made_by.html(self.alt)}</figcaption></figure>"
        )

    def _repr_png_(self) -> bytes:
        return self.light

    def __repr__(self) -> str:
        return f"[figure] {self.alt}\n{self.caption}"

    def _image(self, kind: str, png: bytes, inline: str) -> str:
        data = base64.b64encode(png).decode()
        kind += " wide" if self.width > WIDE else ""
        return (
            f'<img class="{kind}" alt="{html.escape(self.alt)}" width="{self.width}" '
            f'style="max-width:100%;height:auto;{inline}" src="data:image/png;base64,{data}">'
        )


def show(
    draw: Callable[..., Figure],
    *arguments: Any,
    alt: str,
    caption: str,
    source: Callable[..., Any] | None = None,
    **options: Any,
) -> Shown:
    """Draw a figure for light and for dark pages.

    Parameters
    ----------
    draw
        A function that returns a matplotlib figure; called as `draw(*arguments, **options)`, once per style.
    alt
        What a reader who cannot see the figure has to know; plain text.
    caption
        What is shown, with data, n, preset and seed; `code`, *emphasis* and $mathematics$ are understood.
    source
        The function that the caption names (in the book a link to its documentation); `draw` itself if None.

    Raises
    ------
    TypeError
        When `draw` is no function or returns no figure.
    ValueError
        When `alt` or `caption` is empty.
    """
    if not callable(draw):
        raise TypeError(
            f"draw is a {type(draw).__name__}; pass the function that draws the figure and its arguments, "
            "it is called once for a light and once for a dark page"
        )
    for name, text in {"alt": alt, "caption": caption}.items():
        if not text.strip():
            raise ValueError(f"{name} is empty; every figure says what it shows")
    (light, width), (dark, _) = (_draw(partial(draw, *arguments, **options), page) for page in INK)
    name = dotted_name(source or draw)
    behind = made_by(*arguments, options, function=name)
    return Shown(light, dark, width, " ".join(alt.split()), " ".join(caption.split()), name, behind)


def markdown(text: str) -> Written | None:
    """Text of a cell that is read like the chapter's own, `markdown(text.claims.sentences(judged))`; or nothing."""
    return Written(text, made_by()) if text.strip() else None


def html_table(frame: pd.DataFrame, markup: bool = False, wrap: bool = False) -> Table:
    """A data frame without its index, in the book's own style of tables (a pandas Styler stays light on dark pages).

    Integers get thousands separators. `markup`: whether cells are HTML already. `wrap`: whether cells may take several
    lines, for tables of words; others break between a number and its interval alone, and scroll sideways where the page
    is narrower still.
    """
    whole = dict.fromkeys(frame.select_dtypes("integer").columns, "{:,}".format)
    classes = "wrapped" if wrap else None
    page = frame.to_html(index=False, border=0, escape=not markup, formatters=whole, classes=classes)
    return Table(_laid_out(page), made_by(frame))


def tabs(contents: dict[str, Any]) -> Table:
    """Figures and tables in tabs of one place, by their titles, the first in front; one alone stands without a tab.

    In sphinx-design's markup, whose style sheet the book's pages have: in plain Jupyter they stand one below the other.
    """
    shown = [(html.escape(title), content._repr_html_()) for title, content in contents.items()]
    silent = not any("rifr-made-by" in content for _, content in shown)  # a table of pandas' own
    behind = made_by() if silent else None
    if len(shown) == 1:
        (only,) = contents.values()
        return only if isinstance(only, Table) else Table(shown[0][1], behind)
    name = f"rifr-{hashlib.sha256(repr(shown).encode()).hexdigest()[:12]}"
    parts = [
        f'<input type="radio" id="{name}-{place}" name="{name}"{" checked" if not place else ""}>'
        f'<label class="sd-tab-label" for="{name}-{place}">{title}</label><div class="sd-tab-content">{content}</div>'
        for place, (title, content) in enumerate(shown)
    ]
    return Table(f'<div class="sd-tab-set">{"".join(parts)}</div>', behind)


def record(frame: pd.DataFrame, name: str, by: Sequence[str]) -> None:
    """Keep numbers in an output's metadata of the executed notebook, for a batch to gather (`rifr.batch.grid.summary`).

    Parameters
    ----------
    frame
        A row for each number.
    name, by
        The column that holds it, and those that say of what it is.
    """
    from IPython.display import display

    cells = [*by, name]
    rows = [
        [None if pd.isna(value) else getattr(value, "item", lambda value=value: value)() for value in row]
        for row in frame[cells].itertuples(index=False)
    ]
    display(
        {"text/plain": f"[{name}: {len(rows)} numbers kept]"},
        raw=True,
        metadata={RECORDED: {"name": name, "by": list(by), "rows": rows}},
    )


def _draw(draw: Callable[[], Figure], page: str) -> tuple[bytes, int]:
    """The PNG of `draw()` in the style of `page` and its width in CSS pixels."""
    with plt.rc_context(style(page)):
        figure = draw()
        if not isinstance(figure, Figure):
            raise TypeError(f"{dotted_name(draw) or draw} returned a {type(figure).__name__} instead of a figure")
        file = io.BytesIO()
        # The version of matplotlib stays out of the file: the same picture, the same bytes.
        figure.savefig(file, format="png", dpi=DPI, transparent=True, metadata={"Software": None})
        plt.close(figure)  # or the inline backend shows it a third time
    return file.getvalue(), round(figure.get_figwidth() * CSS_PIXELS)


def _laid_out(page: str) -> str:
    """A table whose columns of words are marked as such, and in whose cells numbers and intervals stay in one piece."""
    columns = zip(*(CELL.findall(row) for row in ROW.findall(page.partition("<tbody>")[2])), strict=True)
    words = [not all(NUMERIC.match(re.sub("<[^>]*>", "", cell)) for cell in column) for column in columns]

    def mark(row: re.Match) -> str:
        of = iter(words)
        return re.sub(r"<(t[hd])>", lambda cell: f'<{cell[1]} class="words">' if next(of, False) else cell[0], row[0])

    unbroken = r'\1<span class="unbroken">\2</span> <span class="unbroken">\3</span>'
    return INTERVAL.sub(unbroken, ROW.sub(mark, page))


def _first_words(text: str) -> str:
    """The beginning of a text, for a list."""
    words = _plain(text)
    return words if len(words) <= TITLE else words[:TITLE].rsplit(" ", 1)[0] + " …"


def _plain(text: str) -> str:
    """Markdown or HTML without its marks."""
    text = re.sub(r":{3,}(\{[\w-]+\})?|^:[\w-]+:.*$|<[^>]*>|^ *[-#]+ ", " ", text, flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)|\{[\w:]+\}`([^`]*)`", lambda link: link[1] or link[2] or "", text)
    text = re.sub(r"\$[^$]*\\[^$]*\$", "…", text)  # a formula in TeX
    return " ".join(re.sub(r"[`$]|\*+(?=\S)|(?<=\S)\*+", "", text).split())


def _inline(text: str) -> str:
    """The three marks that a caption may have, as HTML."""
    text = html.escape(text, quote=False)
    text = re.sub(r"\$([^$]+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', text)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"(?<![\w*])\*([^*]+)\*(?![\w*])", r"<em>\1</em>", text)

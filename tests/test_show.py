"""A figure is drawn for both pages, says what it shows, and is readable where there is no style sheet."""

import base64
import dataclasses
import html
import io
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rifr.report.made_by import dotted_name
from rifr.report.show import html_table, markdown, show
from rifr.report.style import DPI, INK, NETWORKS, network_style, style
from tests.test_living import needs_browser, served_to_browser

ROOT = Path(__file__).resolve().parent.parent


def line(values, title=""):
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.plot(values)
    axes.set_title(title)
    return figure


def pictures(html):
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
        for data in re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    ]


def test_a_figure_has_a_light_and_a_dark_picture_of_the_same_drawing():
    light, dark = pictures(show(line, [0, 1, 3], title="x", alt="A line", caption="It rises.")._repr_html_())
    assert light.shape == dark.shape == (2 * DPI, 3 * DPI, 4)
    assert light[0, 0, 3] == dark[0, 0, 3] == 0, "the page shines through"
    for image, page in ((light, "light"), (dark, "dark")):
        colour = [int(INK[page][place : place + 2], 16) for place in (1, 3, 5)]
        assert (image[image[..., 3] == 255][:, :3] == colour).all(1).any(), f"no {page} ink"


def test_each_picture_has_the_alternative_text_and_the_caption_stands_once():
    html = show(line, [1, 2], alt='Two "points" < 3', caption="`w` in *pixels*, $w^2 < 4$")._repr_html_()
    assert html.count('alt="Two &quot;points&quot; &lt; 3"') == 2
    assert "<code>w</code> in <em>pixels</em>" in html and r"\(w^2 &lt; 4\)" in html
    assert html.count("<figcaption>") == 1


def test_without_a_style_sheet_only_the_light_picture_is_seen():
    html = show(line, [1, 2], alt="a", caption="c")._repr_html_()
    images = re.findall(r"<img[^>]*?>", re.sub(r"base64,[^\"]+", "", html))
    assert ["display:none" in image for image in images] == [False, True]


def test_no_figure_stays_open_and_no_setting_leaks():
    before = dict(plt.rcParams)
    show(line, [1, 2], alt="a", caption="c")
    assert plt.get_fignums() == [] and dict(plt.rcParams) == before


def test_the_caption_names_the_library_function_that_drew():
    assert dotted_name(show) == "rifr.report.show.show"
    assert "rifr-source" not in show(line, [1], alt="a", caption="c")._repr_html_()
    shown = show(line, [1], alt="a", caption="c", source=style)
    assert '<code class="rifr-source">rifr.report.style.style</code>' in shown._repr_html_()


def test_the_same_figure_gives_the_same_bytes():
    first, second = (show(line, [1, 5, 2], alt="a", caption="c") for _ in range(2))
    assert first == second


def test_the_text_fallback_can_be_read():
    assert repr(show(line, [1], alt="A dot.", caption="One value.")) == "[figure] A dot.\nOne value."


def test_wrong_arguments_say_what_to_do():
    figure = line([1])
    with pytest.raises(TypeError, match="function"):
        show(figure, alt="a", caption="c")
    plt.close(figure)
    with pytest.raises(TypeError, match="a list"):
        show(list, alt="a", caption="c")
    with pytest.raises(ValueError, match="alt is empty"):
        show(line, [1], alt=" ", caption="c")
    with pytest.raises(ValueError, match="'hr'"):
        network_style("hr")


def test_networks_differ_in_colour_in_marker_and_in_dash():
    rows = [network_style(name) for name in NETWORKS]
    for key in ("color", "marker", "linestyle"):
        assert len({str(row[key]) for row in rows}) == len(rows) == 6


def test_a_table_has_the_class_that_the_theme_styles_and_no_index():
    page = html_table(pd.DataFrame({"network": ["proposed"], "rank-1": [50.65]}, index=[17])).data
    assert 'class="dataframe"' in page and "50.65" in page and "17" not in page
    assert "wrapped" not in page
    assert 'class="dataframe wrapped"' in html_table(pd.DataFrame({"why": ["words"]}), wrap=True).data


def test_words_and_numbers_are_told_apart_by_column_and_an_interval_is_never_cut():
    columns = {"network": ["HR-only", "3-D"], "rank-1": ["51.1 (48.9–53.4)", "about 40"], "mAP": ["–", "-0.5 (95 %)"]}
    page = html_table(pd.DataFrame(columns | {"n": [12, 1234], "why": ["1 (one of few)", "two"]})).data
    assert page.count('<th class="words">') == 2 and page.count('<td class="words">') == 4
    assert '<th class="words">network</th>' in page and '<td class="words">3-D</td>' in page
    assert '<td><span class="unbroken">51.1</span> <span class="unbroken">(48.9–53.4)</span></td>' in page
    assert "<td>1,234</td>" in page and "<td>about 40</td>" in page
    assert '<td class="words">1 (one of few)</td>' in page  # words in brackets are none
    assert '<td class="words"><code>a</code></td>' in html_table(pd.DataFrame({"a": ["<code>a</code>"]}), True).data
    html_table(pd.DataFrame({"a": []}))  # nothing to lay out


@pytest.mark.parametrize(
    "text, name",
    [
        (
            "- **C3. HR+LR falls** ([chapter 3](baselines.ipynb)): `a` and $D = 32$.",
            "C3. HR+LR falls (chapter 3): a and D = 32.",
        ),
        (":::{admonition} Margins\n:class: dropdown\n\nAll of {cite:t}`deng2019`.\n:::", "Margins All of deng2019."),
        ("3 * 4 < 5", "3 * 4 < 5"),
        (r"With $\\frac{w}{2}$ at $T = 1$.", "With … at T = 1."),
    ],
)
def test_the_list_of_all_that_is_shown_names_a_text_without_its_marks(text, name):
    assert named_in(markdown(text)._repr_markdown_()) == name


def test_the_list_names_a_table_by_its_heads():
    page = "<table><thead><tr><th>claim;<br>in points</th><th class='words'>paper</th></tr></thead></table>"
    assert named_in(html_table(pd.DataFrame({"a": [1], "b": [2]}))._repr_html_()) == "Table: a, b"
    assert named_in(dataclasses.replace(html_table(pd.DataFrame({"a": [1]})), data=page)._repr_html_()) == (
        "Table: claim; in points, paper"
    )


def named_in(shown):
    return json.loads(html.unescape(re.search('data-made-by="([^"]*)"', shown)[1]))["title"]


def test_a_figure_wider_than_a_phone_is_marked_as_such():
    pages = [
        show(lambda width=width: plt.figure(figsize=(width, 2)), alt="a", caption="c")._repr_html_() for width in (4, 7)
    ]
    assert [page.count('<img class="only-light wide" alt="a"') for page in pages] == [0, 1]


def test_no_text_shows_nothing():
    assert markdown("") is None and markdown("\n\n") is None and markdown("*Text.*").data == "*Text.*"


@needs_browser
def test_what_is_cut_at_the_side_fades_there_and_the_keyboard_reaches_it(tmp_path):
    style = (ROOT / "book" / "_static" / "figures.css").read_text()
    wide = '<div class="rifr-scrolls" id="{}" style="width:100px"><div style="width:{}px">.</div></div>'
    found = served_to_browser(
        tmp_path,
        """const wide = document.getElementById("wide"), fits = document.getElementById("fits"), states = [];
        const mask = () => getComputedStyle(wide).maskImage.split(",")[0];
        const look = () => states.push([wide.tabIndex, mask(), fits.tabIndex]);
        await until(() => mask() !== "none");
        look();
        const before = mask();
        wide.scrollLeft = 1000;
        await until(() => mask() !== before);
        look();
        return states;""",
        f"<style>{style}</style>{wide.format('wide', 300)}{wide.format('fits', 50)}"
        '<script src="_static/scrolls.js"></script>',
    )
    assert found == [[0, "linear-gradient(to left", -1], [0, "linear-gradient(to right", -1]]

"""The check of the built book finds what it is there for, and the built book passes it."""

from pathlib import Path

import pytest

from tests.check_html import BOOK, Page, book_problems, chapters, page_problems

HTML = BOOK / "_build" / "html"


@pytest.mark.parametrize(
    "text, problem",
    [
        ('<script src="https://cdn.example/x.js"></script>', "from another host"),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', "from another host"),
        ('<img alt="a face" src="http://example/a.png">', "from another host"),
        ('<style>@font-face { src: url("https://example/f.woff") }</style>', "a style loads"),
        ('<p style="background: url(//example/b.png)">x</p>', "a style loads"),
        ('<script>import("https://example/y.js")</script>', "a script loads"),
        ('<img src="a.png">', "without alternative text"),
        ('<img src="a.png" alt=" ">', "without alternative text"),
        ('<div class="output stderr"><pre>Careful!</pre></div>', "stderr: Careful!"),
        ("<pre>Traceback (most recent call last):</pre>", "an error message"),
        ("<pre>&lt;IPython.core.display.Markdown object&gt;</pre>", "without content"),
        ('<span class="pasted-text">nan</span>', "glued number is missing: 'nan'"),
        ('<span class="pasted-text"></span>', "glued number is missing"),
        ("<p>Then **C3. HR+LR falls** is</p>", "marks that are no text: **C3. HR+LR"),
        ("<td>see [chapter 3](baselines.ipynb)</td>", "marks that are no text: ](baselines.ipynb)"),
        ("<p>:::{admonition} Margins</p>", "marks that are no text: :::{admonition}"),
        ("<p>$$ L = -frac{1}{N} $$</p>", "marks that are no text: $$ L"),
        ("<p>&lt;tr&gt;&lt;th&gt;claim</p>", "marks that are no text: <tr>"),
    ],
)
def test_each_fault_is_found(text, problem):
    found = page_problems(Page(text))
    assert len(found) == 1 and problem in found[0]


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://doi.example/paper">the paper</a>',
        '<img alt="a face" src="data:image/png;base64,AAAA">',
        '<link rel="canonical" href="https://example/book.html">',
        '<span class="pasted-text"><strong>42.1</strong></span>',
        '<div class="output stream"><pre>42 people</pre></div>',
        "<p>3 * 4 and 2 &lt; 3; <code>**values</code>, <code>$HOME</code></p><pre><span>a[0](b) ** 2</span></pre>",
        r'<div class="math notranslate"><p>\[\frac{1}{N} \sum_i x_i\]</p></div>',
        '<dt class="sig sig-object py"><em class="sig-param"><span>**values</span></em></dt>',
        "<style>a { background: url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E\") }</style>",
    ],
)
def test_what_is_allowed_passes(text):
    assert page_problems(Page(text)) == []


def test_missing_chapters_and_dead_links_are_named(tmp_path: Path):
    toc = tmp_path / "_toc.yml"
    toc.write_text("format: jb-book\nroot: index\nparts:\n- caption: x\n  chapters:\n  - file: a/one\n  - file: two\n")
    assert chapters(toc) == ["index", "a/one", "two"]
    html = tmp_path / "html"
    (html / "a").mkdir(parents=True)
    (html / "index.html").write_text('<h1 id="top">x</h1><a href="a/one.html#here">1</a><a href="two.html">2</a>')
    (html / "a" / "one.html").write_text('<a href="../index.html#top">home</a>')
    assert book_problems(html, toc) == [
        "two.html: the table of contents names it, the build has not made it",
        "index.html: a link leads to a place that is not there: a/one.html#here",
        "index.html: a link leads nowhere: two.html",
    ]


def test_the_built_book_is_whole_and_stands_alone():
    if not (HTML / "index.html").is_file():
        pytest.skip("the book has not been built (make book)")
    newest = max(path.stat().st_mtime for path in [BOOK / "_toc.yml", *BOOK.glob("*.ipynb"), *BOOK.glob("*.md")])
    if (HTML / "index.html").stat().st_mtime < newest:
        pytest.skip("the built book is older than its chapters (make book)")
    assert book_problems(HTML) == []

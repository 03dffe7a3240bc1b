"""The pages of a book as one document, in which every reference leads somewhere, and on paper by a browser."""

import os
import re
import shutil
from collections import Counter

import pytest
from bs4 import BeautifulSoup

from rifr.errors import SettingError
from rifr.report import pdf
from tests.check_html import BOOK

PAGE = """<html><head><link rel="stylesheet" href="{root}_static/book.css"><script>window.MathJax = {{}}</script>
<script src="{root}_static/site.js"></script></head><body><p class="logo__title">The book</p><nav class="bd-links"><ul>
<li><a class="reference internal" href="{home}">Home</a></li></ul><p class="caption">Chapters</p><ul>
<li><a class="reference internal" href="{root}one.html">1 One</a></li>
<li><a class="reference internal" href="{root}more/two.html">2 Two</a></li></ul></nav>
<article class="bd-article">{body}</article></body></html>"""
ONE = """<h1 id="one">One<a class="headerlink" href="#one">#</a></h1><button class="copybtn">copy</button>
<a href="more/two.html#eq">(2)</a> <a href="#one">above</a> <a href="genindex.html">index</a>
<a href="https://x.org/#y">web</a>
<figure><img class="only-light" alt="A" src="_images/a.png">
<img class="only-dark" alt="A" src="_images/dark.png"></figure>
<div class="sd-tab-set"><input id="t-0" name="t" type="radio"><label for="t-0">A</label>
<div class="sd-tab-content">x</div></div>
<details class="rifr-made-by" id="made-by-1"><summary>made by</summary><dl></dl></details>
<details class="admonition hide above-input"><summary>Show code cell source</summary>code()</details>
<details class="rifr-shown"><summary>All</summary>listed</details><script>run()</script><noscript>still</noscript>
<div style="break-before: page">b</div><div style="break-before: page">c</div><div style="break-before: page">d</div>"""
TWO = """<h1 id="one">Two</h1><span id="eq">E</span> <a href="../one.html#made-by-1">1</a> <a href="../one.html">One</a>
<img class="only-light" alt="B" src="../_images/b.png"><img alt="C" src="data:image/png;base64,AA==">"""


@pytest.fixture
def site(tmp_path):
    """A small built book."""
    (tmp_path / "more").mkdir()
    (tmp_path / "index.html").write_text(
        PAGE.format(root="", home="#", body="<h1>Home</h1><a href='one.html'>first</a>")
    )
    (tmp_path / "one.html").write_text(PAGE.format(root="", home="index.html", body=ONE))
    (tmp_path / "more" / "two.html").write_text(PAGE.format(root="../", home="../index.html", body=TWO))
    (tmp_path / "genindex.html").write_text(PAGE.format(root="", home="index.html", body=""))
    return tmp_path


def test_every_reference_leads_to_one_place_of_the_joint_document(site):
    page = BeautifulSoup(pdf.join(site), "html.parser")
    ids = Counter(part["id"] for part in page.find_all(id=True))
    assert set(ids.values()) == {1}
    links = {link.get_text(): link["href"] for link in page.select("article a")}
    assert links == {
        "first": "#one",
        "(2)": "#more-two--eq",
        "above": "#one--one",
        "web": "https://x.org/#y",
        "1": "#one--made-by-1",
        "One": "#one",
    }
    assert all(link[1:] in ids for link in links.values() if link.startswith("#"))
    assert (
        [part["for"] for part in page.select("label")] == [part["id"] for part in page.select("input")] == ["one--t-0"]
    )


def test_the_pages_stand_in_the_order_of_the_navigation_with_parts_in_the_contents(site):
    page = BeautifulSoup(pdf.join(site), "html.parser")
    assert [part["id"] for part in page.select("article")] == ["index", "one", "more-two"]
    assert [part.get_text() for part in page.select(".contents li")] == ["Home", "Chapters", "1 One", "2 Two"]
    assert page.select_one(".front h1").get_text() == page.title.get_text() == "The book"


def test_what_means_nothing_on_paper_is_left_out_and_what_is_folded_is_open(site):
    text = pdf.join(site)
    page = BeautifulSoup(text, "html.parser")
    for absent in ("copybtn", "headerlink", "only-dark", "run()", "code()", "site.js", "made by"):
        assert absent not in text
    assert "window.MathJax" in text and page.select_one("details.rifr-shown").has_attr("open")
    assert "still" in page.select_one("article div").parent.get_text()
    assert [part["src"] for part in page.select("img")] == [
        "_images/a.png",
        "_images/b.png",
        "data:image/png;base64,AA==",
    ]
    assert page.select_one("link")["href"] == "_static/book.css"


def test_a_first_page_of_another_name_is_followed(site):
    (site / "index.html").rename(site / "home.html")
    (site / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=home.html" />')
    assert 'id="home"' in pdf.join(site)


def test_without_a_browser_or_a_book_the_command_says_what_to_do(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("RIFR_BROWSER", raising=False)
    assert pdf.main([str(site), str(tmp_path / "book.pdf")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("make pdf: ") and "apt-get install chromium" in said and "RIFR_BROWSER" in said
    monkeypatch.setenv("RIFR_BROWSER", "no-such-browser")
    with pytest.raises(SettingError, match="no-such-browser"):
        pdf.browser()
    assert pdf.main([str(tmp_path / "none"), str(tmp_path / "book.pdf")]) == 1
    assert "make book" in capsys.readouterr().err and not (tmp_path / "book.pdf").exists()


def test_a_kill_while_the_pdf_is_written_leaves_the_old_one(site, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    def printed(program, html, text, folder):
        (folder / "book.pdf").write_bytes(b"new")
        return b"new"

    out = tmp_path / "out" / "book.pdf"
    monkeypatch.setattr(pdf, "browser", lambda: "browser")
    monkeypatch.setattr(pdf, "_printed", printed)
    monkeypatch.setattr(pdf, "destinations", lambda content: {})
    monkeypatch.setattr(pdf, "page_objects", lambda content: [1])
    assert pdf.make(site, out) == 1 and out.read_bytes() == b"new"
    out.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", killed)  # all is written, nothing is in place
    with pytest.raises(KeyboardInterrupt):
        pdf.make(site, out)
    assert out.read_bytes() == b"old"


def test_the_pages_of_a_pdf_are_counted_in_their_tree_and_names_are_read():
    text = b"""%PDF-1.4
5 0 obj\n<</Type /Page /Parent 9 0 R>>\nendobj
4 0 obj\n<</Type /Page /Parent 8 0 R>>\nendobj
6 0 obj\n<</Type /Page /Parent 8 0 R>>\nendobj
8 0 obj\n<</Type /Pages /Kids [6 0 R 4 0 R] /Count 2>>\nendobj
9 0 obj\n<</Type /Pages /Kids [5 0 R 8 0 R] /Count 3>>\nendobj
7 0 obj\n<</one [5 0 R /XYZ 0 800 0]\n/more-two--e#23q [4 0 R /XYZ 0 1 0]>>\nendobj
1 0 obj\n<</Type /Catalog /Pages 9 0 R /Dests 7 0 R>>\nendobj\n"""
    assert pdf.page_objects(text) == [5, 6, 4]
    assert pdf.destinations(text) == {"one": 1, "more-two--e#q": 3}


def test_make_pdf_prints_the_book_that_make_book_builds():
    makefile = (BOOK.parent / "Makefile").read_text()
    rule = re.search(r"^pdf:.*\n((?:\t.*\n)+)", makefile, re.M)
    assert "rifr.report.pdf book/_build/html" in rule[1] and "make pdf" in makefile


@pytest.mark.slow
def test_a_browser_prints_contents_with_the_pages_on_which_chapters_begin(site, tmp_path):
    try:
        pdf.browser()
    except SettingError as reason:
        pytest.skip(str(reason))
    out = tmp_path / "out" / "book.pdf"
    # front page, contents, home, then chapter 1 with three breaks of its own: chapter 2 begins on page 8
    assert pdf.make(site, out) == 8
    places = pdf.destinations(out.read_bytes())
    assert [places[name] for name in ("index", "one", "more-two")] == [3, 4, 8]
    assert places["one--made-by-1"] == 4 and places["more-two--eq"] == 8
    assert not list(site.glob(".book-*")), "the joint document is removed"

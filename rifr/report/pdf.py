"""The built book as one PDF, printed by a browser that is at hand: chapters in order, contents with page numbers.

    python -m rifr.report.pdf book/_build/html book/_build/book.pdf

All pages become one: an address within the book becomes an address within the document, so that every cross-reference
is a link to a page of the PDF. It is printed twice, for only then is it known on which page a chapter begins. Nothing
is asked of another host.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

from rifr import storage
from rifr.errors import DataError, RifrError, SettingError, StorageError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
BROWSER_OF_MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
MINUTES = 15
"""A browser that prints for longer than this has hung."""
MATHEMATICS = 600_000
"""Milliseconds of the page's own clock in which its mathematics are set; the clock runs as fast as the machine can."""
LEFT_OUT = "script, style, .headerlink, .copybtn, .toctree-wrapper, details.hide, .only-dark, [hidden]"
"""What has no meaning on paper: buttons, code that the page hides, too, and each figure's picture for dark pages."""

STYLE = """
@page { size: A4; margin: 20mm 18mm 22mm; @bottom-center { content: counter(page); font: 9pt sans-serif; color: #555 } }
@page :first { @bottom-center { content: none } }
html, body { background: #fff; color: #111; font-size: 10.5pt; overflow: visible; height: auto }
main.book { display: block; max-width: none; padding: 0 }
main.book h1 { font-size: 22pt } main.book h2 { font-size: 15pt } main.book h3 { font-size: 12.5pt }
main.book > article { break-before: page; padding: 0; overflow: visible }
h1, h2, h3, h4 { break-after: avoid } figure, table, .math { break-inside: avoid } img { max-width: 100% }
table.provenance, table.dataframe { break-inside: auto } tr { break-inside: avoid }
table.provenance td:last-child { white-space: nowrap !important }
pre { white-space: pre-wrap !important; overflow-wrap: anywhere }
.cell_output .output, table { overflow: visible !important }
table.dataframe td, table.dataframe th { white-space: normal !important; font-size: 8.5pt }
.sd-tab-set { display: block } .sd-tab-set > input { display: none }
.sd-tab-set > label { display: block; pointer-events: none; font-weight: 600; margin: 1rem 0 0.3rem }
.sd-tab-set > label { break-after: avoid }
.sd-tab-set > .sd-tab-content { display: block !important; border: 0; box-shadow: none; padding: 0 }
.front { break-after: page; padding-top: 30% } .front h1 { font-size: 30pt }
.contents ul { list-style: none; padding: 0 } .contents .part { font-weight: 600; margin-top: 0.8rem }
.contents li a { display: flex; gap: 0.4rem; color: inherit; text-decoration: none }
.contents li a::before { content: ""; order: 1; flex: 1; border-bottom: 1px dotted #999; margin-bottom: 0.35em }
.contents .page { order: 2; min-width: 3ch; text-align: right; font-variant-numeric: tabular-nums }
"""


def make(html: Path | str, out: Path | str) -> int:
    """Print a built book.

    Parameters
    ----------
    html
        The folder of the built pages, with `index.html`.
    out
        The PDF.

    Returns
    -------
    int
        How many pages it has.

    Raises
    ------
    SettingError
        Where there is no book, or no browser; it says what to do.
    StorageError
        Where the browser printed nothing.
    """
    html, out = Path(html).resolve(), Path(out)
    if not (html / "index.html").is_file():
        raise SettingError(f"{html} holds no built book: `make book` builds one, then `make pdf` prints it.")
    program = browser()
    text = join(html)
    chapters = re.findall(r'<a href="#([^"]+)"><span class="page">', text)
    with tempfile.TemporaryDirectory() as folder:
        pdf = _printed(program, html, text, Path(folder))
        on = destinations(pdf)
        for chapter in chapters:
            empty = f'<a href="#{chapter}"><span class="page"></span>'
            text = text.replace(empty, empty.replace("></span>", f">{on.get(chapter, '')}</span>"))
        pdf = _printed(program, html, text, Path(folder))
        moved = [chapter for chapter in chapters if destinations(pdf).get(chapter) != on.get(chapter)]
        if moved:
            raise StorageError(f"the contents moved the pages that they name ({', '.join(moved[:3])}): print it again")
    storage.atomic_write(out, pdf)
    return len(page_objects(pdf))


def browser() -> str:
    """The path of a browser that prints: `$RIFR_BROWSER`, else one of the Chromium family on the path.

    Raises
    ------
    SettingError
        Where there is none.
    """
    given = os.environ.get("RIFR_BROWSER")
    names = [given] if given else [*BROWSERS, str(BROWSER_OF_MACOS)]
    for name in names:
        if path := shutil.which(name):
            return path
    if given:
        raise SettingError(f"RIFR_BROWSER is {given!r}, which is no program here.")
    raise SettingError(
        "the PDF is printed by a browser of the Chromium family, and none is on the path: install one (Debian: "
        "`apt-get install chromium`), or name it in RIFR_BROWSER. The pages are the same without it: each prints from "
        "its own menu."
    )


def join(html: Path) -> str:
    """All pages of the book in one document, a front page and the contents before them."""
    index = _read(html / "index.html")
    if index.select_one("article") is None:  # a book whose first page has another name leads there
        target = re.search(r"url=([^\"']+)", str(index.select_one("meta[http-equiv]") or ""))
        if target is None:
            raise DataError(f"{html / 'index.html'} has no article: is this a built book?")
        first = target[1]
        index = _read(html / first)
    else:
        first = "index.html"
    entries = _entries(index, first)
    pages = [page for page, _ in entries if page and (html / page).is_file()]
    articles = [_article(html, page, set(pages)) for page in pages]
    title = index.select_one(".logo__title, .navbar-brand")
    name = title.get_text(strip=True) if title else "The book"
    lines = [
        f'<li><a href="#{_prefix(page)}"><span class="page"></span>{label}</a></li>'
        if page
        else f'<li class="part">{label}</li>'
        for page, label in entries
        if not page or page in pages
    ]
    head = "".join(str(part) for part in index.select("head > link[rel=stylesheet], head > script") if _is_local(part))
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{name}</title>{head}<style>{STYLE}</style></head><body>"
        f'<main class="book bd-content"><section class="front"><h1>{name}</h1></section>'
        f'<section class="contents"><h1>Contents</h1><ul>{"".join(lines)}</ul></section>'
        + "".join(articles)
        + "</main></body></html>"
    )


def destinations(pdf: bytes) -> dict[str, int]:
    """The page, from 1, on which each linked place of a PDF lies, as a Chromium browser writes it."""
    place = {number: page for page, number in enumerate(page_objects(pdf), 1)}
    named = re.findall(rb"/([^\s/\[<(]+)\s*\[(\d+) 0 R\s*/XYZ", pdf)
    return {_name(name): place[int(number)] for name, number in named if int(number) in place}


def page_objects(pdf: bytes) -> list[int]:
    """The numbers of a PDF's page objects in the order of its pages."""
    objects = {int(number): body for number, body in re.findall(rb"(?m)^(\d+) 0 obj\s(.*?)\sendobj", pdf, re.S)}

    def below(number: int) -> list[int]:
        kids = re.search(rb"/Kids\s*\[([^\]]*)\]", objects[number])
        if not kids or b"/Type /Pages" not in objects[number]:
            return [number]
        return [page for kid in re.findall(rb"(\d+) 0 R", kids[1]) for page in below(int(kid))]

    root = re.search(rb"/Type /Catalog\b.*?/Pages (\d+) 0 R|/Pages (\d+) 0 R.*?/Type /Catalog\b", pdf, re.S)
    if root is None:
        raise DataError("the browser wrote no PDF that can be read")
    return below(int(root[1] or root[2]))


def _name(name: bytes) -> str:
    """The text of a name in a PDF."""
    return re.sub(rb"#([0-9a-fA-F]{2})", lambda code: bytes.fromhex(code[1].decode()), name).decode()


def _read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _entries(index: BeautifulSoup, first: str) -> list[tuple[str, str]]:
    """The pages of the book with their titles as the navigation has them; a part's title has no page."""
    entries = []
    for part in index.select("nav.bd-links a.reference.internal, nav.bd-links .caption"):
        label = " ".join(part.get_text().split())
        page = unquote(urlsplit(str(part.get("href", ""))).path) or first if part.name == "a" else ""
        entries.append((page, label))
    return list(dict.fromkeys(entries)) or [(first, "Home")]


def _article(html: Path, page: str, pages: set[str]) -> str:
    """A page's article for the joint document."""
    article = _read(html / page).select_one("article")
    if article is None:
        return ""
    for part in article.select(LEFT_OUT):
        part.decompose()
    for part in article.select("details.rifr-made-by"):  # the appendix lists what it says
        anchor = Tag(name="span", attrs={"id": str(part.get("id", ""))})
        part.replace_with(anchor)
    for part in article.select("details"):
        part["open"] = ""
    for part in article.select("noscript"):  # the still picture of what moves on the page
        part.name = "div"
    prefix = _prefix(page)
    for part in article.find_all(id=True):
        part["id"] = f"{prefix}--{part['id']}"
    for part in article.select("[for]"):
        part["for"] = f"{prefix}--{part['for']}"
    for part in article.find_all("input"):
        part["name"] = f"{prefix}--{part.get('name', '')}"
    for part in article.select("img[src], source[src], video[src]"):
        part["src"] = _from_root(page, str(part["src"]))
    for link in article.select("a[href]"):
        target = _target(page, str(link["href"]), pages)
        if target:
            link["href"] = target
        else:  # a file of the site that the document does not hold
            link.unwrap()
    article["id"] = prefix
    return str(article)


def _target(page: str, href: str, pages: set[str]) -> str:
    """Where a link of a page leads in the joint document; "" where that lies in neither it nor the web."""
    parts = urlsplit(href)
    if parts.scheme or parts.netloc:
        return href
    to = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path))) if parts.path else page
    if to not in pages:
        return ""
    return f"#{_prefix(to)}--{unquote(parts.fragment)}" if parts.fragment else f"#{_prefix(to)}"


def _from_root(page: str, source: str) -> str:
    if urlsplit(source).scheme or source.startswith("/"):
        return source
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), source))


def _prefix(page: str) -> str:
    return re.sub(r"\W+", "-", page.removesuffix(".html"))


def _is_local(part: Tag) -> bool:
    """Whether the joint document loads this: style sheets, and MathJax with its settings; no other script."""
    address = str(part.get("href") or part.get("src") or "")
    if part.name == "script":
        return "mathjax" in address.lower() or "MathJax" in part.get_text()
    return not urlsplit(address).netloc


def _printed(program: str, html: Path, text: str, folder: Path) -> bytes:
    """The document as a PDF; it lies beside the pages while it is printed, where it finds their style and pictures."""
    out = folder / "book.pdf"
    out.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=html, prefix=".book-", suffix=".html", encoding="utf-8") as page:
        page.write(text)
        page.flush()
        command = [
            *(program, "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),  # root has no sandbox
            f"--user-data-dir={folder / 'profile'}",
            *("--no-pdf-header-footer", "--generate-pdf-document-outline", f"--virtual-time-budget={MATHEMATICS}"),
            *(f"--print-to-pdf={out}", Path(page.name).as_uri()),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES)
        except subprocess.TimeoutExpired as error:
            raise StorageError(f"{program} printed nothing in {MINUTES} minutes: is the machine busy?") from error
    if not out.exists():
        raise StorageError(f"{program} printed nothing: {done.stderr.strip()[-500:] or 'it gave no reason'}")
    return out.read_bytes()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command that `make pdf` calls."""
    parser = argparse.ArgumentParser(prog="python -m rifr.report.pdf", description="The built book as one PDF.")
    parser.add_argument("html", type=Path, help="folder of the built pages")
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    try:
        pages = make(options.html, options.out)
    except (RifrError, OSError) as error:
        print(f"make pdf: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {pages} pages, {options.out.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

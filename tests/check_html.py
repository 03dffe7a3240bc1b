"""Is a built book whole, and does it stand alone?

    python tests/check_html.py book/_build/html

Every chapter of the table of contents has its page; every picture has alternative text; no page, style sheet or font
comes from another host; no page shows a traceback, text from stderr, a warning, marks of Markdown or TeX, or a number
that is missing; every link to another page of the book leads somewhere. Prints each problem and exits 1, or one line
and exits 0.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

BOOK = Path(__file__).resolve().parent.parent / "book"
# Attributes whose address a browser loads by itself; <a href> is for the reader to follow.
LOADED = {
    "script": ["src"],
    "img": ["src", "srcset"],
    "link": ["href"],
    "iframe": ["src"],
    "source": ["src", "srcset"],
    "video": ["src", "poster"],
    "audio": ["src"],
    "object": ["data"],
    "embed": ["src"],
    "use": ["href"],
}
NOT_LOADED = {"canonical", "alternate", "author", "license", "next", "prev", "search", "index"}  # rel of <link>
REMOTE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
REMOTE_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])\s*((?:https?:)?//[^'\")]+)", re.IGNORECASE)
REMOTE_CODE = re.compile(
    r"(?:\bimport\b|\bfetch\(|\.src\s*=|importScripts\(|thebe\w*\s*[=(])[^;\n]{0,40}['\"`]"
    r"((?:https?:)?//[^'\"`]+)",
    re.IGNORECASE,
)
# What is left where Markdown, TeX or HTML was not read as such, but in code, scripts and what MathJax is to read.
MARKS = re.compile(
    r"\$\$|\*\*\w|\w\*\*|\]\([\w/.#-]+\)|:::|\\(?:frac|sum|log|cos|mathrm|text)\b|</?(?:t[hdr]|p|code|strong)>"
)
CODE, UNREAD = {"code", "pre", "script", "style", "title"}, {"math", "code", "highlight", "sig", "rifr-made-by"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """What one page loads, shows and links to."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.loads: list[str] = []
        self.without_alt: list[str] = []
        self.pictures = 0
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.styles: list[str] = []
        self.scripts: list[str] = []
        self.glued: list[str] = []
        self.stderr: list[str] = []
        self.errors: list[str] = []
        self._open: list[tuple[str, set[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if not (tag == "link" and NOT_LOADED & set(values.get("rel", "").split())):
            self.loads += [values[name] for name in LOADED.get(tag, []) if values.get(name)]
        if tag == "img":
            self.pictures += 1
            if not values.get("alt", "").strip():
                self.without_alt.append(values.get("src", "")[:60])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if values.get("id"):
            self.ids.add(values["id"])
        if values.get("style"):
            self.styles.append(values["style"])
        classes = set(values.get("class", "").split())
        if "pasted-text" in classes:
            self.glued.append("")
        if tag not in VOID:
            self._open.append((tag, classes | ({"code"} if tag in CODE else set())))

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place][0] == tag:
                del self._open[place:]
                break

    def handle_data(self, text: str) -> None:
        classes = set().union(*(classes for _, classes in self._open)) if self._open else set()
        tag = self._open[-1][0] if self._open else ""
        if tag == "style":
            self.styles.append(text)
        if tag == "script":
            self.scripts.append(text)
        if "pasted-text" in classes and self.glued:
            self.glued[-1] += text
        if {"stderr", "traceback"} & classes and text.strip():
            self.stderr.append(text.strip()[:80])
        if "Traceback (most recent call last)" in text or "system-message" in classes:
            self.errors.append(text.strip()[:80])
        if not (UNREAD & classes or tag in CODE or tag == "strong") and (marks := MARKS.search(text)):
            self.errors.append(f"marks that are no text: {text[marks.start() :].strip()[:60]}")
        if text.lstrip().startswith(("<IPython.core.display.", "<Figure size")):
            self.errors.append(f"an output without content: {text.strip()[:60]}")


def chapters(toc: Path) -> list[str]:
    """The files of a table of contents, in its order and without suffix."""

    def walk(entry: object) -> list[str]:
        if isinstance(entry, list):
            return [name for part in entry for name in walk(part)]
        if isinstance(entry, dict):
            own = [entry[key] for key in ("root", "file") if key in entry]
            return own + [name for value in entry.values() if isinstance(value, list) for name in walk(value)]
        return []

    return walk(yaml.safe_load(toc.read_text()))


def page_problems(page: Page) -> list[str]:
    """What is wrong with one page, taken by itself."""
    found = [f"loads {address!r} from another host" for address in page.loads if REMOTE.match(address)]
    found += [
        f"a style loads {address!r} from another host"
        for style in page.styles
        for address in REMOTE_STYLE.findall(style)
    ]
    found += [
        f"a script loads {address!r} from another host"
        for script in page.scripts
        for address in REMOTE_CODE.findall(script)
    ]
    found += [f"a picture without alternative text: {source}" for source in page.without_alt]
    found += [f"output on stderr: {text}" for text in page.stderr]
    found += [f"an error message: {text}" for text in page.errors]
    found += [
        f"a glued number is missing: {text!r}"
        for text in page.glued
        if not text.strip() or text.strip().lower() in ("nan", "none", "inf") or "glue" in text.lower()
    ]
    return found


def book_problems(html: Path, toc: Path = BOOK / "_toc.yml") -> list[str]:
    """What is wrong with a built book: one sentence for each problem, led by its file."""
    found = [
        f"{name}.html: the table of contents names it, the build has not made it"
        for name in chapters(toc)
        if not (html / f"{name}.html").is_file()
    ]
    pages = {
        path.relative_to(html): Page(path.read_text())
        for path in sorted(html.rglob("*.html"))
        if "_static" not in path.parts
    }
    for path, page in pages.items():
        found += [f"{path}: {problem}" for problem in page_problems(page)]
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc or link.startswith("#"):
                continue
            target = (html / path.parent / unquote(address.path)).resolve()
            if not target.exists():
                found.append(f"{path}: a link leads nowhere: {link}")
            elif address.fragment and target.suffix == ".html":
                other = pages.get(target.relative_to(html.resolve()))
                if other is not None and unquote(address.fragment) not in other.ids:
                    found.append(f"{path}: a link leads to a place that is not there: {link}")
    for path in sorted(html.rglob("*.css")):
        found += [
            f"{path.relative_to(html)}: loads {address!r} from another host"
            for address in REMOTE_STYLE.findall(path.read_text())
        ]
    return found


def main(arguments: list[str]) -> int:
    html = Path(arguments[0] if arguments else BOOK / "_build" / "html")
    if not (html / "index.html").is_file():
        print(f"{html} holds no built book (no index.html); run `make book` first", file=sys.stderr)
        return 1
    problems = book_problems(html)
    for problem in problems:
        print(problem)
    names = chapters(BOOK / "_toc.yml")
    pictures = sum(
        Page((html / f"{name}.html").read_text()).pictures for name in names if (html / f"{name}.html").is_file()
    )
    print(f"{html}: {len(names)} chapters, {pictures} pictures, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

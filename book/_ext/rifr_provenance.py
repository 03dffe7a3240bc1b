"""From a figure to its source: the parts of `book/_ext/rifr_book.py` that read what `rifr.report.made_by` wrote.

1. Every disclosure "made by" is given an address of its own on its page, and links to the documentation of the
   functions that it names and to the rows of its networks and faces in the appendix.
2. The appendix's places are filled with what all pages of this build used: stored runs, face packs and records, and
   then, by page, everything that is shown.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable

from docutils import nodes
from sphinx.application import Sphinx

import rifr

PAGE = "appendices/provenance"
DISCLOSURE = re.compile(r'<details class="rifr-made-by" data-made-by="([^"]*)">')
PLACE = re.compile(r'<div class="rifr-provenance" data-of="(\w+)"></div>')


def address(name: str) -> str:
    """The fragment of a run, a pack or a record in the appendix."""
    return "of-" + re.sub(r"[^\w-]+", "-", name)


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Keep what a page's disclosures say, and number them."""
    shown = []

    def number(match: re.Match) -> str:
        shown.append(json.loads(html.unescape(match[1])))
        return f'<details class="rifr-made-by" id="made-by-{len(shown)}">'

    for raw in doctree.findall(nodes.raw):
        text = raw.astext()
        if DISCLOSURE.search(text):
            raw.children = []
            raw += nodes.Text(DISCLOSURE.sub(number, text))
    pages = _pages(app.env)
    pages.pop(app.env.docname, None)
    if shown:
        pages[app.env.docname] = shown


def forget(app: Sphinx, env, page: str) -> None:
    _pages(env).pop(page, None)


def merge(app: Sphinx, env, pages: Iterable[str], other) -> None:
    _pages(env).update({page: shown for page, shown in _pages(other).items() if page in pages})


def _pages(env) -> dict[str, list[dict]]:
    """What is shown, by page."""
    if not hasattr(env, "rifr_made_by"):
        env.rifr_made_by = {}
    return env.rifr_made_by


def link(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Link what a disclosure names: documented functions, and networks and faces where the book has the appendix."""
    if "rifr-made-by" not in context.get("body", ""):
        return
    documented, to = app.env.get_domain("py").objects, app.builder.get_relative_uri

    def function(match: re.Match) -> str:
        entry = documented.get(match[1])
        return _link(f"{to(page, entry.docname)}#{entry.node_id}", match[0]) if entry else match[0]

    def row(match: re.Match) -> str:
        return _link(f"{to(page, PAGE)}#{address(html.unescape(match[2]))}", match[0])

    body = re.sub(r'<code class="rifr-call">([\w.]+)</code>', function, context["body"])
    if PAGE in app.env.found_docs and page != PAGE:
        body = re.sub(r'<(code|span) class="rifr-(?:run|faces)">([^<]+)</\1>', row, body)
    context["body"] = body


def fill(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put the tables into the appendix."""
    if page != PAGE:
        return
    pages = {name: _pages(app.env)[name] for name in _in_order(app.env) if name in _pages(app.env)}
    titles = {name: html.escape(app.env.titles[name].astext()) for name in pages}

    def to(name: str, number: int = 0) -> str:
        fragment = f"#made-by-{number}" if number else ""
        return _link(app.builder.get_relative_uri(PAGE, name) + fragment, str(number or _short(titles[name])))

    tables = {
        "runs": runs(pages, to),
        "faces": faces(pages, to),
        "records": kept(pages, to),
        "shown": all_of(pages, titles, to),
    }
    for raw in doctree.findall(nodes.raw):
        if match := PLACE.search(raw.astext()):
            raw.children = []
            raw += nodes.Text(tables[match[1]])


def runs(pages: dict[str, list[dict]], to) -> str:
    """The stored runs that the build used."""
    rows = [
        [_named(run["name"]), _code(run["faces"][:12]), str(run["finished"] or "")[:16].replace("T", " "), used]
        for run, used in _entries(pages, "networks", to)
    ]
    return _table(["Run", "Training faces' checksum", "Trained until (UTC)", "Shown in"], rows, "no stored run")


def faces(pages: dict[str, list[dict]], to) -> str:
    """The face packs that the build used."""
    rows = [
        [
            _named(pack["name"]),
            f"{pack['images']:,} of {pack['people']:,} people",
            str(pack["seed"] if pack["seed"] is not None else ""),
            _code(str(pack["checksum"])[:12]),
            used,
        ]
        for pack, used in _entries(pages, "faces", to)
    ]
    return _table(["Pack", "Images", "Seed", "Checksum", "Shown in"], rows, "no face pack")


def kept(pages: dict[str, list[dict]], to) -> str:
    """The records of long measurements that the build read."""
    rows = [
        [_code(f"book/records/{record['name']}.json"), record["date"], _code(record["commit"]), used]
        for record, used in _entries(pages, "records", to)
    ]
    return _table(["Record", "Measured on", "Commit", "Shown in"], rows, "no record")


def all_of(pages: dict[str, list[dict]], titles: dict[str, str], to) -> str:
    """Everything that is shown, by page."""
    parts = []
    for page, shown in pages.items():
        rows = [
            [
                to(page, number),
                html.escape(one["title"]),
                "<br>".join(f'<code class="rifr-call">{name}</code>' for name in one["functions"]),
                one["commit"],
                one["date"],
            ]
            for number, one in enumerate(shown, 1)
        ]
        table = _table(["", "What it shows", "Function", "Commit", "Date"], rows, "")
        summary = f"{titles[page]}: {len(shown)} shown"
        parts.append(f'<details class="rifr-shown"><summary>{summary}</summary>{table}</details>')
    return "".join(parts)


def _short(title: str) -> str:
    """A chapter by its number alone, "7" for "7 Identification"; another page by its title."""
    number, _, rest = title.partition(" ")
    return number if number.isdigit() and rest else title


def _entries(pages: dict[str, list[dict]], kind: str, to) -> Iterable[tuple[dict, str]]:
    """Each network, pack or record once, by name, with links to the pages that show what it made."""
    entries: dict[str, dict] = {}
    used: dict[str, dict[str, None]] = {}
    for page, shown in pages.items():
        for entry in (entry for one in shown for entry in one[kind]):
            entries[entry["name"]] = entry
            used.setdefault(entry["name"], {})[page] = None
    for name in sorted(entries):
        yield entries[name], ", ".join(to(page) for page in used[name])


def _in_order(env) -> list[str]:
    """The pages in the order of the table of contents."""

    def below(page: str) -> Iterable[str]:
        yield page
        for child in env.toctree_includes.get(page, []):
            yield from below(child)

    return list(below(env.config.root_doc))


def _table(heads: list[str], rows: list[list[str]], none: str) -> str:
    if not rows:
        return f"<p>This build used {none}.</p>"
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f'<table class="dataframe wrapped provenance"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="rifr-scrolls">{table}</div>'


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>" if text else ""


def _named(name: str) -> str:
    return f'<code id="{address(name)}">{html.escape(name)}</code>'


def _link(to: str, label: str) -> str:
    return f'<a class="reference internal" href="{to}">{label}</a>'


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("doctree-resolved", fill)
    app.connect("html-page-context", link)
    return {"version": rifr.__version__, "parallel_read_safe": True, "parallel_write_safe": True}

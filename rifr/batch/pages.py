"""The executed notebooks of a batch as a book of their own, with its numbers over the seeds on the first page.

    make book BATCH=runs/ablation

writes the pages' sources to `_build/pages` in the batch's folder and has them built into `_build/html`. Nothing is
executed again. The book's own settings, style and extension are used; warnings are errors there too.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from rifr import storage
from rifr.batch import grid
from rifr.batch.jobs import made_by
from rifr.errors import DataError, RifrError

NAMES_OF_PAGES = re.compile(r"\{(?:doc|ref|numref)\}`(?:([^`<]+?)\s*<[^`>]*>|([^`]+))`")
LINK_TO_PAGE = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#)[^)\s]*\.(?:ipynb|md)(?:#[^)\s]*)?\)")
LABEL = re.compile(r"(\$\$\s*\()([\w:-]+)(\))")


def write(out: Path) -> Path:
    """Write the sources of the batch's book; returns their folder, `out/_build/pages`.

    Raises
    ------
    DataError
        For a folder that holds no run.
    SettingError
        Outside of the repository, whose book gives the pages their style.
    """
    runs = grid.finished(out)
    if not runs and not list(Path(out).glob("*.failed.ipynb")):
        raise DataError(f"{out} holds no run: make some with `rifr batch CHAPTER --grid ... --out {out}`.")
    pages = Path(out) / "_build" / "pages"
    book = storage.checkout() / "book"
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(book / "_static", pages / "_static")
    titles, cited = _titles(runs, with_chapter=False), False
    for place, path in enumerate(runs):
        notebook = _page(storage.read_json(path), titles[path], place)
        cited = cited or "{cite" in json.dumps(notebook)
        storage.atomic_write(pages / path.name, json.dumps(notebook))
    storage.atomic_write(pages / "index.md", front_page(out))
    chapters = [{"file": path.stem} for path in runs]
    for name in ("references.md", "references.bib"):
        shutil.copy(book / name, pages)
    toc = {"format": "jb-book", "root": "index", "chapters": [*chapters, *([{"file": "references"}] if cited else [])]}
    storage.atomic_write(pages / "_toc.yml", yaml.safe_dump(toc, sort_keys=False))
    storage.atomic_write(pages / "_config.yml", yaml.safe_dump(_settings(book), sort_keys=False))
    return pages


def front_page(out: Path) -> str:
    """The first page in Markdown: what was run, its numbers with intervals across seeds, what failed."""
    runs, titles = grid.finished(out), _titles(grid.finished(out))
    failed = {path: made_by(path) for path in sorted(Path(out).glob("*.failed.ipynb"))}
    failed = {path: source for path, source in failed.items() if source}
    chapters = dict.fromkeys(made_by(path)["chapter"] for path in [*runs, *failed])
    rows = [{"run": f"[{titles[path]}]({path.name})", **_values(made_by(path))} for path in runs]
    parts = [
        f"# A batch of {', '.join(chapters) if len(chapters) < 3 else f'{len(chapters)} chapters'}",
        f"{len(runs)} of {len(runs) + len(failed)} runs finished. Their executed notebooks are this book's pages.",
    ]
    if rows:
        parts += ["## The runs", _markdown(pd.DataFrame(rows).fillna(""))]
    parts += _numbers(grid.summary(out))
    if failed:
        parts += ["## Runs that failed", "The same command tries them again."]
        rows = [{"notebook": f"`{path.name}`", "error": _code(source["error"])} for path, source in failed.items()]
        parts.append(_markdown(pd.DataFrame(rows)))
    return "\n\n".join(parts) + "\n"


def _numbers(table: pd.DataFrame) -> list[str]:
    """The summary: a table for each chapter, setting and measure; its last key goes down, the one before across."""
    if table.empty:
        return []
    last = table.columns.get_loc("measure")
    parts = [
        "## Over the seeds",
        "The mean over the seeds and, in brackets, its 95 % t-interval across them. A seed draws the rendered "
        "people and starts training anew: the interval speaks of both; with your own faces, of training alone.",
    ]
    if (table.low.isna() & table["mean"].notna()).any():
        parts.append("Numbers of one seed, or the same for all seeds, have no interval: they say nothing of others.")
    settings = [name for name in table.columns[:last] if len(set(table[name].map(str))) > 1]
    for group, part in table.groupby([*settings, "measure"], sort=False, dropna=False):
        *outer, across, down = [""] * (2 - len(table.attrs["by"][group[-1]])) + table.attrs["by"][group[-1]]
        digits = 1 if part["mean"].abs().max() >= 2 else 3
        part = part.assign(text=[_interval(row, digits) for row in part.itertuples()])
        named = [
            value if name == "chapter" else f"{name} {value}" for name, value in zip(settings, group, strict=False)
        ]
        for keys, rows in part.groupby(outer, sort=False) if outer else [((), part)]:
            heads = [group[-1], *named, *(f"{name} {value}" for name, value in zip(outer, keys, strict=True))]
            parts.append(f"### {', '.join(heads)}")
            parts.append(_markdown(_cross(rows, across, down)))
            counts = sorted(rows.seeds.unique())
            parts.append(f"Seeds: {' or '.join(str(count) for count in counts)}.")
    return parts


def _cross(rows: pd.DataFrame, across: str, down: str) -> pd.DataFrame:
    if not down:
        return rows[["text"]].rename(columns={"text": "mean"})
    if not across:
        return rows[[down, "text"]].rename(columns={"text": "mean"})
    crossed = rows.pivot_table(index=down, columns=across, values="text", aggfunc="first", fill_value="")
    return crossed.loc[list(dict.fromkeys(rows[down])), list(dict.fromkeys(rows[across]))].reset_index()


def _interval(row: Any, digits: int) -> str:
    if pd.isna(row.mean):
        return "not measured"
    if pd.isna(row.low):
        return f"{row.mean:.{digits}f}"
    text = f"{row.mean:.{digits}f} ({row.low:.{digits}f} to {row.high:.{digits}f})"
    return text.replace(" ", "\N{NO-BREAK SPACE}")  # on a phone the table scrolls


def _markdown(frame: pd.DataFrame) -> str:
    """A data frame without its index as a table in Markdown."""
    lines = [frame.columns, ["---"] * len(frame.columns), *frame.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _code(text: str) -> str:
    """Text as it is in a cell of a table."""
    return "`" + text.replace("`", "'").replace("|", "¦") + "`"


def _values(source: dict[str, Any]) -> dict[str, str]:
    return {name: str(value).replace("|", "¦") for name, value in source["parameters"].items()}


def _titles(runs: list[Path], with_chapter: bool = True) -> dict[Path, str]:
    """What tells each run from the others: its chapter, where there are several, and the parameters that differ."""
    values = {path: {"chapter": made_by(path)["chapter"], **_values(made_by(path))} for path in runs}
    names = dict.fromkeys(name for run in values.values() for name in run if with_chapter or name != "chapter")
    differ = [name for name in names if len({run.get(name) for run in values.values()}) > 1] or ["seed"]
    return {
        path: ", ".join(run[name] if name == "chapter" else f"{name} {run[name]}" for name in differ if name in run)
        or run["chapter"]
        for path, run in values.items()
    }


def _page(notebook: dict[str, Any], title: str, place: int) -> dict[str, Any]:
    """A run's notebook as a page: a title and labels of its own, and links to pages that are not here as plain text."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _text(cell["source"], place)
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        if "text/markdown" in output.get("data", {}):
            output["data"]["text/markdown"] = _text(output["data"]["text/markdown"], place)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and cell["source"].startswith("# "):
            head, *rest = cell["source"].split("\n")
            cell["source"] = "\n".join([f"{head}: {title}", *rest])
            break
    return notebook


def _text(source: str | list[str], place: int) -> str:
    text = LINK_TO_PAGE.sub(r"\1", "".join(source))
    text = NAMES_OF_PAGES.sub(lambda match: match[1] or match[2], text)
    text = LABEL.sub(rf"\g<1>\g<2>-{place}\3", text)
    return re.sub(r"\{eq\}`([\w:-]+)`", rf"{{eq}}`\1-{place}`", text)


def _settings(book: Path) -> dict[str, Any]:
    """The book's settings, but for execution: what a run wrote on stderr is shown, not a reason to build nothing."""
    settings = yaml.safe_load((book / "_config.yml").read_text(encoding="utf-8"))
    settings["title"] = "A batch"
    settings["execute"] = {"execute_notebooks": "off", "stderr_output": "show"}
    settings["sphinx"]["local_extensions"] = {"rifr_book": str(book / "_ext")}
    return settings


if __name__ == "__main__":
    try:
        print(write(Path(sys.argv[1])))
    except (RifrError, OSError) as problem:
        sys.exit(f"rifr.batch.pages: {problem}")

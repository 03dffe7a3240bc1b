"""What stands behind a figure, a table or a sentence of the book: functions, networks, faces, records, commit, date.

`show`, `html_table`, `markdown` and `tabs` ask for it while a cell runs, so that it says what was so when the numbers
were measured and not when the page was laid out. It is a closed <details> below what is shown, with the same once more
as JSON in `data-made-by`, from which the book's page "Where everything comes from" is put together.
"""

from __future__ import annotations

import ast
import datetime
import functools
import html
import json
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd

from rifr import storage
from rifr.errors import SettingError
from rifr.packs import FacePack
from rifr.report import records
from rifr.report.style import label
from rifr.training.runs import StoredRun

DIGITS = 12
"""Digits of a checksum or key that are shown: those in a folder's name."""
KINDS = ("runs", "landmarks")
"""Folders of the store that hold runs."""
SHOWING = ("rifr.report.show.", "rifr.report.made_by.")
"""What shows numbers and does not make them."""
OF_RECORD = "rifr.record"
"""In the attributes of a data frame: the name of the record that its numbers are from."""
DEPTH = 3
"""How deep arguments are looked into for the names of networks."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class MadeBy:
    """What something shown was made by.

    Attributes
    ----------
    functions
        Dotted names: of what drew a figure; of a table or a sentence, the library's functions that its statement calls.
    drawn
        Whether that function drew a figure, and so has documentation in the book.
    networks
        Stored runs, each with name, key, recipe, preset, seed, faces (checksum), finished.
    only
        Whether networks and records are those that are named in what is shown; else all that the page had opened
        by then.
    faces
        Face packs that the page had opened by then, each with name, images, people, seed, checksum; none of what is
        drawn from a record.
    records
        Of the book, each with name, date, commit.
    seed
        The page's own parameter, None where it has none.
    commit, date
        Of the library, and of the day (UTC) on which the cell ran.
    """

    functions: tuple[str, ...]
    drawn: bool
    networks: tuple[Entry, ...]
    only: bool
    faces: tuple[Entry, ...]
    records: tuple[Entry, ...]
    seed: int | None
    commit: str
    date: str

    def html(self, title: str = "") -> str:
        """A closed disclosure; `title` is what the page of all of them calls the thing that is shown."""
        data = html.escape(json.dumps({"title": title, **asdict(self)}, ensure_ascii=False))
        code = f'<code class="rifr-{"source" if self.drawn else "call"}">'
        by_then = "" if self.only else " open by then"
        rows = [
            ("Function", [f"{code}{name}</code>" for name in self.functions]),
            (f"Networks{by_then}", [_run(run) for run in self.networks]),
            ("Seed", [] if self.seed is None else [str(self.seed)]),
            ("Faces", [_pack(pack) for pack in self.faces]),
            (
                f"Records{by_then}",
                [f"<code>{_text(row['name'])}</code> of {_text(row['date'])}" for row in self.records],
            ),
            ("Commit", [f"<code>{_text(self.commit)}</code>"] if self.commit else []),
            ("Date", [self.date]),
        ]
        listed = "".join(f"<dt>{name}</dt><dd>{'<br>'.join(values)}</dd>" for name, values in rows if values)
        return (
            f'<details class="rifr-made-by" data-made-by="{data}"><summary>made by</summary><dl>{listed}</dl></details>'
        )


def made_by(*arguments: Any, function: str = "") -> MadeBy:
    """What something that a cell shows now was made by.

    Parameters
    ----------
    arguments
        What it was drawn or written from: networks that tables, outcomes and words in them name are those shown.
    function
        The dotted name of what drew it; "": the library's functions that the cell's statement calls.
    """
    cell = _cell()
    of = [frame.attrs.get(OF_RECORD) for frame in _frames(arguments)]
    of_records = set(filter(None, of))
    used = [entry for path in storage.used() if (entry := _about(path))]
    networks = [entry for entry in used if entry["kind"] == "network"]
    words = set(_names(arguments))  # a table that is shown has labels
    named = {entry["recipe"] for entry in networks if {entry["recipe"], label(entry["recipe"])} & words}
    if of_records and all(of):  # its networks lie in no store here
        named = set()
    only = bool(named or of_records)
    read = [entry for entry in used if entry["kind"] == "record" and (not only or entry["name"] in of_records)]
    packs = {entry["checksum"]: entry for entry in used if entry["kind"] == "faces"}
    for entry in _packs(cell):
        packs.setdefault(entry["checksum"], entry)
    seed = cell.f_globals.get("seed")
    return MadeBy(
        (function,) if function else tuple(_calls(cell)),
        bool(function),
        tuple(entry for entry in networks if not only or entry["recipe"] in named),
        only,
        tuple(packs.values()) if named or not of_records else (),
        tuple(read),
        seed if isinstance(seed, int) else None,
        records.commit(),
        datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def of_record(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """A data frame that says which record its numbers are from, as do parts of it; "" says nothing."""
    if name:
        frame.attrs[OF_RECORD] = name
    return frame


def dotted_name(function: Callable[..., Any]) -> str:
    """The name of a function of this library; "" for a lambda and for functions of others."""
    while isinstance(function, functools.partial):
        function = function.func
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    return f"{module}.{name}" if (module or "").startswith("rifr.") and "<" not in name else ""


def stored_run(key: str) -> StoredRun:
    """The stored run, of a face network or a landmark network, whose key begins so; its folder's name does, too.

    Raises
    ------
    SettingError
        Where no key begins so, and where several do.
    """
    wanted = key.strip().lower()
    start = wanted.rpartition("-")[2]
    runs = [
        StoredRun.open(path)
        for kind in KINDS
        for path in storage.stored(kind)
        if start and path.name.rpartition("-")[2].startswith(start[:DIGITS]) and (path / "record.json").is_file()
    ]
    runs = [run for run in runs if run.path.name == wanted or run.key.startswith(wanted)]
    if not runs:
        raise SettingError(f"no run in {storage.root()} has a key that begins with {key!r}: `rifr runs` lists them.")
    if len(runs) > 1:
        names = "".join(f"\n  {run.path.name}" for run in runs)
        raise SettingError(f"{len(runs)} runs have a key that begins with {key!r}; give more of it:{names}")
    return runs[0]


def _cell() -> FrameType:
    """The frame outside of the library that asks: of a notebook, the cell's."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("rifr."):
        frame = frame.f_back
    return frame


def _calls(cell: FrameType) -> Iterator[str]:
    """The library's functions that the cell's statement calls; those of the whole cell where that calls none."""
    source = "".join(linecache.getlines(cell.f_code.co_filename))
    try:
        with storage.PARSING:
            statements = ast.parse(source).body
    except SyntaxError:  # a magic, or a cell that is kept nowhere
        return
    now = [statement for statement in statements if statement.lineno <= cell.f_lineno <= (statement.end_lineno or 0)]
    yield from dict.fromkeys(_called(now, cell) or _called(statements, cell))


def _called(statements: list[ast.stmt], cell: FrameType) -> list[str]:
    calls = [node.func for statement in statements for node in ast.walk(statement) if isinstance(node, ast.Call)]
    functions = [_value(node, cell) for node in calls]
    names = [dotted_name(function) for function in functions if not isinstance(function, type)]
    return [name for name in names if name and not name.startswith(SHOWING)]


def _value(node: ast.expr, cell: FrameType) -> Any:
    """What a name with dots means in the cell, without running anything; None for other expressions."""
    if isinstance(node, ast.Name):
        return cell.f_locals.get(node.id, cell.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, cell)
        return getattr(owner, node.attr, None) if type(owner).__name__ == "module" else None
    return None


def _names(argument: Any, depth: int = DEPTH) -> Iterator[str]:
    """Texts in an argument that may name a network."""
    if isinstance(argument, str):
        yield argument
    elif isinstance(argument, StoredRun):
        yield argument.name
    elif isinstance(argument, pd.DataFrame):
        for column in {"network", "other", "recipe"} & set(argument.columns):
            yield from (name for name in argument[column].unique() if isinstance(name, str))
    elif not depth:
        return
    elif isinstance(argument, Mapping):
        yield from _names([*argument, *argument.values()], depth)
    elif isinstance(argument, (list, tuple, set)):
        for part in argument:
            yield from _names(part, depth - 1)
    elif isinstance(results := getattr(argument, "results", None), Mapping):  # an Outcome
        yield from _names(list(results), depth)


def _frames(argument: Any, depth: int = DEPTH) -> Iterator[pd.DataFrame]:
    """The data frames in an argument."""
    if isinstance(argument, pd.DataFrame):
        yield argument
    elif depth and isinstance(argument, (list, tuple, Mapping)):
        for part in argument.values() if isinstance(argument, Mapping) else argument:
            yield from _frames(part, depth - 1)


def _packs(cell: FrameType) -> Iterator[Entry]:
    """The face packs that the page's own names hold: those of a reader's folders were not made by the store."""
    for value in list(cell.f_globals.values()):
        for part in (value, *(getattr(value, "__dict__", None) or {}).values()):
            if isinstance(part, FacePack) and part.manifest.get("checksum"):
                yield _of_manifest("", part.manifest)


@functools.cache
def _about(path: Path) -> Entry | None:
    """What is said of a stored result: a network, faces or a record of the book; None of all others."""
    try:
        if (path / "record.json").is_file():
            record = storage.read_json(path / "record.json")
            known = {name: record.get(name) for name in ("key", "recipe", "preset", "seed", "finished")}
            return {"kind": "network", "name": path.name, **known, "faces": record["faces"]["checksum"]}
        if (path / "manifest.json").is_file():
            return _of_manifest(path.name, storage.read_json(path / "manifest.json"))
        if path.suffix == ".json" and path.parent == records.folder():
            about = storage.read_json(path)["provenance"]
            return {"kind": "record", "name": path.stem, "date": about["date"][:10], "commit": about.get("commit", "")}
    except (OSError, ValueError, LookupError):  # deleted or damaged since: what opened it has said so
        return None
    return None


def _of_manifest(name: str, manifest: Mapping[str, Any]) -> Entry:
    spec = manifest.get("spec") or {}
    said = {key: manifest.get(key) for key in ("images", "people", "checksum")}
    return {"kind": "faces", "name": name or str(manifest.get("source", "")), "seed": spec.get("seed"), **said}


def _run(run: Entry) -> str:
    return f'<code class="rifr-run">{_text(run["name"])}</code>'


def _pack(pack: Entry) -> str:
    seed = "" if pack["seed"] is None else f", seed {pack['seed']}"
    checksum = f"checksum <code>{_text(str(pack['checksum'])[:DIGITS])}</code>"
    return f'<span class="rifr-faces">{_text(pack["name"])}</span>, {checksum}{seed}'


def _text(value: Any) -> str:
    return html.escape(str(value))

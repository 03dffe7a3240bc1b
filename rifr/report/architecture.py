"""How the library is built, read from its own source: the layers of `pyproject.toml`, and who imports whom.

A module imports from its own room and from rooms below. import-linter holds it; here it is drawn.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

PACKAGE = Path(__file__).resolve().parents[1]


def layers(pyproject: Path = PACKAGE.parent / "pyproject.toml") -> list[list[str]]:
    """The rooms of each layer, from the top, as import-linter's contract has them.

    Raises
    ------
    FileNotFoundError
        Outside a checkout, where there is no `pyproject.toml`.
    """
    contracts = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    contract = next(one for one in contracts if one["type"] == "layers")
    return [[room.strip() for room in layer.strip("()").replace(":", "|").split("|")] for layer in contract["layers"]]


def sources(room: str) -> list[Path]:
    """The source files of a room: a module, or all of a package."""
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def rooms() -> pd.DataFrame:
    """One row per room, from the top: layer, room, files, lines, and what it is: its docstring's first sentence."""
    rows = []
    for number, layer in enumerate(layers(), 1):
        for room in layer:
            files = sources(room)
            texts = [path.read_text(encoding="utf-8") for path in files]
            head = next((text for path, text in zip(files, texts, strict=True) if path.name == "__init__.py"), texts[0])
            doc = " ".join((ast.get_docstring(ast.parse(head)) or "").replace("`", "").split())
            doc = re.split(r"(?<=[.?]) ", doc)[0]
            lines = sum(text.count("\n") for text in texts)
            rows.append({"layer": number, "room": room, "files": len(files), "lines": lines, "what": doc})
    return pd.DataFrame(rows)


def imports() -> pd.DataFrame:
    """One row per pair of rooms of which one imports the other: importer, imported, statements."""
    names = [room for layer in layers() for room in layer]
    counts: Counter[tuple[str, str]] = Counter()
    for room in names:
        for path in sources(room):
            for imported in _imported(ast.parse(path.read_text(encoding="utf-8"))):
                if imported in names and imported != room:
                    counts[room, imported] += 1
    rows = [{"importer": importer, "imported": imported, "statements": n} for (importer, imported), n in counts.items()]
    return pd.DataFrame(rows, columns=["importer", "imported", "statements"])


def _imported(tree: ast.Module) -> list[str]:
    """The rooms that a module names in its import statements, once for each statement."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "rifr":
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rifr."):
            found.append((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found += [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("rifr.")]
    return found


def matrix(table: pd.DataFrame, order: list[str]) -> Figure:
    """Who imports whom: a dot in a row stands under each room that the row's room imports.

    Parameters
    ----------
    table
        From `imports`.
    order
        The rooms from the top layer to the lowest; everything right of the diagonal is below.
    """
    figure = Figure(figsize=(7.2, 6.6), layout="constrained")
    axes = figure.add_subplot()
    place = {room: number for number, room in enumerate(order)}
    x, y = table.imported.map(place).to_numpy(), table.importer.map(place).to_numpy()
    axes.scatter(x, y, s=18 + 14 * np.sqrt(table.statements.to_numpy()), color="#0173b2", zorder=3)
    axes.plot([-0.5, len(order) - 0.5], [-0.5, len(order) - 0.5], color="0.6", linewidth=0.8, zorder=1)
    axes.set_xticks(range(len(order)), order, rotation=90)
    axes.set_yticks(range(len(order)), order)
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.xaxis.tick_top()
    axes.set_xlabel("is imported")
    axes.set_ylabel("imports")
    axes.set_aspect("equal")
    return figure

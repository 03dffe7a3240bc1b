"""Every name of the library that a page of the book uses exists."""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

BOOK = Path(__file__).resolve().parent.parent / "book"


def page_code(path: Path) -> str:
    """All code of a notebook, or of a page in MyST."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        return "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    blocks = re.findall(r"```\{code-cell\}[^\n]*\n(.*?)\n```", path.read_text(), re.S)
    return "\n".join(re.sub(r"\A---\n.*?\n---\n|^:[\w-]+:[^\n]*$", "", block, flags=re.S | re.M) for block in blocks)


def unresolved(code: str) -> list[str]:
    """The names of the library that the code imports, or takes from a module it has imported, and that do not exist."""
    tree, modules, missing = ast.parse(code), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rifr":
            for alias in node.names:
                try:
                    value = getattr(importlib.import_module(node.module), alias.name, None)
                    value = importlib.import_module(f"{node.module}.{alias.name}") if value is None else value
                except ImportError:
                    missing.append(f"{node.module}.{alias.name}")
                    continue
                if isinstance(value, ModuleType):
                    modules[alias.asname or alias.name] = value
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        chain, base = [], node
        while isinstance(base, ast.Attribute):
            chain, base = [base.attr, *chain], base.value
        if not chain or not isinstance(base, ast.Name) or base.id in stored or base.id not in modules:
            continue
        value = modules[base.id]
        for name in chain:
            if not isinstance(value, ModuleType):
                break
            if not hasattr(value, name):
                missing.append(f"{value.__name__}.{name}")
                break
            value = getattr(value, name)
    return missing


PAGES = sorted(path for path in [*BOOK.glob("*.ipynb"), *BOOK.glob("appendices/*.ipynb"), BOOK / "index.md"])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_name_of_the_library_that_a_page_uses_exists(path):
    code = page_code(path)
    assert "rifr" in code and unresolved(code) == []


def test_a_name_that_the_library_lacks_is_seen():
    assert unresolved("from rifr import presets, nothing") == ["rifr.nothing"]
    assert unresolved("from rifr.report import figures\nfigures.recognition.draw()") == [
        "rifr.report.figures.recognition.draw"
    ]

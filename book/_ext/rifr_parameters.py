"""The end of every chapter, "Run this with other parameters", made from the chapter's own cell of parameters.

1. A page whose notebook has a cell tagged `parameters` ends with the line for papermill and a table of what can be
   given, in the words of the cell's comments. A parameter without a comment, unset like the one before, belongs to it.
   What a page takes for uniformity alone, its comment beginning with "unused here", is left out; a page that has
   nothing else ends without the section.
2. Where `_config.yml` has the repository's address (`repository: url`), pages have buttons that open them on Binder
   and, for a repository on GitHub, on Colab. Where it has none, no page has one.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

from sphinx.application import Sphinx

import rifr

BOOK = Path(__file__).resolve().parent.parent
SEED = "of the faces and of training: another seed, another run"
UNUSED = "unused here"
BINDER, COLAB = "https://mybinder.org", "https://colab.research.google.com"
MARKS = re.compile(r"([\\`*_{}\[\]<>$|#])")
EXAMPLE = re.compile(r'such as (\[[^\]]*\]|"[^"]*"|[^\s,;]+)')


@dataclass(frozen=True)
class Parameter:
    """One or several parameters that are explained together."""

    names: tuple[str, ...]
    default: object
    words: str

    @property
    def options(self) -> str:
        """What is added to papermill's line, with a value to try or the kind of value."""
        return " ".join(f"-p {name} {_quoted(self._value(name))}" for name in self.names)

    @property
    def text(self) -> str:
        """The words as Markdown that shows them as they are."""
        return MARKS.sub(r"\\\1", self.words)

    def _value(self, name: str) -> str:
        if given := EXAMPLE.search(self.words):
            return given[1].strip('"')
        if name == "preset":
            return "smoke"
        if isinstance(self.default, int):
            return str(2 * self.default or 1)
        if name.endswith(("_faces", "_root")):
            return "FOLDER"
        return "FILE" if "file" in self.words else "N"


def parameters(source: str) -> list[Parameter]:
    """The parameters of a cell, in its order."""
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found: list[Parameter] = []
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        name, default = node.targets[0].id, ast.literal_eval(node.value)
        words = comments.get(node.end_lineno or 0, SEED if name == "seed" else "")
        if not words and found and default is None and found[-1].default is None:
            found[-1] = Parameter((*found[-1].names, name), None, found[-1].words)
        else:
            found.append(Parameter((name,), default, words))
    return found


def section(path: str, source: str, repository: str = "") -> str:
    """The section in Markdown, of the notebook at `path` (from the repository's root) with this cell of parameters.

    "" where no parameter changes anything.
    """
    rows = [row for row in parameters(source) if not row.words.startswith(UNUSED)]
    if not rows:
        return ""
    names = {name for row in rows for name in row.names}
    tried = " ".join(row.options for row in rows if {"preset", "seed"} & set(row.names))
    lines = [
        "## Run this with other parameters",
        "",
        "This page is a notebook. From the root of the repository, in the environment that `make book` makes "
        "(`source .venv/bin/activate`):",
        "",
        f"```sh\npapermill {path} out.ipynb {tried}".rstrip() + "\n```",
        "",
        "runs it with other values and leaves `out.ipynb`, figures and sentences included. What can be added:",
        "",
        "| option | what it is | on this page |",
        "|---|---|---|",
        *(f"| `{row.options}` | {row.text} | `{row.default}` |" for row in rows),
    ]
    if {"preset", "seed"} <= names:  # else nothing is trained
        name = Path(path).stem
        lines += [
            "",
            "Several values of each are a batch, run side by side and gathered with intervals over the seeds:",
            "",
            f"```sh\nrifr batch {path} --grid seed=0,1,2 --out runs/{name}\nmake book BATCH=runs/{name}\n```",
        ]
    if repository:
        lines += [
            "",
            "The rocket at the top opens the notebook on another computer. Binder makes the environment first; "
            f"on Colab, run `!git clone {repository} rifr-book && pip install -e 'rifr-book[book]'` in a first cell "
            "and restart.",
        ]
    return "\n".join(lines) + "\n"


def add_section(app: Sphinx, page: str, content: list[str]) -> None:
    """End a chapter with how to run it; the executed notebooks of a batch are no chapters."""
    path = Path(app.env.doc2path(page))
    if path.suffix != ".ipynb" or BOOK not in path.resolve().parents or Path(app.srcdir).resolve() != BOOK:
        return
    notebook = json.loads(content[0])
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            source = "".join(cell["source"])
            where = path.resolve().relative_to(BOOK.parent).as_posix()
            text = section(where, source, app.config.html_theme_options.get("repository_url", ""))
            if text:
                notebook["cells"].append({"cell_type": "markdown", "id": "run-this", "metadata": {}, "source": text})
                content[0] = json.dumps(notebook)
            return


def launch_buttons(app: Sphinx, config) -> None:
    """Buttons for Binder and Colab where the repository has an address."""
    options = config.html_theme_options
    address = options.get("repository_url", "").rstrip("/")
    buttons = {}
    if address:
        buttons = {"binderhub_url": BINDER, "notebook_interface": "jupyterlab"}
        if "//github.com/" in address:
            buttons["colab_url"] = COLAB
    options["launch_buttons"] = {"thebe": False, **buttons}


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w./-]+", value):
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", launch_buttons)
    app.connect("source-read", add_section)
    return {"version": rifr.__version__, "parallel_read_safe": True, "parallel_write_safe": True}

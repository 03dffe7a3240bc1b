"""A book of one chapter goes through the real build: figures, numbers, mathematics, cache, and what must fail it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.check_html import book_problems

pytestmark = pytest.mark.e2e

CHECKOUT = Path(__file__).resolve().parent.parent
FIGURE = """\
from matplotlib.figure import Figure
from myst_nb import glue
from rifr.report.show import show
glue("answer", 42.24, display=False)
show(Figure, alt="Nothing.", caption="An empty figure, $n = 0$.")"""
PAGE_WITH_CODE = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
# Two

```{{code-cell}}
{code}
```
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A checkout with this library, the book's settings and a chapter of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(CHECKOUT / "rifr", folder / "rifr", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "constraints.txt", folder)
    for part in ("_ext", "_static"):
        shutil.copytree(CHECKOUT / "book" / part, folder / "book" / part)
    for part in ("_config.yml", "references.bib", "references.md"):
        shutil.copy(CHECKOUT / "book" / part, folder / "book")
    toc = "format: jb-book\nroot: index\nchapters:\n- file: one\n- file: references\n"
    (folder / "book" / "_toc.yml").write_text(toc)
    (folder / "book" / "index.md").write_text("# Home\n\nThe answer is {glue:text}`one.ipynb::answer:.1f`.\n")
    chapter(folder, FIGURE)
    return folder


def chapter(checkout: Path, code: str) -> None:
    """Write the book's one chapter."""
    new = nbformat.v4
    cells = [
        new.new_markdown_cell("# One\n\n$$p_k = \\boldsymbol{w}_k$$ (softmax)\n\nSee {eq}`softmax`."),
        new.new_code_cell(code),
        new.new_code_cell(
            'from rifr.report.show import markdown\nmarkdown("As {cite:t}`hinton2015` say, $w < 3$.")',
            metadata={"tags": ["remove-input"]},
        ),
    ]
    for place, cell in enumerate(cells):
        cell.id = f"cell-{place}"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new.new_notebook(cells=cells, metadata=kernel), checkout / "book" / "one.ipynb")


def build(checkout: Path) -> tuple[int, str]:
    """`jupyter-book build book -W --keep-going`: its exit status and what it printed."""
    settings = os.environ | {"RIFR_STORE": str(checkout / "store")}
    command = "from jupyter_book.cli.main import main; main()"  # the package has no __main__
    done = subprocess.run(
        [sys.executable, "-c", command, "build", "book", "-W", "--keep-going"],
        cwd=checkout,
        env=settings,
        text=True,
        capture_output=True,
        timeout=300,
    )
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


def test_a_book_is_built_once_and_again_only_when_the_library_changes(checkout):
    html = checkout / "book" / "_build" / "html"
    status, printed = build(checkout)
    assert status == 0, printed
    assert printed.count("Executing notebook") == 1
    assert book_problems(html, checkout / "book" / "_toc.yml") == []
    page = (html / "one.html").read_text()
    assert len(re.findall(r'<img class="only-(?:light|dark)[ wide]*" alt="Nothing."', page)) == 2
    assert page.count("<summary>made by</summary>") == 2 and 'id="made-by-2"' in page and "data-made-by" not in page
    assert "mathjax/tex-chtml-full.js" in page and "thebe.js" not in page and "hinton" in page.lower()
    assert "{cite" not in page and ">42.2</span>" in (html / "index.html").read_text()

    status, printed = build(checkout)
    assert status == 0 and "Executing notebook" not in printed and "0 added, 0 changed, 0 removed" in printed

    with open(checkout / "rifr" / "report" / "show.py", "a") as file:
        file.write("# changed\n")
    status, printed = build(checkout)
    assert status == 0 and printed.count("Executing notebook") == 1


@pytest.mark.parametrize(
    "code, sign, times",
    [
        ("1 / 0", "ZeroDivisionError", 1),
        ("import sys; print('Careful!', file=sys.stderr)", "stderr was found", 2),  # the second time from the cache
    ],
)
def test_a_cell_that_fails_or_complains_fails_the_build(checkout, code, sign, times):
    chapter(checkout, f"{FIGURE}\n{code}")
    for _ in range(times):
        status, printed = build(checkout)
        assert status != 0 and sign in printed


def test_several_chapters_are_executed_side_by_side_and_then_found(checkout):
    chapter(checkout, FIGURE)
    second = FIGURE.replace("answer", "other")
    (checkout / "book" / "two.md").write_text(PAGE_WITH_CODE.format(code=second))
    toc = "format: jb-book\nroot: index\nchapters:\n- file: one\n- file: two\n- file: references\n"
    (checkout / "book" / "_toc.yml").write_text(toc)
    with open(checkout / "rifr" / "report" / "show.py", "a") as file:
        file.write("# changed again\n")
    status, printed = build(checkout)
    assert status == 0, printed
    if os.cpu_count() > 1:
        assert "one.ipynb: executed in" in printed and "two.md: executed in" in printed
        assert "Executing notebook" not in printed
    (checkout / "book" / "two.md").write_text(PAGE_WITH_CODE.format(code=f"{second}\n1 / 0"))
    chapter(checkout, f"{FIGURE}\nlen('')")
    status, printed = build(checkout)
    assert status != 0 and "ZeroDivisionError" in printed

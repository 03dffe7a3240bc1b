"""Every chapter says what it teaches and what it needs, sums up, and sets exercises whose answers run."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from tests.test_pages import unresolved

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTERS = [
    "faces", "network", "baselines", "gradient", "student", "alignment",
    "identification", "verification", "ablation", "tinyface", "scface", "methods", "beyond",
]  # fmt: skip
LONGEST_LINE = 88  # of code that a page shows; a longer one is broken where it happens to end
HIDDEN = {"hide-input", "remove-input", "remove-cell"}
ANSWER = re.compile(r"^:::\{admonition\} Answer\n:class: dropdown\n(.*?)^:::$", re.S | re.M)

each_chapter = pytest.mark.parametrize("name", CHAPTERS)


def texts(name: str) -> list[str]:
    """A chapter's cells of text, in order."""
    cells = nbformat.read(BOOK / f"{name}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def answers(name: str) -> list[str]:
    return ANSWER.findall(texts(name)[-1])


def answer_code(answer: str) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", answer, re.S | re.M))


@each_chapter
def test_a_chapter_begins_with_goals_and_prerequisites(name):
    title, goals, needs = texts(name)[0].replace("\n\n", "\n").splitlines()[:3]
    assert title.startswith("# ") and goals.startswith("**You will** ") and needs.startswith("**Needs:** ")


@each_chapter
def test_a_chapter_ends_with_key_points_without_measured_numbers_and_then_exercises(name):
    points, exercises = texts(name)[-2:]
    assert points.startswith("## Key points\n") and exercises.startswith("## Exercises\n")
    assert 3 <= len(re.findall(r"^- ", points, re.M)) <= 5
    assert re.search(r"\d\s*(%|points|px lower|°\s*\()|\d\.\d", points) is None, "a build may turn a measured number"


@each_chapter
def test_each_of_three_exercises_has_a_hidden_answer(name):
    exercises, number = texts(name)[-1], texts(name)[0].split()[1]
    asked = re.findall(r"^\*\*Exercise (\S+?)\.\*\*", exercises, re.M)
    assert asked == [f"{number}.{place}" for place in range(1, len(asked) + 1)] and len(asked) == 3
    assert len(answers(name)) == len(asked)


@pytest.mark.parametrize("page", [*BOOK.glob("*.ipynb"), *BOOK.glob("appendices/*.ipynb")], ids=lambda page: page.stem)
def test_the_code_that_a_page_shows_fits_it(page):
    cells = [cell for cell in nbformat.read(page, as_version=4).cells if cell.cell_type == "code"]
    shown = [cell.source for cell in cells if not HIDDEN & set(cell.metadata.get("tags", []))]
    assert [line for source in shown for line in source.splitlines() if len(line) > LONGEST_LINE] == []


@each_chapter
def test_the_code_of_an_answer_is_python_of_names_that_exist_and_fits_the_page(name):
    for answer in answers(name):
        code = answer_code(answer)
        ast.parse(code)
        assert unresolved(code) == []
        assert all(len(line) <= LONGEST_LINE for line in code.splitlines())


@pytest.mark.slow
@each_chapter
def test_the_answers_of_a_chapter_run(name, capsys):
    for answer in answers(name):
        code = answer_code(answer)
        exec(compile(code, f"{name}: {code[:60]!r}", "exec"), {"__name__": "answer"})
        assert not code or capsys.readouterr().out

"""Each chapter ends with how to run it: papermill's own reading of the cell agrees, and buttons wait for an address."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from papermill.cli import _resolve_type

from rifr import settings

BOOK = Path(__file__).resolve().parent.parent / "book"
NOTEBOOKS = sorted(path for path in BOOK.rglob("*.ipynb") if not {"_build", "_cache"} & set(path.parts))


@pytest.fixture(scope="module")
def extension():
    spec = importlib.util.spec_from_file_location("rifr_parameters_under_test", BOOK / "_ext" / "rifr_parameters.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def build(path, repository=""):
    """A build that reads this page."""
    return SimpleNamespace(
        srcdir=str(BOOK),
        env=SimpleNamespace(doc2path=lambda page: str(path)),
        config=SimpleNamespace(html_theme_options={"repository_url": repository}),
    )


def ended(extension, path, repository=""):
    """The notebook as the build reads it."""
    content = [path.read_text()]
    extension.add_section(build(path, repository), path.stem, content)
    return nbformat.reads(content[0], as_version=4)


def given(words):
    """The values of papermill's options -p, as it and the library read them."""
    values = iter(words[words.index("-p") :])
    return {next(values): settings.parse(str(_resolve_type(next(values)))) for option in values if option == "-p"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_chapter_ends_with_a_line_that_papermill_takes_and_explains_all_its_parameters(extension, path):
    notebook = nbformat.read(path, as_version=4)
    (cell,) = (cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    values: dict = {}
    exec(cell, {}, values)
    for parameter in extension.parameters(cell):
        if parameter.words.startswith(extension.UNUSED):
            values = {name: value for name, value in values.items() if name not in parameter.names}
    read = ended(extension, path)
    if not values:
        assert len(read.cells) == len(notebook.cells)
        return
    assert len(read.cells) == len(notebook.cells) + 1
    nbformat.validate(read)
    text = read.cells[-1].source
    line = shlex.split(re.search(r"^papermill .*$", text, re.M)[0])
    assert line[1] == path.relative_to(BOOK.parent).as_posix() and line[2] == "out.ipynb"
    assert set(given(line)) == {"preset", "seed"} & set(values)
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| `-p")]
    options = [shlex.split(row[0].strip("| `")) for row in rows]
    assert [name for option in options for name in given(option)] == list(values)
    for row, option in zip(rows, options, strict=True):
        assert row[1].strip(), f"{path.name}: {option} is not explained"
        assert all(row[2].strip("` |") == str(values[name]) for name in given(option))
        assert all(value != values[name] for name, value in given(option).items())


def test_where_no_parameter_changes_anything_nothing_is_offered(extension):
    unused = "preset = None  # unused here; every chapter takes it\n"
    assert extension.section("book/a.ipynb", unused + "seed = 0  # unused here\n") == ""
    text = extension.section("book/a.ipynb", unused + "seed = 0  # of the random logits\n")
    assert "out.ipynb -p seed 1\n" in text and "preset" not in text and "rifr batch" not in text  # it trains nothing
    silent = [path.stem for path in NOTEBOOKS if "Run this with" not in str(ended(extension, path).cells[-1:])]
    assert silent == ["faces_credits", "library", "speed"]


def test_comments_examples_and_what_belongs_together(extension):
    cell = (
        'preset = None  # "smoke"; None: $RIFR_PRESET\nseed = 0\n'
        "widths = None  # in pixels, such as [112, 16]; None: all\n"
        'changes = None  # such as "flip=False dropout=0"\nmethods = None  # of these, such as ["a", "b"]\n'
        "train_faces = None  # folders\nprobe_faces = None\nyunet = None  # path of a file\nwidth = 20  # of a face\n"
    )
    rows = extension.parameters(cell)
    assert [row.names for row in rows][5] == ("train_faces", "probe_faces") and len(rows) == 8
    assert [row.options for row in rows] == [
        "-p preset smoke",
        "-p seed 1",
        '-p widths "[112, 16]"',
        '-p changes "flip=False dropout=0"',
        '-p methods \'["a", "b"]\'',
        "-p train_faces FOLDER -p probe_faces FOLDER",
        "-p yunet FILE",
        "-p width 40",
    ]
    text = extension.section("book/x.ipynb", cell)
    assert r"None: \$RIFR\_PRESET" in text and r"such as \[112, 16\]" in text
    assert "rifr batch book/x.ipynb --grid seed=0,1,2 --out runs/x" in text
    assert "rifr batch" not in extension.section("book/x.ipynb", "width = 3  # of a face")


def test_pages_without_parameters_and_the_notebooks_of_a_batch_stay_as_they_are(extension, tmp_path):
    plain = tmp_path / "plain.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")]), plain)
    content = [plain.read_text()]
    extension.add_section(build(plain), "plain", content)
    assert content == [plain.read_text()]
    chapter = NOTEBOOKS[0].read_text()
    (tmp_path / "run.ipynb").write_text(chapter)
    content = [chapter]
    extension.add_section(build(tmp_path / "run.ipynb"), "run", content)
    assert content == [chapter]
    words = ["# Markdown"]
    extension.add_section(build(BOOK / "index.md"), "index", words)
    assert words == ["# Markdown"]


@pytest.mark.parametrize(
    "address, names",
    [
        ("", set()),
        ("https://github.com/some/book", {"binderhub_url", "colab_url"}),
        ("https://gitlab.com/some/book/", {"binderhub_url"}),
    ],
)
def test_buttons_appear_with_the_address_of_the_repository(extension, address, names):
    config = SimpleNamespace(html_theme_options={"repository_url": address, "launch_buttons": {"thebe": False}})
    extension.launch_buttons(None, config)
    buttons = config.html_theme_options["launch_buttons"]
    assert {name for name in buttons if name.endswith("_url")} == names and buttons["thebe"] is False
    text = ended(extension, BOOK / "faces.ipynb", address).cells[-1].source
    assert ("git clone" in text) == bool(address) == ("Binder" in text)


def test_the_section_says_nothing_that_would_execute_a_chapter_again(extension):
    path = BOOK / "faces.ipynb"
    before, after = (
        [cell for cell in read.cells if cell.cell_type == "code"]
        for read in (nbformat.read(path, as_version=4), ended(extension, path))
    )
    assert json.dumps(before) == json.dumps(after)

"""Chapters are stripped notebooks that run alone, with other parameters, and say what is wrong with bad ones."""

import ast
from dataclasses import replace
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from papermill.exceptions import PapermillExecutionError

from rifr import presets
from rifr.errors import SettingError
from tests.check_html import chapters

BOOK = Path(__file__).resolve().parent.parent / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
LONGEST_LINE = 120
LONGEST_CELL = 16  # lines; what is longer belongs in the library under a name

if not NOTEBOOKS:
    pytest.skip("the book has no chapters yet", allow_module_level=True)

each_chapter = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def parameters(path: Path) -> dict:
    """The names and defaults of a chapter's parameters."""
    cells = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    assert len(cells) == 1, f"{path.name}: {len(cells)} cells have the tag `parameters`; exactly one has to"
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(cells[0].source).body
        if isinstance(node, ast.Assign)
    }


def run(path: Path, folder: Path, **values) -> nbformat.NotebookNode:
    """Execute a chapter as `papermill book/x.ipynb out.ipynb -p ...` does from the repository's root."""
    return papermill.execute_notebook(path, folder / path.name, values, cwd=BOOK.parent, progress_bar=False)


@each_chapter
def test_a_chapter_is_stored_without_outputs(path):
    for cell in code_cells(path):
        assert cell.outputs == [] and cell.execution_count is None, f"{path.name}: strip its outputs before committing"


@each_chapter
def test_a_chapter_runs_on_any_python_3(path):
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == "python3"


@each_chapter
def test_a_chapter_has_one_cell_of_parameters_and_what_is_unset_is_none(path):
    defaults = parameters(path)
    assert defaults["preset"] is None and defaults["seed"] == 0
    faces = {"train_faces", "probe_faces", "distractor_faces"}
    assert not faces & set(defaults) or faces < set(defaults), f"{path.name}: all three folders or none"
    own = {("faces.ipynb", "width")}  # a parameter of a chapter itself has a value
    unset = {name for name in defaults if name != "seed" and (path.name, name) not in own}
    assert {name: defaults[name] for name in unset} == dict.fromkeys(unset)


def test_every_chapter_that_takes_epochs_takes_any_field_of_the_preset():
    takers = [path for path in NOTEBOOKS if "epochs" in parameters(path)]
    assert len(takers) >= 8
    for path in takers:
        assert "changes" in parameters(path) and "epochs=epochs, changes=changes)" in path.read_text(), path.name


def plan(path: Path, **values) -> presets.Preset:
    """What a chapter makes of parameters that papermill gives it: its cell of parameters and the line `plan = ...`."""
    (line,) = (
        line for cell in code_cells(path) for line in cell.source.splitlines() if line.startswith("plan = presets.get(")
    )
    space = {"presets": presets, **parameters(path), "preset": "smoke", **values}
    exec(line, space)
    return space["plan"]


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if "epochs" in parameters(path)], ids=lambda path: path.stem
)
def test_a_chapter_uses_or_refuses_what_it_is_given(path):
    assert plan(path) == presets.get("smoke")
    assert plan(path, changes="flip=False dropout=0.5").training == replace(
        presets.get("smoke").training, flip=False, dropout=0.5
    )
    assert plan(path, epochs=5).training.epochs == 5
    with pytest.raises(SettingError, match="epochs is 0"):
        plan(path, epochs=0)
    if "widths" in parameters(path):
        assert plan(path, widths="[112]").widths == (112,)
        with pytest.raises(SettingError, match="widths"):
            plan(path, widths=[])


def packed(source: str) -> int:
    """The lines of a cell where each is as full as it can be: a formatter that breaks calls apart makes none longer."""
    return sum(-(-len(line) // LONGEST_LINE) for line in ast.unparse(ast.parse(source)).splitlines() if line)


@each_chapter
def test_the_cells_of_a_chapter_are_short(path):
    cells = code_cells(path)
    assert len(cells[0].source.splitlines()) <= 8, f"{path.name}: the first code cell is what a reader meets first"
    for cell in cells:
        lines = cell.source.splitlines()
        assert packed(cell.source) <= LONGEST_CELL, f"{path.name}: the cell that begins with {lines[0]!r} is too long"
        assert not any(line.startswith(("def ", "class ", "async def ")) for line in lines), (
            f"{path.name}: a chapter imports, it does not define: {lines[0]!r}"
        )


def test_the_table_of_contents_names_every_chapter_and_nothing_else():
    named = chapters(BOOK / "_toc.yml")
    assert {path.stem for path in NOTEBOOKS} <= set(named)
    for name in named:
        assert any((BOOK / f"{name}{suffix}").is_file() for suffix in (".ipynb", ".md")), f"{name} does not exist"


def test_no_source_stands_beside_its_notebook():
    assert [path.name for path in NOTEBOOKS if path.with_suffix(".md").exists()] == []


def test_the_settings_that_make_a_failing_cell_fail_the_build_are_in_force():
    execute = yaml.safe_load((BOOK / "_config.yml").read_text())["execute"]
    assert execute["raise_on_error"] is True and execute["stderr_output"] == "warn" and execute["timeout"] == -1


@pytest.mark.slow
def test_a_chapter_runs_alone_with_other_parameters_and_is_silent_on_stderr(tmp_path):
    path = BOOK / "faces.ipynb" if (BOOK / "faces.ipynb").exists() else NOTEBOOKS[0]
    done = run(path, tmp_path, preset="smoke", seed=1)
    streams = [output for cell in done.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert streams == []


def with_parameter(*names: str) -> tuple[Path, str]:
    """The first chapter that has one of these parameters, and which."""
    for path in NOTEBOOKS:
        for name in names:
            if name in parameters(path):
                return path, name
    pytest.skip(f"no chapter has a parameter {' or '.join(names)}")


@pytest.mark.slow
def test_an_unknown_preset_is_refused_with_the_list_of_those_that_exist(tmp_path):
    with pytest.raises(PapermillExecutionError) as problem:
        run(with_parameter("preset")[0], tmp_path, preset="minni")
    message = problem.value.evalue
    assert "minni" in message and all(name in message for name in ("smoke", "mini", "rendered", "paper"))


@pytest.mark.slow
def test_a_negative_width_is_refused_with_what_is_allowed(tmp_path):
    path, name = with_parameter("widths", "width")
    with pytest.raises(PapermillExecutionError) as problem:
        run(path, tmp_path, preset="smoke", **{name: -3 if name == "width" else [-3]})
    assert "-3" in problem.value.evalue and "112" in problem.value.evalue

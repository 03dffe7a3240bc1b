"""The page on how the library is built counts what is in the source, and every module has its layer."""

import re
from pathlib import Path

import pytest

from rifr.report import architecture

ROOT = Path(__file__).resolve().parent.parent


def test_every_module_and_package_has_a_place_in_the_layers():
    placed = {room for layer in architecture.layers() for room in layer}
    modules = [*(ROOT / "rifr").glob("[!_]*.py"), *(path.parent for path in (ROOT / "rifr").glob("*/__init__.py"))]
    there = {path.stem for path in modules}
    assert placed == there


def test_rooms_are_counted_with_all_their_files():
    rooms = architecture.rooms().set_index("room")
    files = list((ROOT / "rifr" / "storage").rglob("*.py"))
    assert rooms.files["storage"] == len(files)
    assert rooms.lines["losses"] == len((ROOT / "rifr" / "losses.py").read_text().splitlines())
    assert rooms.what.str.len().min() > 10


@pytest.mark.parametrize(
    "importer, imported", [("losses", "training"), ("evaluation", "report"), ("readers", "evaluation")]
)
def test_imports_go_down(importer, imported):
    table = architecture.imports()
    assert table[(table.importer == importer) & (table.imported == imported)].empty


def test_import_statements_are_counted_as_a_search_of_the_text_counts_them():
    table = architecture.imports().set_index(["importer", "imported"]).statements
    several = r"^\s*from rifr import (?:\([^)]*|[^\n]*)\bstorage\b"  # in brackets over several lines
    pattern = re.compile(rf"^\s*from rifr\.storage\b|{several}", re.MULTILINE)
    texts = [path.read_text() for path in (ROOT / "rifr" / "training").rglob("*.py")]
    assert table["training", "storage"] == sum(len(pattern.findall(text)) for text in texts) > 0


def test_the_matrix_has_a_dot_for_each_pair_all_right_of_the_diagonal():
    order = list(architecture.rooms().room)
    axes = architecture.matrix(architecture.imports(), order).axes[0]
    offsets = axes.collections[0].get_offsets()
    assert len(offsets) == len(architecture.imports())
    assert (offsets[:, 0] > offsets[:, 1]).all()

"""The public names of the package."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rifr


def test_every_door_opens_is_documented_and_keeps_its_name():
    for name in rifr.__all__:
        door = getattr(rifr, name)
        assert inspect.getdoc(door), name
        assert door.__name__.rpartition(".")[2] == name and name in dir(rifr)


def test_rifr_alone_loads_nothing_heavy():
    code = "import rifr, sys; print(sorted({'torch', 'numpy', 'matplotlib', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.slow
def test_scoring_and_training_need_none_of_the_books_packages():
    code = """
import sys
for name in ("IPython", "seaborn", "torchvision", "papermill", "distributed", "sklearn"):
    sys.modules[name] = None
import rifr, rifr.cli, rifr.training.dry_run, rifr.report.figures, rifr.report.study, rifr.evaluation.scorecard
for name in rifr.__all__:
    getattr(rifr, name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_door_is_documented_on_the_page_of_the_library():
    page = (Path(__file__).resolve().parent.parent / "book" / "appendices" / "api.md").read_text()
    missing = [name for name in rifr.__all__ if not re.search(rf":: rifr[\w.]*\.{name}\b", page)]
    assert missing == []

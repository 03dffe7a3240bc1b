"""A batch's numbers over its seeds, and the book of its notebooks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import pandas as pd
import pytest

from rifr.batch import grid, pages
from rifr.errors import DataError
from rifr.report.show import RECORDED, record
from tests.helpers import chapter

pytestmark = pytest.mark.e2e


def finished(folder: Path, parameters: dict, values: list, name: str = "rank1", **source) -> Path:
    """An executed notebook as a run leaves it, with a number for each of two networks."""
    folder.mkdir(exist_ok=True)
    words = "-".join(f"{key}={value}" for key, value in parameters.items())
    path = chapter(folder / f"tiny-{words}.ipynb", "0")
    notebook = nbformat.read(path, as_version=4)
    rows = [["P1", network, 16, value] for network, value in zip("ab", values, strict=True)]
    kept = {"name": name, "by": ["protocol", "network", "width"], "rows": rows}
    caption = '<figcaption>Drawn by <code class="rifr-source">rifr.report.figures.recognition.cmc</code></figcaption>'
    new = nbformat.v4.new_output
    notebook.cells[-1].outputs = [
        new("display_data", {"text/plain": "numbers"}, metadata={RECORDED: kept}),
        new("display_data", {"text/markdown": "As [Errata](errata.ipynb) say.", "text/plain": ""}),
        new("display_data", {"text/html": caption}),
        new("stream", name="stderr", text="A warning."),
    ]
    notebook.metadata["rifr"] = {"chapter": "tiny", "parameters": parameters, "source": "s", "library": "l"} | source
    nbformat.write(notebook, path)
    return path


def test_the_summary_is_the_mean_over_seeds_with_a_t_interval(tmp_path):
    for seed, value in enumerate([1.0, 2.0, 4.0]):
        finished(tmp_path, {"preset": "x", "seed": seed, "widths": [112, 16]}, [value, None if seed == 1 else 5.0])
    finished(tmp_path, {"preset": "y", "seed": 0, "widths": [112, 16]}, [7.0, None])
    table = grid.summary(tmp_path)
    settings, keys = ["chapter", "preset", "widths", "measure"], ["protocol", "network", "width"]
    assert list(table.columns) == [*settings, *keys, "mean", "low", "high", "seeds"]
    by = table.set_index(["preset", "network"])
    one = by.loc[("x", "a")]
    # mean 7/3, deviation sqrt(7/3) = 1.527525, t(2; 0.975) = 4.302653: half = 4.302653 * 1.527525 / sqrt(3) = 3.794577
    assert (one["mean"], one.low, one.high) == pytest.approx((2.333333, -1.461244, 6.127911), abs=1e-5)
    assert one.seeds == 3
    two = by.loc[("x", "b")]
    assert (two["mean"], two.seeds) == (5, 2) and np.isnan(
        [two.low, two.high]
    ).all()  # the run that could not measure is out
    alone, nothing = by.loc[("y", "a")], by.loc[("y", "b")]
    assert alone["mean"] == 7 and alone.seeds == 1 and pd.isna(alone.low) and pd.isna(alone.high)
    assert nothing.seeds == 0 and pd.isna(nothing["mean"])


def test_runs_of_two_versions_are_not_averaged(tmp_path):
    finished(tmp_path, {"seed": 0}, [1, 1])
    finished(tmp_path, {"seed": 1}, [3, 3], library="newer")
    table = grid.summary(tmp_path)
    assert table["mean"].tolist() == [1, 1, 3, 3] and table.version.nunique() == 2 and set(table.seeds) == {1}
    assert grid.summary(tmp_path / "nothing").empty


def test_numbers_are_kept_as_they_are(capsys):
    kept = []
    frame = pd.DataFrame({"width": [16, 112], "tpr": [0.1 + 0.2, float("nan")]})
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr("IPython.display.display", lambda *rest, **options: kept.append(options["metadata"]))
        record(frame, "tpr", by=["width"])
    rows = json.loads(json.dumps(kept))[0][RECORDED]["rows"]
    assert rows == [[16, 0.30000000000000004], [112, None]] and isinstance(rows[0][0], int)


def test_executed_notebooks_become_a_book_without_a_warning(tmp_path):
    for seed in (0, 1):
        finished(tmp_path, {"preset": "x", "seed": seed}, [10.0 + seed, 4.5])
    failed = finished(tmp_path, {"preset": "x", "seed": 2}, [0, 0], error="ValueError: a | `b`")
    failed.rename(failed.with_suffix(".failed.ipynb"))
    written = pages.write(tmp_path)
    run = "from jupyter_book.cli.main import main; main()"
    arguments = ["build", str(written), "--path-output", str(tmp_path), "-W", "--keep-going"]
    done = subprocess.run([sys.executable, "-c", run, *arguments], text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    html = tmp_path / "_build" / "html"
    first = " ".join(re.sub(r"<[^>]+>", " ", (html / "index.html").read_text()).split())  # no-break spaces too
    # mean 10.5, deviation sqrt(1/2), t(1; 0.975) = 12.7062: half = 12.7062 * 0.5 = 6.3531
    assert "10.5 (4.1 to 16.9)" in first and "Seeds: 2." in first
    assert "4.5 (" not in first and "the same for all seeds, have no interval" in first  # of two equal seeds
    assert "2 of 3 runs finished" in first and "ValueError: a ¦ 'b'" in first and "seed=2.failed.ipynb" in first
    for seed in (0, 1):
        page = (html / f"tiny-preset=x-seed={seed}.html").read_text()
        assert f"9 Tiny: seed {seed}" in page
        assert f'href="tiny-preset=x-seed={seed}.html"' in unquote((html / "index.html").read_text())
        assert "chapter 10" in page and "tinyface" not in page and "errata." not in page and "A warning." in page
        assert "hinton" in page.lower() and f"one-{seed}" in page
    assert not (written / failed.name).exists()


def test_a_folder_without_runs_makes_no_book(tmp_path):
    with pytest.raises(DataError, match="holds no run"):
        pages.write(tmp_path)

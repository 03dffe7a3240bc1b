"""What the README says can be done is done here, as it stands there."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from rifr import cli
from rifr.batch import grid
from rifr.batch.jobs import defaults
from tests.helpers import onnx_file, person, photos

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
SHELL = re.findall(r"^    (\S.*)$", README, re.MULTILINE)


def commands(*words: str, count: int) -> list[list[str]]:
    """The README's command lines that begin with these words, split as a shell does, without the words themselves.

    There are exactly `count`: a line that is written otherwise does not pass by unseen.
    """
    lines = [shlex.split(line, comments=True) for line in SHELL]
    chosen = [line[len(words) :] for line in lines if tuple(line[: len(words)]) == words]
    assert len(chosen) == count, f"{' '.join(words)}: {len(chosen)} lines, not {count}: {chosen}"
    return chosen


def rifr(command: str, count: int) -> list[list[str]]:
    """The arguments of the README's `python -m rifr COMMAND` lines, with the command."""
    return [[command, *line] for line in commands("python", "-m", "rifr", command, count=count)]


def option(line: list[str], name: str) -> str:
    """What stands after an option."""
    return line[line.index(name) + 1]


def parameters_of(line: list[str]) -> dict[str, str]:
    """The parameters that a papermill line gives: -p NAME VALUE."""
    places = [place for place, word in enumerate(line) if word == "-p"]
    return {line[place + 1]: line[place + 2] for place in places}


@pytest.fixture
def folders(tmp_path, monkeypatch, store_folder):
    """my_faces, my_probes, a list of pairs and model.onnx, where the README looks for them."""
    for i in range(8):
        person(tmp_path / "my_faces", f"many-{i}", 6)
    for i in range(5):
        person(tmp_path / "my_faces", f"single-{i}", 1)
    for i in range(4):
        photos(tmp_path / "my_probes", f"probe-{i}", 3)
    lines = [f"probe-{i}\t{j}\t{j + 1}" for i in range(4) for j in (1, 2)]
    lines += [f"probe-{i}\t{j}\tprobe-{(i + 1) % 4}\t{j}" for i in range(4) for j in (1, 2)]
    (tmp_path / "pairs.txt").write_text("\n".join(["1\t8", *lines]) + "\n")
    onnx_file(tmp_path / "model.onnx", ["n", 3, 112, 112])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_library_in_ten_lines(folders, capsys):
    space = {}
    exec(compile(PYTHON, "README.md", "exec"), space)
    assert space["z"].shape == (12, 32) and np.isfinite(space["z"]).all()
    table = space["outcome"].table()
    assert set(table.network) == {"proposed", "mine"} and "difference" in capsys.readouterr().out


def test_an_onnx_file_is_scored_from_python_and_from_the_shell(folders, capsys):
    exec(compile(PYTHON[PYTHON.index("import rifr\nfrom rifr.report import figures") :], "README.md", "exec"), {})
    rows = json.loads((folders / "results.json").read_text())["results"]
    assert {(row["measure"], row["width"]) for row in rows} == {(m, w) for m in ("rank1", "roc") for w in (112, 30, 16)}
    lines = [line for line in rifr("evaluate", count=3) if "--help" not in line]
    assert len(lines) == 2 and all("--embedder" in line for line in lines)
    for line in lines:
        assert cli.main(line) == 0
    said = capsys.readouterr().out
    assert "12 probes of 4 people" in said and "16 pairs of 12 photos" in said
    assert all((folders / name).exists() for name in ("found.json", "found.png", "pairs.csv"))


def test_the_doctor_is_asked(folders, capsys):
    (line,) = rifr("doctor", count=1)
    assert cli.main(line) == 0
    assert "12 genuine and 12 impostor pairs of 12 photos of 4 people" in capsys.readouterr().out
    assert json.loads((folders / option(line, "--out")).read_text())["results"]


def test_the_batches_are_of_a_chapter_that_has_these_parameters(tmp_path):
    for line in rifr("batch", count=2):
        options = cli.parser().parse_args(line)
        jobs = grid.jobs(ROOT / options.chapter, grid.grid(options.grid), tmp_path / options.out)
        assert [job.parameters for job in jobs] == [{"preset": "mini", "seed": seed} for seed in range(5)]
        assert options.scheduler in (None, "tcp://host:8786")
    (line,) = [line for line in commands("make", "book", count=2) if line and line[0].startswith("BATCH=")]
    said = subprocess.check_output(["make", "-n", "book", *line], cwd=ROOT, text=True)
    assert line == [f"BATCH={options.out}"] and f'rifr.batch.pages "{options.out}"' in said and "rifr train" not in said


@pytest.mark.slow
def test_papermill_runs_a_chapter_on_the_readers_own_faces(folders):
    (arguments,) = commands("papermill", "book/ablation.ipynb", count=1)
    arguments = [str(ROOT / "book" / "ablation.ipynb"), *arguments]
    subprocess.run(
        [sys.executable, "-m", "papermill", *arguments, "-p", "preset", "smoke", "--no-progress-bar"], check=True
    )
    text = (folders / "out.ipynb").read_text()
    assert "12 probes of 4 people among 5 distractors" in text and "Traceback" not in text


@pytest.mark.slow
def test_a_source_is_checked_and_made_a_pack(folders):
    lines = [shlex.split(line, comments=True) for line in SHELL if "data_scripts" in line]
    for line in lines:
        subprocess.run([sys.executable, str(ROOT / line[1]), *line[2:]], check=True, stdout=subprocess.DEVNULL)
    packs = {option(line, "--out"): "--dry-run" not in line for line in lines}
    assert {name: (folders / name / "manifest.json").exists() for name in packs} == packs and len(packs) == 2


def test_pictures_are_aligned_by_a_detector(real_data, folders):
    (line,) = rifr("align", count=1)
    (folders / "my_pictures" / "someone").mkdir(parents=True)
    shutil.copy(next((real_data / "lfw_raw").glob("*/*.jpg")), folders / "my_pictures" / "someone" / "1.jpg")
    shutil.copy(real_data / "models" / "yunet_n_dynamic.onnx", folders / "face_detection_yunet.onnx")
    assert cli.main(line) == 0
    assert (folders / "my_aligned" / "someone" / "1.png").exists()


def test_papermill_is_shown_with_parameters_that_the_chapters_have():
    lines = commands("papermill", count=5)
    for chapter, _, *rest in lines:
        has = set(defaults(nbformat.read(ROOT / chapter, 4)))
        asked = parameters_of(rest)
        assert asked and set(asked) <= has, f"{chapter} has no {set(asked) - has}"
    roots = {name for line in lines for name in parameters_of(line) if name.endswith("_root")}
    assert roots == {"tinyface_root", "scface_root"}


def test_every_file_on_the_map_exists():
    rows = re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
    assert len(rows) > 10
    for names in rows:
        folder = ""
        for name in re.findall(r"`(.*?)`", names):
            folder = name.rsplit("/", 1)[0] if name.count("/") and not name.endswith("/") else folder
            assert (ROOT / name).exists() or (ROOT / folder / name).exists(), name


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake (\w+)", "\n".join(SHELL)))
    assert {"book", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_chapter_that_papermill_is_shown_with_exists():
    paths = re.findall(r"papermill (book/\S+)", README)
    assert len(paths) >= 5
    for path in paths:
        assert (ROOT / path).exists(), path

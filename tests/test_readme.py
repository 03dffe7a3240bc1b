"""What the README says can be done is done here, as it stands there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from rifr import batch, cli
from tests.helpers import onnx_file, person, photos

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
SHELL = re.findall(r"^    (\S.*)$", README, re.MULTILINE)


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
    exec(compile(PYTHON[PYTHON.index("from rifr import scoring") :], "README.md", "exec"), {})
    rows = json.loads((folders / "results.json").read_text())["results"]
    assert {(row["measure"], row["width"]) for row in rows} == {(m, w) for m in ("rank1", "roc") for w in (112, 30, 16)}
    lines = [line for line in SHELL if "--embedder" in line]
    for line in lines:
        assert cli.main(line.split()[3:]) == 0
    said = capsys.readouterr().out
    assert "12 probes of 4 people" in said and "16 pairs of 12 photos" in said
    assert len(lines) == 2 and all((folders / name).exists() for name in ("found.json", "found.png", "pairs.csv"))


def test_the_batches_are_of_a_chapter_that_has_these_parameters(tmp_path):
    for line in (line for line in SHELL if "rifr batch" in line):
        options = cli._parser().parse_args(line.split()[3:])
        jobs = batch.jobs(ROOT / options.chapter, batch.grid(options.grid), tmp_path / options.out)
        assert [job.parameters for job in jobs] == [{"preset": "mini", "seed": seed} for seed in range(5)]
        assert options.scheduler in ("", "tcp://host:8786")
    (line,) = (line for line in SHELL if line.startswith("make book BATCH"))
    said = subprocess.check_output(["make", "-n", *line.split()[1:]], cwd=ROOT, text=True)
    assert str(options.out) in line and f'rifr.batch_book "{options.out}"' in said and "rifr train" not in said


def test_papermill_runs_a_chapter_on_the_readers_own_faces(folders):
    (line,) = (line for line in SHELL if line.startswith("papermill book/ablation"))
    arguments = line.split()[1:]
    arguments[0] = str(ROOT / arguments[0])
    subprocess.run(
        [sys.executable, "-m", "papermill", *arguments, "-p", "preset", "smoke", "--no-progress-bar"], check=True
    )
    text = (folders / "out.ipynb").read_text()
    assert "12 probes of 4 people among 5 distractors" in text and "Traceback" not in text


def test_a_source_is_checked_and_made_a_pack(folders):
    lines = [line.split() for line in SHELL if "data_scripts" in line]
    for line in lines:
        subprocess.run([sys.executable, str(ROOT / line[1]), *line[2:]], check=True, stdout=subprocess.DEVNULL)
    packs = {line[line.index("--out") + 1]: "--dry-run" not in line for line in lines}
    assert {name: (folders / name / "manifest.json").exists() for name in packs} == packs and len(packs) == 2


def test_pictures_are_aligned_by_a_detector(real_data, folders):
    (line,) = (line for line in SHELL if "rifr align" in line)
    (folders / "my_pictures" / "someone").mkdir(parents=True)
    shutil.copy(next((real_data / "lfw_raw").glob("*/*.jpg")), folders / "my_pictures" / "someone" / "1.jpg")
    shutil.copy(real_data / "models" / "yunet_n_dynamic.onnx", folders / "face_detection_yunet.onnx")
    assert cli.main(line.split()[3:]) == 0
    assert (folders / "my_aligned" / "someone" / "1.png").exists()


def test_chapters_on_sets_take_their_roots():
    for line in SHELL:
        if "_root" in line:
            chapter, name = line.split()[1], line.split()[4]
            assert f'{name} = ""' in "".join(cell.source for cell in nbformat.read(ROOT / chapter, 4).cells)


def test_every_file_on_the_map_exists():
    for names in re.findall(r"^\| (`.*?) \|", README, re.MULTILINE):
        folder = ""
        for name in re.findall(r"`(.*?)`", names):
            folder = name.rsplit("/", 1)[0] if name.count("/") and not name.endswith("/") else folder
            assert (ROOT / name).exists() or (ROOT / folder / name).exists(), name


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", " ".join(SHELL)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_chapter_that_papermill_is_shown_with_exists():
    for path in re.findall(r"papermill (\S+)", README):
        assert (ROOT / path).exists(), path

"""The command line does what the library does, and an error is one line."""

import pandas as pd
import pytest

from rifr import cli
from rifr.packs import FacePack
from tests.test_sets import person

SMALL = ["--set", "epochs=1", "train_people=6", "train_images=6", "probe_people=3", "probe_images=3", "distractor_people=5",
         "batch_size=16", "--widths", "112", "16", "--preset", "smoke"]  # fmt: skip


def test_render_and_prepare_write_packs(tmp_path, capsys):
    assert cli.main(["render", "--people", "2", "--images", "2", "--out", str(tmp_path / "rendered")]) == 0
    assert len(FacePack.open(tmp_path / "rendered")) == 4
    person(tmp_path / "mine", "Ann", 3)
    (tmp_path / "mine" / "Ann" / "broken.jpg").write_bytes(b"no image")
    assert cli.main(["prepare", str(tmp_path / "mine"), "--out", str(tmp_path / "pack")]) == 0
    said = capsys.readouterr().out
    assert "3 images of 1 people; 1 files skipped" in said and "broken.jpg" in said


def test_train_evaluate_and_list(tmp_path, store_folder, capsys):
    assert cli.main(["train", "--recipe", "hr-only", *SMALL]) == 0
    assert cli.main(["evaluate", "--recipe", "hr-only", *SMALL, "--out", str(tmp_path / "table.csv")]) == 0
    table = pd.read_csv(tmp_path / "table.csv")
    assert set(table.protocol) == {"P1", "P2"} and set(table.width) == {112, 16} and set(table.people) == {3}
    capsys.readouterr()
    assert cli.main(["runs"]) == 0
    assert capsys.readouterr().out.startswith("hr-only-smoke-s0-")


def test_an_embedder_of_ones_own_is_scored_on_folders(tmp_path, store_folder, real_data, capsys):
    for name in ("Ann", "Bob", "Gus"):
        person(tmp_path / "probes", name, 2)
    person(tmp_path / "crowd", "Dan", 1)
    person(tmp_path / "crowd", "Bob", 1)
    arguments = ["evaluate", "--embedder", str(real_data / "models" / "mobilefacenet.onnx"), "--widths", "112", "--preset",
                 "smoke", "--probes", str(tmp_path / "probes"), "--distractors", str(tmp_path / "crowd")]  # fmt: skip
    assert cli.main(arguments) == 0
    assert "6 probes of 3 people, 1 distractors" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "--preset", "huge"], "no preset is called 'huge': choose one of smoke, mini, rendered, paper"),
        (["train", "--recipe", "best", "--preset", "smoke"], "no recipe is called 'best'"),
        (["train", "--preset", "smoke", "--set", "epochs"], "FIELD=VALUE"),
        (["evaluate", "--preset", "smoke"], "nothing to evaluate"),
        (["evaluate", "--recipe", "hr-only", "--widths", "-3"], "4 to 112"),
        (["prepare", "no-such-folder", "--out", "x"], "no-such-folder"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(arguments, message, store_folder, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in said and said.startswith(f"rifr {arguments[0]}: ")


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_runs", stop)
    assert cli.main(["runs"]) == 130 and "the same command goes on" in capsys.readouterr().err

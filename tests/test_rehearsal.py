"""The rehearsal of a training: roots are counted, what is in the way is said, and nothing is trained."""

import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rifr import cli, presets, rehearsal
from tests.helpers import easy_faces

SMOKE = presets.get("smoke")


def folder(path, people, images):
    for person in range(people):
        (path / f"person-{person}").mkdir(parents=True)
        for image in range(images):
            Image.fromarray(np.zeros((112, 112, 3), np.uint8)).save(path / f"person-{person}" / f"{image}.png")
    return str(path)


def test_roots_are_counted_and_costs_follow_from_the_counts(tmp_path, store_folder, monkeypatch):
    monkeypatch.setattr(
        rehearsal,
        "measured_step",
        lambda recipe, preset, people: rehearsal.Step(2.0 * (recipe.high + recipe.low), 5 * 2**30),
    )
    easy_faces(tmp_path / "pack", people=8, images=12)
    roots = [str(tmp_path / "pack"), folder(tmp_path / "probes", 3, 2), folder(tmp_path / "others", 5, 1)]
    report = rehearsal.rehearse(SMOKE, ["proposed"], roots)
    assert not report.wrong and "ready" in str(report)
    counted = [[one.images, one.people, one.new] for one in (rehearsal._at("", root) for root in roots)]
    assert counted == [[96, 8, False], [6, 3, True], [5, 5, True]]
    # 96 images: 3 steps an epoch, 2 epochs; the teacher comes first: 6 x 2 s and 6 x 4 s
    text = str(report)
    assert "HR-only                      6 steps of 2,000.0 ms (16 images/s) = 12 seconds" in text
    assert "proposed                     6 steps of 4,000.0 ms (16 images/s) = 24 seconds" in text
    assert "all 2, one after the other: 36 seconds" in text
    assert not store_folder.exists()


def test_what_is_in_the_way_is_said(tmp_path, store_folder, monkeypatch, capsys):
    monkeypatch.setattr(rehearsal, "measured_step", lambda *_: rehearsal.Step(1.0, 2**60))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 0))
    report = rehearsal.rehearse(SMOKE, ["hr-only"])
    assert ["the disk is" in text or "GiB of memory" in text for text in report.wrong] == [True, True]
    assert "RIFR_STORE" in report.wrong[0] and "micro_batch=16" in report.wrong[1]

    empty = tmp_path / "empty"
    empty.mkdir()
    assert (
        cli.main(["train", "--preset", "smoke", "--dry-run", "--faces", str(tmp_path / "none"), str(empty), "x"]) == 1
    )
    told = capsys.readouterr()
    assert "none is no folder" in told.out and "holds no images" in told.out and "would not work" in told.err
    assert any(
        "the paper's faces are not given" in text
        for text in rehearsal.rehearse(replace(presets.get("paper"), training=SMOKE.training), ["hr-only"]).wrong
    )


def test_a_step_is_measured_and_in_proportion_to_the_batch():
    small, large = (
        rehearsal.measured_step(rehearsal.recipes.get("proposed"), presets.get("smoke", batch_size=size), 10)
        for size in (8, 80)
    )
    assert small.seconds > 0 and 2 < large.seconds / small.seconds < 50  # ten times, on a machine that others use too
    assert large.peak > 2**27 and small.peak > 2**27


def test_the_shell_measures_and_trains_nothing(store_folder, capsys):
    assert cli.main(["train", "--preset", "smoke", "--recipe", "lr-only", "--dry-run"]) == 0
    assert "LR-only" in capsys.readouterr().out and not store_folder.exists()
    with pytest.raises(ValueError, match="hr-only, lr-only"):
        rehearsal.rehearse(SMOKE, ["hr"])

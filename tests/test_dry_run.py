"""The dry run of a training: roots are counted, what is in the way is said, and nothing is trained."""

import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from rifr import cli, devices, networks, presets, recipes, splits
from rifr.errors import DataError, SettingError
from rifr.training import dry_run, loop
from tests.helpers import easy_faces

SMOKE = presets.get("smoke")


def folder(path, people, images, name="person"):
    for person in range(people):
        (path / f"{name}-{person}").mkdir(parents=True)
        for image in range(images):
            colour = np.full((112, 112, 3), (person, image, len(name)), np.uint8)
            Image.fromarray(colour).save(path / f"{name}-{person}" / f"{image}.png")
    return str(path)


def test_roots_are_counted_and_costs_follow_from_the_counts(tmp_path, store_folder, monkeypatch):
    monkeypatch.setattr(
        dry_run,
        "measured_step",
        lambda recipe, preset, people: dry_run.Step(
            2.0 * (recipe.uses_hr + recipe.uses_lr), 5 * 2**30, 3 if recipe.uses_lr else 1, 8
        ),
    )
    monkeypatch.setattr(dry_run, "measured_teacher", lambda preset: 0.5)
    easy_faces(tmp_path / "pack", people=8, images=12)
    roots = [str(tmp_path / "pack"), folder(tmp_path / "probes", 3, 2), folder(tmp_path / "others", 5, 1)]
    report = dry_run.rehearse(SMOKE, ["proposed"], roots)
    assert not report.wrong and "ready" in str(report)
    counted = [[one.images, one.people, one.new] for one in (dry_run.faces_at("", root) for root in roots)]
    assert counted == [[96, 8, False], [6, 3, True], [5, 5, True]]
    # 96 images: 3 steps an epoch, 2 epochs; the teacher comes first: 6 x 2 s and 6 x 4 s; its outputs 96 x 0.5 s
    text = str(report)
    assert "HR-only                      6 steps of 2,000.0 ms (16 images/s) = 12 seconds" in text
    assert "proposed                     6 steps of 4,000.0 ms (24 images/s) = 24 seconds" in text
    assert "96 photos and their mirror images = 48 seconds" in text
    assert "all 2, one after the other: 84 seconds" in text
    assert not store_folder.exists()
    # changed anew, each of the 2 epochs has one pass of the teacher, at half of 0.5 s a photo
    text = str(dry_run.rehearse(presets.get(SMOKE, augment=1.0), ["proposed"], roots))
    assert "96 photos in 2 epochs = 48 seconds" in text and "0.0 for the teacher's outputs" in text
    text = str(dry_run.rehearse(presets.get(SMOKE, augment=1.0, epochs=6), ["kl-only", "proposed"], roots))
    assert "96 photos in 6 epochs = 2.4 minutes" in text
    # a teacher of 4 epochs, 12 steps, beside the HR-only network of 2; HR+LR needs it only to start from
    longer = presets.get(SMOKE, teacher_epochs=4)
    text = str(dry_run.rehearse(longer, ["hr-only", "proposed"], roots))
    assert "HR-only                     12 steps" in text and "HR-only                      6 steps" in text
    assert "12 steps" not in str(dry_run.rehearse(longer, ["hr+lr"], roots))
    assert "12 steps" in str(dry_run.rehearse(presets.get(longer, softmax_start="teacher"), ["hr+lr"], roots))


@pytest.fixture
def no_costs(monkeypatch):
    monkeypatch.setattr(dry_run, "measured_step", lambda *_: dry_run.Step(1.0, 0, 1, 8))


def test_faces_are_counted_by_the_rules_that_the_training_takes_them_by(tmp_path, store_folder, no_costs):
    roots = [tmp_path / name for name in ("train", "probes", "others")]
    for root, people, images in zip(roots, (6, 4, 9), (8, 3, 2), strict=True):
        folder(root, people, images, root.name)
    for person, name in (
        ("train/train-0", "PROBES_1"),
        ("others/others-0", "Train 2"),
        ("others/others-1", "probes-3"),
    ):
        (tmp_path / person).rename((tmp_path / person).with_name(name))  # in another set, too, spelled otherwise
    for few, left in ((roots[0] / "train-5", 4), (roots[1] / "probes-0", 1)):
        for file in sorted(few.iterdir())[left:]:
            file.unlink()
    for root in roots:  # what a Mac leaves, what is no image, and a person without one
        for name in (".DS_Store", "._1.png", "Thumbs.db", "notes.txt"):
            (next(root.iterdir()) / name).write_bytes(b"x")
        (root / "nobody").mkdir()
    report = dry_run.rehearse(SMOKE, ["hr-only"], [str(root) for root in roots])
    assert not report.wrong and not store_folder.exists()
    found = splits.face_splits(SMOKE, 0, *roots, progress=False)
    for name in ("train", "probes", "distractors"):
        pack = getattr(found, name)
        line = f"  {name:12} {len(pack):>9,} images of {len(pack.people):>6,} people"
        assert line in str(report), (line, str(report))
    assert (len(found.train), len(found.probes), len(found.distractors)) == (32, 9, 7)
    by_name = [entry for entry in found.left_out if "people" in entry.reason]
    assert len(by_name) == 5 and all(str(entry) in str(report) for entry in by_name)


@pytest.mark.parametrize("images, probes", [(12, "train"), (4, "probes")])
def test_faces_that_cannot_be_trained_on_are_not_ready_for_the_reason_that_the_training_gives(
    tmp_path, store_folder, no_costs, images, probes
):
    train, others = folder(tmp_path / "train", 3, images), folder(tmp_path / "probes", 4, 2, "other")
    roots = [train, train if probes == "train" else others, train]  # all of them are probes, or nobody has five images
    report = dry_run.rehearse(SMOKE, ["hr-only"], roots)
    with pytest.raises(DataError, match="nobody is left of the 3 people in train") as error:
        splits.face_splits(SMOKE, 0, *roots, progress=False)
    assert f"train: {error.value}" in report.wrong and "NOT READY" in str(report)


@pytest.mark.parametrize("spoilt", ["loose", "twice", "no images"])
def test_a_folder_that_the_training_would_not_read_is_not_ready(tmp_path, store_folder, no_costs, spoilt):
    roots = [folder(tmp_path / name, 6, 8) for name in ("train", "probes", "others")]
    if spoilt == "loose":
        shutil.copy(tmp_path / "train" / "person-0" / "0.png", tmp_path / "train" / "9.png")
    elif spoilt == "twice":
        shutil.copytree(tmp_path / "train" / "person-0", tmp_path / "train" / "Person-0")
    else:
        for file in (tmp_path / "train").glob("*/*.png"):
            file.rename(file.with_suffix(".heic"))
    said = {"loose": "lie in", "twice": "under one name", "no images": "holds no images in folders per person"}
    report = dry_run.rehearse(SMOKE, ["hr-only"], roots)
    assert len(report.wrong) == 1 and said[spoilt] in report.wrong[0]
    with pytest.raises(DataError):
        splits.face_splits(SMOKE, 0, *roots, progress=False)


def test_a_rehearsal_on_a_cpu_waits_for_no_compiler(monkeypatch):
    def compiled(*arguments):
        raise AssertionError("the network was compiled")

    monkeypatch.setattr(loop, "compile_where_possible", compiled)
    monkeypatch.setattr(devices, "device", lambda: torch.device("cpu"))
    plan = presets.get("smoke", compile=True)
    assert dry_run.measured_step(recipes.get("hr+lr"), plan, 24).seconds > 0


def test_what_is_in_the_way_is_said(tmp_path, store_folder, monkeypatch, capsys):
    monkeypatch.setattr(dry_run, "measured_step", lambda *_: dry_run.Step(1.0, 2**60, 1, 8))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 0))
    report = dry_run.rehearse(SMOKE, ["hr-only"])
    assert ["the disk is" in text or "GiB of memory" in text for text in report.wrong] == [True, True]
    assert "RIFR_STORE" in report.wrong[0] and "micro_batch=16" in report.wrong[1]

    empty = tmp_path / "empty"
    empty.mkdir()
    assert (
        cli.main(["train", "--preset", "smoke", "--dry-run", "--faces", str(tmp_path / "none"), str(empty), "x"]) == 1
    )
    told = capsys.readouterr()
    assert "none does not exist" in told.out and "empty holds no folder" in told.out and "would not work" in told.err
    assert any(
        "the paper's faces are not given" in text
        for text in dry_run.rehearse(replace(presets.get("paper"), training=SMOKE.training), ["hr-only"]).wrong
    )


def test_an_estimate_from_a_few_photos_comes_near_a_whole_measured_step(monkeypatch):
    plan, recipe = presets.get("smoke", batch_size=96), dry_run.recipes.get("proposed")
    few = dry_run.measured_step(recipe, plan, 10)
    monkeypatch.setattr(dry_run, "PROBE_BATCH", 96)
    whole = dry_run.measured_step(recipe, plan, 10)
    assert (few.photos, whole.photos) == (8, 96)
    assert 1 / 4 < few.seconds / whole.seconds < 4  # twelve times too little, were it not scaled
    assert few.peak > 2**27 and whole.peak > 2**27


@pytest.mark.parametrize("recipe, low, images", [("hr-only", "one", 1), ("hr+lr", "one", 2), ("hr+lr", "both", 3)])
def test_a_photo_counts_as_often_as_the_network_sees_it(recipe, low, images):
    step = dry_run.measured_step(dry_run.recipes.get(recipe), presets.get("smoke", low_per_photo=low), 10)
    assert step.images == images


@pytest.mark.parametrize("recipe", ["csri", "rpcn", "a-skd", "f-skd", "fan-ft", "dcr-ft"])
def test_other_methods_are_measured_with_the_network_and_the_earlier_run_that_they_are_trained_with(recipe):
    assert dry_run.measured_step(dry_run.recipes.get(recipe), SMOKE, 10).images == 2


def test_each_network_and_each_loss_is_timed_and_weighed_by_itself(store_folder, monkeypatch):
    timed = []

    def measured_step(recipe, preset, people):
        timed.append(recipe.name)
        return dry_run.Step(1.0, 0, 2, 8)

    monkeypatch.setattr(dry_run, "measured_step", measured_step)
    monkeypatch.setattr(dry_run, "GIB", 1)  # sizes in bytes
    names = ["hr-only", "hr+lr", "vggface", "csri", "inherited"]
    report = str(dry_run.rehearse(SMOKE, names))
    assert sorted(timed) == sorted(names[:-1])  # an inherited softmax layer takes as long
    weights = [dry_run.Student(replace(SMOKE.training, network=network), 24) for network in ("thin", "vgg", "csri")]
    thin, vgg, csri = (4 * sum(part.numel() for part in one.parameters()) for one in weights)
    expected = 3 * thin + vgg + csri + 2 * max(thin, vgg, csri)  # the one under way with its momentum
    assert f"one that is under way {expected:.1f} GiB" in report


def test_the_teachers_outputs_take_two_forward_passes_for_a_photo(monkeypatch):
    """By a clock that goes on a quarter of a second for each image that a network is shown."""
    shown, real = [], networks.FaceResNet.forward

    def forward(self, x):
        shown.append(len(x))
        return real(self, x)

    monkeypatch.setattr(networks.FaceResNet, "forward", forward)
    monkeypatch.setattr(dry_run.time, "perf_counter", lambda: 0.25 * sum(shown))
    assert dry_run.measured_teacher(SMOKE) == pytest.approx(2 * 0.25)


def test_of_many_processes_one_speaks(monkeypatch, capsys):
    for first in (True, False):
        monkeypatch.setattr(dry_run.process_group, "is_rank_zero", lambda first=first: first)
        assert cli.main(["train", "--preset", "smoke", "--recipe", "lr-only", "--dry-run"]) == 0
        assert ("LR-only" in capsys.readouterr().out) is first


def test_the_shell_measures_and_trains_nothing(store_folder, capsys):
    assert cli.main(["train", "--preset", "smoke", "--recipe", "lr-only", "--dry-run"]) == 0
    assert "LR-only" in capsys.readouterr().out and not store_folder.exists()
    with pytest.raises(SettingError, match="hr-only, lr-only"):
        dry_run.rehearse(SMOKE, ["hr"])

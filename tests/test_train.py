"""The trainer: the same seed the same weights, killed and resumed the same weights, and the losses of the six recipes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from rifr import losses, presets
from rifr.recipes import RECIPES
from rifr.training import batches, process_group, runs, trainer
from tests.helpers import TINY, easy_faces


def weights(run):
    return {name: value.clone() for name, value in run.weights().items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path, monkeypatch):
    faces = easy_faces(tmp_path / "faces")
    results = []
    for place, seed in [("a", 0), ("b", 0), ("c", 1)]:
        monkeypatch.setenv("RIFR_STORE", str(tmp_path / place))
        results.append(weights(trainer.fit("lr-only", TINY, seed, faces, progress=False)))
    assert_equal(results[0], results[1])
    assert not torch.equal(results[0]["softmax.weight"], results[2]["softmax.weight"])


def test_a_run_is_found_again_and_another_configuration_is_another_run(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces")
    run = trainer.fit("hr-only", TINY, 0, faces, progress=False)
    stamp = (run.path / "record.json").stat().st_mtime_ns
    assert (trainer.fit("hr-only", TINY, 0, faces, progress=False).path / "record.json").stat().st_mtime_ns == stamp
    other = trainer.fit("hr-only", presets.get(TINY, epochs=1), 0, faces, progress=False)
    assert other.path != run.path and len(other.history) == 1 and len(run.history) == 3
    assert {found.key for found in runs.stored()} == {run.key, other.key}


def test_training_learns_people_it_can_tell_apart(tmp_path, store_folder):
    run = trainer.fit("hr-only", presets.get(TINY, epochs=6), 0, easy_faces(tmp_path / "faces"), progress=False)
    assert run.history[-1]["accuracy"] > 0.8 > run.history[0]["accuracy"]
    assert run.history[-1]["loss"] < run.history[0]["loss"]


KILLED = """
import sys
from rifr.training import trainer
from rifr.packs import FacePack
from tests.helpers import TINY
trainer.fit("proposed", TINY, 0, FacePack.open(sys.argv[1]), progress=False)
"""


def test_killed_in_an_epoch_it_resumes_and_ends_with_the_same_weights(tmp_path, monkeypatch):
    faces = easy_faces(tmp_path / "faces", people=8, images=16)
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "whole"))
    expected = weights(trainer.fit("proposed", TINY, 0, faces, progress=False))

    environment = os.environ | {"RIFR_STORE": str(tmp_path / "killed")}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "faces")], env=environment)
    deadline = time.time() + 120
    while not list((tmp_path / "killed").glob("runs/proposed*.partial.pt")) and time.time() < deadline:
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "killed").glob("runs/proposed*/record.json")), "killed too late to show anything"

    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "killed"))
    resumed = trainer.fit("proposed", TINY, 0, faces, progress=False)
    assert_equal(weights(resumed), expected)
    assert len(resumed.history) == 3 and not list((tmp_path / "killed").glob("runs/*.partial.pt"))

    left = resumed.path.with_name(f"{resumed.path.name}.partial.pt")  # killed just before the checkpoint went
    left.write_bytes(b"an epoch")
    trainer.fit("proposed", TINY, 0, faces, progress=False)
    assert not left.exists()


def test_two_askers_train_once(tmp_path):
    easy_faces(tmp_path / "faces")
    environment = os.environ | {"RIFR_STORE": str(tmp_path / "store")}
    script = KILLED.replace("proposed", "hr-only") + "\nprint(id(0))"
    askers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "faces")], env=environment, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    assert [asker.wait() for asker in askers] == [0, 0]
    (record,) = (tmp_path / "store").glob("runs/*/record.json")
    assert len(json.loads(record.read_text())["history"]) == 3


def test_a_loss_that_is_not_finite_stops_with_step_rate_and_remedy(tmp_path, store_folder):
    wild = presets.get(TINY, learning_rate=1e12)
    with pytest.raises(
        FloatingPointError, match=r"step \d+ of epoch \d+, at learning rate 1e\+12.*lower learning_rate"
    ):
        trainer.fit("hr-only", wild, 0, easy_faces(tmp_path / "faces"), progress=False)
    assert not list(store_folder.glob("runs/*/record.json"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_of_each_recipe_is_its_equation(name):
    recipe, copies = RECIPES[name], RECIPES[name].high + RECIPES[name].low
    draw = torch.Generator().manual_seed(3)
    z, w = torch.randn(4 * copies, 5, generator=draw), torch.randn(6, 5, generator=draw)
    z_teacher, q_pre = torch.randn(4, 5, generator=draw), torch.randn(4, 6, generator=draw).softmax(1)
    labels = torch.tensor([0, 5, 2, 2])
    teacher = (z_teacher, q_pre) if recipe.needs_teacher else None
    loss = trainer.recipe_loss(recipe, TINY.training, z, w, labels, teacher, copies)

    q = q_pre if name in ("kl-only", "proposed") else torch.eye(6)[labels]
    student = torch.stack([-(q[i % 4] * (w @ z[i]).log_softmax(0)).sum() for i in range(len(z))]).mean()
    second = torch.stack([-(q[i] * (w @ z_teacher[i]).log_softmax(0)).sum() for i in range(4)]).mean()
    expected = student + second if name in ("shared-only", "proposed") else student
    torch.testing.assert_close(loss, expected)


def made(photos: torch.Tensor, name: str, training: presets.Training, draw: np.random.Generator) -> torch.Tensor:
    """(R, 3, 112, 112): what a step makes of photos, with the draws in a step's order."""
    width_of = batches.widths_of(len(photos), RECIPES[name], training, draw)
    return batches.batch_of(photos, width_of, RECIPES[name], training, draw)


@pytest.mark.parametrize(
    "name, low, rows",
    [
        ("hr-only", "one", 6),
        ("lr-only", "one", 6),
        ("hr+lr", "one", 12),
        ("proposed", "one", 12),
        ("hr+lr", "both", 18),
    ],
)
def test_a_batch_holds_the_widths_of_its_recipe(name, low, rows):
    from rifr.degrade import to_width

    photos = np.random.default_rng(0).integers(0, 256, (6, 112, 112, 3), dtype=np.uint8)
    training = presets.get(TINY, low_per_photo=low).training
    x = made(torch.from_numpy(photos), name, training, np.random.default_rng(1))
    assert x.shape == (rows, 3, 112, 112)
    shown = ((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    versions = {width: to_width(photos, width) for width in (112, 20, 16)}
    found = [
        [width for width, images in versions.items() if np.array_equal(images[i % 6], image)][0]
        for i, image in enumerate(shown)
    ]
    wanted = {"hr-only": [112] * 6, "lr-only": [16] * 3 + [20] * 3}.get(name)
    wanted = wanted or [112] * 6 + ([16] * 3 + [20] * 3 if low == "one" else [16] * 6 + [20] * 6)
    assert sorted(found) == sorted(wanted)


def photos_of(count: int = 8) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8))


def batch(recipe: str, draw: np.random.Generator, **changes) -> np.ndarray:
    """(R, 112, 112, 3) uint8: what a step makes of eight photos."""
    x = made(photos_of(), recipe, presets.get(TINY, **changes).training, draw)
    return ((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def test_without_cameras_and_tight_crops_a_batch_takes_the_draws_and_has_the_bytes_of_the_paper(monkeypatch):
    from rifr import camera
    from rifr.degrade import to_width

    monkeypatch.delattr(camera, "simulate_camera")  # whatever would call them fails
    monkeypatch.delattr(camera, "tight")
    draw, same = np.random.default_rng(5), np.random.default_rng(5)
    shown = batch("proposed", draw)
    width_of, photos = np.array([20, 16])[same.permutation(8) % 2], photos_of().numpy()
    low = [to_width(photo, width) for photo, width in zip(photos, width_of, strict=True)]
    assert np.array_equal(shown, np.concatenate([photos, low]))
    assert draw.random() == same.random()


def test_low_resolution_from_a_camera_changes_the_low_images_alone():
    from rifr.camera import simulate_camera

    shown = batch("proposed", np.random.default_rng(5), low_kind="camera")
    draw, photos = np.random.default_rng(5), photos_of().numpy()
    assert np.array_equal(shown[:8], photos)
    of_20 = draw.permutation(8) % 2 == 0
    assert np.array_equal(shown[8:][of_20], simulate_camera(photos[of_20], 20, draw))
    assert np.array_equal(shown[8:][~of_20], simulate_camera(photos[~of_20], 16, draw))
    both = batch("proposed", np.random.default_rng(5), low_kind="camera", low_per_photo="both")
    assert np.array_equal(both[8:16], simulate_camera(photos, 20, np.random.default_rng(5)))


def test_the_share_of_tight_crops_is_the_one_asked_for_and_the_other_images_stay():
    crops = 0
    for seed in range(20):
        shown = batch("hr+lr", np.random.default_rng(seed), tight_crops=0.25)
        whole = batch("hr+lr", np.random.default_rng(seed))
        changed = (shown != whole).any(axis=(1, 2, 3))
        assert all((image.sum(axis=2) == 0).mean() > 0.03 for image in shown[changed])  # black outside the box
        crops += changed.sum()
    assert crops / (20 * 16) == pytest.approx(0.25, abs=0.08)
    shown, whole = (batch("hr+lr", np.random.default_rng(0), tight_crops=share) for share in (1.0, 0.0))
    assert (shown != whole).any(axis=(1, 2, 3)).all()


def test_interrupted_with_cameras_and_tight_crops_it_ends_with_the_same_weights(tmp_path, monkeypatch):
    plan, faces = presets.get(TINY, low_kind="camera", tight_crops=0.5), easy_faces(tmp_path / "faces", people=4)
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "whole"))
    expected = weights(trainer.fit("hr+lr", plan, 0, faces, progress=False))

    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "interrupted"))
    real, epochs = trainer._epoch, []

    def stopped(epoch, *rest):
        if epoch == 2 and epochs.count(2) == 0:
            epochs.append(epoch)
            raise KeyboardInterrupt
        return real(epoch, *rest)

    monkeypatch.setattr(trainer, "_epoch", stopped)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit("hr+lr", plan, 0, faces, progress=False)
    assert_equal(weights(trainer.fit("hr+lr", plan, 0, faces, progress=False)), expected)
    assert epochs == [2]


def test_a_student_of_tight_crops_has_the_teacher_of_whole_photos(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    plain, changed = (
        trainer.fit("proposed", presets.get(TINY, epochs=1, **changes), 0, faces, progress=False)
        for changes in ({}, {"low_kind": "camera", "tight_crops": 0.5})
    )
    assert plain.record["teacher"] == changed.record["teacher"] and plain.key != changed.key
    (teacher,) = (store_folder / "runs").glob("hr-only*/record.json")
    told = json.loads(teacher.read_text())["training"]
    assert (told["low_kind"], told["tight_crops"]) == ("bicubic", 0.0)


def test_the_teachers_outputs_are_looked_up_for_photo_and_mirror_image(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    teacher = trainer.fit("hr-only", TINY, 0, faces, progress=False)
    outputs = batches.TeacherOutputs(teacher, faces, TINY.training, process_group.fabric(), progress=False)
    z, q = outputs(np.array([3, 7]), torch.tensor([True, False]))
    shown = np.stack([faces.images[3][:, ::-1], faces.images[7]])
    with torch.no_grad():
        expected = teacher.network()(runs.to_input(torch.from_numpy(shown)))
    torch.testing.assert_close(z, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q, (expected @ teacher.softmax().T).softmax(1), atol=1e-4, rtol=1e-3)
    assert losses.kl_divergence(z @ teacher.softmax().T, q).item() == pytest.approx(0, abs=1e-5)


def test_the_step_schedule_is_the_papers():
    training = presets.PRESETS["paper"].training
    rates = [0.1 * trainer._rate(epoch, 65, training) for epoch in range(65)]
    assert rates[:30] == pytest.approx([0.1] * 30)
    assert rates[30:45] == pytest.approx([0.01] * 15) and rates[45:] == pytest.approx([0.001] * 20)
    assert (training.batch_size, training.momentum, training.weight_decay, training.epochs) == (64, 0.9, 1e-4, 65)


def test_students_start_alike_and_not_from_the_teachers_noise(tmp_path, store_folder):
    faces, still = easy_faces(tmp_path / "faces", people=4), presets.get(TINY, epochs=1, learning_rate=1e-9)
    teacher, plain, proposed = (
        trainer.fit(name, still, 0, faces, progress=False).softmax() for name in ("hr-only", "hr+lr", "proposed")
    )
    torch.testing.assert_close(plain, proposed, atol=1e-6, rtol=0)
    angles = torch.nn.functional.cosine_similarity(plain, teacher).arccos().rad2deg()
    assert (angles - 90).abs().max() < 60 and (angles - 90).abs().min() > 0.01 and angles.min() > 20


def test_a_student_can_start_from_its_teacher(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    teacher = trainer.fit("hr-only", TINY, 0, faces, progress=False)
    student = trainer.Student(TINY.training, 4)
    trainer._start_from(student, teacher, presets.get(TINY, student_start="teacher", softmax_start="teacher").training)
    assert_equal(student.state_dict(), weights(teacher))
    torch.manual_seed(0)
    student = trainer.Student(TINY.training, 4)
    trainer._start_from(student, teacher, TINY.training)
    assert not torch.equal(student.softmax.weight, teacher.softmax())


def test_unknown_names_are_refused_with_what_is_allowed(tmp_path, store_folder):
    with pytest.raises(ValueError, match="hr-only, lr-only"):
        trainer.fit("hr", TINY)
    with pytest.raises(ValueError, match="smoke, mini, laptop, rendered, paper"):
        presets.get("huge")
    with pytest.raises(ValueError, match="no field 'epoch'.*epochs"):
        presets.get("smoke", epoch=3)
    with pytest.raises(ValueError, match="choose one of one, both"):
        presets.get("smoke", low_per_photo="three")
    with pytest.raises(ValueError, match="choose one of bicubic, camera"):
        presets.get("smoke", low_kind="blurred")
    with pytest.raises(ValueError, match="tight_crops is 1.5"):
        presets.get("smoke", tight_crops=1.5)
    with pytest.raises(ValueError, match="4 to 112"):
        presets.get("smoke", widths=[112, -20])
    with pytest.raises(ValueError, match="cannot fill a batch"):
        trainer.fit("hr-only", TINY, 0, easy_faces(tmp_path / "few", people=2, images=2), progress=False)

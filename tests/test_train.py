"""The trainer: the same seed, killed or not, gives the same weights; and the losses of the six recipes."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rifr import devices, losses, networks, presets
from rifr.errors import DataError, TrainingError
from rifr.recipes import RECIPES
from rifr.training import batches, process_group, runs, trainer
from rifr.training.batches import RankBatch
from rifr.training.student import Student, rate_factor, recipe_loss
from rifr.training.teacher import TeacherInStep, TeacherOutputs
from rifr.training.trainer import Trainer
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


@pytest.mark.slow
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


COUNTED = """
from rifr.training.trainer import Trainer
real = Trainer.epoch
def epoch(self, *rest):
    print("an epoch", flush=True)
    return real(self, *rest)
Trainer.epoch = epoch
"""


@pytest.mark.slow
def test_two_callers_train_once(tmp_path):
    easy_faces(tmp_path / "faces")
    environment = os.environ | {"RIFR_STORE": str(tmp_path / "store")}
    script = COUNTED + KILLED.replace("proposed", "hr-only")
    callers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "faces")], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [caller.communicate()[0] for caller in callers]
    assert [caller.returncode for caller in callers] == [0, 0]
    assert sorted(text.count("an epoch") for text in said) == [0, 3]


def test_a_loss_that_is_not_finite_stops_with_step_rate_and_remedy(tmp_path, store_folder):
    wild = presets.get(TINY, learning_rate=1e12)
    with pytest.raises(TrainingError, match=r"step \d+ of epoch \d+.*learning_rate"):
        trainer.fit("hr-only", wild, 0, easy_faces(tmp_path / "faces"), progress=False)
    assert not list(store_folder.glob("runs/*/record.json"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_of_each_recipe_is_its_equation(name):
    recipe, copies = RECIPES[name], RECIPES[name].uses_hr + RECIPES[name].uses_lr
    draw = torch.Generator().manual_seed(3)
    z, w = torch.randn(4 * copies, 5, generator=draw), torch.randn(6, 5, generator=draw)
    z_teacher, q_pre = torch.randn(4, 5, generator=draw), torch.randn(4, 6, generator=draw).softmax(1)
    labels = torch.tensor([0, 5, 2, 2])
    teacher = (z_teacher, q_pre) if recipe.needs_teacher else None
    loss = recipe_loss(recipe, TINY.training, z, w, labels, teacher)

    q = q_pre if name in ("kl-only", "proposed") else torch.eye(6)[labels]
    student = torch.stack([-(q[i % 4] * (w @ z[i]).log_softmax(0)).sum() for i in range(len(z))]).mean()
    second = torch.stack([-(q[i] * (w @ z_teacher[i]).log_softmax(0)).sum() for i in range(4)]).mean()
    expected = student + second if name in ("shared-only", "proposed") else student
    torch.testing.assert_close(loss, expected)


def test_interrupted_with_cameras_crops_and_changes_it_ends_with_the_same_weights(tmp_path, monkeypatch):
    plan = presets.get(TINY, low_kind="camera", tight_crops=0.5, augment=1.0)
    faces = easy_faces(tmp_path / "faces", people=4)
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "whole"))
    expected = weights(trainer.fit("hr+lr", plan, 0, faces, progress=False))

    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "interrupted"))
    real, epochs = Trainer.epoch, []

    def stopped(self, number, *rest):
        if number == 2 and epochs.count(2) == 0:
            epochs.append(number)
            raise KeyboardInterrupt
        return real(self, number, *rest)

    monkeypatch.setattr(Trainer, "epoch", stopped)
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


def batch_of(faces, which, mirrored):
    """A batch of these photos, some of them mirrored, without views."""
    photos = np.stack([faces.images[i][:, ::-1] if turned else faces.images[i] for i, turned in zip(which, mirrored)])
    return RankBatch(
        np.array(which), torch.from_numpy(photos), torch.empty(0), torch.tensor(mirrored), torch.zeros(len(which))
    )


def test_the_teachers_outputs_are_looked_up_for_photo_and_mirror_image(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    teacher = trainer.fit("hr-only", TINY, 0, faces, progress=False)
    outputs = TeacherOutputs(teacher, faces, 1.0, process_group.fabric(), progress=False)
    z, q = outputs(batch_of(faces, [3, 7], [True, False]))
    shown = np.stack([faces.images[3][:, ::-1], faces.images[7]])
    with torch.no_grad():
        expected = teacher.network()(networks.to_input(torch.from_numpy(shown)))
    torch.testing.assert_close(z, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q, (expected @ teacher.softmax().T).softmax(1), atol=1e-4, rtol=1e-3)
    assert losses.kl_divergence(z @ teacher.softmax().T, q).item() == pytest.approx(0, abs=1e-5)


def test_the_step_schedule_is_the_papers():
    training = presets.PRESETS["paper"].training
    rates = [0.1 * rate_factor(epoch, 65, training) for epoch in range(65)]
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
    student = Student(TINY.training, 4)
    student.start_from(teacher, presets.get(TINY, student_start="teacher", softmax_start="teacher").training)
    assert_equal(student.state_dict(), weights(teacher))
    torch.manual_seed(0)
    student = Student(TINY.training, 4)
    student.start_from(teacher, TINY.training)
    assert not torch.equal(student.softmax.weight, teacher.softmax())


def test_hr_and_lr_can_start_from_the_teacher_and_learns_from_labels_all_the_same(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    still = presets.get(TINY, epochs=1, learning_rate=1e-9, teacher_epochs=2)
    plain = trainer.fit("hr+lr", still, 0, faces, progress=False)
    assert plain.record["teacher"] is None and not list(store_folder.glob("runs/hr-only*"))
    started = trainer.fit("hr+lr", presets.get(still, softmax_start="teacher"), 0, faces, progress=False)
    teacher = trainer.fit("hr-only", trainer.of_teacher(still), 0, faces, progress=False)
    assert started.record["teacher"] == teacher.key and len(teacher.history) == 2
    torch.testing.assert_close(started.softmax(), teacher.softmax(), atol=1e-6, rtol=0)
    for name, value in weights(plain).items():
        if "conv" in name:  # the network itself has started where it would have
            torch.testing.assert_close(weights(started)[name], value, atol=1e-6, rtol=0)
    lone = trainer.fit("lr-only", presets.get(still, softmax_start="teacher"), 0, faces, progress=False)
    assert lone.record["teacher"] is None


def test_the_softmax_layer_learns_at_its_own_rate_and_stays_at_zero(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4, images=4)
    one_step = {"epochs": 1, "momentum": 0.0, "weight_decay": 0.0, "milestones": []}  # of a single batch of 16 photos
    frozen, plain, twice = (
        trainer.fit("hr+lr", presets.get(TINY, one_step, softmax_rate=rate), 0, faces, progress=False)
        for rate in (0.0, 1.0, 2.0)
    )
    torch.testing.assert_close(plain.softmax() - frozen.softmax(), (twice.softmax() - frozen.softmax()) / 2)
    assert (plain.softmax() - frozen.softmax()).abs().max() > 1e-4
    for name, value in weights(plain).items():
        if name.startswith("network."):
            torch.testing.assert_close(value, weights(twice)[name])
            torch.testing.assert_close(value, weights(frozen)[name])
    several = presets.get(TINY, softmax_rate=0.0, weight_decay=0.1)
    torch.testing.assert_close(trainer.fit("hr+lr", several, 0, faces, progress=False).softmax(), frozen.softmax())
    inherited = presets.get(TINY, softmax_rate=0.0, softmax_start="teacher")
    teacher = trainer.fit("hr-only", TINY, 0, faces, progress=False)
    assert torch.equal(trainer.fit("hr+lr", inherited, 0, faces, progress=False).softmax(), teacher.softmax())


def test_a_teacher_has_epochs_of_its_own_and_its_students_theirs(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    longer, equal, plain = (presets.get(TINY, epochs=2, teacher_epochs=epochs) for epochs in (3, 2, 0))
    student, same, usual = (trainer.fit("kl-only", plan, 0, faces, progress=False) for plan in (longer, equal, plain))
    own = trainer.fit("hr-only", longer, 0, faces, progress=False)
    of_three = trainer.fit("hr-only", presets.get(TINY, epochs=3), 0, faces, progress=False)
    assert len(student.history) == len(own.history) == 2 and len(of_three.history) == 3
    assert student.record["teacher"] == of_three.key != own.key
    assert same.key == usual.key and usual.record["teacher"] == own.key
    assert trainer.find("kl-only", longer, 0, faces).key == student.key


def test_smoothed_targets_give_a_share_to_all_people_alike_and_soft_ones_none():
    draw, training = torch.Generator().manual_seed(3), presets.get(TINY, label_smoothing=0.3).training
    z, w = torch.randn(8, 5, generator=draw), torch.randn(6, 5, generator=draw)
    z_teacher, q_pre = torch.randn(4, 5, generator=draw), torch.randn(4, 6, generator=draw).softmax(1)
    labels = torch.tensor([0, 5, 2, 2])
    smooth = torch.full((4, 6), 0.05)
    smooth[range(4), labels] = 0.75
    for name, q in {"hr+lr": smooth, "shared-only": smooth, "kl-only": q_pre, "proposed": q_pre}.items():
        recipe = RECIPES[name]
        student = torch.stack([-(q[i % 4] * (w @ z[i]).log_softmax(0)).sum() for i in range(8)]).mean()
        second = torch.stack([-(q[i] * (w @ z_teacher[i]).log_softmax(0)).sum() for i in range(4)]).mean()
        found = recipe_loss(recipe, training, z, w, labels, (z_teacher, q_pre) if recipe.needs_teacher else None)
        torch.testing.assert_close(found, student + second if recipe.shared else student)


def test_the_targets_of_a_teacher_are_not_smoothed_and_its_names_are_as_wrong_as_its_students(
    tmp_path, store_folder, monkeypatch
):
    faces, shown = easy_faces(tmp_path / "faces"), {}
    epoch_batches = batches.batches

    def watched(faces, order, views, *rest):
        for batch in epoch_batches(faces, order, views, *rest):
            shown.setdefault(views.recipe.name, {}).update(zip(batch.which.tolist(), batch.labels.tolist()))
            yield batch

    monkeypatch.setattr(batches, "batches", watched)
    plain, changed = (
        trainer.fit("proposed", presets.get(TINY, label_noise=0.25, **more), 5, faces, progress=False)
        for more in ({}, {"label_smoothing": 0.2, "softmax_rate": 3.0})
    )
    assert plain.record["teacher"] == changed.record["teacher"] and plain.key != changed.key
    assert shown["hr-only"] == shown["proposed"] and len(shown["proposed"]) == len(faces)
    wrong = [photo for photo, label in shown["proposed"].items() if label != faces.labels[photo]]
    assert len(wrong) == len(faces) // 4 and set(shown["proposed"].values()) <= set(faces.labels)


def test_wrong_names_are_a_share_of_the_photos_anybodys_and_one_set_of_a_seed():
    labels = np.repeat(np.arange(10), 400)
    first, again, other = (batches.shown_labels(labels, 0.1, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    wrong = first != labels
    assert wrong.sum() == (other != labels).sum() == 400
    shift, counts = np.unique((first - labels)[wrong] % 10, return_counts=True)
    assert shift.tolist() == list(range(1, 10)) and counts.min() > 20, "each of the nine others is as likely"
    assert np.bincount(labels[wrong], minlength=10).min() > 20, "anybody's photos may be among them"
    assert np.array_equal(batches.shown_labels(labels, 0, 3), labels)
    assert (batches.shown_labels(labels, 1, 3) != labels).all()


def test_a_list_of_trainings_has_each_once_with_long_teachers_first_and_students_last(
    tmp_path, store_folder, monkeypatch
):
    monkeypatch.setattr(trainer, "MIN_IMAGES_FOR_SUBPROCESS", 0)
    faces, done = easy_faces(tmp_path / "faces", people=4), trainer.fit
    plans = {epochs: presets.get(TINY, epochs=1, teacher_epochs=epochs) for epochs in (1, 2, 3)}
    wanted = [(name, plan) for plan in plans.values() for name in ("hr+lr", "hr-only", "kl-only")]
    calls = trainer.calls_of(wanted, 0, faces, progress=False)
    told = [
        (call.keywords["recipe"], call.keywords["preset"].training.epochs, trainer.of_teacher(call.keywords["preset"]))
        for call in calls
    ]
    assert [(name, epochs) for name, epochs, _ in told[:4]] == [
        ("hr-only", 3), ("hr-only", 2), ("hr-only", 1), ("hr+lr", 1)
    ]  # fmt: skip
    assert [(name, teacher.training.epochs) for name, _, teacher in told[4:]] == [("kl-only", n) for n in (1, 2, 3)]
    done("kl-only", plans[2], 0, faces, progress=False)
    left = trainer.calls_of(wanted, 0, faces, progress=False)
    assert len(left) == len(calls) - 2


def test_unknown_names_are_refused_with_what_is_allowed(tmp_path, store_folder):
    with pytest.raises(ValueError, match="hr-only, lr-only"):
        trainer.fit("hr", TINY)
    with pytest.raises(ValueError, match="smoke, mini, laptop, rendered, paper"):
        presets.get("huge")
    with pytest.raises(ValueError, match=r"no field 'epoch'.*epochs"):
        presets.get("smoke", epoch=3)
    with pytest.raises(ValueError, match="low_per_photo"):
        presets.get("smoke", low_per_photo="three")
    with pytest.raises(ValueError, match="low_kind"):
        presets.get("smoke", low_kind="blurred")
    with pytest.raises(ValueError, match="tight_crops"):
        presets.get("smoke", tight_crops=1.5)
    with pytest.raises(ValueError, match="4 to 112"):
        presets.get("smoke", widths=[112, -20])
    with pytest.raises(DataError, match="batch"):
        trainer.fit("hr-only", TINY, 0, easy_faces(tmp_path / "few", people=2, images=2), progress=False)


def test_a_sweep_over_options_of_distillation_has_one_teacher(tmp_path, store_folder):
    faces, one = easy_faces(tmp_path / "faces", people=4), presets.get(TINY, epochs=1, augment=1.0)
    changes = [{}, {"temperature": 2.0}, {"teacher_weight": 0.5}, {"low_per_photo": "both"}, {"low_kind": "camera"}]
    changes += [
        {"student_start": "teacher"},
        {"softmax_start": "teacher"},
        {"tight_crops": 0.5},
        {"teacher_sees": "photo"},
        {"softmax_rate": 0.5},
        {"teacher_epochs": 1, "teacher_weight": 2.0},  # one epoch is what the teacher has anyway
    ]
    found = [trainer.fit("proposed", presets.get(one, **change), 0, faces, progress=False) for change in changes]
    assert len({run.key for run in found}) == len(changes)
    assert len({run.record["teacher"] for run in found}) == 1
    assert len(list(store_folder.glob("runs/hr-only*/record.json"))) == 1


def test_a_temperature_divides_the_logits_and_multiplies_the_loss_by_its_square():
    draw, hot = torch.Generator().manual_seed(3), presets.get(TINY, temperature=3.0, teacher_weight=0.5).training
    z, w = torch.randn(4, 5, generator=draw), torch.randn(6, 5, generator=draw)
    z_teacher, q = torch.randn(4, 5, generator=draw), torch.randn(4, 6, generator=draw).softmax(1)
    labels = torch.tensor([0, 5, 2, 2])
    student = 9 * torch.stack([-(q[i] * (w @ z[i] / 3).log_softmax(0)).sum() for i in range(4)]).mean()
    second = 9 * torch.stack([-(q[i] * (w @ z_teacher[i] / 3).log_softmax(0)).sum() for i in range(4)]).mean()
    for name, expected in {"kl-only": student, "proposed": student + 0.5 * second}.items():
        torch.testing.assert_close(recipe_loss(RECIPES[name], hot, z, w, labels, (z_teacher, q)), expected)


def test_the_teachers_probabilities_are_softened_by_the_temperature(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    teacher = trainer.fit("hr-only", TINY, 0, faces, progress=False)
    z, q = TeacherOutputs(teacher, faces, 4.0, process_group.fabric(), False)(batch_of(faces, [1], [False]))
    torch.testing.assert_close(q[0], (teacher.softmax() @ z[0] / 4).softmax(0))


def test_a_teacher_in_the_step_answers_for_the_photos_as_they_are_shown(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    teacher, fabric = trainer.fit("hr-only", TINY, 0, faces, progress=False), process_group.fabric()
    batch = batch_of(faces, [3, 7], [True, False])
    asked, table = TeacherInStep(teacher, 2.0, fabric), TeacherOutputs(teacher, faces, 2.0, fabric, progress=False)
    for found, expected in zip(asked(batch), table(batch), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    darker = RankBatch(batch.which, batch.photos // 2, batch.views, batch.mirrored, batch.labels)
    for found, expected in zip(asked(darker), table(darker), strict=True):
        assert not torch.allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("sees, kind", [("view", TeacherInStep), ("photo", TeacherOutputs)])
def test_a_student_of_photos_changed_anew_has_a_teacher_of_such_photos(tmp_path, store_folder, monkeypatch, sees, kind):
    faces, used = easy_faces(tmp_path / "faces", people=4), []
    for teacher in (TeacherInStep, TeacherOutputs):
        asked = teacher.__call__
        monkeypatch.setattr(
            teacher, "__call__", lambda self, *a, asked=asked: used.append(type(self)) or asked(self, *a)
        )
    trainer.fit("kl-only", presets.get(TINY, augment=1.0, teacher_sees=sees), 0, faces, progress=False)
    assert set(used) == {kind}
    told = {run.recipe.name: run.record["training"] for run in runs.stored()}
    assert told["hr-only"]["augment"] == told["kl-only"]["augment"] == 1.0
    assert trainer.find("hr-only", TINY, 0, faces) is None and trainer.find(
        "hr-only", presets.get(TINY, augment=1.0), 0, faces
    )


def test_the_rate_rises_over_the_warm_up_and_falls_by_the_decay():
    training = presets.get(TINY, warmup=0.25, milestones=[0.5, 0.75], decay=0.2).training
    rates = [rate_factor(step, 12, training) for step in range(12)]
    assert rates == pytest.approx([0.25, 0.5, 0.75] + 3 * [1.0] + 3 * [0.2] + 3 * [0.04])


def test_the_history_has_the_learning_rate_that_each_epoch_ended_with(tmp_path, store_folder):
    plan = presets.get(TINY, milestones=[1 / 3, 2 / 3], decay=0.1)
    run = trainer.fit("lr-only", plan, 0, easy_faces(tmp_path / "faces"), progress=False)
    assert [row["learning_rate"] for row in run.history] == pytest.approx([0.05, 0.005, 0.0005])


def test_both_low_widths_train_with_three_views_of_each_photo(tmp_path, store_folder, monkeypatch):
    shown, real = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, batch: (shown.append(batch.views.shape), real(self, batch))[1])
    plan = presets.get(TINY, low_per_photo="both", temperature=2.0, epochs=4, warmup=0.2)
    run = trainer.fit("proposed", plan, 0, easy_faces(tmp_path / "faces"), progress=False)
    assert shown[-1] == (3, 16, 112, 112, 3) and run.history[-1]["loss"] < run.history[0]["loss"]


def test_without_faces_the_rendered_people_of_the_seed_are_trained_on(tmp_path, store_folder, monkeypatch):
    asked = []

    def face_splits(preset, seed=0, **rest):
        asked.append(seed)
        return SimpleNamespace(train=easy_faces(tmp_path / f"faces-{seed}", seed=seed))

    monkeypatch.setattr(trainer.splits, "face_splits", face_splits)
    one = presets.get(TINY, epochs=1)
    run = trainer.fit("lr-only", one, 3, progress=False)
    assert trainer.fit_all(["lr-only"], one, 3, progress=False)["lr-only"] == run and asked == [3, 3]


def test_training_leaves_the_callers_generators_and_threads_as_they_were(tmp_path, store_folder):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    settings = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    trainer.fit("lr-only", presets.get(TINY, threads=1), 0, easy_faces(tmp_path / "faces"), progress=False)
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads
    assert (torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()) == settings
    with process_group.fast_arithmetic(torch.device("cuda")):
        assert torch.backends.cudnn.benchmark and torch.get_float32_matmul_precision() == "high"
    assert (torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()) == settings


def test_the_device_is_a_gpu_of_nvidia_or_the_cpu_and_never_apples(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.device() == torch.device("cpu") and process_group.fabric().device == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.device() == torch.device("cuda")


def test_half_written_runs_are_not_listed(tmp_path, store_folder):
    run = trainer.fit("lr-only", presets.get(TINY, epochs=1), 0, easy_faces(tmp_path / "faces"), progress=False)
    half = store_folder / "runs" / f".{run.path.name}.12345678.tmp"
    half.mkdir()
    (half / "record.json").write_text((run.path / "record.json").read_text())
    assert runs.stored() == [run]

"""The teacher: who needs it, what it answers, how long it learns, and who starts from it."""

import copy
import json

import numpy as np
import pytest
import torch

from rifr import losses, networks, presets
from rifr.errors import SettingError
from rifr.training import batches, process_group, runs, trainer
from rifr.training.batches import RankBatch
from rifr.training.student import Student
from rifr.training.teacher import TeacherInStep, TeacherOutputs
from tests.helpers import TINY, assert_equal, easy_faces, weights


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


def test_a_student_built_otherwise_cannot_start_from_the_teacher(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4)
    teacher = trainer.fit("hr-only", TINY, 0, faces, progress=False)
    for other in ({"network": "lightcnn"}, {"embedding": 8}):
        changed = presets.get(TINY, student_start="teacher", softmax_start="teacher", **other).training
        student = Student(changed, 4)
        before = copy.deepcopy(student.state_dict())
        with pytest.raises(SettingError, match=r"cannot start from the hr-only network.*have no place here"):
            student.start_from(teacher, changed)
        assert_equal(student.state_dict(), before)


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

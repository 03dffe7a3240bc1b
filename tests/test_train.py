"""The trainer: the same seed, killed or not, gives the same weights; and the losses of the six recipes."""

import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rifr import devices, presets, storage
from rifr.errors import DataError, SettingError, TrainingError
from rifr.packs import FacePack
from rifr.recipes import RECIPES
from rifr.training import batches, process_group, runs, trainer
from rifr.training.student import rate_factor, recipe_loss
from rifr.training.trainer import Trainer
from tests.helpers import TINY, assert_equal, easy_faces, weights


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


def test_the_step_schedule_is_the_papers():
    training = presets.PRESETS["paper"].training
    rates = [0.1 * rate_factor(epoch, 65, training) for epoch in range(65)]
    assert rates[2:30] == pytest.approx([0.1] * 28) and 0 < rates[0] < rates[1] < 0.1  # a warm-up is ours
    assert rates[30:45] == pytest.approx([0.01] * 15) and rates[45:] == pytest.approx([0.001] * 20)
    assert (training.batch_size, training.momentum, training.weight_decay, training.epochs) == (64, 0.9, 1e-4, 65)


def test_a_long_gradient_is_shortened_and_keeps_its_direction(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4, images=4)
    one_step = {"epochs": 1, "momentum": 0.0, "weight_decay": 0.0, "milestones": [], "warmup": 0}  # of a single batch
    still, plain, short, long = (
        weights(trainer.fit("hr+lr", presets.get(TINY, one_step, **changes), 0, faces, progress=False))
        for changes in ({"learning_rate": 1e-12}, {}, {"clip_norm": 0.05}, {"clip_norm": 1e6})
    )
    learnt = [name for name in plain if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    moves = {name: plain[name] - still[name] for name in learnt}
    length = math.sqrt(sum(move.double().square().sum() for move in moves.values())) / TINY.training.learning_rate
    assert length > 0.1, "nothing to shorten"
    for name in learnt:
        torch.testing.assert_close(short[name] - still[name], moves[name] * 0.05 / length, atol=1e-7, rtol=1e-2)
        torch.testing.assert_close(long[name], plain[name])


def test_a_softmax_layer_that_rests_does_not_shorten_the_others_steps(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces", people=4, images=4)
    one_step = {"epochs": 1, "momentum": 0.0, "weight_decay": 0.0, "milestones": [], "warmup": 0, "softmax_rate": 0.0}
    still, short = (
        weights(trainer.fit("hr+lr", presets.get(TINY, one_step, **changes), 0, faces, progress=False))
        for changes in ({"learning_rate": 1e-12}, {"clip_norm": 0.05})
    )
    learnt = [name for name in still if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    length = math.sqrt(sum((short[name] - still[name]).double().square().sum() for name in learnt))
    assert length == pytest.approx(0.05 * TINY.training.learning_rate, rel=1e-3)


def test_a_run_that_is_there_is_found_without_a_lock(tmp_path, store_folder, monkeypatch):
    """As in a store that is closed to writing: root may write everywhere, so the lock itself is watched."""
    faces, plan = easy_faces(tmp_path / "faces", people=4, images=4), presets.get(TINY, epochs=1)
    made = trainer.fit("hr-only", plan, 0, faces, progress=False)

    def refused(path):
        raise PermissionError(f"{path} is closed to writing")

    monkeypatch.setattr(storage, "lock", refused)
    assert trainer.fit("hr-only", plan, 0, faces, progress=False).path == made.path
    with pytest.raises(PermissionError):
        trainer.fit("lr-only", plan, 0, faces, progress=False)


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


def test_faces_that_are_no_pack_are_refused_with_what_makes_one(tmp_path):
    for call in (partial(trainer.fit, "hr-only"), partial(trainer.fit_all, ["hr-only"])):
        with pytest.raises(SettingError, match=r"faces are a FacePack, not str: .*rifr prepare"):
            call("smoke", faces=str(tmp_path))


def test_a_temperature_divides_the_logits_and_multiplies_the_loss_by_its_square():
    draw, hot = torch.Generator().manual_seed(3), presets.get(TINY, temperature=3.0, teacher_weight=0.5).training
    z, w = torch.randn(4, 5, generator=draw), torch.randn(6, 5, generator=draw)
    z_teacher, q = torch.randn(4, 5, generator=draw), torch.randn(4, 6, generator=draw).softmax(1)
    labels = torch.tensor([0, 5, 2, 2])
    student = 9 * torch.stack([-(q[i] * (w @ z[i] / 3).log_softmax(0)).sum() for i in range(4)]).mean()
    second = 9 * torch.stack([-(q[i] * (w @ z_teacher[i] / 3).log_softmax(0)).sum() for i in range(4)]).mean()
    for name, expected in {"kl-only": student, "proposed": student + 0.5 * second}.items():
        torch.testing.assert_close(recipe_loss(RECIPES[name], hot, z, w, labels, (z_teacher, q)), expected)


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


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[:-300], lambda content: b"x" + content[1:]]
)
def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path, damage):
    reached = runs.Progress(tmp_path / "run", {"layer": torch.nn.Linear(2, 2)})
    assert reached.read() is None
    reached.write()
    assert set(reached.read()) == {"layer", "epoch", "seconds", "history"}
    reached.file.write_bytes(damage(reached.file.read_bytes()))
    with pytest.raises(DataError, match=rf"{reached.file} is damaged: delete it"):
        reached.read()


def test_faces_in_memory_are_trained_on_and_the_record_says_which(tmp_path, store_folder):
    pack = easy_faces(tmp_path / "faces", people=2, images=8)
    faces = FacePack(np.array(pack.images), pack.identities)
    run = trainer.fit("hr-only", presets.get(TINY, epochs=1), 0, faces, progress=False)
    pixels = hashlib.sha256(faces.images.tobytes()).hexdigest()
    assert run.record["faces"] == {
        "source": None,
        "licence": None,
        "spec": None,
        "images": 16,
        "people": 2,
        "checksum": storage.digest(pixels, pack.identities.tolist()),
    }
    of_pack = trainer.fit("hr-only", presets.get(TINY, epochs=1), 0, pack, progress=False)
    assert of_pack.record["faces"] == {
        name: pack.manifest[name] for name in ("source", "licence", "spec", "images", "people", "checksum")
    }


def test_a_record_is_read_as_it_was_written_whatever_the_locale(tmp_path):
    storage.atomic_write(tmp_path / "record.json", storage.readable_json({"recipe": "Müller"}))
    code = "import sys; from rifr.training.runs import StoredRun; print(ascii(StoredRun.open(sys.argv[1]).name))"
    old = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # ASCII, as some servers have it
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=os.environ | old, capture_output=True, text=True
    )
    assert done.stdout.strip() == ascii("Müller"), done.stderr
    (tmp_path / "record.json").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"record\.json is damaged"):
        runs.StoredRun.open(tmp_path)

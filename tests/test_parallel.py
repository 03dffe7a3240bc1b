"""Calls in processes of their own: the same results as here, and errors that are seen here."""

import numpy as np
import pytest
import torch

from rifr import presets
from rifr.training import parallel, runs, trainer
from rifr.training.parallel import Call
from tests.helpers import easy_faces


def weights(run):
    return run.weights()


def test_networks_trained_side_by_side_are_those_trained_one_after_the_other(tmp_path, monkeypatch):
    faces = easy_faces(tmp_path / "pack", people=6, images=8)
    made = []
    for store, worth in (("apart", 0), ("here", 10**9)):
        monkeypatch.setenv("RIFR_STORE", str(tmp_path / store))
        monkeypatch.setattr(trainer, "MIN_IMAGES_FOR_SUBPROCESS", worth)
        assert trainer.find("proposed", "smoke", 0, faces) is None
        made.append(trainer.fit_all(["proposed", "hr+lr", "hr-only"], "smoke", 0, faces, progress=False))
        assert list(made[-1]) == ["proposed", "hr+lr", "hr-only"] and len(runs.stored()) == 3
    for name, run in made[0].items():
        other = made[1][name]
        assert run.path != other.path and run.key == other.key and run.record["threads"] == 1
        assert all(torch.equal(value, weights(other)[part]) for part, value in weights(run).items())


def test_a_run_is_found_only_once_it_is_there(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "pack", people=4, images=8)
    plan = presets.get("smoke", epochs=1)
    assert trainer.find("lr-only", plan, 0, faces) is None
    run = trainer.fit("lr-only", plan, 0, faces, progress=False)
    assert trainer.find("lr-only", plan, 0, faces) == run
    assert trainer.find("lr-only", plan, 1, faces) is None and trainer.find("proposed", plan, 0, faces) is None


def test_a_call_that_fails_elsewhere_shows_its_error_here(tmp_path, store_folder, capfd):
    faces = easy_faces(tmp_path / "pack", people=4, images=2)
    calls = [
        Call("rifr.training.trainer", "fit", {"recipe": name, "preset": "smoke"}, faces)
        for name in ("lr-only", "hr-only")
    ]
    with pytest.raises(ValueError, match="8 images cannot fill a batch of 32"):
        parallel.run(calls, workers=2)
    assert "Traceback" not in capfd.readouterr().err


def test_faces_in_memory_stay_here(tmp_path, monkeypatch):
    faces = easy_faces(tmp_path / "pack", people=2, images=2)
    monkeypatch.setattr(parallel, "_elsewhere", lambda *rest: pytest.fail("another process cannot open these faces"))
    part = faces.take(np.arange(3))
    calls = [Call("rifr.packs", "require_disjoint_of_one", {}, part)] * 2
    assert Call("rifr.training.trainer", "fit", {}, faces).pack == tmp_path / "pack" and calls[0].pack is None
    with pytest.raises(AttributeError):
        parallel.run(calls, workers=2)


def test_an_interrupt_ends_the_other_processes(tmp_path, monkeypatch):
    faces = easy_faces(tmp_path / "pack", people=2, images=2)
    started = []
    real = parallel._start

    def start(call, place):
        started.append(real(call, place))
        return started[-1]

    def interrupted(seconds):
        if len(started) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(parallel, "_start", start)
    monkeypatch.setattr(parallel.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parallel.run(
            [Call("rifr.training.trainer", "fit", {"recipe": "hr-only", "preset": "smoke"}, faces)] * 3, workers=2
        )
    assert len(started) == 2 and all(process.poll() is not None for process in started)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), parallel.threads(1):
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before

"""Calls in processes of their own: the same results as here, and errors that are seen here."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rifr import machine, presets
from rifr.errors import SettingError
from rifr.training import parallel, runs, trainer
from rifr.training.parallel import Call
from tests.helpers import easy_faces

ROOT = Path(__file__).resolve().parent.parent


def weights(run):
    return run.weights()


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_call_that_fails_elsewhere_shows_its_error_here(tmp_path, store_folder, capfd):
    faces = easy_faces(tmp_path / "pack", people=4, images=2)
    calls = [
        Call("rifr.training.trainer", "fit", {"recipe": name, "preset": "smoke"}, faces)
        for name in ("lr-only", "hr-only")
    ]
    with pytest.raises(ValueError, match="batch of 32"):
        parallel.run(calls, workers=2)
    assert "Traceback" not in capfd.readouterr().err


NOTED = """
import json, os, sys
from pathlib import Path

def note(file, faces=None):
    Path(file).write_text(json.dumps([os.getpid(), sys.path, None if faces is None else len(faces)]))
"""


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """A function that makes two calls at a time and gives what each has noted: its process, its path, its faces."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "noted.py").write_text(NOTED)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    monkeypatch.chdir(tmp_path)

    def run(faces=None):
        files = [tmp_path / "0.json", tmp_path / "1.json"]
        ended = []  # what the other processes have noted, before the calls are made again here
        real = Call.run_inline

        def run_inline(call):
            ended.append(json.loads(files[len(ended)].read_text()) if files[len(ended)].exists() else None)
            return real(call)

        monkeypatch.setattr(Call, "run_inline", run_inline)
        parallel.run([Call("noted", "note", {"file": str(file)}, faces) for file in files], workers=2)
        return ended, [json.loads(file.read_text()) for file in files]

    return run


def test_other_processes_import_this_library_wherever_they_are_started(noted):
    elsewhere, _ = noted()
    assert all(process != os.getpid() for process, *_ in elsewhere)
    for _, path, _ in elsewhere:
        assert str(ROOT) in path and str(ROOT / "rifr") not in path


def test_a_pack_on_disk_is_opened_by_other_processes(tmp_path, noted):
    elsewhere, _ = noted(easy_faces(tmp_path / "pack", people=2, images=2))
    assert [faces for *_, faces in elsewhere] == [4, 4]


@pytest.mark.parametrize("part", ["in memory", "a slice", "reversed", "other people", "other landmarks"])
def test_faces_that_are_not_the_whole_pack_stay_in_this_process(tmp_path, noted, part):
    pack = easy_faces(tmp_path / "pack", people=2, images=2)
    faces = {
        "in memory": pack.take(np.arange(3)),
        "a slice": replace(pack, images=pack.images[:3], identities=pack.identities[:3]),
        "reversed": replace(pack, images=pack.images[::-1]),
        "other people": replace(pack, identities=pack.identities[::-1]),
        "other landmarks": replace(pack, landmarks=np.zeros((4, 5, 2), np.float32)),
    }[part]
    assert isinstance(faces.images, np.memmap) == (part != "in memory")
    elsewhere, here = noted(faces)
    assert elsewhere == [None, None]  # no process trained on all of the pack
    assert [[process, seen] for process, _, seen in here] == [[os.getpid(), len(faces)]] * 2


def test_workers_are_as_many_as_the_cores_and_the_memory_hold(monkeypatch):
    for cores, gib, asked, expected in [(8, 64, "", 8), (8, 4, "", 3), (4, 1, "", 1), (1, 64, "", 1), (2, 4, "5", 5)]:
        monkeypatch.setattr(machine, "available_cores", lambda cores=cores: cores)
        monkeypatch.setattr(machine, "available_memory", lambda gib=gib: gib * 2**30)
        monkeypatch.setenv("RIFR_WORKERS", asked)
        assert parallel.worker_count() == expected


@pytest.mark.parametrize("asked", ["two", "-1", "1.5"])
def test_a_number_of_workers_that_is_none_is_said(monkeypatch, asked):
    monkeypatch.setenv("RIFR_WORKERS", asked)
    with pytest.raises(SettingError, match=f"RIFR_WORKERS is '{asked}'"):
        parallel.worker_count()


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
    with parallel.threads(1):
        assert torch.get_num_threads() == 1
    with pytest.raises(KeyError), parallel.threads(1):
        raise KeyError
    assert torch.get_num_threads() == before


def page_faults(keep: bool, block: int = 2**26, times: int = 8) -> int:
    """Pages that the system cleared for `times` blocks, asked for, written and freed one after the other."""
    script = f"""
import resource
import numpy as np
from rifr import machine
if {keep}:
    assert machine.keep_freed_memory()
np.ones({block}, np.uint8)  # the first one is new in either case
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({times}):
    np.ones({block}, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep what is freed")
def test_what_a_process_frees_is_used_again():
    given_back, kept = page_faults(keep=False), page_faults(keep=True)
    assert kept < 100 < given_back  # with huge pages a block of 64 MiB is 32 of them, else 16,384

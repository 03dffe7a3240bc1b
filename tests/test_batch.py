"""Batches of chapters: what is run, what is found again, and what a kill leaves."""

import contextlib
import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import psutil
import pytest

from rifr import cli, methods, storage
from rifr.batch import grid, jobs
from rifr.errors import DataError, SettingError
from tests.helpers import chapter

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parent.parent
RECORD = """
import pandas as pd
from rifr.report.show import record
table = pd.DataFrame({"protocol": ["P1", "P1"], "network": ["a", "b"], "width": [16, 16], "rank1": [seed * scale, 0.1]})
record(table, "rank1", by=["protocol", "network", "width"])"""
NUMBER = "print(sum(k ** 0.5 for k in range(seed + 5)))\n"
LOG = """
import os
from pathlib import Path
with open(Path(folder) / f"log-{seed}", "a") as file: file.write(f"{os.getpid()}\\n")
"""


def outputs(path: Path) -> list:
    """All that a notebook's cells have given."""
    return [output for cell in json.loads(path.read_text())["cells"] for output in cell.get("outputs", [])]


def printed(path: Path) -> str:
    return "".join("".join(output.get("text", [])) for output in outputs(path))


def command(tiny: Path, out: Path, *grid: str, **options) -> subprocess.Popen:
    """`python -m rifr batch` as a process at the head of a group of its own."""
    arguments = ["batch", str(tiny), "--grid", *grid, f"folder={tiny.parent}", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "rifr", *arguments],
        cwd=ROOT,
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def gone(process: int, seconds: float = 10) -> bool:
    """Whether a process has ended, or does so soon."""
    for _ in range(int(seconds / 0.1)):
        if not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


# --- What is to be run -------------------------------------------------------------------------------------------


def test_values_are_typed_and_commas_in_brackets_do_not_split():
    found = grid.grid(["seed=0,1", "scale=0.5,1e-3", "widths=[112,16],[]", "flip=True,false", "preset=mini", "x=None"])
    assert found == {
        "seed": [0, 1],
        "scale": [0.5, 1e-3],
        "widths": [[112, 16], []],
        "flip": [True, False],
        "preset": ["mini"],
        "x": [None],
    }
    assert [type(value) for value in found["seed"] + found["flip"]] == [int, int, bool, bool]


@pytest.mark.parametrize(
    "pairs, said",
    [(["seed"], "NAME=VALUE"), (["a b=1"], "'a b=1'"), (["w=[1,"], "no list"), (["seed=0", "seed=1"], "twice")],
)
def test_a_grid_that_is_none_is_refused(pairs, said):
    with pytest.raises(SettingError, match=re.escape(said)):
        grid.grid(pairs)


def test_every_combination_is_a_job_with_a_safe_name_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_PRESET", "smoke")
    tiny = chapter(tmp_path / "tiny.ipynb", "1")
    made = grid.jobs(tiny, {"seed": [3, 4], "folder": ["a/b", "a_b"], "widths": [[112, 16]]}, tmp_path / "out")
    drawn = [(job.parameters["seed"], job.parameters["folder"]) for job in made]
    assert drawn == [(3, "a/b"), (3, "a_b"), (4, "a/b"), (4, "a_b")]
    assert all(job.parameters["preset"] == "smoke" and job.parameters["widths"] == [112, 16] for job in made)
    assert len({job.path for job in made}) == 4 and all(job.path.parent == tmp_path / "out" for job in made)
    plain = grid.jobs(tiny, {"scale": [2]}, tmp_path / "out")[0]
    assert plain.name == "tiny-preset=smoke-seed=0-scale=2"


def test_a_parameter_that_the_chapter_lacks_is_refused_with_those_it_has(tmp_path):
    tiny = chapter(tmp_path / "tiny.ipynb", "1")
    with pytest.raises(SettingError, match=r"'seeds'.*scale"):
        grid.jobs(tiny, {"seeds": [1]}, tmp_path)
    (tmp_path / "text.ipynb").write_text("nothing")
    with pytest.raises(DataError, match="no notebook"):
        grid.jobs(tmp_path / "text.ipynb", {}, tmp_path)


def test_a_field_of_the_preset_is_varied_through_the_changes_of_a_chapter(tmp_path):
    ablation = ROOT / "book" / "ablation.ipynb"
    made = grid.jobs(ablation, grid.grid(["preset=smoke", "changes=flip=False,flip=True dropout=0"]), tmp_path)
    assert [job.parameters["changes"] for job in made] == ["flip=False", "flip=True dropout=0"]
    assert len({job.path for job in made}) == 2
    with pytest.raises(SettingError, match="changes=flip=VALUE"):
        grid.jobs(ablation, grid.grid(["flip=False"]), tmp_path)


def test_the_chapters_of_the_book_can_be_run_as_a_batch(tmp_path):
    for name in ("ablation", "identification", "verification"):
        (job,) = grid.jobs(ROOT / "book" / f"{name}.ipynb", {"preset": ["smoke"]}, tmp_path)
        assert "record(" in job.notebook and job.parameters == {"preset": "smoke", "seed": 0}


def test_a_run_is_told_its_share_and_this_library(monkeypatch):
    monkeypatch.setenv("RIFR_STORE", "elsewhere")
    monkeypatch.setenv("PYTHONPATH", "other")
    found = grid.environment(3, "batch")
    assert {found[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RIFR_WORKERS")} == {"3"}
    assert found["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "other"] and found["RIFR_STORE"] == "elsewhere"
    assert found["TQDM_DISABLE"] == found["JUPYTER_PREFER_ENV_PATH"] == "1"


# --- Runs --------------------------------------------------------------------------------------------------------


def test_a_failed_run_is_kept_the_rest_goes_on_and_only_what_is_missing_is_done_again(tmp_path, monkeypatch, capsys):
    from dask.system import CPU_COUNT

    monkeypatch.chdir(tmp_path)
    code = (
        "from pathlib import Path\nif seed == 1 and not Path('mended').exists(): raise ValueError('in\\nit')\n"
        "import os, rifr\nprint(rifr.__file__, os.environ['OMP_NUM_THREADS'], os.environ['RIFR_WORKERS'])\n" + RECORD
    )
    tiny, out = chapter(tmp_path / "tiny.ipynb", code), tmp_path / "out"
    arguments = ["batch", str(tiny), "--grid", "seed=0,1,2", "preset=x", "--out", str(out)]
    assert cli.main(arguments) == 1
    names = [f"tiny-preset=x-seed={seed}" for seed in range(3)]
    said = capsys.readouterr()
    assert f"  {names[1]}: ValueError: in it\n" in said.err and "2 of 3 runs are finished" in said.out
    assert f"make book BATCH={out}" in said.out and "distributed" not in said.err
    failed = out / f"{names[1]}.failed.ipynb"
    assert {path.name for path in out.glob("*.ipynb")} == {f"{names[0]}.ipynb", failed.name, f"{names[2]}.ipynb"}
    assert [output["ename"] for output in outputs(failed) if output["output_type"] == "error"] == ["ValueError"]
    threads = max(1, CPU_COUNT // min(3, CPU_COUNT))
    assert printed(out / f"{names[0]}.ipynb") == f"{ROOT / 'rifr' / '__init__.py'} {threads} {threads}\n"
    assert str(tmp_path) not in json.dumps(json.loads((out / f"{names[0]}.ipynb").read_text())["metadata"])

    before = {name: (out / f"{name}.ipynb").read_bytes() for name in (names[0], names[2])}
    (tmp_path / "mended").touch()
    assert cli.main(arguments) == 0
    assert not failed.exists() and {name: (out / f"{name}.ipynb").read_bytes() for name in before} == before
    table = pd.read_csv(out / "summary.csv")
    assert table["mean"].tolist() == pytest.approx([1.0, 0.1]) and table.seeds.tolist() == [3, 3]

    monkeypatch.setattr(grid, "_cluster", lambda *rest: pytest.fail("everything is there"))
    assert cli.main(arguments) == 0
    chapter(tiny, code + "\n# changed")
    assert not any(job.done() for job in grid.jobs(tiny, {"seed": [0, 1, 2], "preset": ["x"]}, out))
    chapter(tiny, code)
    assert all(job.done() for job in grid.jobs(tiny, {"seed": [0, 1, 2], "preset": ["x"]}, out))
    monkeypatch.setattr(storage, "sources_digest", lambda *modules: "newer")
    assert not any(job.done() for job in grid.jobs(tiny, {"seed": [0, 1, 2], "preset": ["x"]}, out))


def test_killed_at_any_moment_and_started_twice_at_once_it_ends_the_same(tmp_path):
    tiny, out = chapter(tmp_path / "tiny.ipynb", LOG + NUMBER), tmp_path / "out"
    first = command(tiny, out, "seed=0,1")
    time.sleep(random.uniform(1, 9))
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    logs = [tmp_path / f"log-{seed}" for seed in range(2)]
    before = [log.read_text().split() if log.exists() else [] for log in logs]
    assert all(gone(int(kernel)) for kernels in before for kernel in kernels)
    finished = {path: path.read_bytes() for path in out.glob("*.ipynb")}  # whole, or not there
    assert all(printed(path) for path in finished)

    both = [command(tiny, out, "seed=0,1") for _ in range(2)]
    assert [process.communicate() and process.returncode for process in both] == [0, 0]
    paths = sorted(out.glob("*.ipynb"))
    assert [printed(path) for path in paths] == [f"{sum(k**0.5 for k in range(seed + 5))}\n" for seed in range(2)]
    assert all(path.read_bytes() == content for path, content in finished.items())
    for path, log, earlier in zip(paths, logs, before, strict=True):
        assert len(log.read_text().split()) - len(earlier) == (0 if path in finished else 1)  # the second found it


def test_an_interrupt_keeps_what_is_finished_and_leaves_no_kernel(tmp_path):
    tiny = chapter(tmp_path / "tiny.ipynb", LOG + "import time\nif seed: time.sleep(600)")
    process = command(tiny, tmp_path / "out", "seed=0,1", env=os.environ | {"OMP_NUM_THREADS": "1"})
    wait_for(lambda: (tmp_path / "log-1").exists() and list((tmp_path / "out").glob("*seed=0*.ipynb")))
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopped; what was finished is kept" in said and "Traceback" not in said, said
    assert len(workers) > 1 and all(gone(worker.pid) for worker in workers)
    assert gone(int((tmp_path / "log-1").read_text()))
    assert len(list((tmp_path / "out").glob("*.ipynb"))) == 1


def test_a_kernel_that_dies_before_its_first_answer_is_started_again(tmp_path, monkeypatch):
    (job,) = jobs.jobs(chapter(tmp_path / "tiny.ipynb", NUMBER), {"seed": [2]}, tmp_path / "out")
    (tmp_path / "out").mkdir()
    tries, settings = [], jobs.environment(1, "a-batch")

    def dies_at_first(*arguments, **options):
        tries.append(arguments)
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(jobs.os, "environ", dict(os.environ))  # which `execute` changes
    monkeypatch.setattr(papermill, "execute_notebook", dies_at_first)
    assert jobs.execute(job, settings, str(tmp_path)) == "its kernel was killed 3 times (out of memory?)"
    assert len(tries) == jobs.TRIES
    monkeypatch.setattr(papermill, "execute_notebook", lambda *arguments, **options: float("no number"))
    with pytest.raises(ValueError, match="no number"):
        jobs.execute(job, settings, str(tmp_path))


def test_a_killed_worker_is_replaced_and_a_kernel_that_is_always_killed_is_reported(tmp_path):
    code = (
        LOG + "import signal, time\nfirst = Path(folder, f'log-{seed}').read_text().count('\\n') == 1\n"
        "if seed == 0 and first: os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)\n"
        "if seed == 1: os.kill(os.getpid(), signal.SIGKILL)\n" + NUMBER
    )
    tiny = chapter(tmp_path / "tiny.ipynb", code)
    errors = grid.run(tiny, {"seed": [0, 1], "folder": [str(tmp_path)]}, tmp_path / "out", progress=False)
    assert list(errors.values()) == ["", "its kernel was killed 3 times (out of memory?)"]
    kernels = [(tmp_path / f"log-{seed}").read_text().split() for seed in (0, 1)]
    assert [len(kernel) for kernel in kernels] == [2, grid.TRIES] and gone(int(kernels[0][0]))
    assert sorted(path.name.endswith(".failed.ipynb") for path in (tmp_path / "out").glob("*.ipynb")) == [False, True]


def test_a_cluster_that_exists_is_used_by_its_address(tmp_path):
    import distributed

    tiny = chapter(
        tmp_path / "tiny.ipynb",
        LOG + "import threading\nnames = [thread.name for thread in threading.enumerate()]\n"
        "print(os.getppid(), os.environ['OMP_NUM_THREADS'], 'parent' in names)",
    )
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster:
        errors = grid.run(
            tiny,
            {"seed": [0, 1], "folder": [str(tmp_path)]},
            tmp_path / "out",
            progress=False,
            scheduler=cluster.scheduler_address,
            threads=3,
        )
        worker = cluster.workers[0].process.process.pid
    assert list(errors.values()) == ["", ""]
    assert [printed(path) for path in grid.finished(tmp_path / "out")] == [f"{worker} 3 True\n"] * 2


def test_a_scheduler_without_workers_is_named_and_the_runs_start_when_one_comes(tmp_path, monkeypatch, capsys):
    import distributed

    monkeypatch.setattr(grid, "WORKER_TIMEOUT", 0.5)
    tiny = chapter(tmp_path / "tiny.ipynb", "print(seed)")
    with distributed.LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as cluster:
        wait_for_word = grid._cluster

        @contextlib.contextmanager
        def later(*arguments):
            with wait_for_word(*arguments) as client:
                cluster.scale(1)
                yield client

        monkeypatch.setattr(grid, "_cluster", later)
        errors = grid.run(tiny, {"seed": [7]}, tmp_path / "out", scheduler=cluster.scheduler_address, progress=False)
    said = capsys.readouterr().err
    assert list(errors.values()) == [""] and "no worker" in said and f"dask worker {cluster.scheduler_address}" in said


def test_a_process_ends_with_the_one_that_started_it():
    below = (
        "import os, time; from rifr.training.parallel import exit_with_parent; exit_with_parent(os.getppid()); "
        "print(os.getpid(), flush=True); time.sleep(60)"
    )
    above = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {below!r}])"
    with subprocess.Popen([sys.executable, "-c", above], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        orphan = int(process.stdout.readline())
        assert not gone(orphan, 1)
        process.kill()
    assert gone(orphan)


def test_no_scheduler_no_folder_and_no_space_are_said(tmp_path, monkeypatch, capsys):
    tiny = chapter(tmp_path / "tiny.ipynb", "1")
    (tmp_path / "file").touch()
    assert cli.main(["batch", str(tiny), "--grid", "seed=1", "--out", str(tmp_path / "file" / "out")]) == 1
    assert f"{tmp_path / 'file' / 'out'} cannot be written" in capsys.readouterr().err
    monkeypatch.setattr(grid, "SCHEDULER_TIMEOUT", 1)
    asked = ["batch", str(tiny), "--grid", "seed=1", "--out", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:9"]
    assert cli.main(asked) == 1 and "tcp://127.0.0.1:9" in capsys.readouterr().err

    for name in ("workers", "threads"):
        with pytest.raises(SettingError, match=f"{name} is 0"):
            grid.run(tiny, {"seed": [1]}, tmp_path / "out", **{name: 0})

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "environ", dict(os.environ))  # what a worker changes in its own process
    monkeypatch.setattr(storage, "atomic_write", full)
    (job,) = grid.jobs(tiny, {"seed": [1]}, tmp_path / "out")
    with pytest.raises(OSError, match=rf"{tmp_path}/out: No space left on device"):
        grid.execute(job, grid.environment(1, "batch"), str(tmp_path))


def test_a_run_is_made_anew_for_other_methods_or_faces_of_a_reader(tmp_path, monkeypatch):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "1.png").write_bytes(b"one")
    notebook = nbformat.writes(nbformat.v4.new_notebook())

    def made_by():
        return jobs.Job(
            "odd", notebook, {"preset": "smoke", "train_faces": str(tmp_path / "faces")}, tmp_path
        ).made_by()

    first = made_by()
    assert made_by() == first and "methods" not in first
    (tmp_path / "faces" / "2.png").write_bytes(b"two")
    second = made_by()
    assert second != first
    monkeypatch.setenv("RIFR_METHODS", "mine.py")
    digests = []
    for code in ("a = 1", "a = 2"):
        (tmp_path / "mine.py").write_text(code)
        monkeypatch.setattr(methods, "of_readers", lambda: [methods.load(tmp_path / "mine.py")])
        digests.append(made_by()["methods"])
        del sys.modules[methods.PREFIX + "mine"]
    assert digests[0] != digests[1]

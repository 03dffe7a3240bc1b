import contextlib
import errno
import gc
import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rifr import storage
from rifr.errors import DataError, StorageError

pytestmark = pytest.mark.usefixtures("store_folder")


def number(path: Path) -> int:
    return json.loads(path.read_text())


def made(key: str = "a" * 64, value: int = 1, calls: list | None = None, **options) -> int:
    def make(path: Path) -> None:
        if calls is not None:
            calls.append(path)
        storage.atomic_write(path, json.dumps(value))

    return storage.found_or_made("numbers", "one", key, make, number, ending=".json", **options)


def test_a_result_is_made_once_for_its_key_and_anew_for_another():
    calls: list[Path] = []
    assert [made("a" * 64, 1, calls), made("a" * 64, 2, calls), made("b" * 64, 3, calls)] == [1, 1, 3]
    assert calls == [storage.root() / "numbers" / f"one-{letter * 12}.json" for letter in "ab"]


def test_a_folder_is_a_result_too():
    def make(path: Path) -> None:
        with storage.atomic_directory(path) as folder:
            (folder / "content").write_text("whole")

    for _ in range(2):
        assert storage.found_or_made("folders", "one", "c" * 64, make, lambda path: (path / "content").read_text())


def test_a_result_that_cannot_be_opened_is_named_with_what_to_do():
    made()
    path = storage.place("numbers", "one", "a" * 64, ".json")
    for content in (b"{", b"", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="delete") as error:
            made()
        assert str(path) in str(error.value)


def test_a_maker_that_was_stopped_goes_on_from_its_checkpoint_which_then_goes():
    begun: list[str] = []

    def make(path: Path) -> None:
        checkpoint = storage.checkpoint_path(path)
        begun.append(checkpoint.read_text() if checkpoint.exists() else "nothing")
        storage.atomic_write(checkpoint, "half")
        if len(begun) == 1:
            raise KeyboardInterrupt
        storage.atomic_write(path, "1")

    with pytest.raises(KeyboardInterrupt):
        storage.found_or_made("numbers", "one", "d" * 64, make, number)
    assert storage.found_or_made("numbers", "one", "d" * 64, make, number) == 1
    assert begun == ["nothing", "half"]
    path = storage.place("numbers", "one", "d" * 64)
    assert not storage.checkpoint_path(path).exists()
    storage.checkpoint_path(path).write_text("of a process that was killed right after its result was there")
    storage.found_or_made("numbers", "one", "d" * 64, make, number)
    assert not storage.checkpoint_path(path).exists()


def test_of_two_processes_at_once_one_makes_and_the_other_finds():
    script = """if True:
        import os, time
        from rifr import storage
        def make(path):
            storage.atomic_write(path.with_name(f"made by {os.getpid()}"), "")
            time.sleep(1)
            storage.atomic_write(path, "1")
        print(storage.found_or_made("numbers", "one", "e" * 64, make, lambda path: path.read_text()))
    """
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["1\n", "1\n"]
    assert len(list((storage.root() / "numbers").glob("made by *"))) == 1


def test_processes_that_make_together_agree_by_their_own_rule():
    asked: list[Path] = []

    @contextlib.contextmanager
    def together(path: Path):
        asked.append(path)
        yield not path.exists()

    calls: list[Path] = []
    assert made(calls=calls, missing=together) == made(calls=calls, missing=together) == 1
    assert len(calls) == 1 and len(asked) == 2


def test_what_is_found_needs_no_leave_to_write():
    made()
    folder = storage.root() / "numbers"
    before = sorted(folder.iterdir())
    for entry in before:
        if entry.name.endswith(".lock"):
            entry.unlink()
    assert made() == 1 and [path.name for path in folder.iterdir()] == [f"one-{'a' * 12}.json"]


def test_only_finished_results_are_listed_the_oldest_first():
    folder = storage.root() / "runs"
    for place, name in enumerate(["b", "a", ".c.tmp", ".d.12345678.tmp", ".e.old"]):
        (folder / name).mkdir(parents=True)
        (folder / name / "record.json").write_text("{}")
        os.utime(folder / name, (place, place))
    (folder / "f.partial.pt").write_text("")
    (folder / ".a.lock").write_text("")
    assert [path.name for path in storage.stored("runs")] == ["b", "a"]
    assert storage.stored("nothing of that kind") == []


def test_two_threads_that_write_one_file_leave_the_whole_of_one(tmp_path):
    contents = [bytes([65 + n]) * 300_000 for n in range(4)]

    def write(content: bytes) -> None:
        for _ in range(5):
            storage.atomic_write(tmp_path / "file", content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "file").exists():
            assert (tmp_path / "file").read_bytes() in contents
    assert (tmp_path / "file").read_bytes() in contents and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_time_of_a_write_does_not_grow_with_the_files_beside_it(tmp_path, monkeypatch):
    listed: list[str] = []
    for name in ("scandir", "listdir"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *paths, real=real, name=name: (listed.append(name), real(*paths))[1])
    storage.atomic_write(tmp_path / "file", "whole")
    with storage.lock(tmp_path / "other"):
        pass
    assert not listed


def test_a_library_that_seeks_can_write_atomically(tmp_path):
    arrays = {"a": np.arange(5), "b": np.eye(3)}
    (tmp_path / ".it.npz.tmp").write_bytes(b"left by a killed process" * 1000)
    storage.atomic_write(tmp_path / "it.npz", lambda file: np.savez(file, **arrays))
    with np.load(tmp_path / "it.npz") as found:
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("number", ["ENOSPC", "EACCES"])
def test_a_full_disk_and_a_closed_folder_are_storage_errors_with_the_folder(tmp_path, number):
    def fails(file) -> None:
        raise OSError(getattr(errno, number), "as the system says")

    with pytest.raises(StorageError, match=r"free some space|permissions") as error:
        storage.atomic_write(tmp_path / "file", fails)
    assert str(tmp_path) in str(error.value) and not list(tmp_path.iterdir())


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), storage.atomic_directory(tmp_path / "thing"):
        raise ZeroDivisionError
    assert not (tmp_path / "thing").exists()


CODE = '''"""What it is for."""

import math


class Thing:
    """A thing."""

    size = 3
    """In metres."""


def area(radius):
    """The area."""
    return math.pi * radius**2  # a comment
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes a file of a package, and gives the digest of its sources."""
    name = f"package{time.monotonic_ns()}"
    (tmp_path / name / "inner").mkdir(parents=True)
    for file in ("__init__.py", "inner/__init__.py"):
        (tmp_path / name / file).write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def written(code: str, file: str = "module.py") -> str:
        (tmp_path / name / file).write_text(code)
        time.sleep(0.01)
        return storage.sources_digest(importlib.import_module(name))

    return written


def test_words_about_the_code_do_not_change_its_digest_and_code_does(package):
    before = package(CODE)
    for same in (
        CODE.replace("  # a comment", ""),
        CODE.replace("In metres", "In feet").replace("A thing", "An object").replace("The area", "Its area"),
        CODE.replace('    """The area."""\n', "").replace('"""What it is for."""\n\n', ""),
        CODE.replace("return math.pi * radius**2", "return (\n        math.pi * radius**2\n    )"),
    ):
        assert same != CODE and package(same) == before
    assert package(CODE.replace("radius**2", "radius**3")) != before
    assert package(CODE.replace("size = 3", "size = 4")) != before


def test_modules_deep_in_a_package_count(package):
    before = package("x = 1", "inner/deep.py")
    assert package("x = 2", "inner/deep.py") != before


def test_a_folders_digest_changes_with_names_contents_and_depth(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"one")
    quick, full = storage.folder_digest(tmp_path), storage.folder_digest(tmp_path, contents=True)
    state = (tmp_path / "a" / "1.jpg").stat()
    (tmp_path / "a" / "1.jpg").write_bytes(b"two")
    assert storage.folder_digest(tmp_path) != quick and storage.folder_digest(tmp_path, contents=True) != full
    os.utime(tmp_path / "a" / "1.jpg", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert storage.folder_digest(tmp_path, contents=True) != full, "times say nothing where contents are asked for"
    (tmp_path / "a" / "1.jpg").write_bytes(b"one")
    assert storage.folder_digest(tmp_path, contents=True) == full
    (tmp_path / "a" / "1.jpg").rename(tmp_path / "a" / "2.jpg")
    assert storage.folder_digest(tmp_path, contents=True) != full


def test_a_measurement_is_made_anew_for_other_pictures_and_another_list(tmp_path, monkeypatch):
    from rifr.report import study
    from rifr.training import trainer

    made_of: list[str] = []
    monkeypatch.setattr(trainer, "fit", lambda name, *rest: type("Stored", (), {"key": name})())
    monkeypatch.setattr(study.splits, "face_splits", lambda *rest, **options: FakeSplits)
    for part in ("_identified", "_verified", "_small"):
        monkeypatch.setattr(study, part, lambda *rest: [])
    monkeypatch.setattr(study, "_paired", lambda trained, preset, pairs, images, progress: made_of.append(images) or [])
    (tmp_path / "pairs.txt").write_text("one")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(name.encode())

    def measured(images: str) -> None:
        study.measured("smoke", 0, ["hr-only"], str(tmp_path / "pairs.txt"), str(tmp_path / images))

    for images in ("a", "b", "a"):
        measured(images)
    assert [Path(images).name for images in made_of] == ["a", "b"]
    (tmp_path / "a" / "1.jpg").write_bytes(b"c")
    measured("a")
    (tmp_path / "pairs.txt").write_text("two")
    measured("a")
    assert len(made_of) == 4


class FakeSplits:
    class train:
        checksum = "the same"

    probes = distractors = train


@pytest.mark.slow
def test_reading_the_head_model_leaves_nothing_in_the_users_home(tmp_path):
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if name not in ("ANNY_CACHE_DIR", "WARP_CACHE_PATH")
    }
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "TQDM_DISABLE": "1"}
    script = "from rifr.faces import head; head.load()"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stderr
    left = [path for folder in (home, cache) for path in folder.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(cache / "rifr") for path in left), left
    assert [path.suffix for path in (cache / "rifr" / "heads").iterdir() if path.suffix != ".lock"] == [".npz"]
    assert sum(path.stat().st_size for path in left) < 60 * 2**20


def test_a_commit_is_that_of_our_checkout_and_not_of_a_repository_around_an_installation(tmp_path, monkeypatch):
    from rifr.report import records

    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(
        [
            "git",
            "-C",
            tmp_path,
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "x",
        ],
        check=True,
    )
    (tmp_path / "site-packages" / "rifr" / "report").mkdir(parents=True)
    monkeypatch.setattr(records, "__file__", str(tmp_path / "site-packages" / "rifr" / "report" / "records.py"))
    assert records.provenance()["commit"] == ""


@pytest.mark.slow
def test_sources_are_digested_in_many_threads_at_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "threaded"
    folder.mkdir()
    for number in range(40):
        (folder / f"part{number}.py").write_text(f"x = {'[' * 60}{number}{']' * 60}\n" * 200)
    (folder / "__init__.py").touch()
    module = importlib.import_module("threaded")
    # Dask listens to the garbage collector like this: a thread that parses lets others go on in the middle of it.
    gc.callbacks.append(pause := lambda *_: time.sleep(1e-4))
    try:
        with ThreadPoolExecutor(8) as pool:
            digests = set(pool.map(lambda _: storage.sources_digest(module), range(8)))
    finally:
        gc.callbacks.remove(pause)
    assert digests == {storage.sources_digest(module)}


WITHOUT_REPOSITORY = """
from rifr import errors, storage
from rifr.report import records
assert not storage.root().is_relative_to(storage.PACKAGE.parent)
try:
    records.folder()
except errors.SettingError as error:
    print(error)
"""


def test_a_library_without_its_repository_says_what_needs_one(tmp_path, monkeypatch):
    shutil.copytree(storage.PACKAGE, tmp_path / "rifr", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.delenv("RIFR_STORE", raising=False)
    monkeypatch.delenv("RIFR_RECORDS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", WITHOUT_REPOSITORY], capture_output=True, text=True, cwd=tmp_path)
    assert "clone the repository" in done.stdout, done.stderr


ALL_MODULES = """
import builtins, importlib, pkgutil
usual = builtins.__import__
def without(name, globals=None, *rest):
    if name in ("fcntl", "resource", "pwd", "termios") and str((globals or {}).get("__name__")).startswith("rifr"):
        raise ModuleNotFoundError(name)
    return usual(name, globals, *rest)
builtins.__import__ = without
import rifr
for module in pkgutil.walk_packages(rifr.__path__, "rifr."):
    if not module.name.startswith("rifr.batch") and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from rifr import storage
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
storage.atomic_write(Path("file"), "text")
with storage.atomic_directory(Path("folder")) as folder:
    (folder / "file").touch()
"""


def test_every_module_is_imported_and_stores_where_unixs_own_are_missing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(storage.PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", ALL_MODULES], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "text" and (tmp_path / "folder" / "file").exists()

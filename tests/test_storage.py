"""Results are made once, written whole or not at all, and found again; errors of the disk are in plain words."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rifr import storage
from rifr.errors import DataError, StorageError
from tests.helpers import not_to_be_unpacked

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


@pytest.mark.parametrize(
    "save, damage",
    [(np.savez_compressed, not_to_be_unpacked), (np.save, lambda array: array.replace(b"(9,)", b"(9,("))],
    ids=["zlib.error", "TokenError"],
)
def test_a_damaged_array_is_named_with_what_to_do(save, damage):
    def make(path: Path) -> None:
        storage.atomic_write(path, lambda file: save(file, np.arange(9)))

    def read(path: Path) -> list:
        with open(path, "rb") as file:
            array = np.load(file)
            return (array if save is np.save else array["arr_0"]).tolist()

    assert storage.found_or_made("arrays", "one", "e" * 64, make, read) == list(range(9))
    path = storage.place("arrays", "one", "e" * 64)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"{path} is damaged .*delete"):
        storage.found_or_made("arrays", "one", "e" * 64, make, read)


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


def test_stored_texts_are_utf8_whatever_the_language_of_the_machine(tmp_path):
    record = {"provenance": {"date": "2025-01-02", "commit": ""}, "rows": [{"by": "Jürgen"}]}
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "large.json").write_bytes(json.dumps(record, ensure_ascii=False).encode())
    notebook = {"cells": [], "metadata": {"rifr": {"parameters": {"who": "Jürgen"}}}}
    (tmp_path / "run.ipynb").write_bytes(json.dumps(notebook, ensure_ascii=False).encode())
    script = """if True:
        import locale, sys
        from pathlib import Path
        from rifr.batch import jobs
        from rifr.report import made_by, records
        assert locale.getencoding().lower() != "utf-8"
        assert records.read("large")["rows"] == [{"by": "J\\xfcrgen"}]
        assert made_by._about(records.folder() / "large.json")["date"] == "2025-01-02"
        assert jobs.made_by(Path(sys.argv[1]))["parameters"] == {"who": "J\\xfcrgen"}
    """
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "RIFR_RECORDS": str(tmp_path / "records")}
    command = [sys.executable, "-X", "utf8=0", "-c", script, str(tmp_path / "run.ipynb")]
    subprocess.run(command, env={**os.environ, **plain}, check=True, timeout=120)


@pytest.mark.parametrize("content", [b"{", b"", b'{"who": "J\xfcrgen"}'])
def test_a_file_that_is_no_json_is_named(tmp_path, content):
    (tmp_path / "it.json").write_bytes(content)
    with pytest.raises(DataError, match="damaged") as error:
        storage.read_json(tmp_path / "it.json")
    assert str(tmp_path / "it.json") in str(error.value)
    with pytest.raises(FileNotFoundError):
        storage.read_json(tmp_path / "none.json")


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), storage.atomic_directory(tmp_path / "thing"):
        raise ZeroDivisionError
    assert not (tmp_path / "thing").exists()

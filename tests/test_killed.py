"""Killed, interrupted, without space, without leave, twice at once: the same command ends with the same bytes.

Most of it is done by tests/kills.py, in processes of its own; `python tests/kills.py --kills 50` does more of the same.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rifr import cli, packs, storage
from rifr.storage import atomic, interrupts
from tests.helpers import easy_faces, people_of_their_own

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parent.parent
KILLS, INTERRUPTS = 12, 4


HELD = """
import os, sys
from pathlib import Path
from tqdm import tqdm
from tests import killed_commands
killed_commands.LIMIT = 30
killed_commands.prepared(Path(sys.argv[1]), ["render"])
holder = os.fork()
if not holder:  # as a command that is killed while it draws its bar
    tqdm.get_lock().acquire()
    os._exit(0)
os.waitpid(holder, 0)
print(killed_commands.Place(Path(sys.argv[1]), "render").run())
"""


def test_a_command_that_is_killed_while_it_draws_its_bar_does_not_stop_the_next_one(tmp_path):
    done = subprocess.run([sys.executable, "-c", HELD, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "0", done.stderr


@pytest.mark.parametrize("what", ["render", "prepare", "train", "embed"])
def test_ended_at_any_moment_the_same_command_goes_on_and_ends_with_the_same_bytes(what):
    asked = ["--what", what, "--kills", str(KILLS), "--interrupts", str(INTERRUPTS), "--more", "--json"]
    done = subprocess.run([sys.executable, ROOT / "tests" / "kills.py", *asked], capture_output=True, text=True)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)[what]
    assert not report["wrong"], "\n".join(report["wrong"])
    assert report["files"] >= 2
    assert report["kills"]["landed"] == KILLS and report["interrupts"]["landed"] == INTERRUPTS
    if what != "prepare":  # which stores nothing before its end
        assert report["kills"]["middle"] >= 3


def test_a_killed_process_leaves_no_lock_and_what_it_was_writing_is_removed(tmp_path):
    script = f"""if True:
        import sys
        from pathlib import Path
        from rifr import storage
        path = Path({str(tmp_path)!r}) / "thing"
        with storage.lock(path), storage.atomic_directory(path) as folder:
            (folder / "half").write_text("half")
            storage.atomic_write(path.with_name("file"), lambda file: (file.write(b"half"), print("ready", flush=True),
                                                                     sys.stdin.read()))
    """
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"ready\n"
    assert sorted(entry.name for entry in tmp_path.glob(".*.tmp")) == [".file.tmp", ".thing.tmp"]
    with storage.lock(tmp_path / "other"):  # a living one's is not touched
        storage.atomic_write(tmp_path / "third", "whole")
        (tmp_path / "third").unlink()
        assert (tmp_path / ".thing.tmp" / "half").exists()
    process.kill()
    process.communicate()
    began = time.monotonic()
    with storage.lock(tmp_path / "thing"):
        assert time.monotonic() - began < 1
        assert not (tmp_path / ".thing.tmp").exists()
    storage.atomic_write(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text() == "whole"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".other.lock", ".thing.lock", "file"]


def test_names_that_only_begin_alike_are_left_alone(tmp_path):
    others = [".thing.more.tmp", ".thing.abcdefg.tmp", "thing.partial", ".thingy.tmp"]
    for name in others:
        (tmp_path / name).write_text("of another")
    (tmp_path / ".thing.tmp").write_text("of a dead process, and longer than what is written now")
    storage.atomic_write(tmp_path / "thing", "whole")
    assert (tmp_path / "thing").read_text() == "whole"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([*others, "thing"])


def replaced(path: Path) -> None:
    with storage.atomic_directory(path) as folder:
        (folder / "content").write_text("new")


@pytest.mark.parametrize("step", [1, 2])
def test_killed_while_a_folder_is_replaced_the_next_call_finds_the_new_one(tmp_path, step):
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "content").write_text("old")
    process = os.fork()
    if not process:
        real, calls = os.replace, []

        def killing(*paths):
            if len(calls) == step - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            calls.append(paths)
            real(*paths)

        os.replace = killing
        replaced(tmp_path / "thing")
    assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL
    assert (tmp_path / "thing").exists() == (step == 1)
    with storage.lock(tmp_path / "thing"):
        assert (tmp_path / "thing" / "content").read_text() == ("old" if step == 1 else "new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".thing.lock", "thing"]


@pytest.mark.parametrize("step", [1, 2])
def test_interrupted_while_a_folder_is_replaced_the_old_one_stays(tmp_path, step, monkeypatch):
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "content").write_text("old")
    real, calls = os.replace, []

    def interrupted(*paths):
        calls.append(paths)
        if len(calls) == step:
            raise KeyboardInterrupt
        real(*paths)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replaced(tmp_path / "thing")
    assert (tmp_path / "thing" / "content").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_who_holds_a_lock_may_ask_for_it_again(tmp_path):
    with storage.lock(tmp_path / "thing"), storage.lock(tmp_path / "thing"):
        pass


FILLED = """
import sys
import numpy as np
from rifr import storage
from rifr.packs import FacePack
from pathlib import Path

room = Path(sys.argv[1])
faces = np.random.default_rng(0).integers(0, 256, (60, 112, 112, 3), dtype=np.uint8)


def write(count):
    yield lambda: FacePack.write(room / "pack", faces[:count], ["a"] * count, source="noise", licence="CC0")
    yield lambda: storage.atomic_write(room / "array.npy", lambda file: np.save(file, faces[:count]))


for write_one in (*write(10), *write(60)):
    try:
        write_one()
    except OSError as error:
        print(type(error).__name__, error)
FacePack.open(room / "pack").verify(room / "pack")
print(sorted(path.name for path in room.iterdir()), len(FacePack.open(room / "pack")), len(np.load(room / "array.npy")))
"""


def test_on_a_disk_that_is_truly_full_the_error_names_it_and_what_was_there_stays(tmp_path):
    mounted = 'mount -t tmpfs -o size=1500k none "$1" && exec "$2" -c "$3" "$1"'
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("a small disk of one's own needs the leave to mount it (unshare -Urm)")
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, FILLED],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    said = done.stdout.strip().split("\n")
    assert done.returncode == 0 and len(said) == 3, (done.returncode, done.stdout, done.stderr)
    for line in said[:2]:
        assert line.startswith("StorageError") and str(tmp_path) in line and "No space left on device" in line
        assert "free some space" in line and "the same command goes on" in line
    assert said[2] == "['array.npy', 'pack'] 10 10", said[2]


def test_a_folder_that_is_no_pack_is_never_replaced(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for arguments in (["render", "--people", "1", "--images", "1"], ["prepare", str(tmp_path / "photos")]):
        (tmp_path / "photos" / "Ann").mkdir(parents=True, exist_ok=True)
        assert cli.main([*arguments, "--out", str(tmp_path / "mine")]) == 1
        assert "is there and is no face pack: give another folder" in capsys.readouterr().err
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    packs.require_place(tmp_path / "photos" / "Ann")  # an empty folder is no loss


def test_packs_of_one_content_are_of_the_same_bytes_whenever_they_are_written(tmp_path, monkeypatch):
    for name in ("one", "two"):
        easy_faces(tmp_path / name, 2, 2)
        monkeypatch.setattr(time, "time", lambda: 2e9)  # zip archives may hold the time at which they were made
    for file in ("images.npy", "people.npz", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    plain = np.load(tmp_path / "one" / "images.npy", mmap_mode="r")
    np.save(tmp_path / "plain.npy", plain)
    assert (tmp_path / "plain.npy").read_bytes() == (tmp_path / "one" / "images.npy").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_turns_into_its_own_error_is_no_failure(number, monkeypatch, capsys):
    def work(options):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise RuntimeError("unexpected pos 704 vs 598") from None

    monkeypatch.setattr(cli.train, "_runs", work)
    before = signal.getsignal(number)
    assert cli.main(["runs"]) == 130 and signal.getsignal(number) == before
    assert capsys.readouterr().err.strip().count("\n") == 0


def test_signals_that_follow_at_once_do_not_disturb_the_clearing_away(tmp_path):
    def stopped_twice():
        with interrupts.stoppable(), storage.atomic_directory(tmp_path / "thing"):
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        stopped_twice()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("moment", ["_lock_now", "_remove"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_a_temporary_is_made_or_removed_leaves_none(tmp_path, monkeypatch, folder, moment, when):
    real = getattr(atomic, moment)

    def interrupted(*arguments, **options):
        if when == "before":
            signal.raise_signal(signal.SIGINT)
        given = real(*arguments, **options)
        if when == "after":
            signal.raise_signal(signal.SIGINT)
        return given

    def fails(written):
        raise RuntimeError("no such number")

    def write():
        if not folder:
            storage.atomic_write(tmp_path / "thing", fails)
        with storage.atomic_directory(tmp_path / "thing") as made:
            fails(made)

    monkeypatch.setattr(atomic, moment, interrupted)
    with pytest.raises(KeyboardInterrupt) as kept, interrupts.stoppable():  # kept: its frames hold what they hold
        write()
    assert [entry.name for entry in tmp_path.iterdir()] == [], kept
    monkeypatch.undo()
    began = time.monotonic()
    storage.atomic_write(tmp_path / "thing", "whole")  # no lock was left either
    assert time.monotonic() - began < 5


def test_a_late_interrupt_does_not_remove_the_next_writers_temporary(tmp_path, monkeypatch):
    real = os.replace

    def replaced_and_interrupted(*paths):
        real(*paths)
        (tmp_path / ".thing.tmp").write_text("of another, who waited")
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replaced_and_interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.atomic_write(tmp_path / "thing", "whole")
    assert (tmp_path / "thing").read_text() == "whole"
    assert (tmp_path / ".thing.tmp").read_text() == "of another, who waited"


BESIDE = """
import sys
from rifr import cli
from rifr.training import trainer
trainer.MIN_IMAGES_FOR_SUBPROCESS = 0
sys.exit(cli.main(["train", "--recipe", "hr-only", "lr-only", "--preset", "smoke", "--set", "epochs=500", "--faces",
                   *sys.argv[1:]]))
"""


def children_of(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to see the other processes")
def test_an_interrupt_ends_the_processes_beside_it_and_they_clear_away_too(tmp_path):
    faces = [
        str(easy_faces(tmp_path / name, 6, 8, seed) and tmp_path / name)
        for seed, name in enumerate(("train", "probes", "distractors"))
    ]
    for name in ("probes", "distractors"):
        people_of_their_own(tmp_path / name, name)
    environment = {**os.environ, "RIFR_STORE": str(tmp_path / "store"), "RIFR_WORKERS": "2", "TQDM_DISABLE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", BESIDE, *faces], env=environment, cwd=ROOT, text=True, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 120
    while len(list((tmp_path / "store").glob("runs/*.partial.pt"))) < 2 and time.monotonic() < until:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    beside = children_of(process.pid)
    assert len(beside) >= 2
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "the same command goes on" in said and "Traceback" not in said, said
    assert not any(Path(f"/proc/{one}").exists() for one in beside)
    left = {entry.name for entry in (tmp_path / "store" / "runs").iterdir()}
    assert not [name for name in left if name.endswith((".tmp", ".old"))]
    assert len([name for name in left if name.endswith(".partial.pt")]) == 2

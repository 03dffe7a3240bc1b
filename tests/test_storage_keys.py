"""What stored results are keyed by: sources, folders, pictures; and where they lie."""

import gc
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from rifr import presets, storage
from rifr.recipes import RECIPES
from rifr.storage import cache
from rifr.training import trainer
from tests.helpers import TINY, easy_faces, other_code

pytestmark = pytest.mark.usefixtures("store_folder")

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


def test_a_source_has_the_same_digest_in_every_python(tmp_path):
    # A list of what the tree holds, worked out by hand: newer Pythons have more fields, and unparse texts otherwise.
    def node(kind, **fields):
        return [kind, *map(list, fields.items())]

    name, load, store = (node("Name", id=repr("x"), ctx=["Load"]), ["Load"], ["Store"])
    width = node("FormattedValue", value=node("Name", id=repr("w"), ctx=load), conversion="-1")
    spec = node("JoinedStr", values=[node("Constant", value=repr(">")), width])
    parts = [
        node("Constant", value=repr("a 'quoted' ")),
        node("FormattedValue", value=name, conversion="114", format_spec=spec),
    ]
    line = node("Assign", targets=[node("Name", id=repr("y"), ctx=store)], value=node("JoinedStr", values=parts))
    code = tmp_path / "code.py"
    code.write_text("""# y\ny = f"a 'quoted' {x!r:>{w}}"\n""")
    assert cache._code_digest(code, 0) == storage.digest(node("Module", body=[line]))


def test_numbers_of_numpy_have_the_digest_of_pythons():
    plain = [{"width": 16, "rates": [0.5, True]}, 3]
    by_hand = hashlib.sha256(b'[{"rates":[0.5,true],"width":16},3]').hexdigest()
    assert storage.digest(*plain) == by_hand  # as it was before
    numpy = [{"width": np.int64(16), "rates": [np.float32(0.5), np.bool_(True)]}, np.uint8(3)]
    assert storage.digest(*numpy) == by_hand and json.loads(storage.readable_json(numpy)) == plain
    with pytest.raises(TypeError, match="ndarray"):
        storage.digest(np.arange(3))


def test_a_seed_of_numpy_finds_and_keys_what_the_same_seed_does(tmp_path):
    faces = easy_faces(tmp_path / "faces", people=2, images=2)
    plan = RECIPES["hr-only"]
    assert trainer.run_key(plan, TINY.training, np.int64(3), faces, None) == trainer.run_key(
        plan, TINY.training, 3, faces, None
    )
    assert trainer.find("hr-only", TINY, np.int64(3), faces) is None


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
    for part in ("_identified", "_verified", "of_stand_ins", "_claimed"):
        monkeypatch.setattr(study, part, lambda *rest: [])
    for room, part in ((study.evaluate, "identify"), (study.evaluate, "verify"), (study.evidence, "of_outcomes")):
        monkeypatch.setattr(room, part, lambda *rest, **options: None)
    monkeypatch.setattr(study.evidence, "on_stand_ins", lambda *rest: (None, None))
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
    other_code(monkeypatch, "similarity.py")
    measured("a")
    assert len(made_of) == 5


class FakeSplits:
    class train:
        checksum, people = "the same", ()

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


USES = {
    "low_per_photo": {"lr-only", "hr+lr", "kl-only", "shared-only", "proposed"},
    "low_kind": {"lr-only", "hr+lr", "kl-only", "shared-only", "proposed"},
    "temperature": {"kl-only", "shared-only", "proposed"},
    "student_start": {"hr+lr", "kl-only", "shared-only", "proposed"},
    "softmax_start": {"hr+lr", "kl-only", "shared-only", "proposed"},
    "teacher_weight": {"shared-only", "proposed"},
    "label_smoothing": {"hr-only", "lr-only", "hr+lr", "shared-only"},
    "teacher_epochs": set(),
    "teacher_sees": {"kl-only", "shared-only", "proposed"},
}
"""The recipes that use a field, by hand; every other field is used by all. A teacher has a key of its own."""


@pytest.mark.parametrize("field", [field.name for field in fields(presets.Training)])
def test_a_network_is_keyed_by_the_fields_that_its_recipe_uses(tmp_path, field):
    faces = easy_faces(tmp_path / "faces", people=2, images=2)
    plain = replace(TINY.training, augment=1.0)  # or nothing is to be seen but the photo
    others = {"bicubic": "camera", "one": "both", "random": "teacher", "thin": "resnet34", "32-true": "bf16-mixed"}
    others["view"] = "photo"
    value = getattr(plain, field)
    if isinstance(value, bool):
        other = not value
    elif isinstance(value, str):
        other = others[value]
    elif isinstance(value, tuple):
        other = (0.5,)
    else:
        other = value + 1 if isinstance(value, int) else value / 2 + 0.1
    changed = replace(plain, **{field: other})
    for name, recipe in RECIPES.items():
        keys = {trainer.run_key(recipe, training, 0, faces, None) for training in (plain, changed)}
        assert len(keys) == (2 if name in USES.get(field, RECIPES) else 1), name

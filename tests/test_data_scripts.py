"""Each data script on a small tree: what it counts, writes, finds again and refuses."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rifr.packs import FacePack
from rifr.readers import archive, tinyface
from tests.record_files import write
from tests.set_trees import NAMES, PACKS, RNG, SCRIPTS, TREES, arguments_in, folder_tree, packs, save, script


@pytest.fixture
def arguments(tmp_path, store_folder):
    """The arguments with which a script reads the small tree of its set, which it finds in tmp_path/set."""
    return partial(arguments_in, tmp_path)


def test_there_is_a_script_for_every_source():
    assert sorted(TREES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_counts_estimates_and_writes_nothing(name, arguments, tmp_path, capsys):
    main, given = script(name).main, [*arguments(name), "--dry-run"]
    before = sorted(tmp_path.rglob("*"))
    assert main(given) == 0
    assert sorted(tmp_path.rglob("*")) == before
    said = capsys.readouterr().out
    assert "are free" in said and "it fits" in said and "nothing was written" in said
    assert ("missing" in said) == (name != "rendered")
    assert main([*given, "--strict"]) == (name != "rendered")


@pytest.mark.parametrize("name", NAMES)
def test_a_pack_is_written_and_found_again(name, arguments, tmp_path, capsys):
    main, given = script(name).main, arguments(name)
    assert main(given) == 0
    made = packs(name, tmp_path / "pack")
    said = capsys.readouterr().out
    for pack in made:
        assert f"{len(pack)} images of {len(pack.people)} people" in said
        if name != "rendered":
            assert pack.manifest["licence"] == script(name).LICENCE
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").rglob("*.json")}
    assert main(given) == 0
    assert "found" in capsys.readouterr().out
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").rglob("*.json")}
    if name != "rendered":
        assert main([*given, "--again", "--strict"]) == 1
        assert "found" not in capsys.readouterr().out
        assert [pack.checksum for pack in packs(name, tmp_path / "pack")] == [pack.checksum for pack in made]
        assert any(path.stat().st_mtime_ns != then for path, then in written.items())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "rendered"])
def test_a_wrong_root_is_one_line_and_status_2(name, arguments, tmp_path, capsys):
    main, given = script(name).main, arguments(name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    for root, wrong in (("nowhere", "does not exist"), ("empty", "holds no image"), ("file.txt", "no archive")):
        assert main([str(tmp_path / root), *given[1:]]) == 2
        said = capsys.readouterr()
        assert said.err.startswith(f"{name}: ") and wrong in said.err and said.err.count("\n") == 1 and not said.out
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    "name, ending",
    [
        ("lfw", ".zip"),
        ("casia_webface", ".tar"),
        ("facescrub", ".tgz"),
        ("megaface", ".zip"),
        ("tinyface", ".zip"),
        ("scface", ".tar.bz2"),
        ("wider_face", ".tar.gz"),
    ],
)
def test_an_archive_does_as_well_as_the_folder(name, ending, arguments, tmp_path, capsys):
    given = arguments(name)
    kind = {".zip": "zip", ".tar": "tar", ".tgz": "gztar", ".tar.gz": "gztar", ".tar.bz2": "bztar"}[ending]
    made = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path, "set")
    shutil.move(made, tmp_path / f"the set{ending}")
    main, packed = script(name).main, [str(tmp_path / f"the set{ending}"), *given[1:]]
    assert main([*packed, "--dry-run"]) == 0
    assert "missing" in capsys.readouterr().out and not (tmp_path / "pack").exists()
    assert main(packed) == 0
    assert "unpacked to" in capsys.readouterr().out
    checksums = [pack.checksum for pack in packs(name, tmp_path / "pack")]
    assert main(given) == 0
    assert "found" in capsys.readouterr().out  # the folder holds the same files
    assert main([*given, "--again"]) == 0
    assert [pack.checksum for pack in packs(name, tmp_path / "pack")] == checksums


@pytest.mark.parametrize("beside", ["README.txt", "__MACOSX/set/Ada_Lee/._Ada_Lee_1.png", ".DS_Store"])
def test_what_lies_beside_the_sets_folder_in_an_archive_does_not_matter(beside, arguments, tmp_path):
    given = arguments("lfw")
    (tmp_path / "both").mkdir()
    shutil.move(tmp_path / "set", tmp_path / "both/set")
    (tmp_path / "both" / beside).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "both" / beside).write_text("beside")
    made = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "both")
    assert script("lfw").main([made, *given[1:]]) == 0
    assert FacePack.open(tmp_path / "pack").identities.tolist() == ["Ada_Lee", "Ada_Lee", "Bea_Orr"]


def test_a_record_file_without_a_header_is_counted_by_its_labels(tmp_path, store_folder, capsys):
    (tmp_path / "records").mkdir()
    images = RNG.integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    write(tmp_path / "records/train.rec", images, [4, 4, 7], header=False)
    assert script("casia_webface").main([str(tmp_path / "records"), "--out", str(tmp_path / "pack")]) == 0
    said = capsys.readouterr().out
    assert "images: 3, " in said and "people: 2, " in said
    assert FacePack.open(tmp_path / "pack").identities.tolist() == ["000004", "000004", "000007"]


def test_what_is_missing_and_extra_is_said_in_numbers(arguments, tmp_path, capsys, monkeypatch):
    module = script("lfw")
    monkeypatch.setattr(module, "EXPECTED", (2, 5))
    assert module.main([*arguments("lfw"), "--strict"]) == 1
    said = capsys.readouterr().out
    assert "images: 3, 1 extra (expected 2)" in said and "people: 2, 3 missing (expected 5)" in said
    assert "images in the pack: 3, 1 extra (expected 2)" in said
    monkeypatch.setattr(module, "EXPECTED", (3, 2))
    assert module.main([*arguments("lfw"), "--strict"]) == 0
    assert "images: 3, as expected" in capsys.readouterr().out


def test_skipped_files_are_named_and_a_pack_that_lacks_them_deviates(arguments, tmp_path, capsys, monkeypatch):
    module, given = script("lfw"), arguments("lfw")
    save(tmp_path / "set/Bea_Orr/small.jpg", 50, 50)
    monkeypatch.setattr(module, "EXPECTED", (4, 2))
    assert module.main([*given, "--strict"]) == 1
    said = capsys.readouterr().out
    assert "images: 4, as expected" in said and "1 skipped: Bea_Orr/small.jpg: 50x50 pixels" in said
    assert "images in the pack: 3, 1 missing (expected 4)" in said
    assert module.main([*given, "--on-bad", "refuse", "--again"]) == 2


def test_pairs_are_checked_against_the_tree(arguments, tmp_path, capsys):
    main, given = script("lfw").main, arguments("lfw")
    for name in ("Ada_Lee/Ada_Lee_0001.png", "Ada_Lee/Ada_Lee_0002.png", "Bea_Orr/Bea_Orr_0001.png"):
        save(tmp_path / "set" / name)
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("1\t1\nAda_Lee\t1\t2\nAda_Lee\t1\tBea_Orr\t1\n")
    assert main([*given, "--pairs", str(pairs)]) == 0
    said = capsys.readouterr().out
    assert "pairs whose photos are there: 2, 5,998 missing" in said and "2 pairs, 1 of them of one person" in said
    pairs.write_text("1\t1\nAda_Lee\t1\t2\nAda_Lee\t1\tBea_Orr\t2\n")  # another list, so the pack is another
    assert main([*given, "--pairs", str(pairs), "--dry-run"]) == 0
    assert "1 of 3 photos are missing" in capsys.readouterr().out
    assert main([*given, "--pairs", str(pairs), "--again"]) == 2


def test_record_files_are_found_by_looking_and_counted(arguments, tmp_path, capsys):
    (tmp_path / "records").mkdir()
    images = RNG.integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    write(tmp_path / "records/train.rec", images, [0, 0, 1])
    given = [str(tmp_path / "records"), "--out", str(tmp_path / "pack")]
    assert script("casia_webface").main(given) == 0
    said = capsys.readouterr().out
    assert "images: 3, 490,620 missing (expected 490,623)" in said
    assert "people: 2, 10,570 missing (expected 10,572)" in said
    assert FacePack.open(tmp_path / "pack").identities.tolist() == ["000000", "000000", "000001"]
    made = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "records")
    assert script("casia_webface").main([made, "--out", str(tmp_path / "other"), "--dry-run"]) == 0
    assert "train.rec is counted once it is unpacked" in capsys.readouterr().out
    (tmp_path / "records/train.idx").unlink()
    assert script("casia_webface").main([*given, "--dry-run"]) == 2
    assert "train.idx does not exist" in capsys.readouterr().err


def test_lists_choose_photos_and_noise_is_left_out(arguments, tmp_path, capsys):
    given = arguments("facescrub")
    listed = {
        "path": ["Ada_Lee/Ada_Lee_1.png", "Ada_Lee/Ada_Lee_2.png", "Cyd_Moe/Cyd_Moe_4.png"],
        "id": ["Ada_Lee", "Ada_Lee", "Cyd_Moe"],
    }
    (tmp_path / "list.json").write_text(json.dumps(listed))
    (tmp_path / "noises.txt").write_text("# noise\nAda_Lee_2.png\n")
    given += ["--list", str(tmp_path / "list.json"), "--noise", str(tmp_path / "noises.txt")]
    assert script("facescrub").main(given) == 0
    said = capsys.readouterr().out
    assert "listed photos: 3, 3,527 missing (expected 3,530)" in said
    assert "listed photos that are there, without noise: 1, 1 missing (expected 2)" in said
    assert "absent: Cyd_Moe/Cyd_Moe_4" in said and "1 left out as noise" in said
    assert FacePack.open(tmp_path / "pack").attributes["file"].tolist() == ["Ada_Lee/Ada_Lee_1.png"]


def test_another_list_of_megaface_makes_another_pack(arguments, tmp_path, capsys):
    main, given = script("megaface").main, arguments("megaface")
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "listed photos: 4, 1 missing (expected 5)" in said and "absent: 12/2@N00/9_0.jpg" in said
    assert len(FacePack.open(tmp_path / "pack")) == 2
    Path(given[given.index("--list") + 1]).write_text(json.dumps({"path": ["375/1@N00/4_0.jpg"]}))
    assert main(given) == 2
    assert "made from other files, by other options" in capsys.readouterr().err
    assert main([*given, "--again"]) == 0 and len(FacePack.open(tmp_path / "pack")) == 1


def test_tinyface_goes_on_part_by_part_and_takes_training_later(arguments, tmp_path, capsys, monkeypatch):
    module, given = script("tinyface"), arguments("tinyface")
    whole = tinyface.aligned

    def stop(photo, path, aligner):
        if path.parent.name == "Gallery_Distractor":
            raise KeyboardInterrupt
        return whole(photo, path, aligner)

    monkeypatch.setattr(tinyface, "aligned", stop)
    assert module.main(given) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(tinyface, "aligned", whole)
    first = (tmp_path / "pack/probes/manifest.json").stat().st_mtime_ns
    assert module.main(given) == 0
    assert module.main([*given, "--training"]) == 0
    assert (tmp_path / "pack/probes/manifest.json").stat().st_mtime_ns == first
    assert FacePack.open(tmp_path / "pack/training").people == ["train-3"]
    assert "training photos: 2, 7,802 missing (expected 7,804)" in capsys.readouterr().out
    assert module.main([*given, "--training"]) == 0 and "found" in capsys.readouterr().out


def test_tinyface_says_which_listed_photos_are_absent(arguments, tmp_path, capsys):
    given = arguments("tinyface")
    save(tmp_path / "set/Testing_Set/Gallery_Match/5_5.jpg", 12, 10)
    (tmp_path / "set/Testing_Set/Probe/1_7.jpg").unlink()
    assert script("tinyface").main([*given, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "probes: listed and absent: 1_7.jpg" in said and "gallery: in no list, not taken: 5_5.jpg" in said
    assert script("tinyface").main(given) == 2
    assert "1 of the 1 photos" in capsys.readouterr().err


def test_the_landmark_network_aligns_on_demand(arguments, tmp_path, monkeypatch):
    landmarks = pytest.importorskip("rifr.landmarks")
    asked = []

    class Run:
        def aligner(self):
            return lambda photo: np.full((112, 112, 3), 7, np.uint8)

    monkeypatch.setattr(landmarks, "fit", lambda *given: asked.append(given) or Run())
    given = arguments("scface")
    given[given.index("none")] = "landmarks"
    assert script("scface").main([*given, "--preset", "smoke", "--seed", "3"]) == 0
    assert asked == [("wing+lr", "smoke", 3)] and (FacePack.open(tmp_path / "pack/probes").images == 7).all()


def test_scface_names_missing_probes_and_draws_eighty(arguments, tmp_path, capsys):
    main, given = script("scface").main, [*arguments("scface"), "--dry-run"]
    (tmp_path / "set/surveillance_cameras_distance_2/cam_3/001_cam3_2.jpg").unlink()
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "probes: 14, 1,936 missing (expected 1,950)" in said and "001_cam3_2, 002_cam1_1" in said
    save(tmp_path / "set/mugshot_frontal_cropped_all/131_frontal.JPG")
    assert main(given) == 0
    assert "mugshots not of the set: 131_frontal" in capsys.readouterr().out
    assert main([*given, "--people", "eighty", "--people-seed", "3"]) == 0
    assert "(expected 80)" in capsys.readouterr().out


def test_the_val_split_of_wider_face_makes_no_scenes(arguments, tmp_path, capsys):
    given = arguments("wider_face")
    shutil.copytree(tmp_path / "set/train", tmp_path / "set/val")
    (tmp_path / "set/val/label.txt").write_text("# 0--Parade/a.jpg\n50 30 60 70\n")
    assert script("wider_face").main([*given, "--split", "val"]) == 2
    said = capsys.readouterr()
    assert "photos in val: 1, 3,225 missing (expected 3,226)" in said.out
    assert "Landmarks come with the train" in said.err


def test_what_is_in_the_way_is_never_lost(arguments, tmp_path, capsys):
    main, given = script("lfw").main, arguments("lfw")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/thesis.txt").write_text("ten years")
    for more in ([], ["--again"]):
        assert main([*given, *more]) == 2
        assert "is no face pack: give another --out" in capsys.readouterr().err
    assert (tmp_path / "pack/thesis.txt").read_text() == "ten years"
    assert main([given[0], "--out", str(tmp_path / "set/pack")]) == 2
    assert "lies in the set itself" in capsys.readouterr().err
    folder_tree(tmp_path / "fresh")
    assert main([given[0], "--out", str(tmp_path / "good")]) == 0
    save(tmp_path / "set/Cyd_Moe/Cyd_Moe_1.png")
    assert main([given[0], "--out", str(tmp_path / "good")]) == 2
    assert "--again to replace it" in capsys.readouterr().err
    assert len(FacePack.open(tmp_path / "good")) == 3


@pytest.mark.parametrize("name", ["lfw", "tinyface"])
def test_a_pack_that_was_deleted_is_made_again(name, arguments, tmp_path, capsys):
    main, given = script(name).main, arguments(name)
    assert main(given) == 0
    shutil.rmtree(tmp_path / "pack" / PACKS.get(name, ("",))[0])
    capsys.readouterr()
    assert main(given) == 0 and "found" not in capsys.readouterr().out
    assert all(len(pack) for pack in packs(name, tmp_path / "pack"))


def test_a_pack_that_does_not_fit_on_the_disk_is_not_begun(arguments, tmp_path, capsys, monkeypatch):
    given = arguments("lfw")
    monkeypatch.setattr(archive, "free_disk", lambda path: 100_000)
    assert script("lfw").main([*given, "--dry-run"]) == 0
    assert "it does not fit" in capsys.readouterr().out
    assert script("lfw").main(given) == 2 and not (tmp_path / "pack").exists()


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_the_set_is_and_on_which_terms(name, capsys):
    with pytest.raises(SystemExit) as end:
        script(name).main(["--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and script(name).__doc__.strip() in said
    assert "Licence" in said and "ask for" in said and "Checked:" in said and "--dry-run" in said and "://" not in said


@pytest.mark.slow
def test_a_script_runs_by_its_path_from_anywhere(tmp_path):
    folder_tree(tmp_path / "set")
    command = [sys.executable, SCRIPTS / "lfw.py", "set", "--out", "packs/lfw"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "packs/lfw: 3 images of 2 people" in done.stdout, done.stderr
    wrong = subprocess.run(
        [*command[:2], "nowhere", *command[3:]], cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert wrong.returncode == 2 and wrong.stderr.startswith("lfw: nowhere does not exist: give the set's folder")
    assert wrong.stderr.count("\n") == 1


def test_real_trees_are_counted(real_data, tmp_path, capsys):
    pairs = real_data / "lists/lfw_pairs.txt"
    given = [str(real_data / "lfw112"), "--pairs", str(pairs), "--out", str(tmp_path / "x")]
    assert script("lfw").main([*given, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "images: 7,701, 5,532 missing" in said and "people: 4,281, 1,468 missing" in said
    assert "pairs whose photos are there: 6,000, as expected" in said

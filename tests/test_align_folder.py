"""Folders of pictures aligned file by file: what is kept, made again, left out and listed."""

import csv
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from rifr import align, cli
from rifr.align import TEMPLATE
from rifr.errors import DataError, SettingError
from rifr.landmarks.align_folder import align_folder
from rifr.readers import folder
from tests.helpers import other_code


def picture_folder(root, **people):
    for name, count in people.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            write(root / name / f"{i}.jpg", [ord(name[0]), i])
    return root


def write(path, seed, height=150, width=140):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(path)


def pixels(path):
    return np.asarray(Image.open(path))


def at_template(picture):
    return TEMPLATE + 10


def listed(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_folder_is_aligned_file_by_file_and_what_fails_is_listed_with_its_reason(tmp_path):
    source = picture_folder(tmp_path / "in", Ada=2, Bea=3)
    (source / "Bea" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (source / "Bea" / "web.jpg").write_text("<!doctype html>")
    (source / "Bea" / "1.heic").write_bytes(b"other")
    nobody, squeezed = (pixels(source / "Bea" / f"{n}.jpg") for n in (1, 2))

    def find(picture):
        if np.array_equal(picture, squeezed):
            return np.ones((5, 2))
        return None if np.array_equal(picture, nobody) else TEMPLATE + 10

    report = align_folder(source, tmp_path / "out", find, "test", progress=False)
    assert report.aligned == 3 and report.written_list == tmp_path / "out-unaligned.csv"
    rows = {row[0]: row[1:] for row in listed(report.written_list)}
    assert rows.pop("file") == ["outcome", "reason"]
    assert set(rows) == {"Bea/1.jpg", "Bea/2.jpg", "Bea/broken.jpg", "Bea/web.jpg", "Bea/1.heic"}
    assert rows["Bea/1.jpg"] == ["left out", "no face found"] and "degenerate" in rows["Bea/2.jpg"][1]
    assert "web page" in rows["Bea/web.jpg"][1] and ".heic" in rows["Bea/1.heic"][1]
    assert "3 faces aligned" in str(report) and "Bea/1.jpg (no face found)" in str(report)
    expected = align.face(pixels(source / "Ada" / "0.jpg"), TEMPLATE + 10)
    assert np.array_equal(pixels(tmp_path / "out" / "Ada" / "0.png"), expected)
    assert len(folder.read(tmp_path / "out", tmp_path / "pack", progress=False)) == 3


def test_a_file_that_is_left_out_keeps_its_whole_name(tmp_path):
    source = picture_folder(tmp_path / "in", Ada=1)
    (source / "Ada" / "x: y.heic").write_bytes(b"other")
    report = align_folder(source, tmp_path / "out", at_template, "test", progress=False)
    (_, (name, outcome, reason)) = listed(report.written_list)
    assert (name, outcome) == ("Ada/x: y.heic", "left out") and reason.startswith("ends in .heic")


def test_the_folder_that_one_is_in_can_be_aligned_into(tmp_path, monkeypatch):
    source = picture_folder(tmp_path / "in", Ada=2)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    report = align_folder(source, ".", lambda picture: None, "test", progress=False)
    assert len(listed(tmp_path / "here-unaligned.csv")) == 3 and report.written_list.samefile("../here-unaligned.csv")
    assert align_folder("../in", ".", at_template, "test", progress=False).aligned == 2
    assert len(list((tmp_path / "here" / "Ada").iterdir())) == 2 and not (tmp_path / "here-unaligned.csv").exists()


def test_of_many_files_the_report_names_ten_and_the_list_all(tmp_path):
    source = picture_folder(tmp_path / "in", Ada=13)
    report = align_folder(source, tmp_path / "out", lambda picture: None, "test", progress=False)
    assert str(report).count("Ada/") == 10 and "13" in str(report) and str(report.written_list) in str(report)
    assert len(listed(report.written_list)) == 14


def test_an_interrupted_run_goes_on_and_keeps_what_is_there(tmp_path):
    source, calls = picture_folder(tmp_path / "in", Ada=3), []

    def stops(picture):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return TEMPLATE

    with pytest.raises(KeyboardInterrupt):
        align_folder(source, tmp_path / "out", stops, "test", progress=False)
    report = align_folder(source, tmp_path / "out", lambda picture: TEMPLATE, "test", progress=False)
    assert (report.kept, report.aligned) == (1, 2) and "1 kept from before" in str(report)
    assert sorted(path.name for path in (tmp_path / "out" / "Ada").iterdir()) == ["0.png", "1.png", "2.png"]


def test_a_replaced_photo_and_another_detector_are_aligned_again(tmp_path):
    source, out = picture_folder(tmp_path / "in", Ada=2), tmp_path / "out"
    align_folder(source, out, at_template, "yunet 0.6", progress=False)
    before = pixels(out / "Ada" / "0.png")
    write(source / "Ada" / "0.jpg", 99)
    report = align_folder(source, out, at_template, "yunet 0.6", progress=False)
    assert (report.aligned, report.kept) == (1, 1)
    assert not np.array_equal(pixels(out / "Ada" / "0.png"), before)
    report = align_folder(source, out, lambda picture: TEMPLATE, "yunet 0.9", progress=False)
    assert (report.aligned, report.kept) == (2, 0)
    assert np.array_equal(pixels(out / "Ada" / "1.png"), align.face(pixels(source / "Ada" / "1.jpg"), TEMPLATE))


@pytest.mark.parametrize(
    "file", ["readers/images.py", "align.py", "similarity.py", "landmarks/align_folder.py", "landmarks/cnn6.py"]
)
def test_faces_are_made_again_after_the_code_that_decodes_or_aligns_them_has_changed(tmp_path, monkeypatch, file):
    source = picture_folder(tmp_path / "in", Ada=2)
    align_folder(source, tmp_path / "out", at_template, "yunet", progress=False)
    other_code(monkeypatch, file)
    report = align_folder(source, tmp_path / "out", at_template, "yunet", progress=False)
    assert (report.aligned, report.kept) == ((0, 2) if file == "landmarks/cnn6.py" else (2, 0))


def test_a_face_whose_photo_has_none_any_more_is_removed_and_one_without_a_photo_is_named(tmp_path):
    source, out = picture_folder(tmp_path / "in", Ada=2), tmp_path / "out"
    align_folder(source, out, at_template, "first", progress=False)
    (source / "Ada" / "1.jpg").unlink()
    report = align_folder(source, out, lambda picture: None, "second", progress=False)
    assert not (out / "Ada" / "0.png").exists() and report.orphans == ["Ada/1.png"] and "Ada/1.png" in str(report)


def test_the_list_of_an_earlier_run_goes_when_nothing_is_left_to_list(tmp_path):
    source = picture_folder(tmp_path / "in", Ada=1)
    assert align_folder(source, tmp_path / "out", lambda picture: None, "a", progress=False).written_list.exists()
    assert align_folder(source, tmp_path / "out", at_template, "b", progress=False).written_list is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_pictures_that_this_command_did_not_make_are_not_overwritten(tmp_path):
    source = picture_folder(tmp_path / "in", Ada=1)
    (tmp_path / "out" / "Ada").mkdir(parents=True)
    write(tmp_path / "out" / "Ada" / "0.png", 1)
    before = (tmp_path / "out" / "Ada" / "0.png").read_bytes()
    with pytest.raises(DataError, match="not made"):
        align_folder(source, tmp_path / "out", at_template, "a", progress=False)
    assert (tmp_path / "out" / "Ada" / "0.png").read_bytes() == before


def test_without_a_face_the_centre_is_cropped_or_the_run_refused_as_is_wished(tmp_path):
    source, out = picture_folder(tmp_path / "in", Ada=1), tmp_path / "out"
    Image.fromarray(pixels(source / "Ada" / "0.jpg")).save(source / "Ada" / "0.png")
    (source / "Ada" / "0.jpg").unlink()
    report = align_folder(source, out, lambda picture: None, "a", "crop", progress=False)
    assert report.aligned == 1 and listed(report.written_list)[1] == ["Ada/0.png", "centre crop", "no face found"]
    middle = pixels(source / "Ada" / "0.png")[40:110, 35:105]  # half of 140 in the middle of 150 x 140
    expected = cv2.resize(middle, (112, 112), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(pixels(out / "Ada" / "0.png"), expected)

    again = align_folder(source, out, lambda picture: None, "a", "crop", progress=False)
    assert again.kept == 1 and again.unaligned == report.unaligned  # kept, and still said to be a crop
    with pytest.raises(DataError, match=r"1 pictures .*Ada/0\.png"):
        align_folder(source, out, lambda picture: None, "a", "refuse", progress=False)
    assert not (out / "Ada" / "0.png").exists()
    with pytest.raises(SettingError, match="on_missing"):
        align_folder(source, out, at_template, "a", "guess", progress=False)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says_before_a_face_is_sought(tmp_path, orientation):
    upright = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    upright = cv2.resize(upright, (150, 100), interpolation=cv2.INTER_CUBIC)
    stored = {  # the stored rows and columns that the orientation turns upright
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "in" / "Ada").mkdir(parents=True)
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "in" / "Ada" / "0.png", exif=exif)
    seen = []
    align_folder(tmp_path / "in", tmp_path / "out", lambda picture: seen.append(picture), "a", progress=False)
    assert np.array_equal(seen[0], upright)


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (4, 3000), (15, 600), (16, 600)])
def test_pictures_too_thin_for_a_face_are_listed_as_that(tmp_path, size):
    (tmp_path / "in" / "Ada").mkdir(parents=True)
    write(tmp_path / "in" / "Ada" / "0.png", 0, *size)
    report = align_folder(tmp_path / "in", tmp_path / "out", at_template, "a", "crop", progress=False)
    assert report.aligned == 0 and f"{size[1]}x{size[0]}" in report.unaligned[0].reason


@pytest.mark.parametrize("size", [(6, 8), (1000, 9000), (64, 600)])
def test_small_faces_and_wide_photos_are_not_too_thin(tmp_path, size):
    (tmp_path / "in" / "Ada").mkdir(parents=True)
    write(tmp_path / "in" / "Ada" / "0.png", 0, *size)
    assert align_folder(tmp_path / "in", tmp_path / "out", at_template, "a", progress=False).aligned == 1


def test_folders_of_notebooks_and_systems_are_no_people(tmp_path):
    source = picture_folder(tmp_path / "in", Ada=1)
    picture_folder(source, **{".ipynb_checkpoints": 1, "__MACOSX": 1})
    report = align_folder(source, tmp_path / "out", at_template, "a", progress=False)
    assert report.aligned == 1 and [path.name for path in (tmp_path / "out").iterdir()] == ["Ada"]


def test_what_cannot_be_aligned_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="each person"):
        align_folder(tmp_path / "none", tmp_path / "out", at_template, "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        align_folder(tmp_path / "empty", tmp_path / "out", at_template, "a")
    source = picture_folder(tmp_path / "in", Ada=1)
    write(source / "loose.jpg", 0)
    with pytest.raises(DataError, match=r"loose\.jpg"):
        align_folder(source, tmp_path / "out", at_template, "a")
    (source / "loose.jpg").unlink()
    write(source / "Ada" / "0.png", 0, 9, 9)
    with pytest.raises(DataError, match="rename one"):
        align_folder(source, tmp_path / "out", at_template, "a")


def test_a_folder_is_not_aligned_into_itself(tmp_path):
    source = picture_folder(tmp_path / "in", Ada=1)
    for out in (source, source / "aligned", source / ".." / "in", tmp_path):
        with pytest.raises(SettingError, match="of its own"):
            align_folder(source, out, at_template, "a", progress=False)
    assert [path.name for path in (source / "Ada").iterdir()] == ["0.jpg"]


def test_the_command_says_what_is_missing(tmp_path, capsys):
    source = picture_folder(tmp_path / "in", Ada=1)
    assert cli.main(["align", str(source), str(tmp_path / "out")]) != 0
    assert "--model FILE" in capsys.readouterr().err


def test_the_command_aligns_again_with_another_score(tmp_path, real_data, capsys):
    person = sorted((real_data / "lfw_raw").iterdir())[0]
    (tmp_path / "in" / "Ada").mkdir(parents=True)
    photo = sorted(person.iterdir())[0]
    (tmp_path / "in" / "Ada" / "0.jpg").write_bytes(photo.read_bytes())
    arguments = ["align", str(tmp_path / "in"), str(tmp_path / "out"), "--model"]
    arguments += [str(real_data / "models" / "yunet_n_dynamic.onnx")]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for score, outcome in (("0.6", "1 faces"), ("0.6", "1 kept"), ("0.5", "1 faces"), ("0.999", "no face found")):
            assert cli.main([*arguments, "--score", score, "--on-missing", "leave-out"]) == 0
            assert outcome in capsys.readouterr().out

"""YuNet's faces, whose picture it is, and folders aligned file by file."""

import os

import numpy as np
import pytest
from PIL import Image

from rifr import align, cli, detectors
from rifr.align import TEMPLATE
from rifr.detectors import Detection
from rifr.evaluation import embed
from rifr.readers import folder


def detection(x, y, width, height, score=0.9):
    return Detection(np.array([x, y, width, height], float), np.zeros((5, 2)), score)


def picture_folder(root, **people):
    for name, count in people.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            noise = np.random.default_rng([ord(name[0]), i]).integers(0, 256, (150, 140, 3), np.uint8)
            Image.fromarray(noise).save(root / name / f"{i}.jpg")
    return root


def test_the_main_face_is_the_largest_and_of_equals_the_one_in_the_middle():
    small, large = detection(50, 50, 20, 20), detection(45, 45, 40, 40)
    assert detectors.main_face([small, large], (100, 100)) is large
    middle, corner = detection(35, 35, 30, 30), detection(0, 0, 31, 31)
    assert detectors.main_face([corner, middle], (100, 100)) is middle
    assert detectors.main_face([], (100, 100)) is None


def test_a_folder_is_aligned_file_by_file_and_what_fails_is_named(tmp_path):
    source = picture_folder(tmp_path / "in", Ada=2, Bea=2)
    (source / "Bea" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    nobody = np.asarray(Image.open(source / "Bea" / "1.jpg"))

    def find(picture):
        return None if np.array_equal(picture, nobody) else TEMPLATE + 10

    done = detectors.align_folder(source, tmp_path / "out", find, progress=False)
    assert (done.aligned, done.not_found, done.unreadable) == (3, ["Bea/1.jpg"], ["Bea/broken.jpg"])
    assert "Bea/1.jpg" in str(done) and "broken.jpg" in str(done) and "3 faces aligned" in str(done)
    written = np.asarray(Image.open(tmp_path / "out" / "Ada" / "0.png"))
    expected = align.face(np.asarray(Image.open(source / "Ada" / "0.jpg")), TEMPLATE + 10)
    assert np.array_equal(written, expected)
    assert len(folder.read(tmp_path / "out", tmp_path / "pack", progress=False)) == 3


def test_an_interrupted_run_goes_on_and_keeps_what_is_there(tmp_path):
    source, seen = picture_folder(tmp_path / "in", Ada=3), []

    def stops(picture):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return TEMPLATE

    with pytest.raises(KeyboardInterrupt):
        detectors.align_folder(source, tmp_path / "out", stops, progress=False)
    done = detectors.align_folder(source, tmp_path / "out", lambda picture: TEMPLATE, progress=False)
    assert (done.kept, done.aligned) == (1, 2) and "1 kept from before" in str(done)
    assert sorted(path.name for path in (tmp_path / "out" / "Ada").iterdir()) == ["0.png", "1.png", "2.png"]


def test_what_cannot_be_aligned_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder for each person"):
        detectors.align_folder(tmp_path / "none", tmp_path / "out", lambda picture: TEMPLATE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        detectors.align_folder(tmp_path / "empty", tmp_path / "out", lambda picture: TEMPLATE)
    source = picture_folder(tmp_path / "in", Ada=1)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(source / "Ada" / "0.png")
    with pytest.raises(ValueError, match="rename one"):
        detectors.align_folder(source, tmp_path / "out", lambda picture: TEMPLATE)


def test_a_file_that_is_no_detector_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="ONNX file"):
        detectors.Yunet(tmp_path / "none.onnx")
    (tmp_path / "no.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match="no.onnx is no"):
        detectors.Yunet(tmp_path / "no.onnx")
    with pytest.raises(ValueError, match="between 0 and 1"):
        detectors.Yunet(tmp_path / "no.onnx", least=2)


def test_a_network_that_is_no_face_detector_is_refused(real_data):
    with pytest.raises(ValueError, match="no face detector"):
        detectors.Yunet(real_data / "models" / "mobilefacenet.onnx")


def test_the_command_says_what_is_missing(tmp_path, capsys):
    source = picture_folder(tmp_path / "in", Ada=1)
    assert cli.main(["align", str(source), str(tmp_path / "out")]) != 0
    assert "--model FILE" in capsys.readouterr().err


def test_real_photos_are_aligned_as_the_set_itself_is(real_data, tmp_path, capfd):
    people = sorted(path.name for path in (real_data / "lfw_raw").iterdir())[:12]
    for name in people:
        os.makedirs(tmp_path / "in" / name)
        for file in (real_data / "lfw_raw" / name).iterdir():
            os.symlink(file, tmp_path / "in" / name / file.name)
    arguments = [
        "align",
        str(tmp_path / "in"),
        str(tmp_path / "out"),
        "--model",
        str(real_data / "models" / "yunet_n_dynamic.onnx"),
    ]
    assert cli.main(arguments) == 0
    assert "ERROR" not in capfd.readouterr().err
    pairs = [
        (file, real_data / "lfw112" / file.parent.name / f"{file.stem}.jpg")
        for file in sorted((tmp_path / "out").glob("*/*.png"))
    ]
    pairs = [pair for pair in pairs if pair[1].exists()]
    ours, theirs = (np.stack([np.asarray(Image.open(pair[side])) for pair in pairs]) for side in (0, 1))
    model = real_data / "models" / "mobilefacenet.onnx"
    first, second = (embed.embed(model, images, progress=False) for images in (ours, theirs))
    cosine = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert len(pairs) > 10 and np.median(cosine) > 0.9 and cosine.min() > 0.5

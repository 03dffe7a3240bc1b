"""YuNet's faces, at any size of picture, and whose picture it is."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from rifr import align, cli
from rifr.evaluation import embed
from rifr.landmarks.yunet import Detection, Yunet, main_face
from rifr.readers.images import decode
from tests.helpers import other_code


def detection(x, y, width, height, score=0.9):
    return Detection(np.array([x, y, width, height], float), np.zeros((5, 2)), score)


def test_the_main_face_is_the_largest_and_of_equals_the_one_in_the_middle():
    small, large = detection(50, 50, 20, 20), detection(45, 45, 40, 40)
    assert main_face([small, large], (100, 100)) is large
    middle, corner = detection(35, 35, 30, 30), detection(0, 0, 31, 31)
    assert main_face([corner, middle], (100, 100)) is middle
    assert main_face([], (100, 100)) is None


def test_a_file_that_is_no_detector_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="ONNX file"):
        Yunet(tmp_path / "none.onnx")
    (tmp_path / "no.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"no\.onnx is no"):
        Yunet(tmp_path / "no.onnx")
    with pytest.raises(ValueError, match="between 0 and 1"):
        Yunet(tmp_path / "no.onnx", score_threshold=2)


def test_a_network_that_is_no_face_detector_is_refused(real_data):
    with pytest.raises(ValueError, match="no face detector"):
        Yunet(real_data / "models" / "mobilefacenet.onnx")


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


def cosines(first, second):
    return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


@pytest.fixture
def yunet(real_data):
    return Yunet(real_data / "models" / "yunet_n_dynamic.onnx")


def photos(real_data, count):
    people = sorted((real_data / "lfw_raw").iterdir())
    return [decode(sorted(person.iterdir())[0]) for person in people[:: len(people) // count][:count]]


def test_a_face_that_fills_a_large_photo_is_found_as_in_a_small_one(real_data, yunet):
    originals, larger = photos(real_data, 6), []
    for picture in originals:
        picture = cv2.resize(picture, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
        larger.append(align.face(picture, yunet.main_landmarks(picture)))
    small = [align.face(picture, yunet.main_landmarks(picture)) for picture in originals]
    model = real_data / "models" / "mobilefacenet.onnx"
    first, second = (embed.embed(model, np.stack(faces), progress=False) for faces in (small, larger))
    assert cosines(first, second).min() > 0.9


def test_a_small_face_in_a_large_photo_is_found_too(real_data, yunet):
    picture = photos(real_data, 1)[0]
    expected = yunet.main_landmarks(picture)
    scale = 0.2  # a face of about 20 px in 3,000: 4 px at the size that is searched first
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    large = np.full((2000, 3000, 3), 90, np.uint8)
    large[700 : 700 + len(small), 1900 : 1900 + small.shape[1]] = small
    landmarks = yunet.main_landmarks(large)
    assert np.abs(landmarks - (expected + 0.5) * scale + 0.5 - [1900, 700]).max() < 2


def test_boxes_and_landmarks_are_in_the_pixels_of_the_picture_that_was_given(real_data, yunet):
    picture = photos(real_data, 1)[0]
    larger = cv2.resize(picture, (2000, 1700), interpolation=cv2.INTER_CUBIC)
    ratio = np.array([2000 / picture.shape[1], 1700 / picture.shape[0]])
    one, other = (main_face(yunet(image), image.shape[:2]) for image in (picture, larger))
    width = one.box[2]
    assert np.abs(other.landmarks / ratio - one.landmarks).max() < 0.1 * width
    assert np.abs(other.box / np.tile(ratio, 2) - one.box).max() < 0.2 * width


def test_the_key_of_a_detector_follows_its_threshold_and_its_file(real_data, yunet):
    model = real_data / "models" / "yunet_n_dynamic.onnx"
    assert Yunet(model).key == yunet.key != Yunet(model, 0.7).key


def test_the_key_of_a_detector_follows_the_code_that_searches_and_chooses_the_main_face(real_data, monkeypatch):
    model = real_data / "models" / "yunet_n_dynamic.onnx"
    before = Yunet(model).key
    other_code(monkeypatch, "landmarks/yunet.py")
    assert Yunet(model).key != before

import pickle

import cv2
import numpy as np
import pytest

from rifr.readers import pair_list, verification_bin

RNG = np.random.default_rng(2)
PHOTOS = RNG.integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)


def lfw_tree(folder):
    """Two people with two photos each, and a list that shows one photo twice."""
    for i, photo in enumerate(PHOTOS):
        name = f"Person_{i // 2}"
        (folder / name).mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(folder / name / f"{name}_{i % 2 + 1:04d}.png"), photo[..., ::-1])
    (folder / "pairs.txt").write_text(
        "1\t2\nPerson_0\t1\t2\nPerson_1\t1\t2\nPerson_0\t1\tPerson_1\t2\nPerson_0\t2\tPerson_1\t2\n"
    )
    return folder / "pairs.txt"


def test_a_list_gives_each_photo_once_and_each_pair_its_two(tmp_path):
    found = pair_list.read(lfw_tree(tmp_path), tmp_path)
    assert len(found.photos) == 4 and found.same.tolist() == [True, True, False, False]
    assert np.array_equal(found.photos.images[found.first], PHOTOS[[0, 2, 0, 1]])
    assert np.array_equal(found.photos.images[found.second], PHOTOS[[1, 3, 3, 3]])


def test_a_verification_file_gives_each_distinct_photo_once(tmp_path):
    order = [0, 1, 2, 3, 0, 3]
    encoded = [cv2.imencode(".jpg", PHOTOS[i])[1].tobytes() for i in order]
    (tmp_path / "some.bin").write_bytes(pickle.dumps((encoded, [True, True, False])))
    found = pair_list.read(tmp_path / "some.bin")
    images, same = verification_bin.read(tmp_path / "some.bin")
    assert len(found.photos) == 4 and found.same.tolist() == same.tolist() == [True, True, False]
    assert np.array_equal(found.photos.images[found.first], images[0::2])
    assert np.array_equal(found.photos.images[found.second], images[1::2])


def test_the_checksum_follows_the_pixels(tmp_path):
    before = pair_list.read(lfw_tree(tmp_path), tmp_path).photos.checksum
    assert pair_list.read(tmp_path / "pairs.txt", tmp_path).photos.checksum == before
    cv2.imwrite(str(tmp_path / "Person_0" / "Person_0_0001.png"), PHOTOS[0])  # its colours swapped
    assert pair_list.read(tmp_path / "pairs.txt", tmp_path).photos.checksum != before


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match="say where they lie"):
        pair_list.read(lfw_tree(tmp_path))
    photo = tmp_path / "Person_1" / "Person_1_0002.png"
    cv2.imwrite(str(photo), np.zeros((100, 90, 3), np.uint8))
    with pytest.raises(ValueError, match="Person_1_0002.png is 90x100 pixels, not 112x112: align"):
        pair_list.read(tmp_path / "pairs.txt", tmp_path)
    photo.write_bytes(photo.read_bytes()[:30])
    with pytest.raises(ValueError, match="Person_1_0002.png cannot be read"):
        pair_list.read(tmp_path / "pairs.txt", tmp_path)
    photo.unlink()
    with pytest.raises(FileNotFoundError, match="Person_1"):
        pair_list.read(tmp_path / "pairs.txt", tmp_path)

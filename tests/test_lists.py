"""Lists that an editor saved with a byte order mark, or as Windows' "Unicode", are read like any others."""

import json

import numpy as np
import pytest

from rifr.errors import DataError
from rifr.readers import facescrub, megaface, scface, wider_face
from rifr.readers.text import read_text

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_lists_of_every_set_are_read_in_every_encoding_of_an_editor(tmp_path, encoding):
    def save(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding)
        return path

    assert megaface.distractors(save("list.json", json.dumps({"path": ["a/b.jpg"]}))) == ["a/b.jpg"]
    assert megaface.noises(save("noise.txt", "a/b/c.jpg\n")) == {"a/b/c.jpg"}
    assert facescrub.noises(save("noise.txt", "Zo\u00eb_12.png\n")) == {"Zo\u00eb_12"}

    points = scface.points(save("all.txt", "001_cam1_1 1 2 3 4 5 6 7 8\n"))
    assert list(points) == ["001_cam1_1"]  # and not a name that no photo has
    assert np.array_equal(points["001_cam1_1"].ravel(), np.arange(1, 9))

    save("train/images/0--Parade/a.jpg", "a photo")
    save("train/label.txt", "# 0--Parade/a.jpg\n1 2 3 4\n")
    [face] = wider_face.faces(tmp_path)
    assert face.path.name == "a.jpg" and face.box.tolist() == [1, 2, 3, 4]


def test_what_is_no_text_or_not_there_is_said_with_what_to_do(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"\xff\x00\x81")
    with pytest.raises(DataError, match=r"x.txt"):
        read_text(tmp_path / "x.txt", "give the list")
    with pytest.raises(FileNotFoundError, match=r"y.txt"):
        read_text(tmp_path / "y.txt", "give the list")

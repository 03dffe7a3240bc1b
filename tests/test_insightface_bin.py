import os
import pickle
import pickletools
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rifr.readers.insightface_bin import read


def encoded(count=6, side=112, seed=0, ending=".jpg"):
    """Smooth colourful images, encoded; and what they decode to, in RGB."""
    rng = np.random.default_rng(seed)
    files = []
    for _ in range(count):
        image = cv2.resize(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8), (side, side))
        files.append(cv2.imencode(ending, image)[1].tobytes())
    return files, np.stack([cv2.imdecode(np.frombuffer(file, np.uint8), 1)[:, :, ::-1] for file in files])


def save(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


SAME = [True, False, True]
ANSWERS = {
    "bools": SAME,
    "tuple": tuple(SAME),
    "numbers": [1, 0, 1],
    "array": np.array(SAME),
    "numpy bools": list(np.array(SAME)),
    "integers": np.array([1, 0, 1]),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("answers", ANSWERS)
def test_what_publishers_write_reads_as_images_and_answers(tmp_path, protocol, answers):
    files, expected = encoded()
    arrays = [np.frombuffer(file, np.uint8) for file in files]
    for bins in (files, arrays, [bytearray(file) for file in files] if protocol >= 5 else files):
        images, same = read(save(tmp_path / "x.bin", (bins, ANSWERS[answers]), protocol))
        assert images.dtype == np.uint8 and np.array_equal(images, expected)
        assert same.dtype == bool and same.tolist() == SAME


def test_files_that_python_2_wrote_are_read(tmp_path):
    # In Python 2, bytes are str: SHORT_BINSTRING and BINSTRING, and a dtype's code is bytes.
    files, expected = encoded(2, ending=".png")
    strings = b"".join(b"T" + len(file).to_bytes(4, "little") + file for file in files)
    (tmp_path / "x.bin").write_bytes(b"\x80\x02](" + strings + b"e](\x88e\x86.")
    images, same = read(tmp_path / "x.bin")
    assert np.array_equal(images, expected) and same.tolist() == [True]


def test_other_sizes_are_read_on_demand(tmp_path):
    files, expected = encoded(2, side=96)
    path = save(tmp_path / "x.bin", (files, [True]))
    assert np.array_equal(read(path, size=96)[0], expected)
    with pytest.raises(ValueError, match=r"image 0 .*96x96"):
        read(path)


class Runs:
    """Pickles as a call of `what`."""

    def __init__(self, what, *arguments):
        self.call = what, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_something_is_refused_and_not_run(tmp_path, protocol):
    mark = tmp_path / "it ran"
    for what, arguments, named in (
        (os.system, (f"touch '{mark}'",), "system"),
        (open, (str(mark), "w"), "open"),
        (eval, ("1",), "eval"),
        (getattr, (1, "real"), "getattr"),
    ):
        path = save(tmp_path / "evil.bin", ([Runs(what, *arguments)], [True]), protocol)
        with pytest.raises(ValueError, match=rf"evil.bin asks for \w+.{named}.* not run"):
            read(path)
    assert not mark.exists()


def test_other_ways_to_name_a_function_are_refused_too(tmp_path):
    mark = tmp_path / "it ran"
    command = f"touch '{mark}'".encode()
    programs = {
        "INST": b"(S'" + command.replace(b"'", b'"') + b"'\nios\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nS'x'\no.",
        "attribute": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
        "numpy's own": b"cnumpy.core.multiarray\nfromfile\n.",
    }
    for program in programs.values():
        (tmp_path / "evil.bin").write_bytes(program)
        with pytest.raises(ValueError, match=r"evil.bin .*not run"):
            read(tmp_path / "evil.bin")
    assert not mark.exists()


def test_a_small_file_cannot_fill_the_memory(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"Nr" + (2**31 - 1).to_bytes(4, "little") + b".")
    with pytest.raises(ValueError, match="memo place 2147483647"):
        read(tmp_path / "x.bin")
    huge = bytearray(encoded(1, ending=".png")[0][0])
    huge[16:24] = (60000).to_bytes(4, "big") * 2  # width and height in a PNG's header
    with pytest.raises(ValueError, match="image 1 "):
        read(save(tmp_path / "x.bin", ([encoded(1)[0][0], bytes(huge)], [True])))


@pytest.mark.parametrize(
    "content, message",
    [
        (([b"x", b"y", b"z"], [True]), "3 images for 1 answers"),
        (([b"x", b"y"], [True, False]), "2 images for 2 answers"),
        (([], []), "0 images"),
        ([1, 2, 3], "does not hold"),
        (([b"x"], [True], 1), "does not hold"),
        ((b"x", [True]), "list of images"),
        (([b"x", 7], [True]), "image 1 is not encoded bytes"),
        (([b"x", b"y"], [2]), "answer 0 is not True or False"),
        (([b"x", b"y"], ["yes"]), "answer 0 is not True or False"),
        (([b"x", b"y"], [True]), "image 0 .of pair 0.: no image"),
        (([np.zeros(3), np.zeros(3)], [True]), "image 0 is not encoded bytes"),
    ],
)
def test_something_else_in_the_file_is_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=f"x.bin.*{message}"):
        read(save(tmp_path / "x.bin", content))


def test_images_that_are_cut_short_are_named(tmp_path):
    files, _ = encoded(4)
    files[2] = files[2][:-30]
    with pytest.raises(ValueError, match=r"image 2 .*truncated"):
        read(save(tmp_path / "x.bin", (files, [True, False])))
    files[2] = files[1] + bytes(4)  # some writers fill up to a whole word
    read(save(tmp_path / "x.bin", (files, [True, False])))


def test_a_missing_file_and_a_cut_one_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no.bin"):
        read(tmp_path / "no.bin")
    whole = save(tmp_path / "x.bin", (encoded(2)[0], [True])).read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "x.bin").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="whole pickle"):
            read(tmp_path / "x.bin")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("arrays", [True, False])
def test_a_damaged_file_is_refused_or_read_and_never_anything_else(tmp_path, protocol, arrays):
    files, _ = encoded(2, side=16)
    bins = [np.frombuffer(file, np.uint8) for file in files] if arrays else files
    whole = save(tmp_path / "x.bin", (bins, np.array([True])), protocol).read_bytes()
    rng = np.random.default_rng(protocol)
    inside = [position for step, _, position in pickletools.genops(whole)]  # where damage meets the pickle, not pixels
    read_anyway = 0
    for trial in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            start = inside[rng.integers(len(inside))] if trial % 2 else rng.integers(len(whole))
            damaged[min(start + rng.integers(6), len(whole) - 1)] = rng.integers(256)
        (tmp_path / "x.bin").write_bytes(damaged)
        try:
            images, same = read(tmp_path / "x.bin", size=16)
        except ValueError as error:
            assert "x.bin" in str(error)  # noqa: PT017
        else:
            read_anyway += 1
            assert images.shape == (2, 16, 16, 3) and same.shape == (1,)
    assert 0 < read_anyway < 300


@st.composite
def pairs_of_images(draw):
    """What a file may hold, the decoded images, the answers, and a protocol of pickle."""
    answers = draw(st.lists(st.booleans(), min_size=1, max_size=4))
    files, expected = encoded(2 * len(answers), 16, draw(st.integers(0, 99)), draw(st.sampled_from([".jpg", ".png"])))
    bins = [np.frombuffer(file, np.uint8) for file in files] if draw(st.booleans()) else files
    same = np.array(answers) if draw(st.booleans()) else answers
    content = (bins, same) if draw(st.booleans()) else [bins, same]
    return content, expected, answers, draw(st.integers(0, pickle.HIGHEST_PROTOCOL))


@settings(max_examples=50, deadline=None)
@given(pairs_of_images())
def test_random_pairs_come_back_as_they_were_written(case):
    content, expected, answers, protocol = case
    with tempfile.TemporaryDirectory() as folder:
        images, same = read(save(Path(folder) / "x.bin", content, protocol), size=16)
    assert np.array_equal(images, expected) and same.tolist() == answers


@settings(max_examples=50, deadline=None)
@given(pairs_of_images(), st.data())
def test_damaged_pairs_are_read_or_refused_and_nothing_runs(case, data):
    (bins, same), expected, _, protocol = case
    with tempfile.TemporaryDirectory() as folder:
        evil = [Runs(os.mkdir, str(Path(folder) / "it ran"))] if data.draw(st.booleans()) else []
        path = save(Path(folder) / "x.bin", (evil + bins, same), protocol)
        whole = path.read_bytes()
        damaged = bytearray(whole[: data.draw(st.integers(1, len(whole)))] if data.draw(st.booleans()) else whole)
        steps = [position for _, _, position in pickletools.genops(whole) if position < len(damaged)]
        for _ in range(data.draw(st.integers(0, 4))):
            place = data.draw(st.sampled_from(steps) | st.integers(0, len(damaged) - 1))
            damaged[place] = data.draw(st.sampled_from(b"cioR\x81\x93b\x82PQ") | st.integers(0, 255))
        path.write_bytes(damaged)
        try:
            images, answers = read(path, size=16)
        except ValueError as error:
            assert "x.bin" in str(error)  # noqa: PT017
        else:
            assert images.shape == (2 * len(answers), 16, 16, 3) and answers.dtype == bool
            assert len(images) <= len(expected)
        assert os.listdir(folder) == ["x.bin"]


def test_a_real_file_reads_as_any_unpickler_reads_it(real_data):
    path = real_data / "small_lfw.bin"
    images, same = read(path)
    bins, expected = pickle.loads(path.read_bytes(), encoding="bytes")
    assert same.tolist() == list(expected) and images.shape == (20, 112, 112, 3)
    for image, file in zip(images, bins):
        assert np.array_equal(image, cv2.imdecode(np.asarray(file), 1)[:, :, ::-1])
    skin = images[:, 40:90, 30:80].mean(axis=(0, 1, 2))
    assert skin[0] > skin[1] > skin[2]  # red, green, blue: not the other way round

import json
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rifr.readers.features import read, read_all, read_result, write, write_all, write_result

FAST = settings(max_examples=50, deadline=None, database=None)
PATHS = ["375/37531198@N00/4174611825_0.jpg", "375/37531198@N00/4174611825_1.jpg", "Ada/Ada_12.png"]


def test_a_vector_is_read_as_the_devkit_writes_it(tmp_path):
    (tmp_path / "x.bin").write_bytes(struct.pack("<4i3f", 3, 1, 4, 5, 0.5, -2.0, 7.25))
    vector = read(tmp_path / "x.bin")
    assert vector.dtype == np.float32 and vector.tolist() == [0.5, -2.0, 7.25]
    write(tmp_path / "y.bin", vector)
    assert (tmp_path / "y.bin").read_bytes() == (tmp_path / "x.bin").read_bytes()


def test_a_matrix_has_the_columns_of_its_header(tmp_path):
    (tmp_path / "x.bin").write_bytes(struct.pack("<4i6f", 2, 3, 4, 5, *range(6)))
    assert read(tmp_path / "x.bin").tolist() == [[0, 1, 2], [3, 4, 5]]
    write(tmp_path / "y.bin", np.arange(6).reshape(2, 3))
    assert (tmp_path / "y.bin").read_bytes() == (tmp_path / "x.bin").read_bytes()
    write(tmp_path / "y.bin", np.arange(3)[:, None])
    assert read(tmp_path / "y.bin").tolist() == [0, 1, 2]


WHOLE = struct.pack("<4i2f", 2, 1, 4, 5, 1, 2)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "has 0 bytes, fewer than the 16"),
        (WHOLE[:15], "has 15 bytes"),
        (WHOLE[:-1], "is cut short: it has 23 bytes, and 2 x 1 numbers take 24"),
        (WHOLE + b"\0", "is too long: it has 25"),
        (struct.pack("<4i2f", 2, 1, 4, 6, 1, 2), "begins with 2, 1, 4, 6, wanted"),
        (struct.pack("<4i2f", 2, 1, 8, 5, 1, 2), "begins with 2, 1, 8, 5"),
        (struct.pack("<4i", 0, 1, 4, 5), "begins with 0, 1"),
        (struct.pack("<4i", -2, -1, 4, 5), "begins with -2, -1"),
        (struct.pack("<4i", 2**31 - 1, 2**31 - 1, 4, 5), "is cut short"),
        (struct.pack(">4i2f", 2, 1, 4, 5, 1, 2), "no feature file"),
        (struct.pack("<4i2f", 2, 1, 4, 5, np.nan, np.inf), r"not finite \(2 of 2\)"),
    ],
)
def test_something_else_in_the_file_is_named(tmp_path, content, message):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"x.bin .*{message}"):
        read(tmp_path / "x.bin")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="x.bin does not exist"):
        read(tmp_path / "x.bin")


@pytest.mark.parametrize(
    "vector, message",
    [
        (np.zeros(0), "not .0,."),
        (np.zeros((2, 2, 2)), "not .2, 2, 2."),
        (np.float32(1), "not .."),
        ([1j], "complex"),
        (["a"], "<U1"),
        ([True], "bool"),
        ([np.nan], "not finite"),
        ([1e300], "not finite as float32"),
    ],
)
def test_what_is_no_feature_is_not_written_and_the_old_file_stays(tmp_path, vector, message):
    write(tmp_path / "x.bin", [1.0])
    with pytest.raises(ValueError, match=f"x.bin.*{message}"):
        write(tmp_path / "x.bin", vector)
    assert read(tmp_path / "x.bin").tolist() == [1] and [file.name for file in tmp_path.iterdir()] == ["x.bin"]


FEATURES = arrays(
    np.float32,
    array_shapes(max_dims=2, max_side=6),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@FAST
@given(FEATURES)
def test_what_is_written_is_read_again(feature):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "x.bin", feature)
        found = read(Path(folder) / "x.bin")
        assert found.dtype == np.float32
        assert np.array_equal(found, feature[:, 0] if feature.ndim == 2 and feature.shape[1] == 1 else feature)


@FAST
@given(st.data(), FEATURES)
def test_a_damaged_file_gives_finite_numbers_or_a_clear_error(draw, feature):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.bin"
        write(path, feature)
        content = bytearray(path.read_bytes())
        for _ in range(draw.draw(st.integers(0, 3))):
            content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
        content = content[: draw.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))]
        path.write_bytes(content + draw.draw(st.binary(max_size=3)))
        try:
            found = read(path)
        except ValueError as error:
            assert "x.bin" in str(error)
        else:
            assert np.isfinite(found).all() and found.size == feature.size


def test_the_features_of_a_folder_are_written_and_read_in_the_order_of_their_paths(tmp_path):
    features = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    write_all(tmp_path / "features", PATHS, features, suffix="_net.bin")
    assert (tmp_path / "features" / "Ada" / "Ada_12.png_net.bin").is_file()
    assert np.array_equal(read_all(tmp_path / "features", PATHS, suffix="_net.bin"), features)
    assert np.array_equal(read_all(tmp_path / "features", PATHS[::-1], suffix="_net.bin"), features[::-1])
    assert np.array_equal(read(tmp_path / "features" / f"{PATHS[1]}_net.bin"), features[1])


def test_missing_features_are_counted_and_the_first_named(tmp_path):
    write_all(tmp_path, PATHS, np.ones((3, 2)))
    (tmp_path / PATHS[1]).unlink()
    with pytest.raises(FileNotFoundError, match="1 of 3 features .* the first .*4174611825_1.jpg: .* suffix"):
        read_all(tmp_path, PATHS)


def test_features_of_differing_lengths_and_matrices_are_named(tmp_path):
    write_all(tmp_path, PATHS, np.ones((3, 2)))
    write(tmp_path / PATHS[2], np.ones(4))
    with pytest.raises(ValueError, match="Ada_12.png has 4 numbers, and .*4174611825_0.jpg 2: "):
        read_all(tmp_path, PATHS)
    write(tmp_path / PATHS[2], np.ones((2, 2)))
    with pytest.raises(ValueError, match="Ada_12.png holds a matrix of 2 x 2"):
        read_all(tmp_path, PATHS)
    (tmp_path / PATHS[2]).write_bytes(b"")
    with pytest.raises(ValueError, match="Ada_12.png has 0 bytes"):
        read_all(tmp_path, PATHS)


@pytest.mark.parametrize("path", ["../x.jpg", "a/../../x.jpg", "/etc/x", "\\x", "C:/x", "a\\..\\x", "", "a/b\0"])
def test_paths_that_lead_out_of_the_folder_are_refused(tmp_path, path):
    for call in (
        lambda: read_all(tmp_path, ["a/b.jpg", path]),
        lambda: write_all(tmp_path / "in", ["a/b.jpg", path], np.ones((2, 2))),
    ):
        with pytest.raises(ValueError, match="relative_paths: path 1, "):
            call()
    assert not list(tmp_path.iterdir())


def test_lists_and_features_that_do_not_fit_are_refused_before_any_is_written(tmp_path):
    with pytest.raises(ValueError, match="path 1, 'a', stands there a second time"):
        write_all(tmp_path, ["a", "a"], np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"\(2, D\) numbers, a row for each path, not \(3, 2\)"):
        write_all(tmp_path, ["a", "b"], np.ones((3, 2)))
    with pytest.raises(ValueError, match="b: the feature has values that are not finite"):
        write_all(tmp_path, ["a", "b"], np.array([[1.0, 2], [np.nan, 0]]))
    with pytest.raises(ValueError, match="one or more paths"):
        read_all(tmp_path, [])
    with pytest.raises(ValueError, match="one or more paths, not 'abc'"):
        read_all(tmp_path, "abc")
    with pytest.raises(ValueError, match="suffix"):
        write_all(tmp_path, ["a"], np.ones((1, 2)), suffix="/../../x")
    assert not list(tmp_path.iterdir())


def test_a_result_counts_ranks_from_0_in_the_file_and_from_1_here(tmp_path):
    write_result(tmp_path / "x.json", [1, 2, 10], [0.5, 0.75, 1])
    assert json.loads((tmp_path / "x.json").read_text()) == {"cmc": [[0, 1, 9], [0.5, 0.75, 1]]}
    ranks, recall = read_result(tmp_path / "x.json")
    assert ranks.dtype == np.int64 and ranks.tolist() == [1, 2, 10]
    assert recall.dtype == np.float64 and recall.tolist() == [0.5, 0.75, 1]
    (tmp_path / "x.json").write_text('{"cmc": [[0.0, 1.0], [0, 1]], "roc": [[0], [1]]}')  # as other programs write it
    assert read_result(tmp_path / "x.json")[0].tolist() == [1, 2]


def test_a_result_of_the_librarys_own_arrays_is_written(tmp_path):
    write_result(tmp_path / "x.json", np.arange(1, 21), np.linspace(0.5, 0.9, 20, dtype=np.float32))
    assert len(read_result(tmp_path / "x.json")[1]) == 20


@pytest.mark.parametrize(
    "ranks, recall, message",
    [
        ([0, 1], [0.1, 0.2], "rank 0 should be a whole number from 1"),
        ([1, 1], [0.1, 0.2], "should ascend"),
        ([1.5], [0.1], "rank 1.5"),
        ([1, 2], [0.1], "as many in each"),
        ([], [], "one or more"),
        ([1], [1.2], "recall 1.2"),
        ([1], [float("nan")], "recall nan"),
        ([1], [True], "recall True"),
        (1, 0.5, "lists"),
        (["a"], [0.5], "rank 'a'"),
    ],
)
def test_what_is_no_result_is_not_written(tmp_path, ranks, recall, message):
    with pytest.raises(ValueError, match=f"x.json: .*{message}"):
        write_result(tmp_path / "x.json", ranks, recall)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", 'holds no "cmc"'),
        (b'{"roc": [[0], [1]]}', 'holds no "cmc"'),
        (b'{"cmc": [[0]]}', 'holds no "cmc"'),
        (b'{"cmc": [0, 1]}', 'no "cmc"'),
        (b'{"cmc": [[0, 1], [0.5]]}', "as many in each"),
        (b'{"cmc": [[1, 0], [0.5, 0.6]]}', "rank 0 "),
        (b'{"cmc": [[-1], [0.5]]}', "rank -1"),
        (b'{"cmc": [[0], [1e400]]}', "recall inf"),
        (b'{"cmc": [[1e400], [1]]}', "rank inf"),
        (b'{"cmc": [[0], [null]]}', "recall None"),
        (b'{"cmc": [[0], [' + b"9" * 400 + b"]]}", "recall 999"),
    ],
)
def test_something_else_in_a_result_file_is_named(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"x.json.*{message}"):
        read_result(tmp_path / "x.json")


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="x.json does not exist"):
        read_result(tmp_path / "x.json")

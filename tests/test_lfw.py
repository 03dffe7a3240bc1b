import numpy as np
import pytest

from rifr.readers.lfw import pairs

PHOTOS = ["Ada/Ada_0001.jpg", "Ada/Ada_0012.jpg", "Bea_Cy/Bea_Cy_0002.png", "Bea_Cy/Bea_Cy_0003.jpg"]
LINES = ["Ada\t1\t12", "Ada\t1\tBea_Cy\t2", "Bea_Cy 3 2", "Bea_Cy 3 Ada 12"]


@pytest.fixture
def lists(tmp_path):
    """A function that writes a list, and the folder of photos."""
    for photo in PHOTOS:
        (tmp_path / "lfw" / photo).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lfw" / photo).touch()

    def write(*lines):
        (tmp_path / "pairs.txt").write_text("".join(f"{line}\n" for line in lines))
        return tmp_path / "pairs.txt"

    return write, tmp_path / "lfw"


@pytest.mark.parametrize("header", ["2\t1", "1 2", "2"])
def test_pairs_are_paths_in_the_order_of_the_list(lists, header):
    write, root = lists
    first, second, same = pairs(write(header, *LINES, ""), root)
    assert first == [root / PHOTOS[i] for i in (0, 0, 3, 3)]
    assert second == [root / PHOTOS[i] for i in (1, 2, 2, 1)]
    assert same.dtype == bool and same.tolist() == [True, False, True, False]


def test_missing_photos_are_counted_and_the_first_named(lists):
    write, root = lists
    (root / PHOTOS[1]).unlink()
    with pytest.raises(FileNotFoundError, match="1 of 4 photos are missing in .*lfw: Ada/Ada_0012.jpg "):
        pairs(write("2\t1", *LINES), root)
    everyone = [f"Zoe 1 {i}" for i in range(2, 10)] + [f"Zoe 1 Ada {i}" for i in range(2, 10)]
    with pytest.raises(FileNotFoundError, match=r"17 of 17 .*Zoe/Zoe_0001.jpg, .*Zoe/Zoe_0005.jpg, \.\.\."):
        pairs(write("1\t8", *everyone), root)


@pytest.mark.parametrize(
    "line", ["Ada 1", "Ada 1 2 3 4", "Ada one 2", "Ada -1 2", "Ada 1 Ada 2", "../Ada 1 2", "Ada 1 x\\y 2", "Ada 1.5 2"]
)
def test_malformed_lines_are_named_by_number(lists, line):
    write, root = lists
    with pytest.raises(ValueError, match="pairs.txt: 2 lines are neither .* lines 3, 5 "):
        pairs(write("2\t1", LINES[0], line, LINES[2], line), root)


def test_a_list_of_another_length_or_without_its_first_line_is_refused(lists):
    write, root = lists
    with pytest.raises(ValueError, match="holds 3 pairs, and its first line says 2 x 2 x 1"):
        pairs(write("2\t1", *LINES[:3]), root)
    with pytest.raises(ValueError, match="line 1: found 'Ada"):
        pairs(write(*LINES), root)
    with pytest.raises(ValueError, match="line 1: found 'nothing'"):
        pairs(write(), root)
    with pytest.raises(ValueError, match="0 pairs"):
        pairs(write("0\t0"), root)
    with pytest.raises(FileNotFoundError, match="pairs.txt"):
        pairs(root / "none.txt", root)
    with pytest.raises(FileNotFoundError, match="no folder"):
        pairs(write("2\t1", *LINES), root / "none")
    (root / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no text"):
        pairs(root / "b.txt", root)


def test_the_published_list_is_ten_folds_of_300_and_300(real_data):
    first, second, same = pairs(real_data / "lists" / "lfw_pairs.txt", real_data / "lfw112")
    assert len(first) == len(second) == 6000
    assert np.array_equal(same, np.tile(np.repeat([True, False], 300), 10))
    assert first[0].name == "Abel_Pacheco_0001.jpg" and second[0].name == "Abel_Pacheco_0004.jpg"
    assert [one.parent == other.parent for one, other in zip(first, second)] == same.tolist()

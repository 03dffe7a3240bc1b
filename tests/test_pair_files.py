import pickle

import cv2
import numpy as np
import pytest

from rifr.errors import DataError, SettingError
from rifr.readers import insightface_bin, pairs

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
    found = pairs.read(lfw_tree(tmp_path), tmp_path)
    assert len(found.photos) == 4 and found.same.tolist() == [True, True, False, False]
    assert np.array_equal(found.photos.images[found.first], PHOTOS[[0, 2, 0, 1]])
    assert np.array_equal(found.photos.images[found.second], PHOTOS[[1, 3, 3, 3]])


def test_a_verification_file_gives_each_distinct_photo_once(tmp_path):
    order = [0, 1, 2, 3, 0, 3]
    encoded = [cv2.imencode(".jpg", PHOTOS[i])[1].tobytes() for i in order]
    (tmp_path / "some.bin").write_bytes(pickle.dumps((encoded, [True, True, False])))
    found = pairs.read(tmp_path / "some.bin")
    images, same = insightface_bin.read(tmp_path / "some.bin")
    assert len(found.photos) == 4 and found.same.tolist() == same.tolist() == [True, True, False]
    assert np.array_equal(found.photos.images[found.first], images[0::2])
    assert np.array_equal(found.photos.images[found.second], images[1::2])


def test_the_checksum_follows_the_pixels(tmp_path):
    before = pairs.read(lfw_tree(tmp_path), tmp_path).photos.checksum
    assert pairs.read(tmp_path / "pairs.txt", tmp_path).photos.checksum == before
    cv2.imwrite(str(tmp_path / "Person_0" / "Person_0_0001.png"), PHOTOS[0])  # its colours swapped
    assert pairs.read(tmp_path / "pairs.txt", tmp_path).photos.checksum != before


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match="say where they lie"):
        pairs.read(lfw_tree(tmp_path))
    photo = tmp_path / "Person_1" / "Person_1_0002.png"
    cv2.imwrite(str(photo), np.zeros((100, 90, 3), np.uint8))
    with pytest.raises(ValueError, match=r"Person_1_0002.png.*90x100"):
        pairs.read(tmp_path / "pairs.txt", tmp_path)
    photo.write_bytes(photo.read_bytes()[:30])
    with pytest.raises(ValueError, match=r"Person_1_0002.png: no image"):
        pairs.read(tmp_path / "pairs.txt", tmp_path)
    photo.unlink()
    with pytest.raises(FileNotFoundError, match="Person_1"):
        pairs.read(tmp_path / "pairs.txt", tmp_path)


NAMES = ["Ada/Ada_0001.jpg", "Ada/Ada_0012.jpg", "Bea_Cy/Bea_Cy_0002.png", "Bea_Cy/Bea_Cy_0003.jpg"]
LINES = ["Ada\t1\t12", "Ada\t1\tBea_Cy\t2", "Bea_Cy 3 2", "Bea_Cy 3 Ada 12"]


@pytest.fixture
def lists(tmp_path):
    """A function that writes a list, and the folder of photos."""
    for photo in NAMES:
        (tmp_path / "lfw" / photo).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lfw" / photo).touch()

    def write(*lines):
        (tmp_path / "pairs.txt").write_text("".join(f"{line}\n" for line in lines))
        return tmp_path / "pairs.txt"

    return write, tmp_path / "lfw"


@pytest.mark.parametrize("header", ["2\t1", "1 2", "2"])
def test_pairs_are_paths_in_the_order_of_the_list(lists, header):
    write, root = lists
    listed = pairs.read_list(write(header, *LINES, ""), root)
    assert listed.first == [root / NAMES[i] for i in (0, 0, 3, 3)]
    assert listed.second == [root / NAMES[i] for i in (1, 2, 2, 1)]
    assert listed.same.dtype == bool and listed.same.tolist() == [True, False, True, False]
    assert listed.folds == (1 if header == "2" or header == "1 2" else 2)


def test_missing_photos_are_counted_and_the_first_named(lists):
    write, root = lists
    (root / NAMES[1]).unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 4 .*Ada/Ada_0012.jpg "):
        pairs.read_list(write("2\t1", *LINES), root)
    everyone = [f"Zoe 1 {i}" for i in range(2, 10)] + [f"Zoe 1 Ada {i}" for i in range(2, 10)]
    with pytest.raises(FileNotFoundError, match=r"17 of 17 .*Zoe/Zoe_0001.jpg, .*Zoe/Zoe_0005.jpg, \.\.\."):
        pairs.read_list(write("1\t8", *everyone), root)


@pytest.mark.parametrize(
    "line", ["Ada 1", "Ada 1 2 3 4", "Ada one 2", "Ada -1 2", "Ada 1 Ada 2", "../Ada 1 2", "Ada 1 x\\y 2", "Ada 1.5 2"]
)
def test_malformed_lines_are_named_by_number(lists, line):
    write, root = lists
    with pytest.raises(ValueError, match="lines 3, 5 "):
        pairs.read_list(write("2\t1", LINES[0], line, LINES[2], line), root)


def test_a_list_of_another_length_or_without_its_first_line_is_refused(lists):
    write, root = lists
    with pytest.raises(ValueError, match=r"3 pairs.*2 x 2 x 1"):
        pairs.read_list(write("2\t1", *LINES[:3]), root)
    with pytest.raises(ValueError, match="line 1: found 'Ada"):
        pairs.read_list(write(*LINES), root)
    with pytest.raises(ValueError, match="line 1: found 'nothing'"):
        pairs.read_list(write(), root)
    with pytest.raises(ValueError, match="0 pairs"):
        pairs.read_list(write("0\t0"), root)
    with pytest.raises(FileNotFoundError, match=r"pairs.txt"):
        pairs.read_list(root / "none.txt", root)
    with pytest.raises(FileNotFoundError, match="no folder"):
        pairs.read_list(write("2\t1", *LINES), root / "none")
    (root / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no text"):
        pairs.read_list(root / "b.txt", root)


def test_the_published_list_is_ten_folds_of_300_and_300(real_data):
    listed = pairs.read_list(real_data / "lists" / "lfw_pairs.txt", real_data / "lfw112")
    first, second = listed.first, listed.second
    assert len(first) == len(second) == 6000 and listed.folds == 10
    assert np.array_equal(listed.same, np.tile(np.repeat([True, False], 300), 10))
    assert first[0].name == "Abel_Pacheco_0001.jpg" and second[0].name == "Abel_Pacheco_0004.jpg"
    assert [one.parent == other.parent for one, other in zip(first, second)] == listed.same.tolist()


@pytest.mark.parametrize("ending", [".JPG", ".jpeg", ".Png", ".webp"])
def test_photos_may_have_any_ending_of_an_image(lists, ending):
    write, root = lists
    for name in NAMES:
        (root / name).rename((root / name).with_suffix(ending))
    listed = pairs.read_list(write("2\t1", *LINES), root)
    assert listed.first == [(root / NAMES[i]).with_suffix(ending) for i in (0, 0, 3, 3)]


def test_of_two_photos_with_one_name_it_is_always_the_same(lists):
    write, root = lists
    (root / "Ada/Ada_0001.png").touch()
    assert pairs.read_list(write("2\t1", *LINES), root).first[0].name == "Ada_0001.jpg"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_that_an_editor_saved_with_a_byte_order_mark_is_read(lists, encoding):
    write, root = lists
    expected = pairs.read_list(write("2\t1", *LINES), root)
    (root / "marked.txt").write_text("\n".join(["2\t1", *LINES]), encoding=encoding)
    assert pairs.read_list(root / "marked.txt", root).first == expected.first


def test_pairs_whose_photos_are_missing_are_left_out_and_named_on_demand(tmp_path):
    path = lfw_tree(tmp_path)
    (tmp_path / "Person_0" / "Person_0_0002.png").unlink()  # of pairs 1 and 4
    kept = pairs.read(path, tmp_path, on_missing="leave out")
    assert kept.same.tolist() == [True, False] and len(kept.photos) == 3
    assert np.array_equal(kept.photos.images[kept.first], PHOTOS[[2, 0]])
    assert np.array_equal(kept.photos.images[kept.second], PHOTOS[[3, 3]])
    assert len(kept.left_out) == 2 and all("Person_0_0002" in line for line in kept.left_out)
    (tmp_path / "Person_1" / "Person_1_0002.png").unlink()
    with pytest.raises(DataError, match="is left"):
        pairs.read(path, tmp_path, on_missing="leave out")
    with pytest.raises(SettingError, match="on_missing"):
        pairs.read(path, tmp_path, on_missing="guess")


def test_the_number_of_folds_is_that_of_the_list_and_ten_where_none_is_said(tmp_path):
    path = lfw_tree(tmp_path)
    assert pairs.read(path, tmp_path).folds == 1  # View 1's form: the pairs of one person first
    path.write_text("2\t1\nPerson_0\t1\t2\nPerson_0\t1\tPerson_1\t2\nPerson_1\t1\t2\nPerson_0\t2\tPerson_1\t2\n")
    assert pairs.read(path, tmp_path).folds == 2
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([cv2.imencode(".png", PHOTOS[0])[1].tobytes()] * 2, [True])))
    assert pairs.read(tmp_path / "x.bin").folds == 10


def many_folds(root, folds=5, half=4):
    """A list whose folds each have people of their own, two photos each, and the fold of each person."""
    lines, whose = [f"{folds}\t{half}"], {}
    for fold in range(folds):
        names = [f"P{fold}x{n}" for n in range(half)]
        whose |= dict.fromkeys(names, fold)
        lines += [f"{name}\t1\t2" for name in names]
        lines += [f"{name}\t1\t{other}\t2" for name, other in zip(names, [*names[1:], names[0]])]
    for name in whose:
        (root / name).mkdir(parents=True)
        for number in (1, 2):
            (root / name / f"{name}_{number:04d}.jpg").touch()
    (root / "pairs.txt").write_text("\n".join(lines) + "\n")
    return root / "pairs.txt", whose


def test_what_is_left_out_moves_no_pair_into_another_fold(tmp_path):
    path, whose = many_folds(tmp_path)
    whole = pairs.read_list(path, tmp_path)
    assert whole.fold.tolist() == [whose[file.parent.name] for file in whole.first]
    for name in ("P0x0", "P0x1", "P0x2", "P2x3"):
        (tmp_path / name / f"{name}_0002.jpg").unlink()
    listed = pairs.read_list(path, tmp_path, on_missing="leave out")
    assert len(listed.first) == len(listed.fold) == 40 - 8
    for file, other, fold in zip(listed.first, listed.second, listed.fold):
        assert whose[file.parent.name] == whose[other.parent.name] == fold
    before = {(one, other): fold for one, other, fold in zip(whole.first, whole.second, whole.fold.tolist())}
    assert [before[pair] for pair in zip(listed.first, listed.second)] == listed.fold.tolist()


def test_a_list_of_one_fold_or_of_folds_of_one_kind_does_not_say_which_fold_a_pair_is_in(tmp_path):
    assert pairs.read(lfw_tree(tmp_path), tmp_path).fold is None
    text = (tmp_path / "pairs.txt").read_text()
    (tmp_path / "pairs.txt").write_text(text.replace("1\t2\n", "2\t1\n", 1))  # both pairs of one person come first
    listed = pairs.read(tmp_path / "pairs.txt", tmp_path)
    assert listed.folds == 2 and listed.fold is None

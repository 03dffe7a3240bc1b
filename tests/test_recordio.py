import io
import itertools
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from rifr.readers.recordio import RecordFile, read
from tests.record_files import write

MAGIC = bytes.fromhex("0a23d7ce")  # 0xced7230a, little-endian


def faces(count, seed=0, side=112):
    """Smooth colourful images, which JPEG keeps well."""
    rng = np.random.default_rng(seed)
    return [cv2.resize(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8), (side, side)) for _ in range(count)]


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95)
    return file.getvalue()


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def part(payload, kind=0):
    return MAGIC + struct.pack("<I", kind << 29 | len(payload)) + payload + bytes(-len(payload) % 4)


def single(label, data):
    return part(struct.pack("<IfQQ", 0, label, 0, 0) + data)


def several(labels, data=b""):
    return part(struct.pack("<IfQQ", len(labels), 0, 0, 0) + struct.pack(f"<{len(labels)}f", *labels) + data)


def save(path, records, keys=None):
    """Write records by hand; returns the byte at which each begins."""
    offsets = [0, *itertools.accumulate(map(len, records))][:-1]
    path.write_bytes(b"".join(records))
    path.with_suffix(".idx").write_text(
        "".join(f"{key}\t{offset}\n" for key, offset in zip(keys or itertools.count(), offsets))
    )
    return offsets


@pytest.fixture
def by_hand(tmp_path):
    """Person 7 has the images 1 and 4, whose labels are arrays, person 31 the images 2 and 3; records in any order."""
    images = [jpeg(image) for image in faces(4)]
    records = [
        several([5, 7]),
        single(31, images[1]),
        several([7, 0.5, -3], images[0]),
        single(31, images[2]),
        several([7], images[3]),
        several([1, 5]),
        several([2, 4]),
    ]
    save(tmp_path / "train.rec", records, keys=[0, 2, 1, 3, 4, 5, 6])
    return tmp_path / "train.rec", images


def test_records_are_found_by_key_with_their_labels(by_hand):
    path, images = by_hand
    file = RecordFile(path)
    assert len(file) == 4 and list(file.keys) == [1, 2, 3, 4]
    label, data = file.record(1)
    assert label.dtype == np.float32 and label.tolist() == [7, 0.5, -3] and data == images[0]
    assert file.record(2) == (31.0, images[1])
    assert [data for _, data in file] == images
    assert file.people == 2
    assert file.record(0)[0].tolist() == [5, 7] and file.record(0)[1] == b""
    with pytest.raises(ValueError, match="no record 9"):
        file.record(9)


def test_people_come_in_the_order_of_their_labels_and_images_in_that_of_their_keys(by_hand, tmp_path):
    path, images = by_hand
    pack = read(path, tmp_path / "pack", progress=False)
    assert pack.identities.tolist() == ["000007", "000007", "000031", "000031"]
    assert pack.attributes["key"].tolist() == [1, 4, 2, 3]
    for image, key in zip(pack.images, pack.attributes["key"]):
        assert np.array_equal(image, pixels(images[key - 1]))
    spec = pack.manifest["spec"]
    assert (spec["reader"], spec["file"], spec["people_found"], spec["skipped"]) == ("recordio", "train.rec", 2, 0)
    assert read(path, tmp_path / "again", on_bad="refuse", progress=False).checksum == pack.checksum


@pytest.mark.parametrize("several_labels", [False, True])
def test_a_file_without_a_header_as_im2rec_makes_it_is_all_images(tmp_path, several_labels):
    images = [jpeg(image) for image in faces(4)]
    labels = [[label, 0.5] for label in (5, 5, 9, 2)] if several_labels else [5, 5, 9, 2]
    write(tmp_path / "x.rec", images, labels, header=False)
    file = RecordFile(tmp_path / "x.rec")
    assert list(file.keys) == [0, 1, 2, 3] and file.people is None
    pack = read(tmp_path / "x.rec", tmp_path / "pack", progress=False)
    assert pack.identities.tolist() == ["000002", "000005", "000005", "000009"]
    assert pack.attributes["key"].tolist() == [3, 0, 1, 2]
    for image, key in zip(pack.images, pack.attributes["key"]):
        assert np.array_equal(image, pixels(images[key]))


def test_images_are_red_green_blue(tmp_path):
    red = np.zeros((112, 112, 3), np.uint8)
    red[..., 0] = 200
    write(tmp_path / "x.rec", [red], [0])
    mean = read(tmp_path / "x.rec", tmp_path / "pack", progress=False).images[0].mean(axis=(0, 1))
    assert mean[0] > 195 and mean[1] < 5 and mean[2] < 5


@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(min_images=2), ["000003", "000010"]),
        (dict(max_people=1), ["000001"]),
        (dict(min_images=2, max_people=1), ["000003"]),
        (dict(exclude=["000003", 1, "99"]), ["000010"]),
        (dict(exclude=["3"]), ["000001", "000010"]),
    ],
)
def test_people_are_chosen_by_their_number_of_images_and_their_labels(tmp_path, options, expected):
    write(tmp_path / "x.rec", faces(6), [10, 10, 3, 3, 3, 1])
    pack = read(tmp_path / "x.rec", tmp_path / "pack", progress=False, **options)
    assert pack.people == expected
    excluded = {int(label) for label in options.get("exclude", [])} - {99}
    assert pack.manifest["spec"]["excluded"] == [f"{label:06d}" for label in sorted(excluded)]


def test_identities_of_great_labels_keep_the_order_of_numbers(tmp_path):
    write(tmp_path / "x.rec", faces(3), [1_000_000, 999_999, 5])
    pack = read(tmp_path / "x.rec", tmp_path / "pack", progress=False)
    assert pack.people == ["0000005", "0999999", "1000000"] == pack.identities.tolist()


def spoiled(path):
    """Six images of two people: 2 is no image, 4 is cut short, 5 is small, 6 has a label that is nobody."""
    good = [jpeg(image) for image in faces(6)]
    images = [good[0], b"no image", good[2], good[3][:600], jpeg(faces(1, side=96)[0]), good[5]]
    write(path, images, [1, 1, 2, 2, 2, 2.5])
    return path


def test_bad_images_are_skipped_counted_and_named_by_key(tmp_path):
    path = spoiled(tmp_path / "x.rec")
    pack = read(path, tmp_path / "pack", progress=False)
    assert pack.attributes["key"].tolist() == [1, 3]
    spec = pack.manifest["spec"]
    assert spec["skipped"] == 4
    assert [line.split(":")[0] for line in spec["skipped_files"]] == [
        "record 6 has the label 2.5, which is no number of a person",
        "record 2",
        "record 4",
        "record 5",
    ]
    reasons = ["label 2.5", "no image of a known format", "truncated", "96x96 pixels"]
    assert all(reason in line.lower() for line, reason in zip(spec["skipped_files"], reasons))
    with pytest.raises(
        ValueError, match=r"nobody is left of the 2 people .* 4 images bad.*first that is bad: record 6"
    ):
        read(path, tmp_path / "two", min_images=2, progress=False)


def test_a_bad_image_is_refused_on_demand_and_leaves_no_pack(tmp_path):
    path = spoiled(tmp_path / "x.rec")
    with pytest.raises(ValueError, match=r"2.5"):
        read(path, tmp_path / "pack", on_bad="refuse", progress=False)
    write(path, [jpeg(faces(1)[0]), b"no image"], [1, 1])
    with pytest.raises(ValueError, match="record 2"):
        read(path, tmp_path / "pack", on_bad="refuse", progress=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.idx", "x.rec"]


def test_a_damaged_record_is_skipped_or_refused_like_a_bad_image(by_hand, tmp_path):
    path, _ = by_hand
    content = bytearray(path.read_bytes())
    offset = int(path.with_suffix(".idx").read_text().splitlines()[3].split("\t")[1])  # record 3
    content[offset] ^= 255
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"record 3 .at byte {offset}. has f523d7ce at byte {offset} instead"):
        read(path, tmp_path / "pack", on_bad="refuse", progress=False)
    pack = read(path, tmp_path / "pack", progress=False)
    assert pack.attributes["key"].tolist() == [1, 4, 2]
    [line] = pack.manifest["spec"]["skipped_files"]
    assert line.startswith(f"record 3 (at byte {offset}) has")


def test_options_that_make_no_sense_are_refused(by_hand, tmp_path):
    path, out = by_hand[0], tmp_path / "pack"
    with pytest.raises(ValueError, match="on_bad"):
        read(path, out, on_bad="ignore")
    with pytest.raises(ValueError, match="min_images and max_people"):
        read(path, out, min_images=0)
    with pytest.raises(ValueError, match="list of names"):
        read(path, out, exclude="000007")
    with pytest.raises(ValueError, match="people have numbers"):
        read(path, out, exclude=["Ada"])
    with pytest.raises(ValueError, match="2 excluded"):
        read(path, out, exclude=[7, 31], progress=False)


def test_a_record_in_parts_gets_back_the_magic_that_parted_it(tmp_path):
    payload = struct.pack("<IfQQ", 0, 3.0, 0, 0) + b"four" + MAGIC + MAGIC + b"odd-length"
    record = part(payload[:28], 1) + part(b"", 2) + part(b"odd-length", 3)
    save(tmp_path / "x.rec", [several([2, 2]), record])
    assert RecordFile(tmp_path / "x.rec").record(1) == (3.0, payload[24:])


def test_missing_and_empty_files_are_named(by_hand, tmp_path):
    path, _ = by_hand
    with pytest.raises(FileNotFoundError, match=r"no.rec"):
        RecordFile(tmp_path / "no.rec")
    (tmp_path / "empty.rec").touch()
    with pytest.raises(ValueError, match=r"empty.rec is empty"):
        RecordFile(tmp_path / "empty.rec")
    path.with_suffix(".idx").write_text("\n")
    with pytest.raises(ValueError, match=r"train.idx is empty"):
        RecordFile(path)
    path.with_suffix(".idx").unlink()
    with pytest.raises(FileNotFoundError, match=r"train.idx"):
        RecordFile(path)


@pytest.mark.parametrize(
    "line, message",
    [
        ("3", "found '3', wanted key<TAB>offset"),
        ("3 40", "wanted"),
        ("3\t-40", "wanted"),
        ("3\t4\t5", "wanted"),
        ("three\t40", "wanted"),
        ("3\t" + "9" * 5000, "wanted"),
        ("\xff\xfe", "wanted"),
        ("1\t0", "key 1 stands there a second"),
    ],
)
def test_a_malformed_line_of_the_index_is_named_by_number(by_hand, line, message):
    path, _ = by_hand
    index = path.with_suffix(".idx")
    lines = index.read_text().splitlines()
    index.write_bytes("\n".join([*lines[:3], line, *lines[3:]]).encode("latin1"))
    with pytest.raises(ValueError, match=f"train.idx, line 4: .*{message}"):
        RecordFile(path)


def test_an_index_with_carriage_returns_and_empty_lines_is_read(by_hand):
    path, images = by_hand
    index = path.with_suffix(".idx")
    index.write_bytes(index.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert RecordFile(path).record(2)[1] == images[1]


def test_records_beyond_the_end_of_the_file_are_counted_and_the_first_named(by_hand):
    path, _ = by_hand
    offset = int(path.with_suffix(".idx").read_text().splitlines()[4].split("\t")[1])
    path.write_bytes(path.read_bytes()[:offset])
    with pytest.raises(ValueError, match=f"train.rec ends at byte {offset}, and 3 of 7 .* first: 4, at byte {offset}"):
        RecordFile(path)


def test_an_index_may_leave_out_what_lies_behind_the_images(by_hand):
    path, images = by_hand
    index = path.with_suffix(".idx")
    index.write_text("".join(index.read_text().splitlines(keepends=True)[:5]))
    assert RecordFile(path).record(4)[1] == images[3]


def test_a_record_that_is_cut_short_is_named(tmp_path):
    save(tmp_path / "x.rec", [several([2, 2]), single(1, b"x" * 100)])
    whole = (tmp_path / "x.rec").read_bytes()
    for length in range(len(several([2, 2])) + 8, len(whole)):
        (tmp_path / "x.rec").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"record 1 .at byte 40."):
            RecordFile(tmp_path / "x.rec").record(1)


@pytest.mark.parametrize(
    "record, message",
    [
        (b"\0" + single(1, b"data")[1:], "has 0023d7ce at byte 40 instead of the magic 0a23d7ce"),
        (part(b"short"), "holds 5 bytes, fewer than the 24"),
        (part(struct.pack("<IfQQ", 9, 0, 0, 0) + bytes(8)), "announces 9 labels"),
        (part(bytes(24), 2), "kind 2 at byte 40, where a record should begin"),
        (part(bytes(24), 3), "kind 3"),
        (part(bytes(24), 7), "kind 7"),
        (part(bytes(24), 1) + part(bytes(4), 0), "kind 0 at byte 72, where it should go on"),
        (part(bytes(24), 1), "is cut short"),
        (part(bytes(24), 1) + part(b"", 2), "is cut short"),
        (part(bytes(24) + single(1, b"data")), "has 60 bytes from byte 48, and another part begins at byte 72"),
        (single(1, b"data") + b"not a record", "ends at byte 76, where no other record begins"),
    ],
)
def test_a_damaged_record_is_named_with_its_byte(tmp_path, record, message):
    save(tmp_path / "x.rec", [several([2, 2]), record])
    with pytest.raises(ValueError, match=f"x.rec: record 1 .at byte 40. .*{message}"):
        RecordFile(tmp_path / "x.rec").record(1)


@pytest.mark.parametrize(
    "records, keys, message",
    [
        ([several([2, 2]), single(1, b"")], [5, 1], "no record 0"),
        ([single(2, b""), single(1, b"")], [0, 1], "record 0 has flag 0, not 2"),
        ([several([2, 2, 2]), single(1, b"")], [0, 1], "record 0 has flag 3, not 2"),
        ([several([4, 4]), single(1, b""), single(1, b"")], [0, 1, 3], "images 1 to 3, and the .idx file leaves out 2"),
        ([several([1e30, 1e30]), single(1, b"")], [0, 1], "leaves out 2"),
        ([several([1, 1]), single(1, b"")], [0, 1], "end before key 1"),
        ([several([float("nan"), 2]), single(1, b"")], [0, 1], "end before key nan"),
        ([several([float("inf"), 2]), single(1, b"")], [0, 1], "end before key inf"),
        ([several([1.5, 2]), single(1, b"")], [0, 1], "end before key 1.5"),
    ],
)
def test_a_file_without_the_header_of_a_face_set_is_refused(tmp_path, records, keys, message):
    save(tmp_path / "x.rec", records, keys)
    with pytest.raises(ValueError, match=f"x.rec.*{message}"):
        RecordFile(tmp_path / "x.rec")

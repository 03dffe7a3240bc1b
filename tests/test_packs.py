"""Face packs: what is written is what is read, and bad input is refused by name."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest

from rifr import packs, storage
from rifr.errors import DataError, SettingError
from rifr.evaluation.score import score
from rifr.packs import FacePack, name_key, naming, require_disjoint
from rifr.storage.rows import Rows
from tests.helpers import easy_faces, not_to_be_unpacked

TERMS = {"source": "made by a test", "licence": "CC0"}


def some_faces(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


def test_a_written_pack_reads_back_the_same(tmp_path):
    images, landmarks = some_faces(3), np.random.default_rng(0).random((3, 5, 2)).astype(np.float32)
    FacePack.write(tmp_path / "p", images, ["b", "a", "b"], landmarks, {"yaw": np.arange(3.0)}, **TERMS)
    pack = FacePack.open(tmp_path / "p")
    assert isinstance(pack.images, np.memmap)
    np.testing.assert_array_equal(pack.images, images)
    np.testing.assert_array_equal(pack.landmarks, landmarks)
    assert (
        pack.identities.tolist() == ["b", "a", "b"] and pack.people == ["a", "b"] and pack.labels.tolist() == [1, 0, 1]
    )
    assert pack.attributes["yaw"].tolist() == [0, 1, 2]
    assert pack.manifest["licence"] == "CC0" and pack.manifest["people"] == 2
    pack.verify(tmp_path / "p")


def test_images_may_come_in_parts(tmp_path):
    images = some_faces(5)
    whole = FacePack.write(tmp_path / "whole", images, list("abcde"), **TERMS)
    parts = FacePack.write(tmp_path / "parts", iter([images[:2], images[2:]]), list("abcde"), **TERMS)
    np.testing.assert_array_equal(whole.images, parts.images)
    assert whole.checksum == parts.checksum


@pytest.mark.parametrize(
    "images, identities, message",
    [
        (some_faces(2), ["a"], "more images than"),
        (some_faces(1), ["a", "b"], "1 images for 2 identities"),
        (some_faces(1)[:, :100], ["a"], "must be"),
        (some_faces(1).astype(np.float32), ["a"], "uint8"),
        (some_faces(0), [], "no image"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, images, identities, message):
    with pytest.raises(ValueError, match=message):
        FacePack.write(tmp_path / "p", images, identities, **TERMS)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("unknown", [None, float("nan"), 1.0])
def test_an_identity_that_is_not_known_is_no_person(tmp_path, unknown):
    with pytest.raises(ValueError, match=r"1 are neither \(rows 1\)"):
        FacePack.write(tmp_path / "p", some_faces(3), ["a", unknown, np.int64(7)], **TERMS)
    assert not (tmp_path / "p").exists()
    pack = FacePack.write(tmp_path / "p", some_faces(3), ["a", 7, np.int64(7)], **TERMS)
    assert pack.identities.tolist() == ["a", "7", "7"]


def test_a_failed_rewrite_leaves_the_old_pack(tmp_path):
    FacePack.write(tmp_path / "p", some_faces(1), ["a"], **TERMS)
    with pytest.raises(ValueError):
        FacePack.write(tmp_path / "p", some_faces(1), ["a", "b"], **TERMS)
    assert FacePack.open(tmp_path / "p").people == ["a"]


def test_damage_is_named(tmp_path):
    pack = FacePack.write(tmp_path / "p", some_faces(2), ["a", "b"], **TERMS)
    file = tmp_path / "p" / "images.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"images.npy is damaged"):
        pack.verify(tmp_path / "p")
    file.write_bytes(content[:5000])
    with pytest.raises(ValueError, match="damaged"):
        FacePack.open(tmp_path / "p")
    with pytest.raises(FileNotFoundError, match="no face pack"):
        FacePack.open(tmp_path / "nothing")


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "file, damage",
    [
        ("people.npz", cut),
        ("people.npz", not_to_be_unpacked),
        ("people.npz", lambda content: b""),
        ("people.npz", None),
        ("images.npy", lambda content: content[:100]),
        ("images.npy", None),
        ("manifest.json", cut),
        ("manifest.json", lambda content: b"\xff" + content),
        ("manifest.json", lambda content: b"[]"),
        ("manifest.json", lambda content: b'{"spec": []}'),
    ],
)
def test_a_damaged_file_of_a_pack_is_named_and_the_pack_is_not_found(tmp_path, file, damage):
    spec = {"reader": "test"}
    FacePack.write(tmp_path / "p", some_faces(2), ["a", "b"], spec=spec, **TERMS)
    assert packs.found(tmp_path / "p", spec) is not None
    path = tmp_path / "p" / file
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(DataError, match=rf"{file} is damaged .*delete .*p and make it again"):
        FacePack.open(tmp_path / "p")
    assert packs.found(tmp_path / "p", spec) is None


def test_a_manifest_without_a_spec_is_not_taken_for_what_was_asked_for(tmp_path):
    FacePack.write(tmp_path / "p", some_faces(1), ["a"], **TERMS)
    (tmp_path / "p" / "manifest.json").write_text("{}")
    assert packs.found(tmp_path / "p", {"reader": "test"}) is None
    (tmp_path / "file.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"file\.txt is no face pack"):
        FacePack.open(tmp_path / "file.txt")


def test_a_part_keeps_what_belongs_to_its_images(tmp_path):
    pack = FacePack.write(tmp_path / "p", some_faces(3), list("abc"), attributes={"age": np.arange(3)}, **TERMS)
    part = pack.take(np.array([True, False, True]))
    assert part.people == ["a", "c"] and part.attributes["age"].tolist() == [0, 2]
    assert part.checksum != pack.checksum and part.checksum == pack.take(np.array([0, 2])).checksum


def test_packs_in_memory_without_a_manifest_are_told_apart_by_what_they_hold():
    images, people = some_faces(4), np.array(list("aabb"))
    pack = FacePack(images, people)
    others = (
        FacePack(some_faces(4, seed=1), people),
        FacePack(images, np.array(list("aabc"))),
        FacePack(images[::-1], people),
    )
    for other in others:
        assert other.checksum != pack.checksum
        assert other.take(np.arange(3)).checksum != pack.take(np.arange(3)).checksum
    pixels = hashlib.sha256(images.tobytes()).hexdigest()
    assert FacePack(images.copy(), people).checksum == pack.checksum == storage.digest(pixels, list("aabb"))


def test_the_part_of_a_pack_with_a_manifest_is_keyed_by_its_checksum_and_its_rows():
    pack = FacePack(some_faces(3), np.array(list("abc")), manifest={"checksum": "5" * 64})
    key = hashlib.sha256(f'["{"5" * 64}",[2,0]]'.encode()).hexdigest()  # stored features are found by it
    assert pack.checksum == "5" * 64 and pack.take(np.array([2, 0])).checksum == key


def test_packs_in_memory_can_be_scored(store_folder):
    probes = FacePack(some_faces(4), np.array(list("aabb")))
    others = FacePack(some_faces(3, seed=1), np.array(list("cde")))
    result = score(lambda images: images[:, ::16, ::16].reshape(len(images), -1), probes, others, progress=False)
    assert result.provenance["probes"]["checksum"] == probes.checksum


def test_nothing_may_be_taken_and_a_mask_is_as_long_as_the_pack():
    pack = FacePack(some_faces(3), np.array(list("abc")), attributes={"age": np.arange(3)})
    nothing = pack.take([])
    assert len(nothing) == 0 and nothing.images.shape == (0, 112, 112, 3) and len(nothing.attributes["age"]) == 0
    assert nothing.checksum == pack.take(np.zeros(3, bool)).checksum
    for mask in ([True, False], [True, False, False, False], [[True, False, True]]):
        with pytest.raises(SettingError, match="each of 3 images"):
            pack.take(np.array(mask))


def test_a_large_part_of_a_pack_is_written_from_the_disk(tmp_path, monkeypatch):
    images = some_faces(5)
    pack = FacePack.write(tmp_path / "whole", images, list("abcde"), **TERMS)
    monkeypatch.setattr(packs, "IN_MEMORY", 0)
    monkeypatch.setattr(packs, "PART", 2)
    part = pack.take(np.array([4, 0, 2]))
    assert isinstance(part.images, Rows)
    written = FacePack.write(tmp_path / "part", part.images, part.identities, **TERMS)
    np.testing.assert_array_equal(written.images, images[[4, 0, 2]])
    assert written.people == ["a", "c", "e"]


def test_people_in_two_packs_are_named(tmp_path):
    first = FacePack.write(tmp_path / "1", some_faces(2), ["ann", "bob"], **TERMS)
    second = FacePack.write(tmp_path / "2", some_faces(2), ["bob", "cyd"], **TERMS)
    with pytest.raises(DataError, match=r"train .* probes: bob"):
        require_disjoint(train=first, probes=second)
    third = FacePack.write(tmp_path / "3", some_faces(2), ["Bob!", "dan"], **TERMS)
    with pytest.raises(DataError, match=r"train .* others: Bob!"):
        require_disjoint(train=first, others=third)


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("Alec Baldwin", "alec_baldwin", True),
        ("Jose\u0301 Pérez", "jose-perez", True),
        ("Straße", "STRASSE", True),
        ("000123", "123", True),
        ("000123", "1230", False),
        ("train-1-12", "train-11-2", False),
        ("王芳", "王方", False),
        ("🙂", "🙃", False),
        ("Ann", "Anne", False),
        ("José", "Jose", True),
        ("Nguyễn_Văn", "nguyen van", True),
        ("Ἀλέξης", "αλεξης", True),
        ("Ёлкина", "Елкина", True),
        ("أحمد", "احمد", True),
        ("がく", "かく", False),
        ("が", "か\u3099", True),
        ("ガク", "ｶﾞｸ", True),
        ("김", "\u1100\u1175\u11b7", True),
        ("ปู่", "ปู", False),
        ("ปู", "ป", False),
        ("कि", "की", False),
        ("कमल", "कमला", False),
        ("राम_सिंह", "राम सिंह", True),
        ("🙂\ufe0f", "🙃\ufe0f", False),
    ],
)
def test_names_are_compared_however_they_are_spelled(one, other, same):
    assert (name_key(one) == name_key(other)) == same


def test_what_identities_are_is_read_from_all_of_them():
    assert naming(["000123", "7"]) == "label numbers"
    assert naming(["000123", "Ann"]) == naming(["Ann", "megaface:a/b.jpg"]) == "names"
    assert naming(["megaface:a/b.jpg", "megaface:c"]) == "identities of megaface"


def test_the_manifest_is_plain_json(tmp_path):
    FacePack.write(tmp_path / "p", some_faces(1), ["a"], spec={"people": 1}, **TERMS)
    assert json.loads((tmp_path / "p" / "manifest.json").read_text())["spec"] == {"people": 1}


def test_a_large_part_of_a_pack_stays_on_disk_and_is_indexed_as_the_array_it_is(tmp_path, monkeypatch):
    pack = easy_faces(tmp_path / "faces", people=3, images=4)
    which = np.array([7, 0, 11, 3, 3])
    small = pack.take(which)
    monkeypatch.setattr(packs, "IN_MEMORY", 1)
    large = pack.take(which)
    assert isinstance(small.images, np.ndarray) and isinstance(large.images, Rows)
    assert (
        large.checksum == small.checksum and large.images.shape == small.images.shape and large.images.dtype == np.uint8
    )
    for index in (
        slice(None),
        slice(1, 3),
        2,
        np.array([4, 1]),
        (slice(None), slice(None), slice(None, None, -1)),
        (slice(0, 2), 5),
        (2, 5, 6),
    ):
        assert np.array_equal(large.images[index], small.images[index]), index
    assert np.array_equal(np.asarray(large.images), small.images)
    again = large.take(np.array([True, False, True, False, True]))
    assert isinstance(again.images, Rows) and np.array_equal(np.asarray(again.images), small.images[[0, 2, 4]])


def test_a_pack_that_was_changed_in_place_is_refused_and_an_unchanged_one_is_read_in_full_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    faces = easy_faces(tmp_path / "faces", 2, 2)
    shutil.copytree(tmp_path / "faces", tmp_path / "copy")
    read = []
    real = storage.file_digest
    monkeypatch.setattr(storage, "file_digest", lambda path: read.append(path) or real(path))
    for _ in range(2):  # a copy has not been seen; what was written here has
        assert FacePack.open(tmp_path / "copy").checksum == FacePack.open(tmp_path / "faces").checksum == faces.checksum
    assert [path.name for path in read] == ["images.npy", "people.npz"]
    images = np.load(tmp_path / "copy" / "images.npy", mmap_mode="r+")
    images[:, 40:90] = 0
    images.flush()
    with pytest.raises(DataError, match=r"copy/images.npy is damaged or was changed .its checksum differs."):
        FacePack.open(tmp_path / "copy")
    FacePack.open(tmp_path / "faces")


def test_to_look_at_a_pack_makes_no_store(tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "store"))
    easy_faces(tmp_path / "faces", 2, 2)
    FacePack.open(tmp_path / "faces")
    assert not (tmp_path / "store").exists()

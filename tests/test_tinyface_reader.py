import os
import shutil
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from rifr import align
from rifr.errors import DataError
from rifr.readers import tinyface, writing
from rifr.readers.tinyface import counts, lists, read, training, write_lists

RNG = np.random.default_rng(5)
PROBES = {"1_7.jpg": 1, "9_2.jpg": 4, "9_11.jpg": 4}
GALLERY = {"9_3.jpg": 4, "1_8.jpg": 1, "12_1.jpg": 70000, "1_9.jpg": 1}


def save(path, height=9, width=12, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = {"RGB": 3, "L": 1, "CMYK": 4}[mode]
    pixels = RNG.integers(0, 256, (height, width, bands), dtype=np.uint8)
    kind = "TIFF" if mode == "CMYK" else "PNG"  # lossless, whatever the name says
    Image.fromarray(pixels[..., 0] if bands == 1 else pixels, mode if mode == "CMYK" else None).save(path, kind)
    return pixels


@pytest.fixture
def tree(tmp_path):
    """Three probes of two people, their mates, one more person, two distractors."""
    root = tmp_path / "tinyface"
    test = root / "Testing_Set"
    pixels = {name: save(test / "Probe" / name, 10 + row, 14) for row, name in enumerate(PROBES)}
    pixels |= {name: save(test / "Gallery_Match" / name, 20, 16) for name in GALLERY}
    pixels |= {name: save(test / "Gallery_Distractor" / name) for name in ("b.JPG", "a_1.jpg")}
    (test / "Gallery_Distractor" / "Thumbs.db").touch()
    (test / "Gallery_Distractor" / "._a_1.jpg").touch()
    write_lists(root, list(GALLERY), list(GALLERY.values()), list(PROBES), list(PROBES.values()))
    return root, pixels


class Counting:
    """An aligner that remembers what it was given."""

    def __init__(self, stop_after=None):
        self.seen, self.stop_after = [], stop_after

    def __call__(self, photo):
        if len(self.seen) == self.stop_after:
            raise KeyboardInterrupt
        self.seen.append(photo)
        return align.resized(photo)


def test_three_packs_hold_the_aligned_photos_in_the_order_of_the_lists(tree, tmp_path):
    root, pixels = tree
    sets = read(root, tmp_path / "out", progress=False)
    assert sets.probes.attributes["file"].tolist() == list(PROBES)
    assert sets.gallery.attributes["file"].tolist() == list(GALLERY)
    assert sets.distractors.attributes["file"].tolist() == ["a_1.jpg", "b.JPG"]
    for pack in (sets.probes, sets.gallery, sets.distractors):
        for image, name, size in zip(pack.images, pack.attributes["file"], pack.attributes["size"]):
            assert np.array_equal(image, align.resized(pixels[name]))
            assert tuple(size) == pixels[name].shape[:2]
    for name in ("probes", "gallery", "distractors"):
        assert (tmp_path / "out" / name / "manifest.json").exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["distractors", "gallery", "probes"]


def test_ids_are_those_of_the_lists_and_not_of_the_names(tree, tmp_path):
    sets = read(tree[0], tmp_path / "out", progress=False)
    assert sets.probes.identities.tolist() == ["1", "4", "4"]
    assert sets.gallery.identities.tolist() == ["4", "1", "70000", "1"]
    assert sets.distractors.identities.tolist() == ["-100", "-100"]
    for pack in (sets.probes, sets.gallery, sets.distractors):
        assert pack.attributes["id"].dtype == np.int64
        assert [str(i) for i in pack.attributes["id"]] == pack.identities.tolist()


def test_the_aligner_gets_the_photo_as_it_is_and_its_face_is_kept(tree, tmp_path):
    root, pixels = tree

    def corner(photo):
        face = np.zeros((112, 112, 3), np.uint8)
        face[:9, :12] = photo[:9, :12]
        return face

    sets = read(root, tmp_path / "out", aligner=corner, progress=False)
    for image, name in zip(sets.gallery.images, sets.gallery.attributes["file"]):
        assert np.array_equal(image[:9, :12], pixels[name][:9, :12]) and not image[9:].any()
    assert sets.gallery.manifest["spec"]["aligner"].endswith("corner")


def test_an_interrupted_run_goes_on_with_the_pack_that_was_not_finished(tree, tmp_path):
    root, pixels = tree
    with pytest.raises(KeyboardInterrupt):
        read(root, tmp_path / "out", aligner=Counting(stop_after=5), progress=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["probes"]
    again = Counting()
    sets = read(root, tmp_path / "out", aligner=again, progress=False)
    assert len(again.seen) == len(GALLERY) + 2 and np.array_equal(again.seen[0], pixels["9_3.jpg"])
    whole = read(root, tmp_path / "whole", aligner=Counting(), progress=False)
    assert [getattr(sets, name).checksum == getattr(whole, name).checksum for name in tinyface.EXPECTED] == [True] * 3


def test_a_pack_made_otherwise_is_refused_and_not_overwritten(tree, tmp_path):
    root, _ = tree
    made = read(root, tmp_path / "out", progress=False)
    with pytest.raises(ValueError, match=r"out/probes .*align.resized, now .*Counting"):
        read(root, tmp_path / "out", aligner=Counting(), progress=False)
    save(root / "Testing_Set/Gallery_Distractor/c.jpg")
    with pytest.raises(ValueError, match="out/distractors"):
        read(root, tmp_path / "out", progress=False)
    made.distractors.verify(tmp_path / "out" / "distractors")


def test_a_photo_replaced_by_another_of_the_same_size_is_noticed(tree, tmp_path):
    root, _ = tree
    read(root, tmp_path / "out", progress=False)
    photo = root / "Testing_Set/Probe/1_7.jpg"
    content = bytearray(photo.read_bytes())
    content[-1] ^= 1
    time = photo.stat().st_mtime_ns + 10**9
    photo.write_bytes(content)
    os.utime(photo, ns=(time, time))
    with pytest.raises(DataError, match=r"out/probes .*photos"):
        read(root, tmp_path / "out", progress=False)


def test_the_faces_of_a_pack_are_never_all_in_memory(tree, tmp_path, monkeypatch):
    root, _ = tree
    for i in range(200):
        save(root / f"Testing_Set/Gallery_Distractor/{i:03d}.jpg", 4, 4)
    monkeypatch.setattr(writing, "IMAGES_PER_PART", 16)
    read(root, tmp_path / "first", progress=False)  # imports and caches of the first call
    tracemalloc.start()
    sets = read(root, tmp_path / "out", progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sets.distractors) == 202 and peak < sets.distractors.images.nbytes / 3


def spoil(root):
    test = root / "Testing_Set"
    (test / "Probe/1_7.jpg").write_text("no image")
    whole = (test / "Gallery_Distractor/a_1.jpg").read_bytes()
    (test / "Gallery_Distractor/a_1.jpg").write_bytes(whole[: len(whole) // 2])


def test_corrupt_photos_are_left_out_counted_and_named(tree, tmp_path):
    root, pixels = tree
    spoil(root)
    sets = read(root, tmp_path / "out", progress=False)
    assert sets.probes.attributes["file"].tolist() == ["9_2.jpg", "9_11.jpg"]
    assert sets.probes.attributes["id"].tolist() == [4, 4] and sets.probes.identities.tolist() == ["4", "4"]
    assert np.array_equal(sets.probes.images[1], align.resized(pixels["9_11.jpg"]))
    assert sets.distractors.attributes["file"].tolist() == ["b.JPG"]
    spec = sets.probes.manifest["spec"]
    assert (spec["photos"], spec["skipped"]) == (3, 1) and spec["skipped_files"][0].startswith("1_7.jpg: ")
    assert sets.gallery.manifest["spec"]["skipped"] == 0


def test_a_corrupt_photo_is_refused_on_demand(tree, tmp_path):
    spoil(tree[0])
    with pytest.raises(ValueError, match=r"Probe/1_7.jpg: .*Mend or delete"):
        read(tree[0], tmp_path / "out", on_bad="refuse", progress=False)
    with pytest.raises(ValueError, match="on_bad"):
        read(tree[0], tmp_path / "out", on_bad="ignore")
    for name in PROBES:
        (tree[0] / "Testing_Set/Probe" / name).write_text("no image")
    with pytest.raises(ValueError, match=r"all 3 .*1_7.jpg"):
        read(tree[0], tmp_path / "out", progress=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_photo_that_cannot_be_aligned_is_never_skipped(tree, tmp_path):
    def picky(photo):
        raise ValueError("no face found")

    def small(photo):
        return photo

    with pytest.raises(ValueError, match=r"1_7.jpg .*no face"):
        read(tree[0], tmp_path / "out", aligner=picky, progress=False)
    with pytest.raises(ValueError, match=r"1_7.jpg: the aligner .*small gave \(10, 14, 3\) uint8"):
        read(tree[0], tmp_path / "out", aligner=small, progress=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_grey_and_other_colours_become_rgb(tree, tmp_path):
    root, _ = tree
    grey = save(root / "Testing_Set/Probe/1_7.jpg", mode="L")
    inks = save(root / "Testing_Set/Probe/9_2.jpg", mode="CMYK")
    sets = read(root, tmp_path / "out", progress=False)
    assert np.array_equal(sets.probes.images[0], align.resized(grey.repeat(3, axis=2)))
    expected = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    assert np.array_equal(sets.probes.images[1], align.resized(expected))


def test_lists_may_lie_in_the_evaluation_folder(tree):
    root, _ = tree
    before = lists(root)
    (root / "Face_Identification_Evaluation").mkdir()
    for path in (root / "Testing_Set").glob("*.mat"):
        shutil.move(path, root / "Face_Identification_Evaluation" / path.name)
    after = lists(root)
    assert after.probe_files == before.probe_files == tuple(PROBES)
    assert after.gallery_ids.tolist() == list(GALLERY.values())
    (root / "Face_Identification_Evaluation/probe_img_ID_pairs.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"probe_img_ID_pairs.mat"):
        lists(root)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_ids_of_every_integer_type_become_int64(tree, kind):
    root, _ = tree
    cells = np.array([["a.jpg"], ["b.jpg"]], object)
    savemat(
        root / "Testing_Set/probe_img_ID_pairs.mat", {"probe_set": cells, "probe_ids": np.array([[3], [200]], kind)}
    )
    found = lists(root)
    assert found.probe_files == ("a.jpg", "b.jpg")
    assert found.probe_ids.dtype == np.int64 and found.probe_ids.tolist() == [3, 200]
    assert np.concatenate([found.probe_ids, [-100]]).min() == -100


def test_a_list_that_is_not_the_sets_own_is_refused_with_what_it_holds(tree):
    root, _ = tree
    path = root / "Testing_Set/gallery_match_img_ID_pairs.mat"
    cells, ids = np.array([["a.jpg"], ["b.jpg"]], object), np.array([[1], [2]], np.uint16)
    for fields, complaint in [
        ({"probe_set": cells, "gallery_ids": ids}, "mat has no field 'gallery_set', it holds gallery_ids, probe_set"),
        ({"gallery_set": cells}, "no field 'gallery_ids', it holds gallery_set"),
        ({"gallery_set": cells, "gallery_ids": ids[:1]}, r"one for each of 2 files, not uint16 \(1,\)"),
        ({"gallery_set": cells, "gallery_ids": ids / 2}, "whole numbers"),
        ({"gallery_set": ids, "gallery_ids": ids}, "gallery_set holds no file name in row 0"),
        ({"gallery_set": np.zeros((0, 1), object), "gallery_ids": ids[:0]}, "gallery_set holds nothing"),
    ]:
        savemat(path, fields)
        with pytest.raises(ValueError, match=complaint):
            lists(root)
    path.write_bytes(b"no mat file at all")
    with pytest.raises(ValueError, match=r"gallery_match_img_ID_pairs.mat"):
        lists(root)


def test_listed_photos_that_are_absent_are_counted_and_the_first_named(tree, tmp_path):
    root, _ = tree
    for name in ("1_8.jpg", "1_9.jpg"):
        (root / "Testing_Set/Gallery_Match" / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of the 4 .*1_8.jpg"):
        read(root, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    shutil.rmtree(root / "Testing_Set/Probe")
    with pytest.raises(FileNotFoundError, match="Probe is no folder"):
        read(root, tmp_path / "out", progress=False)


def test_a_set_without_distractors_is_refused(tree, tmp_path):
    for path in (tree[0] / "Testing_Set/Gallery_Distractor").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="Gallery_Distractor"):
        read(tree[0], tmp_path / "out", progress=False)


def test_what_a_set_lacks_against_the_published_one_is_said_and_an_error_only_on_demand(tree, tmp_path, monkeypatch):
    root, _ = tree
    sets = read(root, tmp_path / "out", progress=False)
    assert counts(sets) == [
        "The pack of probes holds 3 photos, 3,725 fewer than the published 3,728.",
        "The pack of probes holds 2 ids, 2,561 fewer than the published 2,563.",
        "The pack of gallery holds 4 photos, 4,439 fewer than the published 4,443.",
        "The pack of gallery holds 3 ids, 2,566 fewer than the published 2,569.",
        "The pack of distractors holds 2 photos, 153,426 fewer than the published 153,428.",
    ]
    aligner = Counting()
    with pytest.raises(ValueError, match=r"3,725 fewer .*require_published_counts"):
        read(root, tmp_path / "other", aligner=aligner, require_published_counts=True, progress=False)
    assert not aligner.seen  # before an hour of work
    monkeypatch.setattr(tinyface, "EXPECTED", {"probes": (3, 2), "gallery": (4, 3), "distractors": (1, 1)})
    assert counts(sets) == ["The pack of distractors holds 2 photos, 1 more than the published 1."]
    monkeypatch.setitem(tinyface.EXPECTED, "distractors", (2, 1))
    assert counts(sets) == []
    assert counts(read(root, tmp_path / "out", require_published_counts=True, progress=False)) == []
    spoil(root)
    with pytest.raises(ValueError, match="2 photos, 1 fewer"):
        read(root, tmp_path / "spoilt", require_published_counts=True, progress=False)


def test_written_lists_have_the_published_form(tree, tmp_path):
    root, _ = tree
    probes = loadmat(root / "Testing_Set/probe_img_ID_pairs.mat")
    assert probes["probe_set"].shape == probes["probe_ids"].shape == (3, 1)
    assert probes["probe_ids"].dtype == np.uint16 and probes["probe_set"].dtype == object
    assert probes["probe_set"][1, 0].tolist() == ["9_2.jpg"]
    gallery = loadmat(root / "Testing_Set/gallery_match_img_ID_pairs.mat")
    assert gallery["gallery_ids"].ravel().tolist() == [4, 1, 70000, 1]  # more than uint16 holds
    with pytest.raises(ValueError, match="probe_ids"):
        write_lists(tmp_path / "x", ["a"], [1], ["b", "c"], [1])
    with pytest.raises(ValueError, match="no photo"):
        write_lists(tmp_path / "x", [], [], ["b"], [1])


def test_training_people_have_names_that_no_test_person_has(tree, tmp_path):
    root, _ = tree
    pixels = {name: save(root / "Training_Set" / name) for name in ("12/12_2.jpg", "12/12_1.jpg", "4/4_1.jpg")}
    (root / "Training_Set/readme.txt").touch()
    pack = training(root, tmp_path / "training", progress=False)
    assert pack.identities.tolist() == ["train-12", "train-12", "train-4"]
    assert pack.attributes["file"].tolist() == ["12/12_1.jpg", "12/12_2.jpg", "4/4_1.jpg"]
    for image, name in zip(pack.images, pack.attributes["file"]):
        assert np.array_equal(image, align.resized(pixels[name]))
    assert pack.attributes["size"].tolist() == [[9, 12]] * 3
    assert not set(pack.people) & set(read(root, tmp_path / "out", progress=False).gallery.people)
    shutil.rmtree(root / "Training_Set/12")
    shutil.rmtree(root / "Training_Set/4")
    with pytest.raises(ValueError, match="Training_Set holds no photos"):
        training(root, tmp_path / "again")
    shutil.rmtree(root / "Training_Set")
    with pytest.raises(FileNotFoundError, match="Training_Set is no folder"):
        training(root, tmp_path / "again")


def test_the_published_lists_are_read_and_written_back_unchanged(real_data, tmp_path):
    shutil.copytree(real_data / "tinyface_lists", tmp_path / "real" / "Face_Identification_Evaluation")
    found = lists(tmp_path / "real")
    assert (len(found.probe_files), len(np.unique(found.probe_ids))) == tinyface.EXPECTED["probes"]
    assert (len(found.gallery_files), len(np.unique(found.gallery_ids))) == tinyface.EXPECTED["gallery"]
    assert len(found.probe_ids) == 3728 and len(found.gallery_ids) == 4443
    assert set(found.probe_ids) <= set(found.gallery_ids)
    assert found.gallery_files[0] == "1_106.jpg" and found.probe_ids.dtype == np.int64
    by_name = dict(zip(found.gallery_files, found.gallery_ids))
    assert by_name["5_22.jpg"] == 3  # the name's number is no id

    write_lists(tmp_path / "ours", found.gallery_files, found.gallery_ids, found.probe_files, found.probe_ids)
    for name in ("gallery_match_img_ID_pairs.mat", "probe_img_ID_pairs.mat"):
        theirs = loadmat(real_data / "tinyface_lists" / name)
        ours = loadmat(tmp_path / "ours" / "Testing_Set" / name)
        for field in (key for key in theirs if not key.startswith("__")):
            assert ours[field].shape == theirs[field].shape and ours[field].dtype == theirs[field].dtype
            assert all(np.array_equal(one, other) for one, other in zip(ours[field].ravel(), theirs[field].ravel()))

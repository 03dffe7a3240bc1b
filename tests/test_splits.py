"""The three groups of an experiment never share a person, rendered or read from folders."""

from dataclasses import replace

import numpy as np
import pytest

from rifr import packs, presets, splits
from rifr.errors import DataError, SettingError
from rifr.evaluation.protocols import embeddings
from rifr.packs import FacePack
from rifr.readers import folder
from rifr.report.text import recognition
from tests.helpers import person

CROWD = {"Ann": 6, "Bob": 7, "Cyd": 1, "Dan": 1, "Eve": 3, "Fay": 6}


@pytest.fixture(params=["folders", "packs"])
def given(request, tmp_path, store_folder):
    """Writes people as a folder of folders, or as a pack made from it; returns the path."""

    def write(name, people):
        for person_name, photos in people.items():
            person(tmp_path / name, person_name, photos)
        if request.param == "folders":
            return str(tmp_path / name)
        folder.read(tmp_path / name, tmp_path / f"{name}.pack", progress=False)
        return str(tmp_path / f"{name}.pack")

    return write


def reasons(splits_):
    return {(entry.split, entry.reason): (entry.names, entry.images) for entry in splits_.left_out}


def test_folders_and_packs_give_three_splits_by_one_rule_and_name_whom_they_leave_out(given):
    crowd, probes = given("crowd", CROWD), given("probes", {"Bob": 2, "Cyd": 2, "Gus": 2, "Hal": 1})
    found = splits.face_splits(presets.get("smoke"), 0, crowd, probes, crowd, progress=False)
    assert found.train.people == ["Ann", "Fay"], "at least five photos, and no probe"
    assert found.probes.people == ["Bob", "Cyd", "Gus"], "at least two photos"
    assert found.distractors.identities.tolist() == ["Dan", "Eve"], "one photo of each, no probe, not trained on"
    assert found.excluded == ("Bob", "Cyd")
    assert reasons(found) == {
        ("probes", "people with fewer than 2 images"): (("Hal",), 1),
        ("train", "people who are probes"): (("Bob", "Cyd"), 8),
        ("train", "people with fewer than 5 images"): (("Dan", "Eve"), 4),
        ("distractors", "people who are probes"): (("Bob", "Cyd"), 8),
        ("distractors", "people who are trained on"): (("Ann", "Fay"), 12),
        ("distractors", "beyond the first 1 of a person"): (("Eve",), 2),
    }
    said = recognition.excluded(found)
    assert "No name is in two" in said and "Bob, Cyd" in said and "Hal" in said
    assert runs_elsewhere(found.train), "other processes can open what is trained on"


def runs_elsewhere(pack):
    return isinstance(pack.images, np.memmap) and len(np.load(pack.images.filename, mmap_mode="r")) == len(pack)


def test_one_person_under_two_spellings_is_one_person(given):
    crowd = given("crowd", {"Alec Baldwin": 5, "José_Pérez": 5, "Ann": 5, "alec-baldwins": 1, "BEA LO": 1})
    probes = given("probes", {"alec_baldwin": 2, "jose perez": 2, "Bea.Lo": 2})
    found = splits.face_splits("smoke", 0, crowd, probes, crowd, progress=False)
    assert found.train.people == ["Ann"] and found.distractors.people == ["alec-baldwins"]
    assert found.excluded == ("Alec Baldwin", "BEA LO", "José_Pérez")


def test_label_numbers_and_names_are_not_claimed_to_be_other_people_and_a_list_says_who_is_in_both(given, tmp_path):
    train = given("train", {"000007": 5, "000012": 5, "000123": 5})
    probes, crowd = given("probes", {"Bob": 2}), given("crowd", {"Cyd": 1})
    found = splits.face_splits("smoke", 0, train, probes, crowd, progress=False)
    said = recognition.excluded(found)
    assert "train go by label numbers and those of probes by names: they cannot be compared" in said
    assert "No name is in both probes and distractors" in said and "Nobody" not in said
    (tmp_path / "both.txt").write_text("\ufeff12  # is Bob\n\n", encoding="utf-8")
    found = splits.face_splits("smoke", 0, train, probes, crowd, progress=False, exclude=tmp_path / "both.txt")
    assert found.train.people == ["000007", "000123"] and found.excluded == ("000012",)
    for wrong in (["000013"], tmp_path / "nowhere.txt"):
        with pytest.raises(DataError, match="list"):
            splits.face_splits("smoke", 0, train, probes, crowd, progress=False, exclude=wrong)


def test_names_on_the_list_that_nobody_has_are_named_beside_those_that_are_left_out(given):
    probes, crowd = given("probes", {"Bob": 2}), given("crowd", {"Ada Lo": 1, "Cyd": 1, "000007": 1})
    found = splits.probe_splits(probes, crowd, progress=False, exclude=["ada_lo", "Typo", 7, "Cid"])
    assert found.distractors.people == ["Cyd"] and found.excluded == ("000007", "Ada Lo")
    *_, last = found.left_out
    assert (last.names, last.images) == (("Typo", "Cid"), 2) and "7" not in str(last)
    assert str(last) == "the list to leave out: 2 names passed over (names that nobody here has): Typo, Cid"
    train = given("train", {"Ada Lo": 5, "Eve": 5})
    found = splits.face_splits("smoke", 0, train, probes, crowd, progress=False, exclude=["Ada_Lo", "Typo"])
    assert found.train.people == ["Eve"] and found.left_out[-1].names == ("Typo",)
    assert "Typo" in recognition.excluded(found)
    with pytest.raises(DataError, match=r"nobody of the 2 people .*Typo, 8"):
        splits.probe_splits(probes, crowd, progress=False, exclude=["Typo", 8])


@pytest.mark.parametrize("split", ["train", "probes", "distractors"])
def test_one_person_under_two_spellings_within_a_split_is_refused_by_name(given, split):
    people = {"train": {"Ann": 5}, "probes": {"Bob": 2}, "distractors": {"Cyd": 1}}
    people[split] |= {"Alec Baldwin": 5, "Zoé": 5, "alec_baldwin": 5, "Zoe": 5}
    folders = [given(name, whom) for name, whom in people.items()]
    with pytest.raises(DataError, match=rf"{split} hold one person .*Alec Baldwin and alec_baldwin, Zoe and Zoé\."):
        splits.face_splits("smoke", 0, *folders, progress=False)


def test_two_spellings_of_a_person_who_is_left_out_are_no_matter(given):
    probes, crowd = (
        given("probes", {"alec-baldwin": 2}),
        given("crowd", {"Alec Baldwin": 1, "alec_baldwin": 1, "Cy": 1}),
    )
    assert splits.probe_splits(probes, crowd, progress=False).excluded == ("Alec Baldwin", "alec_baldwin")


def test_nobody_left_says_why_and_what_a_person_must_have(given):
    probes, crowd = given("probes", {"Bob": 2, "Cyd": 2}), given("crowd", {"Bob": 1, "Cyd": 1})
    with pytest.raises(DataError, match=r"(?s)2 people in distractors.*distractors one.*probes.*Bob, Cyd"):
        splits.probe_splits(probes, crowd, progress=False)
    with pytest.raises(DataError, match=r"(?s)2 people in probes.*fewer than 2 images"):
        splits.probe_splits(crowd, probes, progress=False)


def test_files_that_cannot_be_used_are_named(tmp_path, store_folder):
    person(tmp_path / "probes", "Bob", 3)
    person(tmp_path / "crowd", "Cyd", 1)
    (tmp_path / "probes" / "Bob" / "bad.png").write_bytes(b"no image")
    found = splits.probe_splits(tmp_path / "probes", tmp_path / "crowd", progress=False)
    (entry,) = found.left_out
    assert (entry.split, entry.reason, entry.images) == ("probes", "files that cannot be used", 1)
    assert "Bob/bad.png" in str(entry)


def test_some_folders_are_not_enough(tmp_path):
    with pytest.raises(SettingError, match="probe_faces, distractor_faces"):
        splits.face_splits("smoke", 0, train_faces=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        splits.face_splits("smoke", 0, *[str(tmp_path / "nowhere")] * 3)


def test_rendered_groups_are_disjoint_and_found_again(store_folder):
    plan = replace(
        presets.get("smoke"), train_people=3, train_images=2, probe_people=2, probe_images=2, distractor_people=3
    )
    first = splits.face_splits(plan, 0, progress=False)
    assert [len(pack) for pack in (first.train, first.probes, first.distractors)] == [6, 4, 3]
    assert not set(first.train.people) & (set(first.probes.people) | set(first.distractors.people))
    before = sorted(store_folder.rglob("manifest.json"))
    again = splits.face_splits(plan, 0, progress=False)
    assert sorted(store_folder.rglob("manifest.json")) == before and again.train.checksum == first.train.checksum
    assert first.comparison == "No name is in two of train, probes and distractors." and not first.left_out


def test_of_many_names_ten_are_printed_and_all_are_counted():
    names = tuple(f"person-{n}" for n in range(13))
    said = str(splits.LeftOut("train", splits.PROBES, names, 40))
    assert said == (f"train: 40 images left out (people who are probes): {', '.join(names[:10])}, ... (13 in all)")
    pack = FacePack(np.zeros((13, 112, 112, 3), np.uint8), np.array(names))
    with pytest.raises(DataError, match=r"13 people are in train and in probes: .*person-12, .*, \.\.\. \(13 in all\)"):
        packs.require_disjoint(train=pack, probes=pack)
    with pytest.raises(DataError, match=r"rows 0, 1, .*, 9, \.\.\. \(13 in all\)"):
        embeddings.refuse_wrong_rows("probes", np.ones(13, bool), "zero")
    with pytest.raises(DataError, match=r"probes 0 \(id 1\), .*, \.\.\. \(13 in all\)"):
        embeddings.refuse_unmatched(np.ones(13, int), np.zeros(2, int))

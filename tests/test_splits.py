"""The three groups of an experiment never share a person, rendered or read from folders."""

from dataclasses import replace

import pytest

from rifr import presets, splits
from tests.helpers import person


def test_folders_give_three_groups_and_overlaps_are_named(tmp_path, store_folder):
    for name, photos in [("Ann", 6), ("Bob", 7), ("Cyd", 1), ("Dan", 1), ("Eve", 3), ("Fay", 6)]:
        person(tmp_path / "crowd", name, photos)
    for name in ("Bob", "Cyd", "Gus"):
        person(tmp_path / "probes", name, 2)
    crowd, probes = str(tmp_path / "crowd"), str(tmp_path / "probes")
    found = splits.face_splits(presets.get("smoke"), 0, crowd, probes, crowd, progress=False)
    assert found.train.people == ["Ann", "Fay"], "at least five photos, and no probe"
    assert found.probes.people == ["Bob", "Cyd", "Gus"]
    assert found.distractors.people == ["Dan"], "one photo, and no probe"
    assert found.excluded == ("Bob", "Cyd")


def test_some_folders_are_not_enough(tmp_path):
    with pytest.raises(ValueError, match="not given: probe_faces, distractor_faces"):
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
    assert "rendered" in first.describe()

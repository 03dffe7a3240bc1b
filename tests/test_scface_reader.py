import numpy as np
import pytest
from PIL import Image

from rifr import align
from rifr.readers.scface import eighty, points, read

RNG = np.random.default_rng(6)
FOUR = "10 12 22 13 16 20 15 27"


def save(path, height=40, width=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")  # lossless, whatever the name says
    return pixels


@pytest.fixture
def tree(tmp_path):
    """Subjects 1, 2 and 7 whole, in the sets' own tree, with infra-red photos that are not to be read."""
    root, pixels = tmp_path / "SCface_database", {}
    for person in (7, 1, 2):
        name = f"mugshot_frontal_cropped_all/{person:03d}_frontal.JPG"
        pixels[name] = save(root / name, 60, 50)
        for distance in (1, 2, 3):
            for camera in range(1, 8):
                name = f"surveillance_cameras_distance_{distance}/cam_{camera}/{person:03d}_cam{camera}_{distance}.jpg"
                pixels[name] = save(root / name, 30 + 10 * distance, 30)
        save(root / f"surveillance_cameras_IR_cam8/{person:03d}_cam8.jpg")
        save(root / f"mugshot_rotation_all/{person:03d}_L1.jpg")
    return root, pixels


def test_every_person_has_a_mugshot_and_fifteen_probes(tree, tmp_path):
    root, pixels = tree
    sets = read(root, tmp_path / "out", progress=False)
    assert sets.mugshots.identities.tolist() == ["001", "002", "007"]
    assert len(sets.probes) == 45 and sets.probes.people == ["001", "002", "007"]
    for pack in (sets.mugshots, sets.probes):
        for image, file, size in zip(pack.images, pack.attributes["file"], pack.attributes["size"]):
            assert np.array_equal(image, align.resized(pixels[file]))
            assert tuple(size) == pixels[file].shape[:2]
    assert len(set(sets.probes.attributes["file"])) == 45
    for name in ("mugshots", "probes"):
        assert (tmp_path / "out" / name / "manifest.json").exists()


def test_attributes_say_camera_and_distance_and_the_far_one_is_1(tree, tmp_path):
    probes = read(tree[0], tmp_path / "out", progress=False).probes
    found = probes.attributes
    assert (found["distance"].dtype, found["camera"].dtype, found["metres"].dtype) == (np.int8, np.int8, np.float32)
    for person, file, distance, camera in zip(probes.identities, found["file"], found["distance"], found["camera"]):
        assert file.endswith(f"{person}_cam{camera}_{distance}.jpg")
    assert sorted(set(found["camera"])) == [1, 2, 3, 4, 5]
    for distance, metres in ((1, 4.2), (2, 2.6), (3, 1.0)):
        assert found["metres"][found["distance"] == distance] == pytest.approx(np.full(15, metres))


def test_the_flat_folder_and_capitals_make_the_same_packs(tree, tmp_path):
    root, _ = tree
    expected = read(root, tmp_path / "out", progress=False)
    flat = tmp_path / "flat"
    (flat / "SURVEILLANCE_cameras_all").mkdir(parents=True)
    for path in root.glob("surveillance_cameras_distance_*/*/*"):
        path.rename(flat / "SURVEILLANCE_cameras_all" / f"{path.stem.upper()}.Jpg")
    (root / "mugshot_frontal_cropped_all").rename(flat / "Mugshot_Frontal_Cropped_ALL")
    found = read(flat, tmp_path / "again", progress=False)
    assert found.probes.checksum == expected.probes.checksum
    assert found.mugshots.checksum == expected.mugshots.checksum
    assert np.array_equal(found.probes.attributes["distance"], expected.probes.attributes["distance"])


def test_a_missing_distance_folder_is_made_up_for_by_the_flat_one_or_refused(tree, tmp_path):
    root, _ = tree
    expected = read(root, tmp_path / "out", progress=False)
    (root / "surveillance_cameras_distance_2").rename(root / "away")
    with pytest.raises(FileNotFoundError, match="surveillance_cameras_all"):
        read(root, tmp_path / "again", progress=False)
    (root / "away").rename(root / "surveillance_cameras_all")
    assert read(root, tmp_path / "again", progress=False).probes.checksum == expected.probes.checksum


def test_listed_photos_are_aligned_by_their_points_and_others_by_the_aligner(tree, tmp_path):
    root, pixels = tree
    (root / "more").mkdir()
    (root / "more/ALL.TXT").write_text(
        f"001_cam1_1\t{FOUR.replace(' ', chr(9))}\n\n# by hand\n007_FRONTAL {FOUR}\n"
        f"001_cam8 {FOUR}\n002_cam2_3.jpg {FOUR}\n"
    )

    def black(photo):
        return np.zeros((112, 112, 3), np.uint8)

    sets = read(root, tmp_path / "out", aligner=black, progress=False)
    four = np.array(FOUR.split(), float).reshape(4, 2)
    for pack, expected in ((sets.mugshots, {"007_frontal"}), (sets.probes, {"001_cam1_1", "002_cam2_3"})):
        for image, file, by_points in zip(pack.images, pack.attributes["file"], pack.attributes["by_points"]):
            assert by_points == (file.split("/")[-1].split(".")[0] in expected)
            assert np.array_equal(image, align.face(pixels[file], four) if by_points else black(None))
        spec = pack.manifest["spec"]
        assert (spec["aligned_by_points"], spec["aligned_by_aligner"]) == (len(expected), len(pack) - len(expected))
        assert spec["points"] == "ALL.TXT" and spec["aligner"].endswith("black")


def test_a_list_given_by_its_path_takes_the_place_of_the_sets_own(tree, tmp_path):
    root, _ = tree
    (root / "all.txt").write_text(f"001_cam1_1 {FOUR}\n")
    (tmp_path / "mine.txt").write_text(f"001_cam1_1 {FOUR}\n002_cam1_1 {FOUR}\n")
    assert read(root, tmp_path / "a", progress=False).probes.attributes["by_points"].sum() == 1
    found = read(root, tmp_path / "b", points_path=tmp_path / "mine.txt", progress=False)
    assert found.probes.attributes["by_points"].sum() == 2
    with pytest.raises(FileNotFoundError, match=r"none.txt"):
        read(root, tmp_path / "c", points_path=tmp_path / "none.txt")
    (root / "copy").mkdir()
    (root / "copy/all.txt").write_text(f"001_cam1_1 {FOUR}\n")
    with pytest.raises(ValueError, match="points_path="):
        read(root, tmp_path / "c", progress=False)


def test_a_cropped_mugshot_goes_before_the_original_which_is_never_aligned_by_points(tree, tmp_path):
    root, pixels = tree
    originals = {
        person: save(root / f"mugshot_frontal_original_all/{person:03d}_frontal.jpg", 90, 80) for person in (1, 2)
    }
    (root / "mugshot_frontal_cropped_all/002_frontal.JPG").unlink()
    (root / "all.txt").write_text("".join(f"{person:03d}_frontal {FOUR}\n" for person in (1, 2, 7)))
    mugshots = read(root, tmp_path / "out", progress=False).mugshots
    assert mugshots.attributes["by_points"].tolist() == [True, False, True]
    assert np.array_equal(mugshots.images[1], align.resized(originals[2]))
    four = np.array(FOUR.split(), float).reshape(4, 2)
    assert np.array_equal(mugshots.images[0], align.face(pixels["mugshot_frontal_cropped_all/001_frontal.JPG"], four))
    spec = mugshots.manifest["spec"]
    assert (spec["cropped"], spec["original"]) == (2, 1)


def test_people_are_chosen_by_number(tree, tmp_path):
    sets = read(tree[0], tmp_path / "out", people=(7, np.int64(1), 7), progress=False)
    assert sets.mugshots.identities.tolist() == ["001", "007"] and len(sets.probes) == 30
    assert sets.probes.manifest["spec"]["people"] == [1, 7]
    with pytest.raises(FileNotFoundError, match="003, 130"):
        read(tree[0], tmp_path / "out", people=[1, 3, 130])
    with pytest.raises(ValueError, match="3 people"):
        read(tree[0], tmp_path / "out", people=[])
    with pytest.raises(ValueError, match="'001'"):
        read(tree[0], tmp_path / "out", people="001")


def test_a_person_with_probes_but_without_a_mugshot_is_an_error(tree, tmp_path):
    (tree[0] / "mugshot_frontal_cropped_all/007_frontal.JPG").unlink()
    with pytest.raises(FileNotFoundError, match="007"):
        read(tree[0], tmp_path / "out", progress=False)
    assert len(read(tree[0], tmp_path / "out", people=[1, 2], progress=False).probes) == 30


def test_missing_probes_are_counted_and_named(tree, tmp_path):
    for cell in ("1/cam_4/002_cam4_1", "3/cam_5/007_cam5_3"):
        (tree[0] / f"surveillance_cameras_distance_{cell}.jpg").unlink()
    probes = read(tree[0], tmp_path / "out", progress=False).probes
    assert len(probes) == 43
    assert probes.manifest["spec"]["missing"] == 2
    assert probes.manifest["spec"]["missing_files"] == ["002_cam4_1", "007_cam5_3"]


def test_corrupt_probes_are_left_out_and_corrupt_mugshots_refused(tree, tmp_path):
    root, pixels = tree
    bad = "surveillance_cameras_distance_1/cam_1/001_cam1_1.jpg"
    (root / bad).write_text("no image")
    probes = read(root, tmp_path / "out", progress=False).probes
    assert len(probes) == 44 and probes.manifest["spec"]["skipped"] == 1 and probes.manifest["spec"]["missing"] == 0
    assert probes.manifest["spec"]["skipped_files"][0].startswith(f"{bad}: ")
    assert (probes.attributes["camera"][0], probes.attributes["distance"][0], probes.identities[0]) == (2, 1, "001")
    assert np.array_equal(probes.images[0], align.resized(pixels[str(probes.attributes["file"][0])]))
    with pytest.raises(ValueError, match=r"001_cam1_1.jpg: .*on_bad"):
        read(root, tmp_path / "refused", on_bad="refuse", progress=False)
    (root / "mugshot_frontal_cropped_all/002_frontal.JPG").write_text("no image")
    with pytest.raises(ValueError, match=r"002_frontal.JPG.*people="):
        read(root, tmp_path / "refused", progress=False)
    assert not (tmp_path / "refused").exists()
    with pytest.raises(ValueError, match="on_bad"):
        read(root, tmp_path / "refused", on_bad="ignore")


def test_photos_in_the_wrong_place_are_refused(tree, tmp_path):
    root, _ = tree
    with pytest.raises(FileNotFoundError, match="is no folder"):
        read(tmp_path / "none", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="mugshot_frontal_original_all"):
        read(root.parent, tmp_path / "out")
    double = root / "mugshot_frontal_cropped_all/001_FRONTAL.png"
    save(double)
    with pytest.raises(ValueError, match=r"001_FRONTAL.png and .*001_frontal.JPG"):
        read(root, tmp_path / "out")
    double.unlink()
    save(root / "surveillance_cameras_distance_1/cam_1/001_cam1_2.jpg")
    with pytest.raises(ValueError, match=r"001_cam1_2.jpg .*distance 1"):
        read(root, tmp_path / "out")


def test_people_without_any_probe_are_refused(tree, tmp_path):
    save(tree[0] / "mugshot_frontal_cropped_all/009_frontal.JPG")
    with pytest.raises(ValueError, match="no probe"):
        read(tree[0], tmp_path / "out", people=[9])
    assert read(tree[0], tmp_path / "out", progress=False).probes.manifest["spec"]["missing"] == 15


@pytest.mark.parametrize(
    "line",
    [
        "001_cam1_2 1 2 3",
        f"001_cam1_2 {FOUR} 9",
        "001_cam1_2",
        "001_cam1_2 a b c d e f g h",
        "001_cam1_2 1 2 3 4 5 6 7 nan",
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path, line):
    (tmp_path / "all.txt").write_text(f"001_cam1_1 {FOUR}\n\n{line}\n")
    with pytest.raises(ValueError, match="line 3"):
        points(tmp_path / "all.txt")


def test_a_photo_listed_twice_is_named_with_both_lines(tmp_path):
    (tmp_path / "all.txt").write_text(f"001_cam1_1 {FOUR}\n002_cam1_1 {FOUR}\n001_CAM1_1 {FOUR}\n")
    with pytest.raises(ValueError, match="line 1 and on line 3"):
        points(tmp_path / "all.txt")


def test_points_of_other_photos_are_refused_with_the_file(tree, tmp_path):
    root, _ = tree
    (root / "all.txt").write_text("001_cam1_1 1500 900 1800 900 1650 1100 1650 1300\n")
    with pytest.raises(ValueError, match=r"001_cam1_1.jpg .*outside"):
        read(root, tmp_path / "out", progress=False)
    (root / "all.txt").write_text("001_cam1_1 5 5 5 5 5 5 5 5\n")
    with pytest.raises(ValueError, match=r"001_cam1_1.jpg .*degenerate"):
        read(root, tmp_path / "out", progress=False)


def test_the_eighty_are_a_random_split_that_a_seed_repeats():
    chosen = eighty()
    assert len(set(chosen)) == 80 and min(chosen) >= 1 and max(chosen) <= 130 and list(chosen) == sorted(chosen)
    assert eighty() == chosen and eighty(1) != chosen
    assert {number for seed in range(20) for number in eighty(seed)} == set(range(1, 131))

"""Surrogates of TinyFace and SCface: the sets' own trees, read back by their readers; nobody in them was trained on."""

import cv2
import numpy as np
import pytest

from rifr import align, presets, splits
from rifr.faces import surrogates
from rifr.readers import scface, tinyface

FEW = presets.get("smoke", tiny_people=5, tiny_distractors=8, surveillance_people=3, train_people=2, train_images=2)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Both surrogates, rendered once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIFR_STORE", str(tmp_path_factory.mktemp("store")))
        yield surrogates.tinyface(FEW, progress=False), surrogates.scface(FEW, progress=False)


def pictures(folder) -> dict[str, np.ndarray]:
    return {file.name: cv2.imread(str(file)) for file in sorted(folder.rglob("*.jpg"))}


def test_the_tinyface_surrogate_reads_back_as_tinyface(roots, tmp_path):
    found = tinyface.read(roots[0], tmp_path / "packs", progress=False)
    assert (len(found.probes), len(found.gallery), len(found.distractors)) == (10, 10, 8)
    assert sorted(set(found.probes.attributes["id"].tolist())) == [1, 2, 3, 4, 5]
    for pack, numbers in ((found.probes, {1, 2}), (found.gallery, {3, 4})):
        for file, person in zip(pack.attributes["file"], pack.attributes["id"], strict=True):
            name, number = file.removesuffix(".jpg").split("_")
            assert int(name) == person and int(number) in numbers
    known = {*found.probes.attributes["file"], *found.gallery.attributes["file"]}
    assert not known & set(found.distractors.attributes["file"])


def test_its_pictures_are_tight_crops_of_6_to_32_pixels_with_a_mean_of_about_20():
    draw, picture = np.random.default_rng(0), np.full((112, 112, 3), 90, np.uint8)
    landmarks = align.transform(align.TEMPLATE, np.array([[0.7, 0, 17], [0, 0.7, 17]]))
    shapes = np.array([surrogates._tight_crop(picture, landmarks, draw).shape[:2] for _ in range(600)])
    heights, ratio = shapes[:, 0], shapes[:, 1] / shapes[:, 0]
    assert 6 <= heights.min() < 10 and 29 < heights.max() <= 32 and heights.mean() == pytest.approx(20, abs=1)
    assert ratio.min() > 0.6 and ratio.max() < 1.2


def test_the_crops_lie_in_the_tree_as_they_were_made(roots):
    heights = [picture.shape[0] for picture in pictures(roots[0] / "Testing_Set").values()]
    assert len(heights) == 28 and min(heights) >= 6 and max(heights) <= 32


def test_the_scface_surrogate_reads_back_as_scface_and_every_picture_has_its_points(roots, tmp_path):
    found = scface.read(roots[1], tmp_path / "packs", progress=False)
    assert found.mugshots.people == found.probes.people == ["001", "002", "003"]
    assert len(found.mugshots) == 3 and len(found.probes) == 45
    camera, distance = (found.probes.attributes[name] for name in ("camera", "distance"))
    assert len(set(zip(found.probes.identities, camera, distance, strict=True))) == 45
    assert found.probes.attributes["by_points"].all() and found.mugshots.attributes["by_points"].all()


@pytest.mark.parametrize("distance, least, most", [(1, 16, 20), (2, 25, 32), (3, 40, 50)])
def test_faces_are_as_wide_as_their_distance_says(roots, distance, least, most):
    points = scface.points(roots[1] / "all.txt")
    widths = [
        112 / np.hypot(*align.similarity(four)[:, 0]) for stem, four in points.items() if stem.endswith(f"_{distance}")
    ]
    assert len(widths) == 15
    # The points see the head from above, where it is foreshortened: a tenth to either side.
    assert 0.9 * least < min(widths) and max(widths) < 1.1 * most


def test_the_points_lie_on_the_eyes_they_are_listed_for(roots):
    """The mugshot is darker near the listed eyes, where the pupils are, than between them."""
    found = scface.points(roots[1] / "all.txt")
    for name, picture in pictures(roots[1] / "mugshot_frontal_cropped_all").items():
        left, right, nose, mouth = found[name.removesuffix(".jpg")]
        assert left[0] < nose[0] < right[0] and max(left[1], right[1]) < nose[1] < mouth[1]
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(float)
        between = (left + right) / 2
        pupils = [_patch(grey, eye, 4).min() for eye in (left, right)]
        assert max(pupils) < _patch(grey, between, 4).min()


def test_each_camera_has_its_own_colour_and_brightness(roots):
    colours, brightness = {}, {}
    for camera in surrogates.CAMERAS:
        frames = pictures(roots[1] / "surveillance_cameras_distance_3" / f"cam_{camera}").values()
        means = np.mean([frame.reshape(-1, 3).mean(axis=0) for frame in frames], axis=0)
        colours[camera] = means[[2, 0]] / means[1]  # red and blue over green
        brightness[camera] = means.mean()
    pairs = [(a, b) for a in colours for b in colours if a < b]
    apart = [np.abs(colours[a] - colours[b]).max() + abs(brightness[a] - brightness[b]) / 255 for a, b in pairs]
    assert min(apart) > 0.02
    assert colours[1].max() < 1 and colours[3].max() < 1  # the greenish ones


def test_same_seed_same_bytes_and_another_seed_other_people(roots, tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_STORE", str(tmp_path))
    for root, make in zip(roots, (surrogates.tinyface, surrogates.scface), strict=True):
        again, other = make(FEW, progress=False), make(FEW, seed=1, progress=False)
        assert again != root and again.name == root.name
        files = sorted(file.relative_to(root) for file in root.rglob("*") if file.suffix in (".jpg", ".txt"))
        assert files == sorted(file.relative_to(again) for file in again.rglob("*") if file.suffix in (".jpg", ".txt"))
        assert all((root / file).read_bytes() == (again / file).read_bytes() for file in files)
        jpegs = [file for file in files if file.suffix == ".jpg"]
        assert not any((root / file).read_bytes() == (other / file).read_bytes() for file in jpegs)


def test_it_is_found_again_and_other_sizes_are_another_surrogate(roots, monkeypatch):
    monkeypatch.setenv("RIFR_STORE", str(roots[0].parent.parent))
    stamp = (roots[0] / "README.txt").stat().st_mtime_ns
    assert surrogates.tinyface(FEW, progress=False) == roots[0]
    assert (roots[0] / "README.txt").stat().st_mtime_ns == stamp
    assert surrogates.tinyface(presets.get(FEW, tiny_people=1, tiny_distractors=1), progress=False) != roots[0]


def test_a_rendering_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("RIFR_STORE", str(tmp_path))

    def broken(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(surrogates, "_write", broken)
    with pytest.raises(OSError, match="disk is full"):
        surrogates.scface(FEW, progress=False)
    assert [path for path in (tmp_path / "surrogates").iterdir() if path.is_dir()] == []


def test_it_says_that_it_is_a_surrogate_and_under_which_licence(roots):
    for root, name in zip(roots, ("TinyFace", "SCface"), strict=True):
        text = (root / "README.txt").read_text()
        assert f"surrogate of {name}" in text and f"It is not {name}." in text and "CC0" in text
        assert root.name.startswith(f"rendered-{name.lower()}")


def test_nobody_in_a_surrogate_is_trained_on(roots, tmp_path, monkeypatch):
    """People are named after their split; the splits of the surrogates are their own, and so are the random numbers."""
    from rifr.faces import head, identity

    monkeypatch.setenv("RIFR_STORE", str(tmp_path))
    train = splits.face_splits(FEW, progress=False).train
    model = head.load(progress=False)
    drawn = [identity.draw_identity(model, 0, split, n) for split in ("tinyface", "scface", "train") for n in range(2)]
    assert not {person.name for person in drawn[:4]} & set(train.people) and drawn[4].name in train.people
    controls = np.stack([person.controls for person in drawn])
    assert len(np.unique(controls.round(6), axis=0)) == 6


def _patch(grey: np.ndarray, point: np.ndarray, reach: int) -> np.ndarray:
    x, y = np.rint(point).astype(int)
    return grey[y - reach : y + reach + 1, x - reach : x + reach + 1]

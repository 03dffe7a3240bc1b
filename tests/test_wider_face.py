import cv2
import numpy as np
import pytest
from PIL import Image

from rifr.packs import FacePack
from rifr.readers.wider_face import faces, read

UNMARKED = " ".join(["-1.0"] * 15)


def line(box, points=None, blur=0.5):
    marks = UNMARKED if points is None else " ".join(f"{x:.3f} {y:.3f} 0.0" for x, y in points)
    return f"{' '.join(map(str, box))} {marks} {blur}"


def dots(points, height=200, width=300, radius=2):
    """A grey photo with a coloured dot at each landmark."""
    photo = np.full((height, width, 3), 90, np.uint8)
    for number, (x, y) in enumerate(points):
        colour = [0, 0, 0]
        colour[number % 3] = 255
        cv2.circle(photo, (round(x), round(y)), radius, colour, -1)
    return photo


def place(box):
    """Five points where they lie in a face of this box."""
    x, y, width, height = box
    return [
        (round(x + width * u), round(y + height * v))
        for u, v in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    ]


@pytest.fixture
def tree(tmp_path):
    """A function that writes the lines of a split, and photos by name."""
    root = tmp_path / "widerface"

    def write(lines, photos, split="train"):
        for name, photo in photos.items():
            path = root / split / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo).save(path, "PNG")  # lossless, whatever the name says
        (root / split).mkdir(parents=True, exist_ok=True)
        (root / split / "label.txt").write_text("".join(f"{one}\n" for one in lines))
        return root

    return write


SMALL, LARGE, EDGE = (30, 40, 20, 24), (100, 60, 60, 80), (0, 120, 50, 70)


@pytest.fixture
def two_photos(tree):
    points = {box: place(box) for box in (SMALL, LARGE, EDGE)}
    photos = {
        "0--Parade/a.jpg": dots(points[LARGE]),
        "1--Hand/b c.jpg": dots(points[EDGE]),
        "1--Hand/none.jpg": dots([]),
    }
    root = tree(
        [
            "# 0--Parade/a.jpg",
            line(SMALL, points[SMALL], 0.1),
            line((5, 5, 90, 90)),
            line(LARGE, points[LARGE], 0.9),
            "# 1--Hand/none.jpg",
            "# 1--Hand/b c.jpg",
            line(EDGE, points[EDGE], 0.25),
        ],
        photos,
    )
    return root, photos, points


def test_faces_come_in_the_order_of_the_list_with_box_landmarks_and_blur(two_photos):
    root, _, points = two_photos
    found = faces(root)
    assert [face.path.relative_to(root / "train/images").as_posix() for face in found] == ["0--Parade/a.jpg"] * 3 + [
        "1--Hand/b c.jpg"
    ]
    assert [face.box.tolist() for face in found] == [list(SMALL), [5, 5, 90, 90], list(LARGE), list(EDGE)]
    assert found[1].landmarks is None
    for face, box in ((found[0], SMALL), (found[2], LARGE), (found[3], EDGE)):
        assert face.landmarks.shape == (5, 2) and face.landmarks.dtype == np.float32
        assert face.landmarks == pytest.approx(np.array(points[box]))
    assert [face.blur for face in found] == pytest.approx([0.1, 0.5, 0.9, 0.25])


def test_val_lines_hold_the_box_alone(tree):
    root = tree(["# 0--Parade/a.jpg", "1 2 3 4", "10 20 30 40"], {"0--Parade/a.jpg": dots([])}, split="val")
    found = faces(root, "val")
    assert [face.box.tolist() for face in found] == [[1, 2, 3, 4], [10, 20, 30, 40]]
    assert all(face.landmarks is None and face.blur is None for face in found)
    with pytest.raises(ValueError, match="0 have landmarks"):
        read(root, root / "pack", split="val")


def test_a_face_of_which_one_point_is_not_marked_has_no_landmarks(tree):
    points = place(LARGE)
    points[3] = (-1, -1)
    outside = place(LARGE)
    outside[0] = (-1, 70)  # left of the photo, and marked
    root = tree(["# a.jpg", line(LARGE, points), line(LARGE, outside)], {"a.jpg": dots([])})
    found = faces(root)
    assert found[0].landmarks is None and found[1].landmarks[0].tolist() == [-1, 70]


def test_scenes_have_the_form_of_rendered_ones(two_photos, tmp_path):
    root, _, _ = two_photos
    pack = read(root, tmp_path / "pack", progress=False)
    assert pack.images.shape == (2, 224, 224, 3) and pack.landmarks.shape == (2, 5, 2)
    assert pack.identities.tolist() == ["0--Parade/a.jpg#3", "1--Hand/b c.jpg#1"]
    assert pack.attributes["file"].tolist() == ["0--Parade/a.jpg", "1--Hand/b c.jpg"]
    assert pack.attributes["box"].tolist() == [list(LARGE), list(EDGE)]
    assert pack.attributes["blur"] == pytest.approx([0.9, 0.25])
    spec = pack.manifest["spec"]
    assert (spec["scenes"], spec["size"], spec["faces"], spec["with_landmarks"]) == (True, 224, 4, 3)
    assert len(FacePack.open(tmp_path / "pack")) == 2
    assert len(read(root, tmp_path / "small", min_pixels=24, progress=False)) == 3
    assert len(read(root, tmp_path / "large", min_pixels=71, progress=False)) == 1


@pytest.mark.parametrize("side, margin", [(224, 2.2), (64, 2.2), (224, 1.5), (177, 3.0)])
def test_landmarks_move_with_the_picture(tree, tmp_path, side, margin):
    box = (91, 53, 61, 83)
    points = place(box)
    root = tree(["# a.jpg", line(box, points)], {"a.jpg": dots(points, radius=3)})
    pack = read(root, tmp_path / "pack", side=side, margin=margin, progress=False)
    scale = side / round(margin * 83)
    for number, (x, y) in enumerate(pack.landmarks[0]):
        picture = pack.images[0].astype(float)
        channel = number % 3
        other = picture[..., [c for c in range(3) if c != channel]].max(axis=2)
        weight = (picture[..., channel] - other).clip(0)
        rows, columns = np.mgrid[:side, :side]
        near = (np.hypot(columns - x, rows - y) < 6 * scale) * weight
        assert near.sum() > 0
        assert (near * columns).sum() / near.sum() == pytest.approx(x, abs=0.05 + 0.05 * scale)
        assert (near * rows).sum() / near.sum() == pytest.approx(y, abs=0.05 + 0.05 * scale)


def test_the_face_is_in_the_centre_and_takes_its_share_of_the_scene(two_photos, tmp_path):
    root, photos, _ = two_photos
    scene = read(root, tmp_path / "pack", side=176, progress=False).images[0]  # 2.2 x 80 = 176: pixel for pixel
    x, y, width, height = LARGE
    left, top = x + width // 2 - 88, y + height // 2 - 88
    expected = np.zeros((176, 176, 3), np.uint8)
    photo = photos["0--Parade/a.jpg"]
    expected[max(0, -top) :, :] = photo[max(0, top) : top + 176, left : left + 176]
    assert np.array_equal(scene, expected)


def test_beyond_the_border_is_black(two_photos, tmp_path):
    root, photos, _ = two_photos
    scene = read(root, tmp_path / "pack", side=154, progress=False).images[1]  # 2.2 x 70 = 154
    left, top = 25 - 77, 155 - 77
    assert not scene[:, :-left].any() and not scene[200 - top :].any()
    assert np.array_equal(scene[: 200 - top, -left:], photos["1--Hand/b c.jpg"][top:, : 154 + left])


def test_a_large_face_is_averaged_and_not_sampled(tree, tmp_path):
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 200
    root = tree(["# a.jpg", line((200, 200, 200, 200), place((200, 200, 200, 200)))], {"a.jpg": stripes})
    scene = read(root, tmp_path / "pack", side=55, progress=False).images[0]  # eight pixels each
    assert np.all(np.abs(scene.astype(int) - 100) <= 1)


@pytest.mark.parametrize("wrong", ["1 2 3", line(LARGE, place(LARGE)) + " 7", "1 2 3 x", "1 2 3 nan"])
def test_a_line_with_another_number_of_values_is_named_by_its_number(tree, wrong):
    root = tree(["# a.jpg", line(LARGE), "", wrong], {"a.jpg": dots([])})
    with pytest.raises(ValueError, match="line 4"):
        faces(root)


def test_a_list_that_does_not_fit_its_photos_is_refused(tree, tmp_path):
    root = tree(["# a.jpg", line(LARGE), "# 0/b.jpg", "# 0/c.jpg", line(LARGE)], {"a.jpg": dots([])})
    with pytest.raises(FileNotFoundError, match=r"2 of 3 .*0/b.jpg"):
        faces(root)
    root = tree([line(LARGE), "# a.jpg"], {"a.jpg": dots([])})
    with pytest.raises(ValueError, match="line 1"):
        faces(root)
    with pytest.raises(FileNotFoundError, match=r"val/label.txt"):
        faces(root, "val")
    with pytest.raises(ValueError, match="split"):
        faces(root, "test")


def test_options_out_of_range_and_sets_without_a_usable_face_are_refused(two_photos, tmp_path):
    root, _, _ = two_photos
    with pytest.raises(ValueError, match="3 have landmarks"):
        read(root, tmp_path / "pack", min_pixels=500)
    for options in (dict(side=31), dict(side=64.0), dict(margin=0.9), dict(min_pixels=0)):
        with pytest.raises(ValueError, match="side"):
            read(root, tmp_path / "pack", **options)
    assert not (tmp_path / "pack").exists()


def test_a_corrupt_photo_is_named_and_leaves_no_pack(two_photos, tmp_path):
    root, _, _ = two_photos
    (root / "train/images/1--Hand/b c.jpg").write_text("no image")
    with pytest.raises(ValueError, match=r"b c.jpg"):
        read(root, tmp_path / "pack", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["widerface"]

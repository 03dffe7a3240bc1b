import json

import numpy as np
import pytest
from PIL import Image

from rifr.readers.facescrub import listed, noises, read

PHOTOS = [
    "Ada_Lo/Ada_Lo_3.png",
    "Ada_Lo/Ada_Lo_12.png",
    "Bea-Cy/Bea-Cy_70_4.jpg",
    "Bea-Cy/Bea-Cy_71_5.jpg",
    "Cyd/Cyd_900.JPG",
]


def save(path, side=112):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(sum(map(ord, path.name))).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return pixels


@pytest.fixture
def facescrub(tmp_path):
    """Ada's photos are named as the devkit names them, Bea's with the photo's number before the face's."""
    return tmp_path / "faces", {photo: save(tmp_path / "faces" / photo) for photo in PHOTOS}


def noise_list(tmp_path, *lines):
    path = tmp_path / "facescrub_noises.txt"
    path.write_text("#Please cite\n" + "".join(f"{line}\n" for line in lines))
    return path


def photo_list(tmp_path, paths, ids=None):
    path = tmp_path / "facescrub_features_list.json"
    path.write_text(json.dumps({"path": paths, "id": ids or [photo.split("/")[0] for photo in paths]}))
    return path


def test_everybody_is_read_in_the_order_of_their_names(facescrub, tmp_path):
    root, pixels = facescrub
    (root / "Cyd/notes.txt").write_text("passed over")
    pack = read(root, tmp_path / "pack", progress=False)
    assert pack.attributes["file"].tolist() == [PHOTOS[1], PHOTOS[0], *PHOTOS[2:]]
    assert pack.identities.tolist() == ["Ada_Lo"] * 2 + ["Bea-Cy"] * 2 + ["Cyd"]
    for image, photo in zip(pack.images, pack.attributes["file"]):
        assert np.array_equal(image, pixels[photo])
    assert pack.manifest["spec"]["noise_list"] is None and pack.manifest["spec"]["list"] is None
    assert read(root, tmp_path / "again", on_bad="skip", progress=False).checksum == pack.checksum


def test_noise_is_left_out_by_person_and_face_number_whatever_the_ending(facescrub, tmp_path):
    noise = noise_list(tmp_path, "Ada_Lo_12.png", "Bea-Cy_4.png", "Bea-Cy_71.png", "Cyd_900.png", "Zoe_1.png")
    pack = read(facescrub[0], tmp_path / "pack", noise_path=noise, progress=False)
    assert pack.attributes["file"].tolist() == [PHOTOS[0], PHOTOS[3]]  # 71 is a photo's number, not a face's
    spec = pack.manifest["spec"]
    assert (spec["noise_entries"], spec["noise_excluded"], spec["noise_list"]) == (5, 3, "facescrub_noises.txt")


def test_noise_is_left_out_where_names_hold_dots_and_spaces(tmp_path):
    for photo in ("Dan_Jr./Dan_Jr._8.jpg", "Dan_Jr./Dan_Jr._21_9.jpg", "Eve Mo/Eve Mo_1.jpg", "Fay/Fay_8.jpg"):
        save(tmp_path / "faces" / photo)
    noise = noise_list(tmp_path, "Dan_Jr._8.png", "Dan_Jr._9.png", "Eve_Mo_1.png")
    assert read(tmp_path / "faces", tmp_path / "pack", noise_path=noise, progress=False).people == ["Fay"]


def test_noise_is_kept_and_marked_on_demand(facescrub, tmp_path):
    noise = noise_list(tmp_path, "Ada_Lo_12.png", "Bea-Cy_5.png")
    pack = read(facescrub[0], tmp_path / "pack", noise_path=noise, noise="keep", progress=False)
    assert pack.attributes["noise"].tolist() == [True, False, False, True, False]
    assert pack.manifest["spec"]["noise_kept"] == 2


def test_files_whose_names_end_in_no_number_are_refused_or_skipped_where_noise_is_asked_for(facescrub, tmp_path):
    root, noise = facescrub[0], noise_list(tmp_path, "Ada_Lo_12.png")
    save(root / "Cyd/portrait.png")
    with pytest.raises(ValueError, match=r"Cyd/portrait.png"):
        read(root, tmp_path / "pack", noise_path=noise, progress=False)
    pack = read(root, tmp_path / "pack", noise_path=noise, on_bad="skip", progress=False)
    assert len(pack) == 4
    assert pack.manifest["spec"]["skipped_files"] == [
        "Cyd/portrait.png: its name ends in no number, so that the list of noise says nothing about it"
    ]
    assert len(read(root, tmp_path / "other", progress=False)) == 6


def test_a_list_is_read_in_its_order_with_its_identities(facescrub, tmp_path):
    root, pixels = facescrub
    paths = ["Cyd/Cyd_900.png", "Ada_Lo/Ada_Lo_3.png", "Bea-Cy/Bea-Cy_5.png", "Ada_Lo/Ada_Lo_12.png"]
    found = ["Cyd/Cyd_900.JPG", "Ada_Lo/Ada_Lo_3.png", "Bea-Cy/Bea-Cy_71_5.jpg", "Ada_Lo/Ada_Lo_12.png"]
    list_path = photo_list(tmp_path, paths, ids=["Cyd", "Ada", 5, "Ada"])
    assert listed(list_path) == list(zip(["Cyd", "Ada", "5", "Ada"], paths))
    pack = read(root, tmp_path / "pack", list_path, progress=False)
    assert pack.identities.tolist() == ["Cyd", "Ada", "5", "Ada"] and pack.attributes["file"].tolist() == found
    for image, photo in zip(pack.images, found):
        assert np.array_equal(image, pixels[photo])
    assert (pack.manifest["spec"]["listed"], pack.manifest["spec"]["list"]) == (4, "facescrub_features_list.json")
    noise = noise_list(tmp_path, "Bea-Cy_5.png", "Bea-Cy_4.png")
    pack = read(root, tmp_path / "pack", list_path, noise, progress=False)
    assert len(pack) == 3 and pack.manifest["spec"]["noise_excluded"] == 1


def test_listed_images_that_are_absent_are_refused_or_counted(facescrub, tmp_path):
    root = facescrub[0]
    list_path = photo_list(tmp_path, ["Ada_Lo/Ada_Lo_3.png", "Ada_Lo/Ada_Lo_4.png", "Zoe/Zoe_1.png", "Zoe/Zoe_2.png"])
    with pytest.raises(FileNotFoundError, match=r"3 of 4 .*Ada_Lo/Ada_Lo_4.png, "):
        read(root, tmp_path / "pack", list_path, progress=False)
    with pytest.raises(FileNotFoundError, match="2 of 3"):  # noise is not missed
        read(root, tmp_path / "pack", list_path, noise_list(tmp_path, "Zoe_2.png"), progress=False)
    pack = read(root, tmp_path / "pack", list_path, on_bad="skip", progress=False)
    assert len(pack) == 1 and pack.manifest["spec"]["absent"] == 3
    assert pack.manifest["spec"]["absent_files"] == ["Ada_Lo/Ada_Lo_4.png", "Zoe/Zoe_1.png", "Zoe/Zoe_2.png"]


def test_people_are_excluded_by_name(facescrub, tmp_path):
    pack = read(facescrub[0], tmp_path / "pack", exclude=["Ada_Lo", "Zoe"], progress=False)
    assert pack.people == ["Bea-Cy", "Cyd"] and pack.manifest["spec"]["excluded"] == ["Ada_Lo"]
    list_path = photo_list(tmp_path, PHOTOS[:3])
    assert read(facescrub[0], tmp_path / "pack", list_path, exclude=["Ada_Lo"], progress=False).people == ["Bea-Cy"]


def test_a_bad_file_is_refused_or_skipped_and_named(facescrub, tmp_path):
    root = facescrub[0]
    save(root / PHOTOS[0], side=96)
    (root / PHOTOS[4]).write_text("no image")
    with pytest.raises(ValueError, match=r"Ada_Lo_3.png: 96x96 pixels"):
        read(root, tmp_path / "pack", progress=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["faces"]
    pack = read(root, tmp_path / "pack", on_bad="skip", progress=False)
    spec = pack.manifest["spec"]
    assert len(pack) == 3 and spec["skipped"] == 2
    assert [line.split(":")[0] for line in spec["skipped_files"]] == [PHOTOS[0], PHOTOS[4]]


def test_what_makes_no_sense_is_refused(facescrub, tmp_path):
    root, out = facescrub[0], tmp_path / "pack"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere", out)
    with pytest.raises(ValueError, match="noise"):
        read(root, out, noise="delete")
    with pytest.raises(ValueError, match="on_bad"):
        read(root, out, on_bad="ignore")
    with pytest.raises(ValueError, match="list of names"):
        read(root, out, exclude="Cyd")
    with pytest.raises(ValueError, match="5 are excluded"):
        read(root, out, exclude=["Ada_Lo", "Bea-Cy", "Cyd"], progress=False)
    with pytest.raises(ValueError, match=r"lie in .*Cyd itself"):
        read(root / "Cyd", out)


@pytest.mark.parametrize(
    "content, message",
    [
        ('{"path": ["a"]}', "does not hold lists by the names path and id"),
        ('{"path": ["a"], "id": []}', "lists of 1 and 0 entries"),
        ("nothing", "is no JSON"),
        ('{"path": ["a", "../b"], "id": ["x", "y"]}', "path 1, '../b', leads out"),
        ('{"path": ["a", "a"], "id": ["x", "y"]}', "a second time"),
        ('{"path": ["a"], "id": [null]}', "id 0 is None"),
        ('{"path": ["a"], "id": [true]}', "id 0 is True"),
        ('{"path": ["a"], "id": [""]}', "id 0 is ''"),
    ],
)
def test_something_else_than_a_list_is_refused(tmp_path, content, message):
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(ValueError, match=f"list.json.*{message}"):
        listed(tmp_path / "list.json")


@pytest.mark.parametrize("line", ["<html>", "Ada_Lo.png", "Ada_Lo_12", "Ada_Lo_12.png extra"])
def test_a_line_that_names_no_photo_is_named_by_number(tmp_path, line):
    with pytest.raises(ValueError, match="line 3"):
        noises(noise_list(tmp_path, "Ada_Lo_12.png", line))


def test_noises_are_stems(tmp_path):
    assert noises(noise_list(tmp_path, "Ada_Lo_12.png", "", "Bea-Cy_4.jpg")) == {"Ada_Lo_12", "Bea-Cy_4"}


def test_the_real_list_of_noise_has_605_entries(real_data):
    found = noises(real_data / "lists" / "facescrub_noises.txt")
    assert len(found) == 605 and "Aaron_Eckhart_136" in found


def test_real_photos_are_read_less_the_noise_among_them(real_data, tmp_path):
    pack = read(
        real_data / "facescrub12",
        tmp_path / "pack",
        progress=False,
        noise_path=real_data / "lists" / "facescrub_noises.txt",
    )
    assert len(pack.people) == 12 and len(pack) == 1808 - 7 and pack.manifest["spec"]["noise_excluded"] == 7
    assert "Alec_Baldwin/Alec_Baldwin_3553_2121.jpg" not in pack.attributes["file"]
    skin = pack.images[::100, 40:90, 30:80].mean(axis=(0, 1, 2))
    assert skin[0] > skin[1] > skin[2]  # red, green, blue: not the other way round

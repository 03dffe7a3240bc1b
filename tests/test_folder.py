import numpy as np
import pytest
from PIL import Image

from rifr.errors import DataError
from rifr.readers.folder import read

RNG = np.random.default_rng(3)


def save(path, side=112, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    pixels = RNG.integers(0, 256, (side, side, bands), dtype=np.uint8)
    Image.fromarray(pixels[..., 0] if bands == 1 else pixels).save(path)
    return pixels


@pytest.fixture
def faces(tmp_path):
    """Ada has three images, Bea two, Cyd one."""
    pixels = {
        name: save(tmp_path / "faces" / name)
        for name in ("Bea/2.png", "Ada/1.png", "Ada/3.PNG", "Ada/2.png", "Cyd/1.png", "Bea/1.png")
    }
    return tmp_path / "faces", pixels


def test_people_and_images_come_in_the_order_of_their_names(faces, tmp_path):
    folder, pixels = faces
    pack = read(folder, tmp_path / "pack", progress=False)
    assert pack.identities.tolist() == ["Ada"] * 3 + ["Bea"] * 2 + ["Cyd"]
    assert pack.attributes["file"].tolist() == [
        "Ada/1.png",
        "Ada/2.png",
        "Ada/3.PNG",
        "Bea/1.png",
        "Bea/2.png",
        "Cyd/1.png",
    ]
    for image, name in zip(pack.images, pack.attributes["file"]):
        assert np.array_equal(image, pixels[name])
    assert pack.manifest["licence"] == "as the owner of the images states"
    assert pack.manifest["spec"]["folder"] == "faces" and pack.manifest["spec"]["skipped"] == 0
    assert read(folder, tmp_path / "again", progress=False).checksum == pack.checksum


@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(max_images=1), ["Cyd"]),
        (dict(min_images=2), ["Ada", "Bea"]),
        (dict(min_images=2, max_images=2), ["Bea"]),
        (dict(exclude=["Ada", "Zoe"]), ["Bea", "Cyd"]),
        (dict(max_people=2), ["Ada", "Bea"]),
    ],
)
def test_people_are_chosen_by_their_number_of_images_and_their_names(faces, tmp_path, options, expected):
    pack = read(faces[0], tmp_path / "pack", progress=False, **options)
    assert pack.people == expected
    assert pack.manifest["spec"]["excluded"] == [name for name in options.get("exclude", []) if name != "Zoe"]


def spoil(folder):
    save(folder / "Bea/small.jpg", side=96)
    (folder / "Bea/text.jpg").write_text("no image")
    (folder / "Bea/nothing.jpg").touch()
    save(folder / "Bea/cut.jpg")
    whole = (folder / "Bea/cut.jpg").read_bytes()
    (folder / "Bea/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "Bea/notes.txt").write_text("no image")
    (folder / "Bea/._1.png").write_text("passed over")


def test_bad_files_are_skipped_counted_and_named(faces, tmp_path):
    spoil(faces[0])
    pack = read(faces[0], tmp_path / "pack", progress=False)
    assert len(pack) == 6
    spec = pack.manifest["spec"]
    assert spec["skipped"] == 4
    assert [line.split(":")[0] for line in spec["skipped_files"]] == [
        f"Bea/{name}" for name in ("cut.jpg", "nothing.jpg", "small.jpg", "text.jpg")
    ]
    assert "96x96 pixels, not 112x112" in spec["skipped_files"][2]


def test_an_image_that_is_there_twice_is_taken_once_and_its_copies_are_named(faces, tmp_path):
    folder, _ = faces
    for copy in ("Ada/copy.png", "Bea/copy.png"):
        Image.open(folder / "Ada/1.png").save(folder / copy)
    Image.open(folder / "Ada/1.png").rotate(180).save(folder / "Ada/turned.png")
    pack = read(folder, tmp_path / "pack", progress=False)
    names = pack.attributes["file"].tolist()
    assert "Ada/turned.png" in names and not {"Ada/copy.png", "Bea/copy.png"} & {*names}
    assert pack.manifest["spec"]["skipped_files"] == [
        f"{copy}: the image of Ada/1.png again" for copy in ("Ada/copy.png", "Bea/copy.png")
    ]
    with pytest.raises(DataError, match=r"Ada/copy.png: the image of Ada/1.png again. Mend or delete it"):
        read(folder, tmp_path / "refused", on_bad="refuse", progress=False)


def test_who_is_left_out_takes_no_image_from_another(faces, tmp_path):
    folder, _ = faces
    Image.open(folder / "Cyd/1.png").save(folder / "Eve-1.png")
    save(folder / "Eve/2.png")
    (folder / "Eve-1.png").rename(folder / "Eve/1.png")
    pack = read(folder, tmp_path / "pack", min_images=2, progress=False)
    assert pack.people == ["Ada", "Bea", "Eve"] and pack.manifest["spec"]["skipped"] == 0
    everybody = read(folder, tmp_path / "all", progress=False)
    assert everybody.manifest["spec"]["skipped_files"] == ["Eve/1.png: the image of Cyd/1.png again"]


def test_what_a_pack_does_not_hold_is_all_counted_and_named(faces, tmp_path):
    folder, _ = faces
    save(folder / "Ada/4.webp")
    save(folder / "Ada/deep/5.png")
    (folder / "Bea/phone.heic").write_text("x")
    (folder / "Cyd/gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "readme.txt").write_text("x")
    (folder / "Dan").mkdir()
    for name in ("Ada/Thumbs.db", ".ipynb_checkpoints/1.png", "__MACOSX/x.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("litter")
    pack = read(folder, tmp_path / "pack", min_images=2, progress=False)
    spec = pack.manifest["spec"]
    assert "Ada/4.webp" in pack.attributes["file"] and pack.people == ["Ada", "Bea"]
    assert spec["left_out"] == 4
    assert {line.split(":")[0] for line in spec["left_out_files"]} == {
        "Ada/deep",
        "Bea/phone.heic",
        "Cyd/gone.png",
        "readme.txt",
    }
    assert spec["people_left_out_names"] == ["Cyd: 1 images", "Dan: 0 images"] and spec["people_left_out"] == 2


def test_where_nobody_is_left_the_error_names_what_was_there(tmp_path):
    (tmp_path / "faces/Ada").mkdir(parents=True)
    (tmp_path / "faces/Ada/1.heic").write_text("x")
    with pytest.raises(DataError, match=r"Ada/1.heic"):
        read(tmp_path / "faces", tmp_path / "pack", progress=False)


def test_transparency_becomes_white_and_sixteen_bits_eight(tmp_path):
    rgba = save(tmp_path / "faces/Ada/1.png", mode="RGBA").astype(float)
    grey = RNG.integers(0, 65536, (112, 112), dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "faces/Ada/2.png")
    images = read(tmp_path / "faces", tmp_path / "pack", progress=False).images
    alpha = rgba[..., 3:] / 255
    assert np.abs(images[0] - (rgba[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1
    assert np.array_equal(images[1][..., 0], np.round(grey / 257))


def test_a_bad_file_does_not_count_towards_the_fewest(faces, tmp_path):
    spoil(faces[0])
    assert read(faces[0], tmp_path / "pack", min_images=3, progress=False).people == ["Ada"]
    assert read(faces[0], tmp_path / "two", max_images=2, progress=False).people == ["Bea", "Cyd"]


def test_a_bad_file_is_refused_on_demand_and_leaves_no_pack(faces, tmp_path):
    save(faces[0] / "Bea/small.jpg", side=96)
    with pytest.raises(ValueError, match=r"small.jpg: 96x96"):
        read(faces[0], tmp_path / "pack", on_bad="refuse", progress=False)
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix != ".lock"] == ["faces"]


def test_greyscale_becomes_three_equal_channels(tmp_path):
    grey = save(tmp_path / "faces/Dan/1.png", mode="L")
    assert np.array_equal(read(tmp_path / "faces", tmp_path / "pack", progress=False).images[0], grey.repeat(3, axis=2))


def test_a_folder_that_is_not_one_of_people_is_refused(faces, tmp_path):
    folder, out = faces[0], tmp_path / "pack"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read(tmp_path / "nowhere", out)
    with pytest.raises(NotADirectoryError, match="is a file"):
        read(folder / "Ada/1.png", out)
    with pytest.raises(ValueError, match=r"lie in .*Ada itself"):
        read(folder / "Ada", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no folder"):
        read(tmp_path / "empty", out)
    with pytest.raises(ValueError, match="3 excluded"):
        read(folder, out, exclude=["Ada", "Bea", "Cyd"], progress=False)
    with pytest.raises(ValueError, match="fewer than 9"):
        read(folder, out, min_images=9, progress=False)
    with pytest.raises(ValueError, match="on_bad"):
        read(folder, out, on_bad="ignore")
    with pytest.raises(ValueError, match="min_images"):
        read(folder, out, min_images=3, max_images=2)
    with pytest.raises(ValueError, match="list of names"):
        read(folder, out, exclude="Ada")


@pytest.mark.parametrize(
    "names", [("Ada", "ADA"), ("Zo\u00eb", "Zoe\u0308"), ("Stra\u00dfe", "STRASSE"), ("\u00c9va", "e\u0301va")]
)
def test_one_name_written_in_two_ways_is_refused_with_both(tmp_path, names):
    for name in (*names, "Bea"):
        save(tmp_path / "faces" / name / "1.png")
    if len(list((tmp_path / "faces").iterdir())) < 3:
        pytest.skip("this file system takes the two names for one")
    with pytest.raises(ValueError, match="two people") as refusal:
        read(tmp_path / "faces", tmp_path / "pack", progress=False)
    assert all(name in str(refusal.value) and (name.isascii() or ascii(name) in str(refusal.value)) for name in names)
    assert [entry.name for entry in tmp_path.iterdir()] == ["faces"]


def test_names_that_differ_in_more_than_their_writing_are_two_people(tmp_path):
    for name in ("Zoe", "Zo\u00eb", "Zoe_", "zo"):
        save(tmp_path / "faces" / name / "1.png")
    assert len(read(tmp_path / "faces", tmp_path / "pack", progress=False).people) == 4

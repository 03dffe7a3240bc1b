"""One decoder: whatever a camera, a phone, a scanner or a failed download left behind."""

import errno
import io
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from rifr.errors import DataError, SettingError, StorageError
from rifr.readers import images, writing

RNG = np.random.default_rng(8)
PHOTO = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
UNTURNED = {  # what a camera stores where the upright picture is PHOTO, by EXIF orientation
    1: PHOTO,
    2: PHOTO[:, ::-1],
    3: PHOTO[::-1, ::-1],
    4: PHOTO[::-1],
    5: PHOTO.transpose(1, 0, 2),
    6: np.rot90(PHOTO, 1),
    7: PHOTO[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(PHOTO, -1),
}


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", UNTURNED)
def test_photos_are_upright_whatever_way_the_phone_was_held(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(UNTURNED[orientation]))
    assert np.array_equal(images.decode(encoded(stored, exif=exif)), PHOTO)


def test_sixteen_bits_of_grey_keep_their_brightness(tmp_path):
    grey = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)
    grey[0, :3] = 0, 65535, 300
    for ending in ("png", "tif"):
        cv2.imwrite(str(tmp_path / f"x.{ending}"), grey)
        decoded = images.decode(tmp_path / f"x.{ending}")
        assert np.array_equal(decoded, np.repeat(np.round(grey / 257)[..., None], 3, axis=2))


def test_sixteen_bits_of_colour_keep_their_brightness(tmp_path):
    colour = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), colour[..., ::-1])
    assert np.abs(images.decode(tmp_path / "x.png").astype(float) - colour / 257).max() <= 1


def test_values_that_are_no_brightness_are_refused():
    for wrong in (np.full((4, 4), 0.5, np.float32), np.full((4, 4), 70_000, np.int32)):
        with pytest.raises(DataError, match="8 bits"):
            images.decode(encoded(Image.fromarray(wrong), "TIFF"))


def test_transparent_pixels_are_laid_over_white():
    alpha = RNG.integers(0, 256, (20, 30, 1), dtype=np.uint8)
    alpha[0, :2, 0] = 0, 255
    over_white = PHOTO * (alpha / 255) + 255 * (1 - alpha / 255)
    decoded = images.decode(encoded(Image.fromarray(np.concatenate([PHOTO, alpha], axis=2))))
    assert np.abs(decoded - over_white).max() <= 1
    assert decoded[0, 0].tolist() == [255] * 3 and np.array_equal(decoded[0, 1], PHOTO[0, 1])

    grey = np.concatenate([PHOTO[..., :1], alpha], axis=2)
    grey_over_white = grey[..., :1] * (alpha / 255) + 255 * (1 - alpha / 255)
    assert np.abs(images.decode(encoded(Image.fromarray(grey))) - grey_over_white).max() <= 1


def test_a_transparent_colour_of_a_palette_is_white():
    palette = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).convert("P")
    colours = palette.convert("RGB")
    assert np.array_equal(images.decode(encoded(palette)), np.asarray(colours))
    decoded = images.decode(encoded(palette, transparency=5))
    assert (decoded[1, 1] == 255).all() and np.array_equal(decoded[0], np.asarray(colours)[0])


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_other_kinds_of_colour_become_rgb(mode):
    image = Image.fromarray(PHOTO).convert(mode)
    decoded = images.decode(encoded(image, "TIFF"))
    assert decoded.dtype == np.uint8 and np.array_equal(decoded, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("ending, exact", [(e, e not in (".jpg", ".jpeg", ".gif", ".webp")) for e in images.ENDINGS])
def test_each_ending_that_counts_as_an_image_is_decoded(tmp_path, ending, exact):
    smooth = np.full((20, 30, 3), (200, 40, 90), np.uint8)
    Image.fromarray(smooth).save(tmp_path / f"x{ending.upper()}")
    assert images.is_image(f"x{ending.upper()}")
    assert np.abs(images.decode(tmp_path / f"x{ending.upper()}").astype(int) - smooth).max() <= (0 if exact else 8)


def test_the_first_picture_of_an_animation_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    decoded = images.decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (decoded == (255, 0, 0)).all()


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        (b"nothing of the kind", "known format"),
        (encoded(Image.fromarray(PHOTO), "JPEG")[:-200], "truncated"),
        (encoded(Image.fromarray(PHOTO))[:500], "truncated"),
    ],
    ids=["empty", "html", "text", "half a jpeg", "half a png"],
)
def test_what_is_no_whole_image_is_refused_by_name_and_reason(tmp_path, content, reason):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=reason) as from_file:
        images.decode(tmp_path / "x.jpg")
    assert "x.jpg" in str(from_file.value)
    with pytest.raises(DataError, match=f"record 7: .*{reason}"):
        images.decode(content, "record 7")


def test_a_file_that_is_not_there_and_one_of_another_size_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"gone.png"):
        images.decode(tmp_path / "gone.png")
    with pytest.raises(DataError, match="30x20"):
        images.decode(encoded(Image.fromarray(PHOTO)), side=112)
    assert images.decode(encoded(Image.fromarray(PHOTO[:, :20])), side=20).shape == (20, 20, 3)


def test_what_is_listed_and_what_is_left_out_is_all_there_is(tmp_path):
    for name in ("Ada/1.jpg", "Ada/2.WEBP", "Bea/x.tif", "loose.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(PHOTO).save(path)
    for name in ("Ada/3.heic", "Ada/notes", "readme.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "Ada/deep").mkdir()
    (tmp_path / "Ada/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "Cyd").mkdir()
    for name in (".ipynb_checkpoints/1.jpg", "__MACOSX/Ada/._1.jpg", "Ada/Thumbs.db", "Ada/.DS_Store", "Ada/._1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("litter")

    listing = images.list_people(tmp_path)
    assert {name: [path.name for path in files] for name, files in listing.people.items()} == {
        "Ada": ["1.jpg", "2.WEBP"],
        "Bea": ["x.tif"],
        "Cyd": [],
    }
    assert [path.name for path in listing.images] == ["1.jpg", "2.WEBP", "x.tif"]
    assert listing.loose == ["loose.png"]
    reasons = dict(listing.left_out)
    assert set(reasons) == {"Ada/3.heic", "Ada/notes", "Ada/deep", "Ada/gone.jpg", "readme.txt"}
    assert ".heic" in reasons["Ada/3.heic"] and "link" in reasons["Ada/gone.jpg"] and "folder" in reasons["Ada/deep"]


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        images.list_people(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        images.list_people(tmp_path / "file")


def test_bad_images_are_skipped_and_named_or_refused():
    bad = images.BadImages("skip")
    assert bad.decode(b"", "Ada/1.jpg") is None
    assert np.array_equal(bad.decode(encoded(Image.fromarray(PHOTO)), "Ada/2.png"), PHOTO)
    assert bad.spec()["skipped"] == 1 and bad.spec()["skipped_files"] == ["Ada/1.jpg: the file is empty"]
    assert "Ada/1.jpg" in bad.first()
    with pytest.raises(DataError, match=r"Ada/1.jpg.*empty"):
        images.BadImages("refuse").decode(b"", "Ada/1.jpg")
    with pytest.raises(SettingError, match="on_bad"):
        images.BadImages("ignore")


def test_spooled_images_come_back_in_order_and_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "IMAGES_PER_PART", 3)
    stack = RNG.integers(0, 256, (8, 4, 5, 3), dtype=np.uint8)
    with writing.Spool(tmp_path / "new") as spool:
        for image in stack:
            spool.add(image)
        parts = list(spool.parts())
        with pytest.raises(ValueError, match="one pack"):
            spool.add(stack[0, :2])
    assert [len(part) for part in parts] == [3, 3, 2]
    assert np.array_equal(np.concatenate(parts), stack)
    assert list((tmp_path / "new").iterdir()) == []


def test_the_first_few_names_are_said_and_the_rest_is_counted():
    assert images.first_few(["a", "b"]) == "a, b"
    assert images.first_few([str(i) for i in range(1200)], few=2) == "0, 1, ... (1,200 in all)"


def test_a_disk_that_takes_no_spool_is_named(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing.tempfile, "TemporaryFile", full)
    with pytest.raises(StorageError, match=r"new can take no more"), writing.Spool(tmp_path / "new"):
        pass
    monkeypatch.undo()
    with pytest.raises(KeyboardInterrupt), writing.Spool(tmp_path / "new") as spool:
        raise KeyboardInterrupt
    assert spool._file.closed


@pytest.mark.parametrize("limits", [(1, 0), (3, 2), (0, None), (1, None, 0)])
def test_limits_that_nobody_is_within_are_refused(limits):
    with pytest.raises(SettingError, match="at least"):
        writing.Limits(*limits)
    assert writing.Limits(2, 2, 1) and writing.Limits(2)

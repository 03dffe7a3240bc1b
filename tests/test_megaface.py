import json

import numpy as np
import pytest
from PIL import Image

from rifr.readers.megaface import distractors, noises, read

PATHS = [
    "375/37531198@N00/4174611825_0.jpg",
    "012/1@N01/9_1.jpg",
    "375/37531198@N00/4174611825_1.jpg",
    "9/9@N00/7_0.jpg",
]


def save(path, side=112):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (side, side, 3), dtype=np.uint8)
    pixels[0, 0] = [int(byte) for byte in path.stem.encode()[-3:]]
    Image.fromarray(pixels).save(path, format="PNG")
    return pixels


@pytest.fixture
def megaface(tmp_path):
    """The images under one folder, a list of them, and a list of noise: the third, and one that is not there."""
    pixels = {path: save(tmp_path / "images" / path) for path in PATHS}
    save(tmp_path / "images/9/9@N00/unlisted_0.jpg")
    listed = tmp_path / "megaface_features_list.json_10_1"
    listed.write_text(json.dumps({"path": PATHS}))
    noise = tmp_path / "megaface_noises.txt"
    noise.write_text(f"#Please cite\n{PATHS[2]}\n8/8@N00/8_0.jpg\n\n12\t{PATHS[2]}\n")
    return tmp_path / "images", listed, noise, pixels


def test_distractors_are_the_paths_of_a_list_in_its_order(megaface):
    assert distractors(megaface[1]) == PATHS


def test_noises_are_the_last_fields_of_lines_that_are_no_comments(megaface):
    assert noises(megaface[2]) == {PATHS[2], "8/8@N00/8_0.jpg"}


def test_listed_images_become_a_pack_in_which_everybody_is_another(megaface, tmp_path):
    root, listed, noise, pixels = megaface
    pack = read(root, tmp_path / "pack", listed, noise, progress=False)
    assert pack.identities.tolist() == [f"megaface:{path}" for path in (PATHS[0], PATHS[1], PATHS[3])]
    assert pack.attributes["file"].tolist() == [PATHS[0], PATHS[1], PATHS[3]] and "noise" not in pack.attributes
    for image, path in zip(pack.images, pack.attributes["file"]):
        assert np.array_equal(image, pixels[path])
    spec = pack.manifest["spec"]
    assert (spec["listed"], spec["noise_excluded"], spec["noise_entries"], spec["absent"]) == (4, 1, 2, 0)
    assert spec["list"] == "megaface_features_list.json_10_1" and spec["noise_list"] == "megaface_noises.txt"


def test_noise_is_kept_and_marked_on_demand_and_unknown_without_its_list(megaface, tmp_path):
    root, listed, noise, _ = megaface
    pack = read(root, tmp_path / "pack", listed, noise, noise="keep", progress=False)
    assert pack.attributes["noise"].tolist() == [False, False, True, False]
    assert pack.manifest["spec"]["noise_kept"] == 1
    pack = read(root, tmp_path / "other", listed, progress=False)
    assert len(pack) == 4 and pack.manifest["spec"]["noise_list"] is None and "noise" not in pack.attributes


def test_an_image_may_have_another_ending_than_listed_and_is_noise_all_the_same(megaface, tmp_path):
    root, listed, noise, pixels = megaface
    for path in (PATHS[1], PATHS[2]):
        (root / path).rename((root / path).with_suffix(".png"))
    pack = read(root, tmp_path / "pack", listed, noise, progress=False)
    assert pack.attributes["file"].tolist() == [PATHS[0], PATHS[1].replace(".jpg", ".png"), PATHS[3]]
    assert np.array_equal(pack.images[1], pixels[PATHS[1]]) and pack.identities[1] == f"megaface:{PATHS[1]}"
    listed.write_text(json.dumps({"path": [path.replace(".jpg", ".png") for path in PATHS]}))
    assert len(read(root, tmp_path / "pack", listed, noise, progress=False)) == 3


def test_absent_and_bad_images_are_refused_or_counted_and_named(megaface, tmp_path):
    root, listed, noise, _ = megaface
    (root / PATHS[0]).unlink()
    (root / PATHS[2]).unlink()  # noise: it is not missed
    with pytest.raises(FileNotFoundError, match=f"1 of 3 listed images are missing in .*images: {PATHS[0]}. Give"):
        read(root, tmp_path / "pack", listed, noise, progress=False)
    save(root / PATHS[1], side=96)
    pack = read(root, tmp_path / "pack", listed, noise, on_bad="skip", progress=False)
    spec = pack.manifest["spec"]
    assert len(pack) == 1 and (spec["absent"], spec["absent_files"]) == (1, [PATHS[0]])
    assert spec["skipped"] == 1 and spec["skipped_files"][0].startswith(f"{PATHS[1]}: 96x96")
    save(root / PATHS[0])
    with pytest.raises(ValueError, match=r"9_1.jpg.*on_bad"):
        read(root, tmp_path / "other", listed, noise, progress=False)
    assert not (tmp_path / "other").exists()
    for path in PATHS:
        (root / path).unlink(missing_ok=True)
    with pytest.raises(ValueError, match="1 are noise, 3 absent"):
        read(root, tmp_path / "other", listed, noise, on_bad="skip", progress=False)


def test_options_and_folders_that_make_no_sense_are_refused(megaface, tmp_path):
    root, listed, noise, _ = megaface
    with pytest.raises(ValueError, match="noise"):
        read(root, tmp_path / "pack", listed, noise, noise="centre")
    with pytest.raises(ValueError, match="on_bad"):
        read(root, tmp_path / "pack", listed, on_bad="ignore")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere", tmp_path / "pack", listed)


@pytest.mark.parametrize(
    "path", ["../x.jpg", "a/../../x.jpg", "/etc/x.jpg", "\\x.jpg", "C:/x.jpg", "c:x.jpg", "a\\..\\x.jpg"]
)
def test_paths_that_lead_out_of_the_folder_are_refused(megaface, tmp_path, path):
    megaface[1].write_text(json.dumps({"path": [PATHS[0], path]}))
    for call in (lambda: distractors(megaface[1]), lambda: read(megaface[0], tmp_path / "pack", megaface[1])):
        with pytest.raises(ValueError, match="path 1"):
            call()


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "does not hold lists by the names path"),
        ('{"paths": ["a"]}', "does not hold lists"),
        ('{"path": "a"}', "does not hold lists"),
        ('{"path": []}', "0 entries"),
        ('{"path": ["a", 3]}', "path 1, 3, is no path"),
        ('{"path": ["a", ""]}', "path 1, '', is no path"),
        ('{"path": ["a", "a"]}', "path 1, 'a', stands there a second time"),
    ],
)
def test_something_else_than_a_list_is_refused(tmp_path, content, message):
    (tmp_path / "list").write_text(content)
    with pytest.raises(ValueError, match=f"list.*{message}"):
        distractors(tmp_path / "list")
    with pytest.raises(FileNotFoundError, match="other"):
        distractors(tmp_path / "other")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"# comment\na/b/c.jpg\n<html>\n", "line 3: found '<html>', wanted the path of an image"),
        (b"c.jpg\n", "line 1"),
        (b"/a/b.jpg\n", "line 1"),
        (b"# nothing\n", "lists no noise"),
        (b"\xff\n", "is no text"),
    ],
)
def test_something_else_than_a_list_of_noise_is_refused(tmp_path, content, message):
    (tmp_path / "noises.txt").write_bytes(content)
    with pytest.raises(ValueError, match=f"noises.txt.*{message}"):
        noises(tmp_path / "noises.txt")
    with pytest.raises(FileNotFoundError, match="other"):
        noises(tmp_path / "other")


def test_the_real_list_of_noise_has_707_paths(real_data):
    found = noises(real_data / "lists" / "megaface_noises.txt")
    assert len(found) == 707 and "375/37531198@N00/4174611825_0.jpg" in found

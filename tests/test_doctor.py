"""The doctor finds mistakes that were made on purpose, and names none where there is none."""

import json
from collections import Counter

import cv2
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import helper, numpy_helper

from rifr import cli, doctor, networks
from rifr.doctor import examination, pairs, settings, words
from rifr.doctor.settings import Setting
from rifr.errors import DataError, SettingError
from rifr.evaluation.metrics import wilson_interval
from rifr.evaluation.onnx import Onnx
from rifr.packs import FacePack

SPOT = slice(52, 60)  # the eight pixels in the middle, the only ones that the network looks at


def spot_network(path, channel=0, low=1e-3, high=1.0):
    """A network that knows a person by a spot of one channel: it sees nothing below `low` or above `high`."""
    ends = [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in (
        ("from", [channel, SPOT.start, SPOT.start]), ("to", [channel + 1, SPOT.stop, SPOT.stop]), ("of", [1, 2, 3])
    )]  # fmt: skip
    limits = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("l", low), ("h", high))]
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["x", "from", "to", "of"], ["s"]),
            helper.make_node("Clip", ["s", "l", "h"], ["c"]),
            helper.make_node("AveragePool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["p"], ["y"]),
        ],
        "spot",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 112, 112])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 16])],
        [*ends, *limits],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def spotted(folder, people=12, photos=4, channel=2, right=0):
    """Noise in which a person has a dark pattern of their own, in one channel, so many pixels right of the middle."""
    for number in range(people):
        rng = np.random.default_rng([number, channel, right])
        pattern = np.kron(rng.uniform(5, 120, (4, 4)), np.ones((2, 2)))
        (folder / f"person{number:02d}").mkdir(parents=True)
        for photo in range(photos):
            image = rng.integers(0, 128, (112, 112, 3), dtype=np.uint8)
            columns = slice(SPOT.start + right, SPOT.stop + right)
            image[SPOT, columns, channel] = (pattern + rng.normal(0, 4, (8, 8))).clip(0, 127)
            cv2.imwrite(str(folder / f"person{number:02d}" / f"{photo}.png"), image[..., ::-1])
    return folder


def examined(network, folder, **options):
    return doctor.examine(network, folder, resamples=2000, progress=False, **options)


@pytest.fixture
def blue(tmp_path, store_folder):
    """People who differ in blue, and a network that was trained on BGR in [0, 1]: its first channel is blue."""
    return spot_network(tmp_path / "blue.onnx"), spotted(tmp_path / "faces")


def test_what_is_declared_rightly_stands(blue):
    file, folder = blue
    found = examined(Onnx(file, channels="BGR", mean=0, scale=255), folder)
    assert found.likeliest is None and found.table.accuracy[0] > 95 and found.table.setting[0] == "as declared"
    other_order = found.table[found.table.setting == "RGB"].iloc[0]
    assert other_order.accuracy < 70 and other_order.difference_high < 0
    assert other_order.difference == pytest.approx(other_order.accuracy - found.table.accuracy[0])
    assert "does decidedly better" in words.verdict(found)


def test_a_swapped_channel_order_is_named_with_the_option_that_mends_it(blue):
    file, folder = blue
    found = examined(Onnx(file, channels="RGB", mean=0, scale=255), folder)
    assert found.likeliest.about == ("channels",) and found.likeliest.setting.channels == "BGR"
    assert found.likeliest.gain.low > 0.2
    said = words.verdict(found)
    assert said.startswith("The likeliest mistake is the channel order, BGR and not RGB") and "`--channels BGR`" in said
    assert f"{100 * found.likeliest.after:.1f} %" in said


def test_a_wrong_scaling_is_named(blue):
    file, folder = blue
    found = examined(
        Onnx(file, channels="BGR"), folder
    )  # as [-1, 1], where all that is dark falls below the spot's range
    assert found.likeliest.about == ("scaling",) and found.likeliest.setting.scaling == "[0, 1]"
    assert "`--mean 0 --scale 255`" in words.verdict(found)


def test_two_mistakes_at_once_are_found_together(blue):
    file, folder = blue
    found = examined(file, folder)  # declared as RGB in [-1, 1]
    assert set(found.likeliest.about) == {"channels", "scaling"}
    said = words.verdict(found)
    assert "both the channel order, BGR and not RGB, and the scaling, [0, 1] and not [-1, 1]: " in said
    assert "--channels BGR --mean 0 --scale 255" in said


def test_photos_that_lie_to_one_side_are_found_on_the_pixels_that_are_right(tmp_path, store_folder):
    file, folder = spot_network(tmp_path / "n.onnx"), spotted(tmp_path / "faces", right=settings.SHIFT)
    found = examined(Onnx(file, channels="BGR", mean=0, scale=255), folder)
    assert found.likeliest.about == ("placement",) and found.likeliest.setting.placement == "left"
    assert "too far right" in words.verdict(found) and "rifr align" in words.verdict(found)


def test_settings_that_the_pairs_do_not_tell_apart_are_said_and_the_smallest_change_is_named(tmp_path, store_folder):
    """A network without a limit gives the same angles for [0, 1] and [0, 255]: the order alone is the mistake."""
    file = spot_network(tmp_path / "n.onnx", high=1e6, low=0)
    found = examined(Onnx(file, mean=0, scale=255), spotted(tmp_path / "faces"))
    assert found.likeliest.about == ("channels",)
    assert "BGR, [0, 255]" in found.alike and "do not tell it from" in words.verdict(found)


def test_a_network_that_knows_nobody_is_said_to_be_at_chance(tmp_path, store_folder):
    found = examined(spot_network(tmp_path / "n.onnx", channel=1), spotted(tmp_path / "faces", channel=0))
    assert found.likeliest is None and "chance" in words.verdict(found)


def test_a_setting_whose_features_are_not_finite_is_noted_and_the_others_are_measured(blue, monkeypatch):
    file, folder = blue

    def features(embedder, *given, **options):
        if embedder.scale == 1.0:
            raise DataError("96 embeddings are not finite")
        return real(embedder, *given, **options)

    real = examination.features
    monkeypatch.setattr(examination, "features", features)
    found = examined(Onnx(file, channels="BGR", mean=0, scale=255), folder)
    failed = found.table[found.table.failed != ""]
    assert set(failed.scaling) == {"[0, 255]"} and failed.accuracy.isna().all()
    assert "not run: 96 embeddings" in words.lines(found)
    with pytest.raises(DataError, match="not finite"):
        examined(Onnx(file, mean=0, scale=1.0), folder)


def test_every_setting_is_tried_once_and_differs_from_the_declared_one_as_it_says():
    declared = Setting("BGR", 127.5, 128.0)
    assert declared.scaling == "[-1, 1]", "127.5 and 128 are one scaling"
    first = settings.pixel_settings(declared)
    assert len(first) == len(set(first)) == 2 * len(settings.SCALINGS) - 1 and declared not in first
    assert {one.said(declared) for one in first} == {
        *("[0, 1]", "[0, 255]", "ImageNet", "RGB", "RGB, [0, 1]", "RGB, [0, 255]", "RGB, ImageNet")
    }
    own = Setting("RGB", (104.0, 117.0, 123.0), 1.0)
    assert own.scaling == "mean 104 117 123, scale 1" and len(settings.pixel_settings(own)) == 9
    second = settings.placement_settings(declared)
    assert [one.mirror for one in second].count(False) == 1 and len(second) == len(settings.PLACEMENTS) + 1


@pytest.mark.parametrize("placement, x, y", [("left", 52, 40), ("down", 60, 48), ("closer", 61.125, 36.125)])
def test_photos_are_moved_and_scaled_about_their_centre(placement, x, y):
    image = np.zeros((1, 112, 112, 3), np.uint8)
    image[0, 40, 60] = 255
    pack = FacePack(image, np.array(["a"]), manifest={"checksum": "c"})
    found = settings.moved(pack, placement)
    rows, columns = np.nonzero(found.images[0, :, :, 0])
    level = found.images[0, rows, columns, 0].astype(float)
    assert (columns @ level / level.sum(), rows @ level / level.sum()) == pytest.approx((x, y), abs=0.3)
    assert found.checksum != pack.checksum and settings.moved(pack, settings.AS_IT_IS) is pack


def test_a_trained_network_is_given_its_pixels_as_told():
    torch.manual_seed(0)
    network = networks.build("thin", 16, 0.0).eval()

    class Trained:
        key, name = "k", "thin"

        def network(self):
            return network

    images = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    with torch.inference_mode():
        rgb, bgr, halved = (
            network(networks.to_input(torch.from_numpy(np.ascontiguousarray(given)))).numpy()
            for given in (images, images[..., ::-1], images)
        )
        halved = network((torch.from_numpy(images).float() / 255).permute(0, 3, 1, 2)).numpy()
    for options, expected in (({}, rgb), ({"channels": "BGR"}, bgr), ({"mean": 0.0, "scale": 255.0}, halved)):
        reading = settings.PixelRun(Trained(), **options)
        np.testing.assert_allclose(reading.embedder()(images), expected, rtol=1e-4, atol=1e-5)
    assert settings.PixelRun(Trained()).key != settings.PixelRun(Trained(), "BGR").key


PEOPLE = np.array([f"p{number}" for number in range(23) for _ in range(2 + number % 4)] + ["alone"])


def test_nobody_is_in_two_folds_and_pairs_are_what_they_are_called():
    drawn = pairs.draw(PEOPLE, people=21, photos=3, seed=4)
    whose = PEOPLE[drawn.photos]
    first, second = whose[drawn.first], whose[drawn.second]
    np.testing.assert_array_equal(first == second, drawn.same)
    assert drawn.left_out == ("alone",) and drawn.persons == 21 == len(set(whose)) and "alone" not in whose
    assert max(Counter(whose).values()) == 3 and drawn.folds == 10
    folds = [set(first[drawn.fold == number]) | set(second[drawn.fold == number]) for number in range(10)]
    assert sum(map(len, folds)) == len(set().union(*folds)) == 21
    assert len({frozenset(pair) for pair in zip(drawn.first, drawn.second)}) == len(drawn)
    genuine = sum(count * (count - 1) // 2 for count in Counter(whose).values())
    assert drawn.same.sum() == genuine == (~drawn.same).sum()
    again = pairs.draw(PEOPLE, people=21, photos=3, seed=4)
    np.testing.assert_array_equal(again.second, drawn.second)


def test_the_interval_is_that_of_a_loop_over_people_drawn_again():
    drawn = pairs.draw(PEOPLE[:30], seed=1)
    right = np.random.default_rng(0).random((2, len(drawn))) < [[0.9], [0.6]]
    found = drawn.resampled(right, resamples=40, seed=7)
    rng, persons = np.random.default_rng(7), drawn.persons
    counts = rng.multinomial(persons, np.full(persons, 1 / persons), size=40)
    for resample in range(40):
        for setting in range(2):
            hits, totals = {True: 0, False: 0}, {True: 0, False: 0}
            for pair in range(len(drawn)):
                one, other = drawn.people[pair]
                same = bool(drawn.same[pair])
                weight = counts[resample, one] if same else counts[resample, one] * counts[resample, other]
                totals[same] += weight
                hits[same] += weight * right[setting, pair]
            expected = np.mean([hits[same] / totals[same] for same in (True, False)])
            assert found[setting, resample] == pytest.approx(expected)
    whole = drawn.interval(right[0])
    assert whole.low < whole.estimate < whole.high and whole.estimate == drawn.accuracy(right[0])


def test_an_accuracy_of_all_pairs_is_as_sure_as_the_people_are_many():
    drawn = pairs.draw(PEOPLE[:30], seed=1)
    assert drawn.interval(np.ones(len(drawn), bool)) == wilson_interval(drawn.persons, drawn.persons)


def test_both_kinds_of_pair_count_equally():
    same = np.array([True] * 6 + [False] * 2)
    one = pairs.FacePairs(*[np.arange(8)] * 3, np.zeros((8, 2), int), same, np.zeros(8, int))
    assert one.accuracy(np.array([True] * 3 + [False] * 3 + [True] * 2)) == pytest.approx((0.5 + 1.0) / 2)


@pytest.mark.parametrize("people, message", [(["a", "a", "b", "b", "c", "c", "d"], "3 of 4 people"), (["a"], "0 of 1")])
def test_too_few_people_are_refused(people, message):
    with pytest.raises(DataError, match=message):
        pairs.draw(np.array(people))
    with pytest.raises(SettingError, match="at least 4 people"):
        pairs.draw(PEOPLE, people=3)


def test_the_command_prints_the_table_and_the_verdict_and_writes_what_made_them(blue, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces" / "person00" / "bad.png").write_bytes(b"no image")
    line = "doctor --embedder blue.onnx --images faces --mean 0 --scale 255 --people 10 --out found.json"
    assert cli.main(line.split()) == 0
    said = capsys.readouterr().out
    assert (
        "as declared: RGB, [0, 1], with mirror image" in said and "The likeliest mistake is the channel order" in said
    )
    assert "60 genuine and 60 impostor pairs of 40 photos of 10 people at 112 px" in said and "bad.png" in said
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["mistakes"][0]["about"] == ["channels"] and found["provenance"]["pairs"]["people"] == 10
    assert found["provenance"]["declared"]["sha256"].keys() == {"blue.onnx"} and str(tmp_path) not in str(found)
    table = pd.DataFrame(found["results"])
    assert {"difference", "difference_low", "accuracy", "setting"} <= set(table) and len(table) == 1 + 7 + 7


@pytest.mark.parametrize(
    "more, message",
    [
        ("--images nowhere", "nowhere"),
        ("--images few", "1 of 2 people have two photos"),
        ("--images faces --embedder none.onnx", "none.onnx does not exist"),
        ("--images faces --embedder network.pth", "can run foreign code"),
        ("--images faces --channels GBR", "channels is one of RGB, BGR"),
        ("--images faces --width 3", "4 to 112"),
        ("--images faces --people 2", "at least 4 people"),
        ("--images faces --out found.csv", "one of .json"),
        ("--images faces/person00", "images lie in"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(blue, capsys, monkeypatch, tmp_path, more, message):
    monkeypatch.chdir(tmp_path)
    spotted(tmp_path / "few", people=1)
    (tmp_path / "few" / "lonely").mkdir()
    cv2.imwrite(str(tmp_path / "few" / "lonely" / "1.png"), np.zeros((112, 112, 3), np.uint8))
    assert cli.main(["doctor", "--embedder", "blue.onnx", *more.split()]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("rifr doctor: ") and message in said


def test_a_mirror_image_that_was_left_out_is_called_a_habit_and_not_a_mistake(tmp_path, store_folder):
    declared = Setting("RGB", 127.5, 127.5, mirror=False)
    (added,) = (one for one in settings.placement_settings(declared) if one.mirror)
    remedy = doctor.Remedy(added, ("mirror",), 0.8, 0.9, pairs.Interval(0.05, 0.1, 0.15))
    table = pd.DataFrame([{"accuracy": 80.0, "low": 75.0}])
    found = doctor.Examination(table, declared, (remedy,), (), 0.99, pairs.draw(PEOPLE), {})
    said = words.verdict(found)
    assert said.startswith("No mistake is seen") and "+10.0 points (+5.0 to +15.0 at 99.0 %)" in said


def test_a_setting_that_is_ahead_by_itself_alone_is_said_to_be_so():
    declared = Setting("RGB", 127.5, 127.5)
    row = {"accuracy": 80.0, "low": 75.0, "difference": 0.0, "difference_low": 0.0, "difference_high": 0.0}
    gains = (("BGR", 7.0, 1.7), ("[0, 1]", -2.0, -5.0), ("ImageNet", 3.0, 0.5))
    rows = [row | {"setting": "as declared"}]
    for name, at, low in gains:
        rows.append(row | {"setting": name, "difference": at, "difference_low": low, "difference_high": 13.6})
    found = doctor.Examination(pd.DataFrame(rows), declared, (), (), 0.99, pairs.draw(PEOPLE), {"width": 112})
    said = words.verdict(found)
    assert "No setting" in said and "BGR would be: +7.0 points (+1.7 to +13.6); of 3 settings one may be" in said
    found.table.loc[1:, "difference_low"] = -1.0
    assert "would be" not in words.verdict(found)

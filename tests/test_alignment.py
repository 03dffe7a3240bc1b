"""Chapter 6's tables, recomputed; its figures draw; its sentences say what the numbers say."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from rifr import align, landmarks, presets
from rifr.align import TEMPLATE
from rifr.errors import SettingError
from rifr.evaluation import alignment, evaluate, step_order
from rifr.evaluation.alignment import Errors
from rifr.evaluation.outcome import Outcome
from rifr.evaluation.protocols.identification import Identification
from rifr.packs import FacePack
from rifr.report import figures, text
from rifr.splits import FaceSplits
from rifr.training import trainer
from tests.helpers import easy_faces
from tests.test_landmarks import drawn_scenes


class Finder:
    """A landmark network that is off by the same number of face widths everywhere."""

    def __init__(self, off: float):
        self.off = off

    def predict(self, pictures, boxes, crop_scale=1.4):
        self.boxes = np.array(boxes)
        base = (TEMPLATE - 55.5) * boxes[:, 2, None, None] / 112 + boxes[:, None, :2]
        return base + [self.off, 0] * boxes[:, 2, None, None]


@pytest.fixture
def scenes(tmp_path):
    return drawn_scenes(tmp_path / "scenes", 24)


def test_errors_are_in_face_widths_and_averaged_over_people(scenes, monkeypatch):
    monkeypatch.setattr(alignment, "OFF", 0.0)
    monkeypatch.setattr(alignment, "SIZE", 0.0)
    exact = FacePack(
        scenes.images,
        scenes.identities,
        ((TEMPLATE - 55.5) * 0.45 + 40).repeat(24, 0).reshape(5, 24, 2).transpose(1, 0, 2),
        {},
        scenes.manifest,
    )
    found = alignment.landmark_errors({"a": Finder(0.03), "b": Finder(0.2)}, exact, "smoke", (30,), progress=False)
    table = found.table().set_index(["network", "width"])
    assert table.error["a", 30] == pytest.approx(3, abs=0.1) and table.error["b", 30] == pytest.approx(20, abs=0.2)
    assert table.failed["a", 30] == 0 and table.failed["b", 30] == 100
    apart = found.difference("a", "b").set_index("width")
    assert apart.difference[30] == pytest.approx(-17, abs=0.2) and apart.high[30] < 0
    widths = [width for _, width in found.share]
    assert widths[0] == pytest.approx(0.45 * 112, abs=1) and widths[-1] == 30


def test_a_width_that_is_the_pictures_own_is_refused(scenes):
    whole = int(np.median(landmarks.boxes_of(scenes.landmarks)[:, 2]))
    with pytest.raises(SettingError, match=f"take {whole} out"):
        alignment.landmark_errors({"a": Finder(0)}, scenes, "smoke", (30, whole), progress=False)


def test_examples_are_the_best_the_median_and_the_worst_of_all_pictures(scenes):
    class Guess:
        """The same corner of each picture for a point."""

        def predict(self, pictures, boxes):
            return np.zeros((len(pictures), 5, 2)) + np.arange(5)[:, None]

    widths = (40, 30)
    three = alignment.examples(Guess(), scenes, widths)
    assert [one.name for one in three] == ["best", "median", "worst"]
    own = [np.mean(alignment.errors(np.stack(one.points), np.stack(one.truth))) for one in three]
    truths = [alignment.small_pictures(scenes, width)[1] for width in widths]
    everybody = np.mean([alignment.errors(Guess().predict(truth, None), truth) for truth in truths], axis=0)
    assert own == pytest.approx([everybody.min(), np.sort(everybody)[len(everybody) // 2], everybody.max()])
    assert all(len(one.pictures) == 2 and one.pictures[0].shape > one.pictures[1].shape for one in three)


def test_all_networks_are_given_the_same_boxes_at_every_width(scenes):
    first, second = Finder(0), Finder(0.1)
    alignment.landmark_errors({"a": first, "b": second}, scenes, "smoke", (30,), progress=False)
    assert np.array_equal(first.boxes, second.boxes)
    truth = landmarks.boxes_of(scenes.landmarks)
    scaled = first.boxes[:, 2] / truth[:, 2] * np.median(truth[:, 2]) / 30
    assert scaled.std() > 0.02  # off, as a detector's are


def test_the_interval_is_over_people_and_a_lost_face_counts_once():
    share = {("a", 30): np.array([0.1, 0.1, 50.0, 0.3])}
    errors = Errors(share, np.array(["x", "x", "y", "y"]), 200)
    row = errors.table().iloc[0]
    assert row.error == pytest.approx(100 * (0.1 + 0.1 + 1 + 0.3) / 4)
    assert row.low >= 10 - 1e-9 and row.high <= 65 + 1e-9


def test_faces_are_aligned_by_their_points_and_degenerate_ones_left_whole():
    picture = np.random.default_rng(0).integers(0, 256, (130, 130, 3), np.uint8)
    pack = alignment.aligned_pack([picture, picture], np.stack([TEMPLATE + 9, np.zeros((5, 2))]), np.array(["a", "b"]))
    assert np.array_equal(pack.images[0], picture[9:121, 9:121])
    assert np.array_equal(pack.images[1], align.resized(picture))
    other = alignment.aligned_pack([picture, picture], np.stack([TEMPLATE + 8] * 2), np.array(["a", "b"]))
    assert pack.checksum != other.checksum


def colours(images):
    """An embedder that a shift of the face changes: coarse colours of the middle."""
    return images[:, 20:100:16, 20:100:16].reshape(len(images), -1).astype(np.float32)


def distractors(tmp_path, count=12):
    noise = np.random.default_rng(9).integers(60, 130, (count, 112, 112, 3), np.uint8)
    return FacePack.write(tmp_path / "far", noise, [f"far-{i}" for i in range(count)], source="noise", licence="CC0")


def test_larger_errors_cost_more_and_none_cost_nothing(scenes, tmp_path, store_folder):
    far = distractors(tmp_path)
    table = alignment.cost_of_errors({"mine": colours}, scenes, far, (0, 30), "smoke", (112, 20), progress=False)
    assert len(table) == 4 and set(table.pixels) == {0, 30}
    wide = table[table.width == 112].set_index("pixels").rank1
    assert wide[0] > wide[30]
    plan = presets.get("smoke", widths=(112,))
    gallery = alignment.aligned_pack(scenes.images, scenes.landmarks, scenes.identities)
    direct = evaluate.identify({"mine": colours}, (gallery, far), plan, progress=False).table()
    assert wide[0] == pytest.approx(direct[direct.protocol == "P2"].rank1.iloc[0])


def test_the_order_of_the_steps_is_compared_on_the_same_pictures(scenes, tmp_path, store_folder):
    rates, gaps = step_order.order_of_steps(
        {"mine": colours}, Finder(0.0), scenes, distractors(tmp_path), "smoke", (30,), progress=False
    )
    by_order = rates.set_index("order").rank1
    assert list(by_order.index) == list(step_order.ORDERS)
    row = gaps.iloc[0]
    assert row.optimism == pytest.approx(by_order["aligned, then small"] - by_order["small, then aligned"])
    assert row.landmarks == pytest.approx(by_order["small, large face's landmarks"] - by_order["small, then aligned"])
    assert row.low <= row.optimism <= row.high


def test_both_orders_treat_probes_gallery_and_distractors_alike(scenes, tmp_path, store_folder):
    far = drawn_scenes(tmp_path / "far-scenes", 7, seed=5)
    plan, finder = presets.get("smoke", widths=(9,), mirror=False), Finder(0.0)
    first, last = step_order.identify_in_both_orders({"mine": colours}, finder, scenes, far, plan, progress=False)
    large = [
        alignment.aligned_pack(p.images, aligned_by(finder, p, p.images, p.points), p.identities) for p in (scenes, far)
    ]
    direct = evaluate.identify({"mine": colours}, tuple(large), plan, progress=False).table()
    assert first.table().rank1.tolist() == pytest.approx(direct.rank1.tolist())
    small = []
    for pack in (scenes, far):
        pictures, points = alignment.small_pictures(pack, 9)
        small.append(alignment.aligned_pack(pictures, aligned_by(finder, pack, pictures, points), pack.identities))
    hits = {"P1": nearest_is_own(small[0], small[0], small[1]), "P2": nearest_is_own(small[0], large[0], large[1])}
    rates = last.table().set_index("protocol").rank1
    assert rates["P1"] == pytest.approx(hits["P1"]) and rates["P2"] == pytest.approx(hits["P2"])
    assert rates["P1"] != rates["P2"]


def aligned_by(finder, pack, pictures, points):
    return finder.predict(pictures, alignment.loose_boxes(points, 0))


def nearest_is_own(probes, gallery, far):
    """Rank-1 in per cent, trial by trial: each photo of a person against each other one and all distractors."""
    unit = [
        colours(p.images) / np.linalg.norm(colours(p.images), axis=1, keepdims=True) for p in (probes, gallery, far)
    ]
    hits = trials = 0
    for i, probe in enumerate(unit[0]):
        for j, enrolled in enumerate(unit[1]):
            if i != j and probes.identities[i] == probes.identities[j]:
                trials += 1
                hits += probe @ enrolled > max(unit[2] @ probe)
    return 100 * hits / trials


def test_a_detection_counts_where_its_centre_lies_in_the_face():
    from rifr.landmarks.yunet import Detection

    truth = TEMPLATE.astype(float)
    inside = Detection(np.array([30.0, 30, 50, 50]), truth + np.array([1.12, 0]), 0.9)
    outside = Detection(np.array([200.0, 30, 50, 50]), truth, 0.99)
    assert alignment._hit([outside], truth) is None
    assert alignment._hit([outside, inside], truth) == pytest.approx(0.01, abs=1e-3)


def test_yunet_finds_rendered_or_real_faces_less_often_when_they_are_small(real_data, tmp_path):
    from PIL import Image

    files = sorted((real_data / "lfw_raw").glob("*/*.jpg"))[:12]
    pictures = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    model = str(real_data / "models" / "yunet_n_dynamic.onnx")
    from rifr.landmarks.yunet import Yunet

    points = np.stack([Yunet(model).main_landmarks(picture) for picture in pictures])
    pack = FacePack(pictures, np.array([file.parent.name for file in files]), points)
    table = alignment.detected(model, pack, "smoke", (60, 6)).set_index("width")
    assert table.found.iloc[0] == 100 and table.error.iloc[0] == pytest.approx(0, abs=0.5)
    assert table.found[6] < 60 and table.found[60] > 90


def frame(**columns):
    return pd.DataFrame(columns)


def test_sentences_say_which_network_is_more_exact_and_where_that_is_open():
    share = {
        (name, width): np.full(40, value) + np.tile([-0.001, 0.001], 20)
        for (name, width), value in {
            ("wing+lr", 60): 0.03,
            ("wing-hr", 60): 0.02,
            ("wing+lr", 8): 0.05,
            ("wing-hr", 8): 0.09,
            ("wing+lr", 20): 0.04,
            ("wing-hr", 20): 0.04,
        }.items()
    }
    errors = Errors(share, np.repeat(np.arange(20), 2), 300)
    sentence = text.alignment.compared(errors, "wing+lr", "wing-hr")
    assert "smaller at 8 px" in sentence and "larger at 60 px" in sentence and "not decided at 20 px" in sentence
    assert "-4.00 %" in sentence and "+1.00 %" in sentence
    assert "3.0 %" in text.alignment.worst(errors, "wing+lr") and "5.0 %" in text.alignment.worst(errors, "wing+lr")


def test_wing_and_l2_are_explained_by_their_gradients_and_told_apart_by_the_intervals():
    noise = np.tile([-0.001, 0.001], 20)
    share = {
        ("wing+lr", 60): np.full(40, 0.02) + noise,
        ("l2+lr", 60): np.full(40, 0.03),
        ("wing+lr", 20): np.full(40, 0.04) + np.repeat([-0.02, 0.02], 20),
        ("l2+lr", 20): np.full(40, 0.04),
        ("wing+lr", 8): np.full(40, 0.09) + noise,
        ("l2+lr", 8): np.full(40, 0.05),
    }
    errors = Errors(share, np.repeat(np.arange(20), 2), 300)
    sentence = text.alignment.wing_against_l2(errors)
    assert f"falls from {10 / 2.5:.1f} to {10 / 7:.1f}" in sentence  # w / (epsilon + x)
    assert "Wing is the more exact at 60 px; L2 is the more exact at 8 px; at 20 px this run cannot" in sentence
    row = errors.difference("wing+lr", "l2+lr").set_index("width").loc[20]
    assert f"widest interval: {(row.high - row.low) / 2:.2f} %" in sentence and "opposite" not in sentence
    assert sentence.endswith("another start may order them otherwise.")
    share["l2+lr", 60] = np.full(40, 0.01)
    reversed_there = text.alignment.wing_against_l2(Errors(share, np.repeat(np.arange(20), 2), 300))
    assert "On the largest faces that is the opposite of what the gradients suggest" in reversed_there


def test_sentences_on_optimism_follow_the_sign_and_the_interval():
    gaps = frame(
        network="proposed",
        width=[40, 16, 8],
        optimism=[0.2, 3.0, 9.0],
        low=[-1.0, 1.0, 6.0],
        high=[1.4, 5.0, 12.0],
        landmarks=[0.1, 2.0, 7.0],
        landmarks_low=[-1.0, 0.5, 4.0],
        landmarks_high=[1.0, 3.5, 10.0],
    )
    sentence = text.alignment.optimism(gaps, "proposed")
    assert (
        "higher at 16, 8 px" in sentence
        and "+9.0 points" in sentence
        and "+7.0 points" in sentence
        and "lower" not in sentence
    )
    nothing = text.alignment.optimism(gaps.assign(low=-20.0), "proposed")
    assert "does not decide" in nothing and "9.0 points" in nothing


def outcome(rates, widths=(20, 16)):
    """An outcome under P1 whose networks find all of a person's photos, or none, for ten people of two photos."""
    people, trials = np.array([f"p{i}" for i in range(10)]), np.full(10, 2)
    results = {
        ("P1", name, width): Identification(
            people, trials, 2 * np.array(found)[:, None], np.repeat(found, 2), np.ones(20, int), 0, 5
        )
        for name, found in rates.items()
        for width in widths
    }
    return Outcome(results, 200)


def test_sentences_on_both_orders_say_who_is_flattered_and_which_verdicts_change():
    first = outcome({"proposed": [1] * 10, "hr+lr": [0] * 10})
    last = outcome({"proposed": [0] * 5 + [1] * 5, "hr+lr": [0] * 10})
    flattered = text.alignment.flattered(first, last)
    assert "P1 at 20 px" in flattered and "+25.0 points" in flattered and "+50.0 (proposed)" in flattered
    assert "decided as a gain for 1 of them" in flattered and "as a loss" not in flattered
    assert "decided for none of them" in text.alignment.flattered(first, first)
    assert "2 have the same verdict" in text.alignment.comparisons_kept(first, last, [("proposed", "hr+lr")])
    level = outcome({"proposed": [0] * 10, "hr+lr": [0] * 10})
    changed = text.alignment.comparisons_kept(first, level, [("proposed", "hr+lr")])
    assert "Of 2 comparisons (proposed minus HR+LR; by protocol and width) 0 have the same verdict" in changed
    assert (
        "- **P1 at 16 px**: aligned first proposed is ahead of HR+LR by 100.0 points" in changed and "C6" not in changed
    )
    behind = outcome({"proposed": [0] * 10, "hr+lr": [1] * 10})
    turned = text.alignment.comparisons_kept(level, behind, [("proposed", "hr+lr")])
    assert (
        "shrunk first HR+LR is ahead of proposed" in turned
        and "behind HR+LR under P1 at 20 px and P1 at 16 px" in turned
    )
    assert "None of these is decided one way in one order and the other way in the other" in turned
    against = text.alignment.comparisons_kept(
        outcome({"proposed": [1] * 10, "hr+lr": [0] * 10}), behind, [("proposed", "hr+lr")]
    )
    assert "2 of these are decided one way in one order and the other way in the other." in against
    assert "None" not in against and "about 0 of the 4 verdicts of both orders would come out" in against
    assert "Claim C6" in turned and "Claim" not in text.alignment.comparisons_kept(
        level, behind, [("hr+lr", "proposed")]
    )
    table = text.alignment.both_orders_table(first, last)
    assert table.network.tolist() == ["proposed", "HR+LR"] and table["P1, 20 px"].tolist()[0] == "100.0 → 50.0"
    figure = figures.alignment.both_orders(first.table(), last.table())
    assert len(figure.axes) == 2 and figure.axes[0].get_title() == "P1: LR-LR, 20 px"


def test_networks_that_see_wrong_landmarks_differ_from_their_namesakes_in_that_alone(tmp_path, store_folder):
    train, probes, far = (easy_faces(tmp_path / name, 6, 4, seed) for seed, name in enumerate("abc"))
    faces, plan = FaceSplits(train, probes, far), presets.get("smoke", epochs=1, batch_size=4, embedding=8)
    runs = step_order.fit_with_errors(plan, 0, faces, progress=False)
    assert list(runs) == list(step_order.WRONG)
    for name, run in runs.items():
        exact = trainer.fit(step_order.WRONG[name], plan, 0, faces.train, progress=False)
        changed = {key for key, value in run.record["training"].items() if value != exact.record["training"][key]}
        assert changed == {"landmark_error"} and run.recipe == exact.recipe
        assert run.record["teacher"] == exact.record["teacher"]
    assert step_order.calls(plan, 0, faces, progress=False) == []


def test_what_landmarks_cost_is_told_from_what_the_order_costs():
    cost = frame(network="proposed", width=[112, 16, 16], pixels=[0, 0, 4], rank1=[70.0, 60.0, 20.0])
    rates = frame(network="proposed", width=16, order=list(step_order.ORDERS), rank1=[45.0, 40.0, 41.0])
    gaps = frame(network="proposed", width=[40, 16], optimism=[1.0, 5.0], low=[0.0, 3.0], high=[2.0, 7.0])
    sentence = text.alignment.exact_or_found(cost, rates, gaps)
    assert "At 16 px proposed has 60.0 % with true landmarks, 45.0 % with found ones" in sentence
    assert "Aligned first minus shrunk first: proposed +5.0 (+3.0 to +7.0) points." in sentence
    assert "True landmarks minus found ones, the gallery's among them: proposed +15.0;" in sentence
    assert "no interval" in sentence


def test_the_two_prices_of_the_order_stand_side_by_side_with_what_differs_between_them():
    def under_p2(outcome):
        return Outcome({("P2", *key[1:]): result for key, result in outcome.results.items()}, outcome.resamples)

    first = under_p2(outcome({"proposed": [1] * 10, "hr+lr": [0] * 10}))
    last = under_p2(outcome({"proposed": [0] * 5 + [1] * 5, "hr+lr": [0] * 10}))
    gaps = frame(network="proposed", width=[20, 16], optimism=[1.0, 2.0], low=[0.0, 1.0], high=[2.0, 3.0])
    said = text.alignment.two_prices(gaps, 1000, first, last)
    assert "aligned first minus shrunk first is proposed +2.0 (+1.0 to +3.0) above and +50.0 (+" in said
    assert "under P2 at 16 px" in said and "HR+LR" not in said
    assert "holds 1,000 distractors" in said and "holds 5 strangers" in said


def test_the_cost_of_errors_is_given_at_each_size_and_at_the_landmark_network_s_own():
    cost = frame(network="proposed", width=16, pixels=[0, 4, 8], rank1=[60.0, 50.0, 10.0], low=0.0, high=70.0)
    off = 6 * np.sqrt(np.pi / 2) / 112  # a mean distance of six pixels a coordinate
    errors = Errors({("wing+lr", 16): np.full(4, off)}, np.repeat(["x", "y"], 2), 100)
    (row,) = text.alignment.cost_table(cost, errors).to_dict("records")
    assert row["network"] == "proposed" and row["rank-1 (%), exact"] == "60.0"
    assert row["4 px off"] == "-10.0" and row["8 px off"] == "-50.0"
    assert row["the network's own error"] == "-30.0 (6.0 px)"  # half way between 4 and 8 px


def test_the_detectors_sentence_names_the_width_at_which_it_loses_half():
    table = frame(
        width=[67, 30, 12, 8],
        found=[99.0, 97.0, 40.0, 5.0],
        found_enlarged=[99.0, 98.0, 90.0, 60.0],
        faces=400,
        error=[2.0, 3.0, 4.0, 5.0],
    )
    sentence = text.alignment.detector(table, 0.6)
    assert "From 12 px down" in sentence and "finds 396 (99.0 %) of the 400 faces" in sentence
    assert "20 (5.0 %) at 8 px" in sentence and "of 8 px give 240 (60.0 %)" in sentence
    assert "399 (99.8 %) of the 400" in text.alignment.detector(table.assign(found=99.75), 0.6)


def test_the_figures_show_what_the_tables_hold():
    errors = frame(
        network=["wing+lr"] * 2 + ["wing-hr"] * 2,
        width=[60, 8] * 2,
        error=[3.0, 5.0, 2.8, 7.0],
        low=[2.9, 4.8, 2.7, 6.5],
        high=[3.1, 5.2, 2.9, 7.5],
    )
    figure = figures.alignment.errors_by_width(errors)
    lines = figure.axes[0].get_lines()
    assert [sorted(line.get_ydata().tolist()) for line in lines] == [[3.0, 5.0], [2.8, 7.0]]
    found = figures.alignment.found_by_width(frame(width=[60, 8], found=[99.0, 5.0], found_enlarged=[99.0, 50.0]))
    assert found.axes[0].get_lines()[0].get_ydata().tolist() == [5.0, 99.0]
    cost = frame(
        network="proposed",
        width=[112, 112, 16, 16],
        pixels=[0, 4, 0, 4],
        rank1=[60.0, 50.0, 40.0, 20.0],
        low=0.0,
        high=70.0,
    )
    assert figures.alignment.cost_of_errors(cost).axes[0].get_lines()[1].get_ydata().tolist() == [40.0, 20.0]
    orders = frame(
        network="proposed",
        width=[40, 8] * 3,
        rank1=[50.0, 30, 50, 20, 50, 25],
        low=0.0,
        high=60.0,
        order=np.repeat(list(step_order.ORDERS), 2),
    )
    assert len(figures.alignment.orders_by_width(orders).axes[0].get_lines()) == 3
    picture = np.zeros((40, 40, 3), np.uint8)
    points = TEMPLATE / 3
    sheet = figures.alignment.points_on_faces([[picture] * 2], [[points] * 2], [[points + 1] * 2], [40, 20], ["best"])
    error = 100 * np.sqrt(2) / landmarks.boxes_of(points[None] + 1)[0, 2]
    assert [axes.get_xlabel() for axes in sheet.axes] == [f"{error:.1f} %"] * 2
    assert sheet.axes[0].get_ylabel() == "best" and not sheet.axes[1].get_ylabel()
    crosses = sheet.axes[0].collections[0].get_offsets()
    assert np.asarray(crosses) == pytest.approx(points + 1, abs=1e-4)
    assert len(figures.alignment.wing().axes) == 2
    plt.close("all")

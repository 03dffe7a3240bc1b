"""CNN-6 and the Wing loss, cutting faces out, training that resumes, and points that come back to the picture."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rifr import align, landmarks, presets
from rifr.align import TEMPLATE
from rifr.errors import DataError, SettingError, TrainingError
from rifr.packs import FacePack
from tests.helpers import other_code


def smoke(**changes):
    preset = presets.get("smoke")
    return replace(preset, landmarks=replace(preset.landmarks, **changes))


def drawn_scenes(path, count: int = 48, side: int = 80, seed: int = 0) -> FacePack:
    """Pictures whose five landmarks are five coloured discs: learnt in seconds."""
    draw = np.random.default_rng(seed)
    pictures, points = np.full((count, side, side, 3), 90, np.uint8), np.empty((count, 5, 2), np.float32)
    colours = [(255, 40, 40), (40, 255, 40), (40, 40, 255), (255, 255, 40), (40, 255, 255)]
    for picture, five in zip(pictures, points):
        width = draw.uniform(40, 56)
        five[:] = (TEMPLATE - 55.5) * width / 112 + draw.uniform(0.45, 0.55, 2) * side + draw.normal(0, 1.5, (5, 2))
        for (x, y), colour in zip(five, colours):
            cv2.circle(picture, (round(float(x)), round(float(y))), 4, colour, -1)
    names = [f"person-{i // 4:02d}" for i in range(count)]
    return FacePack.write(
        path, pictures, names, points, source="discs", licence="CC0", spec={"scenes": True, "size": side}
    )


def by_hand(x: float, w: float = 10, epsilon: float = 2) -> float:
    x = abs(x)
    return w * math.log(1 + x / epsilon) if x < w else x - (w - w * math.log(1 + w / epsilon))


def test_the_wing_loss_is_its_two_branches():
    errors = [0, 0.1, -2, 9.999, 10, -10.001, 50]
    found = [
        landmarks.wing_loss(torch.tensor([x], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)).item()
        for x in errors
    ]
    assert found == pytest.approx([by_hand(x) for x in errors], abs=1e-12)
    mean = landmarks.wing_loss(torch.tensor(errors), torch.zeros(len(errors)))
    assert mean.item() == pytest.approx(np.mean([by_hand(x) for x in errors]), rel=1e-6)


def test_the_constant_makes_the_wing_loss_continuous():
    for w, epsilon in ((10, 2), (5, 0.5), (1, 3)):
        below, above = by_hand(w - 1e-9, w, epsilon), by_hand(w, w, epsilon)
        assert below == pytest.approx(above, abs=1e-7)


def test_its_slope_is_steepest_for_the_smallest_errors_and_one_for_large_ones():
    x = torch.tensor([1e-6, 1.0, 8.0, 11.0, 300.0], dtype=torch.float64, requires_grad=True)
    landmarks.wing_loss(x, torch.zeros(5, dtype=torch.float64)).backward()
    expected = [10 / 2, 10 / 3, 10 / 10, 1, 1]
    assert (5 * x.grad).numpy() == pytest.approx(expected, abs=1e-5)


def test_cnn6_has_the_published_sizes():
    network = landmarks.Cnn6()
    assert [layer.out_channels for layer in network.convolutions] == [32, 64, 128, 256, 512]
    assert network.hidden.in_features == 512 * 2 * 2 and network.hidden.out_features == 1024
    assert network(torch.zeros(3, 3, 64, 64)).shape == (3, 5, 2)


def test_boxes_undo_the_alignment():
    turn = 1.7 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    points = TEMPLATE @ turn.T + [40, -5]
    x, y, width = landmarks.boxes_of(points[None])[0]
    assert width == pytest.approx(1.7 * 112) and (x, y) == pytest.approx(
        tuple(turn @ [55.5, 55.5] + [40, -5]), abs=1e-4
    )


@pytest.mark.parametrize(
    "side, turn, pixels", [(50, 0, math.inf), (90, 0.4, math.inf), (200, -0.2, math.inf), (80, 0.1, 20)]
)
def test_a_cut_square_shows_the_pictures_points_where_its_map_says(side, turn, pixels):
    picture = np.zeros((160, 160, 3), np.uint8)
    places = np.array([[70.0, 90.0], [92.0, 75.0]])
    for x, y in places:
        cv2.circle(picture, (int(x), int(y)), 2, (255, 255, 255), -1)
    square, matrix = landmarks.cut(picture, (80, 82), side, turn, pixels)
    assert square.shape == (64, 64, 3)
    # The brightest spot near each expected place is at that place.
    for x, y in align.transform(places, matrix):
        patch = square[max(0, int(y) - 6) : int(y) + 8, max(0, int(x) - 6) : int(x) + 8, 0].astype(float)
        rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
        mean = np.array([(columns * patch).sum(), (rows * patch).sum()]) / patch.sum()
        assert mean + np.maximum(0, [int(x) - 6, int(y) - 6]) == pytest.approx([x, y], abs=0.7 if pixels > 64 else 1.5)


def test_few_pixels_leave_no_detail():
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    sharp, _ = landmarks.cut(noise, (50, 50), 64)
    blurred, _ = landmarks.cut(noise, (50, 50), 64, pixels=8)
    assert blurred.std() < 0.35 * sharp.std()


def test_a_small_picture_has_the_wanted_face_width_and_its_landmarks():
    picture = np.zeros((200, 200, 3), np.uint8)
    points = TEMPLATE * 1.2 + 20
    for x, y in points:
        cv2.circle(picture, (round(float(x)), round(float(y))), 4, (255, 255, 255), -1)
    small, moved = landmarks.small_picture(picture, points, 30)
    assert landmarks.boxes_of(moved[None])[0, 2] == pytest.approx(30, rel=0.02)
    assert small.shape[0] == round(200 * 30 / (1.2 * 112))
    assert all(small[round(y), round(x), 0] > 100 for x, y in moved)
    assert landmarks.small_picture(picture, points, 500)[0] is picture


def test_mirroring_swaps_left_and_right():
    picture = np.zeros((120, 120, 3), np.uint8)
    points = (TEMPLATE + 4).astype(np.float64)
    box = landmarks.boxes_of(points[None])[0]
    plain = landmarks.View(1.2, (0.05, 0), 0.1, False, math.inf)
    _, five = plain.of(picture, points, box)
    _, mirrored = replace(plain, mirrored=True).of(picture, points, box)
    assert mirrored[0] == pytest.approx([63 - five[1, 0], five[1, 1]])
    assert mirrored[2] == pytest.approx([63 - five[2, 0], five[2, 1]])
    assert mirrored[3] == pytest.approx([63 - five[4, 0], five[4, 1]])


@pytest.mark.slow
def test_points_are_learnt_and_come_back_in_the_pictures_pixels(tmp_path, store_folder):
    pack = drawn_scenes(tmp_path / "pack", 96)
    plan = smoke(
        epochs=25,
        channels=8,
        batch_size=8,
        widths=(24.0, 48.0),
        crop_scale=(1.3, 1.5),
        center_jitter=0.2,
        rotation_std=0.02,
    )
    run = landmarks.fit("wing+lr", plan, 0, pack, progress=False)
    test = drawn_scenes(tmp_path / "test", 20, seed=5)
    boxes = landmarks.boxes_of(test.landmarks)
    boxes[:, :2] += np.random.default_rng(1).choice([-0.15, 0.15], (20, 2)) * boxes[:, 2:]
    found = run.predict(list(test.images), boxes)
    mean_face = (TEMPLATE - 55.5) * boxes[:, 2, None, None] / 112 + boxes[:, None, :2]  # what knows the box alone
    off, blind = (
        np.linalg.norm(points - test.landmarks, axis=2).mean() / boxes[:, 2].mean() for points in (found, mean_face)
    )
    assert off < 0.4 * blind
    again = landmarks.fit("wing+lr", plan, 0, pack, progress=False)
    assert again.path == run.path
    aligned = run.aligner()(test.images[0])
    assert aligned.shape == (112, 112, 3)


def test_stopped_after_an_epoch_it_ends_with_the_same_weights(tmp_path, store_folder, monkeypatch):
    pack, plan = drawn_scenes(tmp_path / "pack", 32), smoke(epochs=3, channels=4, batch_size=16)
    whole = landmarks.fit("l2+lr", plan, 1, pack, progress=False).network().state_dict()
    monkeypatch.setenv("RIFR_STORE", str(tmp_path / "other"))
    real, calls = landmarks.training.Trainer.epoch, []

    def stops(self, number, *rest):
        if number == 1 and not calls:
            calls.append(number)
            raise KeyboardInterrupt
        return real(self, number, *rest)

    monkeypatch.setattr(landmarks.training.Trainer, "epoch", stops)
    with pytest.raises(KeyboardInterrupt):
        landmarks.fit("l2+lr", plan, 1, pack, progress=False)
    resumed = landmarks.fit("l2+lr", plan, 1, pack, progress=False).network().state_dict()
    assert calls == [1] and all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_what_cannot_be_trained_is_refused_with_the_reason(tmp_path, store_folder, monkeypatch):
    pack = drawn_scenes(tmp_path / "pack", 16)
    with pytest.raises(SettingError, match="wing-hr"):
        landmarks.fit("wings", "smoke", 0, pack)
    bare = FacePack(pack.images, pack.identities, None, {}, pack.manifest)
    with pytest.raises(DataError, match="landmarks"):
        landmarks.fit("wing+lr", "smoke", 0, faces=bare)
    monkeypatch.setattr(landmarks.training, "wing_loss", lambda found, target: (found * math.nan).mean())
    with pytest.raises(TrainingError, match=r"step 1 of epoch 1.*learning_rate"):
        landmarks.fit("wing+lr", "smoke", 0, faces=pack, progress=False)


def test_the_three_networks_differ_in_one_thing_each(tmp_path, store_folder):
    pack, plan = drawn_scenes(tmp_path / "pack", 16), smoke(epochs=1, channels=4, batch_size=16)
    made = {name: landmarks.fit(name, plan, 0, pack, progress=False).record["training"] for name in landmarks.RECIPES}
    assert [(one["loss"], one["low"]) for one in made.values()] == [("wing", True), ("l2", True), ("wing", False)]
    draw = np.random.default_rng(0)
    assert all(landmarks.View.draw(replace(plan.landmarks, low=False), draw).width == math.inf for _ in range(20))
    widths = [landmarks.View.draw(plan.landmarks, draw).width for _ in range(200)]
    few = [width for width in widths if width < math.inf]
    assert 60 < len(few) < 140 and min(few) >= 6 and max(few) <= 48
    views = [landmarks.View.draw(plan.landmarks, draw) for _ in range(200)]
    by_camera = [view for view in views if view.camera is not None]
    assert all(view.width < math.inf for view in by_camera) and 0.3 < len(by_camera) / len(few) < 0.8


def test_a_camera_changes_the_square_and_not_where_the_points_are():
    picture, points = np.full((120, 120, 3), 128, np.uint8), (TEMPLATE + 4).astype(np.float64)
    picture[40:60] = 220
    box = landmarks.boxes_of(points[None])[0]
    plain = landmarks.View(1.2, (0, 0), 0.1, False, 16.0)
    square, five = plain.of(picture, points, box)
    taken, same = replace(plain, camera=3).of(picture, points, box)
    again, _ = replace(plain, camera=3).of(picture, points, box)
    assert np.array_equal(five, same) and np.array_equal(taken, again) and not np.array_equal(square, taken)
    assert np.corrcoef(square[..., 1].ravel(), taken[..., 1].ravel())[0, 1] > 0.8


@pytest.mark.slow
def test_all_networks_are_the_same_trained_side_by_side(tmp_path, monkeypatch):
    plan, made = smoke(people=2, images=4, epochs=1, channels=4, batch_size=4), []
    for store, worth in (("apart", 0), ("here", 10**9)):
        monkeypatch.setenv("RIFR_STORE", str(tmp_path / store))
        monkeypatch.setattr(landmarks.training.trainer, "MIN_IMAGES_FOR_SUBPROCESS", worth)
        made.append(landmarks.fit_all(("wing+lr", "l2+lr"), plan, 0, progress=False))
    for name, run in made[0].items():
        ours, theirs = run.network().state_dict(), made[1][name].network().state_dict()
        assert all(torch.equal(value, theirs[part]) for part, value in ours.items())


def test_wider_face_is_learnt_from_and_a_tenth_of_its_photos_held_out(tmp_path, store_folder):
    root, lines = tmp_path / "wider", []
    (root / "train" / "images" / "0--Parade").mkdir(parents=True)
    points = TEMPLATE + 40
    marks = " ".join(f"{x:.2f} {y:.2f} 0.0" for x, y in points)
    for i in range(60):
        Image.fromarray(np.full((200, 200, 3), i, np.uint8)).save(root / "train" / "images" / "0--Parade" / f"{i}.jpg")
        lines += [f"# 0--Parade/{i}.jpg", f"50 50 100 100 {marks} 0.4"]
    (root / "train" / "label.txt").write_text("\n".join(lines) + "\n")
    learnt, measured = landmarks.pictures(smoke(test_scene=64), 0, root, progress=False)
    photos = [{name.partition("#")[0] for name in pack.identities.tolist()} for pack in (learnt, measured)]
    assert not photos[0] & photos[1] and len(photos[0] | photos[1]) == 60 and 1 <= len(photos[1]) <= 15
    assert landmarks.boxes_of(learnt.landmarks)[:, 2] == pytest.approx(112 * 64 / 220, rel=0.01)
    run = landmarks.fit("wing+lr", smoke(epochs=1, channels=4), 0, faces=learnt, progress=False)
    assert run.record["faces"]["checksum"] == learnt.checksum

    name = learnt.identities[0].partition("#")[0]
    Image.fromarray(np.full((200, 200, 3), 200, np.uint8)).save(root / "train" / "images" / name)
    replaced = landmarks.pictures(smoke(test_scene=64), 0, root, progress=False)[0]
    assert learnt.images[0].max() < 70 and replaced.images[0].max() > 190
    label = root / "train" / "label.txt"
    label.write_text(label.read_text().replace(f"# {name}\n50 50 100 100", f"# {name}\n60 60 100 100"))
    moved = landmarks.pictures(smoke(test_scene=64), 0, root, progress=False)[0]
    shift = np.subtract(replaced.landmarks[0], moved.landmarks[0])  # the scene's side is 220 pixels of the photo
    assert shift == pytest.approx(np.full((5, 2), 10 * 64 / 220), abs=1e-3)
    assert np.array_equal(landmarks.pictures(smoke(test_scene=64), 0, root, progress=False)[0].images, moved.images)


def test_another_annotation_of_the_same_pictures_is_another_network(tmp_path, store_folder):
    pack, plan = drawn_scenes(tmp_path / "pack", 16), smoke(epochs=1, channels=4, batch_size=16)
    corrected = replace(pack, landmarks=pack.landmarks.copy())
    corrected.landmarks[:, 2] += 5
    assert corrected.checksum == pack.checksum
    first, second = (landmarks.fit("wing+lr", plan, 0, faces, progress=False) for faces in (pack, corrected))
    assert first.path != second.path
    assert any(not torch.equal(value, second.weights()[part]) for part, value in first.weights().items())
    again = replace(pack, landmarks=np.asfortranarray(pack.landmarks))
    assert landmarks.fit("wing+lr", plan, 0, again, progress=False).path == first.path


@pytest.mark.parametrize("file", ["landmarks/cnn6.py", "align.py", "similarity.py", "readers/images.py"])
def test_a_landmark_network_is_found_by_the_code_that_cuts_its_faces_out(tmp_path, monkeypatch, file):
    pack = drawn_scenes(tmp_path / "pack", 4)
    before = landmarks.training._name_and_key("wing+lr", smoke(), 0, pack)
    other_code(monkeypatch, file)
    assert (landmarks.training._name_and_key("wing+lr", smoke(), 0, pack) == before) == (file == "readers/images.py")


def test_what_only_faces_or_tests_use_does_not_retrain_a_network(tmp_path, store_folder):
    pack, plan = drawn_scenes(tmp_path / "pack", 16), {"epochs": 1, "channels": 4, "batch_size": 16}
    run = landmarks.fit("wing+lr", smoke(**plan), 0, pack, progress=False)
    other = landmarks.fit("wing+lr", smoke(**plan, test_widths=(12,), test_people=3, people=7), 0, pack, progress=False)
    turned = landmarks.fit("wing+lr", smoke(**plan, rotation_std=0.3), 0, pack, progress=False)
    assert other.path == run.path != turned.path


def test_several_processes_are_given_no_landmark_networks_to_train(tmp_path, store_folder, monkeypatch):
    pack = drawn_scenes(tmp_path / "pack", 16)
    monkeypatch.setattr(landmarks.training.trainer, "MIN_IMAGES_FOR_SUBPROCESS", 0)
    assert len(landmarks.calls(preset=smoke(), faces=pack)) == 3
    monkeypatch.setattr(landmarks.training.process_group, "size", lambda: 2)
    assert landmarks.calls(preset=smoke(), faces=pack) == landmarks.calls(preset=smoke()) == []


def test_training_and_prediction_happen_on_the_device_that_is_chosen(tmp_path, store_folder, monkeypatch):
    pack, plan = drawn_scenes(tmp_path / "pack", 16), smoke(epochs=1, channels=4, batch_size=16)
    run = landmarks.fit("wing+lr", plan, 0, pack, progress=False)
    monkeypatch.setattr(landmarks.training.devices, "device", lambda: torch.device("meta"))  # holds no values: it shows
    trainer = landmarks.training.Trainer(plan.landmarks, pack, 0, "meta")
    assert {value.device.type for value in trainer.network.parameters()} == {"meta"}
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        run.predict(list(pack.images), landmarks.boxes_of(pack.landmarks))
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        run.finder()(pack.images[0])

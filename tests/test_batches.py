"""What a step is shown of its photos: widths, cameras, tight crops, mirror images."""

import numpy as np
import pytest
import torch

from rifr import align, networks, presets
from rifr.errors import SettingError
from rifr.recipes import RECIPES
from rifr.training import batches
from rifr.training.batches import Views, epoch_order
from tests.helpers import TINY, easy_faces


def made(photos: torch.Tensor, name: str, training: presets.Training, draw: np.random.Generator) -> torch.Tensor:
    """(R, 112, 112, 3): what a step is shown of photos, with the draws in a step's order; photo i has the seed i."""
    views = Views(RECIPES[name], training)
    return views(photos, views.widths(len(photos), draw), np.arange(len(photos))).flatten(0, 1)


@pytest.mark.parametrize(
    "name, low, rows",
    [
        ("hr-only", "one", 6),
        ("lr-only", "one", 6),
        ("hr+lr", "one", 12),
        ("proposed", "one", 12),
        ("hr+lr", "both", 18),
    ],
)
def test_a_batch_holds_the_widths_of_its_recipe(name, low, rows):
    from rifr.degrade import to_width

    photos = np.random.default_rng(0).integers(0, 256, (6, 112, 112, 3), dtype=np.uint8)
    training = presets.get(TINY, low_per_photo=low).training
    shown = made(torch.from_numpy(photos), name, training, np.random.default_rng(1)).numpy()
    assert shown.shape == (rows, 112, 112, 3)
    restored = (networks.to_input(torch.from_numpy(shown)) + 1) * 127.5
    assert np.array_equal(restored.round().permute(0, 2, 3, 1).numpy(), shown)
    versions = {width: to_width(photos, width) for width in (112, 20, 16)}
    found = [
        next(width for width, images in versions.items() if np.array_equal(images[i % 6], image))
        for i, image in enumerate(shown)
    ]
    wanted = {"hr-only": [112] * 6, "lr-only": [16] * 3 + [20] * 3}.get(name)
    wanted = wanted or [112] * 6 + ([16] * 3 + [20] * 3 if low == "one" else [16] * 6 + [20] * 6)
    assert sorted(found) == sorted(wanted)


def photos_of(count: int = 8) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8))


def batch(recipe: str, draw: np.random.Generator, **changes) -> np.ndarray:
    """(R, 112, 112, 3) uint8: what a step makes of eight photos."""
    return made(photos_of(), recipe, presets.get(TINY, **changes).training, draw).numpy()


def test_without_cameras_and_tight_crops_a_batch_takes_the_draws_and_has_the_bytes_of_the_paper(monkeypatch):
    from rifr import camera
    from rifr.degrade import to_width

    monkeypatch.delattr(camera, "simulate_camera")  # whatever would call them fails
    monkeypatch.delattr(camera, "tight")
    draw, same = np.random.default_rng(5), np.random.default_rng(5)
    shown = batch("proposed", draw)
    width_of, photos = np.array([20, 16])[same.permutation(8) % 2], photos_of().numpy()
    low = [to_width(photo, width) for photo, width in zip(photos, width_of, strict=True)]
    assert np.array_equal(shown, np.concatenate([photos, low]))
    assert draw.random() == same.random()


def test_low_resolution_from_a_camera_changes_the_low_images_alone():
    from rifr.camera import simulate_camera

    shown = batch("proposed", np.random.default_rng(5), low_kind="camera")
    widths, photos = np.array([20, 16])[np.random.default_rng(5).permutation(8) % 2], photos_of().numpy()
    assert np.array_equal(shown[:8], photos)
    for i, width in enumerate(widths):
        assert np.array_equal(shown[8 + i], simulate_camera(photos[i : i + 1], width, np.random.default_rng(i))[0])
    both = batch("proposed", np.random.default_rng(5), low_kind="camera", low_per_photo="both")
    for i in range(8):
        draw = np.random.default_rng(i)
        for block, width in ((1, 20), (2, 16)):
            assert np.array_equal(both[8 * block + i], simulate_camera(photos[i : i + 1], width, draw)[0])


def test_the_share_of_tight_crops_is_the_one_asked_for_and_the_other_images_stay():
    photos = photos_of(200)
    whole, shown = (
        made(photos, "hr+lr", presets.get(TINY, tight_crops=share).training, np.random.default_rng(0)).numpy()
        for share in (0.0, 0.25)
    )
    changed = (shown != whole).any(axis=(1, 2, 3))
    assert all((image.sum(axis=2) == 0).mean() > 0.03 for image in shown[changed])  # black outside the box
    assert changed.mean() == pytest.approx(0.25, abs=0.08)
    all_tight = batch("hr+lr", np.random.default_rng(0), tight_crops=1.0)
    assert (all_tight != batch("hr+lr", np.random.default_rng(0))).any(axis=(1, 2, 3)).all()


def test_wrong_landmarks_align_each_image_anew_with_errors_of_its_own():
    photos, error = photos_of(20), 3.0
    training = presets.get(TINY, landmark_error=error).training
    shown = made(photos, "hr+lr", training, np.random.default_rng(0)).numpy()
    plain = made(photos, "hr+lr", presets.get(TINY, landmark_error=0.0).training, np.random.default_rng(0)).numpy()
    assert shown.shape == plain.shape and (shown != plain).any(axis=(1, 2, 3)).all()
    moved = (shown[:20] != plain[:20]).any(axis=(1, 2, 3)) & (shown[20:] != plain[20:]).any(axis=(1, 2, 3))
    assert moved.all()
    # A mark where the template's nose is: its mean distance is that of a fit of five points that are all off.
    marked = np.zeros((400, 112, 112, 3), np.uint8)
    right, down = np.rint(align.TEMPLATE[2]).astype(int)
    marked[:, down - 2 : down + 3, right - 2 : right + 3] = 255
    light = made(torch.from_numpy(marked), "hr-only", training, np.random.default_rng(1)).numpy()[..., 0].astype(float)
    places = np.stack([(light.sum(over) * np.arange(112)).sum(1) / light.sum((1, 2)) for over in (1, 2)], axis=1)
    draw, expected = np.random.default_rng(2), []
    for _ in range(400):
        points = np.column_stack([align.TEMPLATE + draw.normal(0, error, (5, 2)), np.ones(5)])
        rows = [[x, -y, 1, 0] for x, y, _ in points] + [[y, x, 0, 1] for x, y, _ in points]
        a, b, tx, ty = np.linalg.lstsq(np.array(rows), align.TEMPLATE.T.ravel(), rcond=None)[0]
        expected.append([a * right - b * down + tx, b * right + a * down + ty])
    deviation = [np.std(each, axis=0) for each in (places, expected)]
    np.testing.assert_allclose(*deviation, rtol=0.15)
    assert np.abs(places.mean(0) - [right, down]).max() < 0.3


def test_without_groups_an_epochs_order_is_a_permutation_cut_into_batches():
    drawn = np.random.default_rng(4).permutation(35)[:32].reshape(4, 8)
    for labels in (None, np.arange(35) // 5):
        assert np.array_equal(epoch_order(35, 8, np.random.default_rng(4), labels), np.sort(drawn, axis=1))


@pytest.mark.parametrize("together", [2, 4])
@pytest.mark.parametrize("images", [[4] * 10, [8] * 5, [5, 9, 1, 3, 12, 7], [1] * 40, [20, 20], [2, 2, 2, 31]])
def test_a_batch_holds_groups_of_photos_of_a_person_and_an_epoch_as_many_photos_as_without(images, together):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(images)), images))
    steps = len(labels) // 8
    order = epoch_order(len(labels), 8, np.random.default_rng(1), labels, together)
    possible = min(sum(count // together for count in images), steps * 8 // together)
    assert order.shape == (steps, 8) and len(np.unique(order)) == steps * 8
    for batch in order:  # pieces, and shares of two processes, part no group: whole ones come first
        firsts = batch[: sum(count // together for count in np.bincount(labels[batch])) * together]
        whole = [len(set(labels[group])) == 1 for group in firsts.reshape(-1, together)]
        assert whole == sorted(whole, reverse=True)  # by chance two who are alone may meet, behind them
        assert sum(whole) >= possible // steps
    groups = [sum(count // together for count in np.bincount(labels[batch])) for batch in order]
    assert sum(groups) >= possible  # by chance two who are alone may meet
    fewest = possible // steps  # they are spread evenly
    assert all(found >= fewest for found in groups)


def test_an_epochs_groups_are_others_in_the_next_one_and_every_photo_has_its_turn():
    labels = np.repeat(np.arange(9), 5)  # of each five one is alone, and of 45 photos 40 are shown
    partners = [set() for _ in labels]
    for epoch in range(60):
        order = epoch_order(45, 8, np.random.default_rng([0, epoch]), labels, 4)
        for photo in order.ravel():
            partners[photo] |= {other for batch in order if photo in batch for other in batch} - {photo}
    assert all(len(met) > 40 for met in partners)


def test_a_batch_that_holds_no_whole_groups_is_refused():
    with pytest.raises(SettingError, match="multiple of 3"):
        epoch_order(20, 8, np.random.default_rng(0), np.zeros(20, int), 3)


def seen(faces, views, ranks, **changes):
    """What one process is shown of two batches: {photo: (views, mirrored)}."""
    order, cpu = epoch_order(len(faces), 8, np.random.default_rng(1)), torch.device("cpu")
    draws = np.random.default_rng(2), np.random.default_rng(3)
    shown = {}
    for batch in batches.batches(faces, order[:2], views, *draws, cpu, ranks):
        for start in range(0, len(batch.labels), 3):
            part = batch.part(start, 3)
            shown |= {int(i): (part.views[:, n], bool(part.mirrored[n])) for n, i in enumerate(part.which)}
    return shown


@pytest.mark.parametrize("changes", [{}, {"low_kind": "camera"}, {"tight_crops": 0.5}, {"augment": 1.0}])
def test_what_a_photo_looks_like_does_not_depend_on_the_number_of_processes(tmp_path, changes):
    faces = easy_faces(tmp_path / "faces", people=4, images=6)
    views = Views(RECIPES["hr+lr"], presets.get(TINY, **changes).training)
    whole, first, second = (seen(faces, views, ranks) for ranks in ((0, 1), (0, 2), (1, 2)))
    assert len(whole) == 16 and not first.keys() & second.keys() and len(first) == len(second) == 8
    assert {mirrored for _, mirrored in whole.values()} == {True, False}
    for photo, (images, mirrored) in (first | second).items():
        assert torch.equal(images, whole[photo][0]) and mirrored == whole[photo][1]


def test_cameras_change_neither_mirroring_nor_widths(tmp_path):
    faces = easy_faces(tmp_path / "faces", people=4, images=6)
    plain, taken = (
        seen(faces, Views(RECIPES["hr+lr"], presets.get(TINY, low_kind=kind).training), (0, 1))
        for kind in ("bicubic", "camera")
    )
    for photo, (images, mirrored) in plain.items():
        assert torch.equal(images[0], taken[photo][0][0]) and mirrored == taken[photo][1]
        assert not torch.equal(images[1], taken[photo][0][1])


def test_photos_are_changed_anew_in_each_epoch_and_alike_in_all_their_widths(tmp_path):
    from rifr.degrade import to_width

    faces = easy_faces(tmp_path / "faces", people=4, images=6)
    order, cpu = epoch_order(len(faces), 8, np.random.default_rng(1)), torch.device("cpu")

    def epoch(number, **changes):
        views = Views(RECIPES["hr+lr"], presets.get(TINY, **changes).training)
        draws = np.random.default_rng([number, 2]), np.random.default_rng([number, 3])
        return next(batches.batches(faces, order, views, *draws, cpu))

    plain, first, again, second = epoch(0), epoch(0, augment=1.0), epoch(0, augment=1.0), epoch(1, augment=1.0)
    assert torch.equal(plain.mirrored, first.mirrored) and torch.equal(first.views, again.views)
    assert torch.equal(plain.views[0], plain.photos) and torch.equal(first.views[0], first.photos)
    for photo in range(8):
        assert not torch.equal(first.photos[photo], plain.photos[photo])
        assert not torch.equal(first.photos[photo], second.photos[photo])
        high, low = first.views[:, photo].numpy()
        assert any(np.array_equal(to_width(high, width), low) for width in (20, 16))


def test_with_tight_crops_the_photos_for_the_teacher_stay_whole(tmp_path):
    faces = easy_faces(tmp_path / "faces", people=4, images=6)
    order, cpu = epoch_order(len(faces), 8, np.random.default_rng(1)), torch.device("cpu")

    def photos(**changes):
        views = Views(RECIPES["proposed"], presets.get(TINY, augment=1.0, **changes).training)
        return next(batches.batches(faces, order, views, np.random.default_rng(2), np.random.default_rng(3), cpu))

    whole, cropped = photos(), photos(tight_crops=1.0)
    assert torch.equal(whole.photos, cropped.photos) and not torch.equal(whole.views[0], cropped.views[0])

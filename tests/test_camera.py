"""What a camera does to a small face: blur before sampling, light, noise, compression; and tight crops."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from rifr import degrade
from rifr.camera import ANY_CAMERA, Camera, degrade_picture, simulate_camera, tight

PLAIN = Camera(
    **{one.name: (0, 0) for one in fields(Camera)}
    | {"gain": (1, 1), "red": (1, 1), "green": (1, 1), "blue": (1, 1), "gamma": (2.2, 2.2), "quality": (100, 100)}
)


def faces(count: int = 4, seed: int = 0) -> np.ndarray:
    """Smooth colour pictures: most of what JPEG does to them is to keep them."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            cv2.resize(rng.integers(40, 215, (7, 7, 3), np.uint8), (112, 112), interpolation=cv2.INTER_CUBIC)
            for _ in range(count)
        ]
    )


def make(images: np.ndarray, camera: Camera, width: int = 20, seed: int = 1) -> np.ndarray:
    return simulate_camera(images, width, np.random.default_rng(seed), camera)


def light(images: np.ndarray) -> np.ndarray:
    return (images / 255.0) ** 2.2


def test_the_same_draw_gives_the_same_bytes_and_another_draw_others():
    images = faces()
    again = [simulate_camera(images, 20, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert np.array_equal(again[0], again[1]) and not np.array_equal(again[0], again[2])
    assert again[0].shape == images.shape and again[0].dtype == np.uint8
    assert not np.array_equal(again[0][0], simulate_camera(images[:1], 16, np.random.default_rng(3))[0])


def test_each_face_has_its_own_width_and_its_own_draws_in_order():
    images = faces()
    mixed = simulate_camera(images, np.array([20, 16, 30, 8]), np.random.default_rng(5))
    rng = np.random.default_rng(5)
    one_by_one = [
        simulate_camera(image[None], width, rng)[0] for image, width in zip(images, (20, 16, 30, 8), strict=True)
    ]
    assert np.array_equal(mixed, one_by_one)


def shown(values: np.ndarray) -> np.ndarray:
    """Grey levels of linear light."""
    return 255 * values ** (1 / 2.2)


def test_the_layout_of_the_images_in_memory_changes_nothing():
    images = faces()
    turned = images.transpose(1, 2, 3, 0).copy().transpose(3, 0, 1, 2)  # the photos last in memory
    for laid_out in (np.asfortranarray(images), turned, images[::-1][::-1]):
        np.testing.assert_array_equal(make(laid_out, ANY_CAMERA), make(images, ANY_CAMERA))
        both = (tight(each, np.random.default_rng(2)) for each in (laid_out, images))
        np.testing.assert_array_equal(*both)


def test_a_camera_without_faults_averages_the_light_over_each_pixels_area():
    grey = np.random.default_rng(0).integers(0, 256, (112, 112, 1), np.uint8).repeat(3, axis=2)
    small = degrade_picture(grey, (14, 14), np.random.default_rng(0), replace(PLAIN, blur=(0, 0)))
    expected = np.empty((14, 14))
    for row in range(14):
        for column in range(14):
            expected[row, column] = light(grey[8 * row : 8 * row + 8, 8 * column : 8 * column + 8, 0]).mean()
    # A perfect lens still lets a little light into the sample beside.
    assert np.abs(light(small)[..., 0] - expected).mean() < 0.01
    assert abs(small.mean() - grey.mean()) > 15  # averages of grey levels are darker


def test_half_black_and_half_white_is_half_the_light():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = degrade_picture(stripes, (16, 16), np.random.default_rng(0), PLAIN)
    assert np.abs(small - shown(np.array(0.5))).max() <= 1  # 186, not 128


def test_blur_is_a_sum_over_neighbours_of_their_light():
    grey = cv2.resize(np.random.default_rng(1).integers(0, 256, (12, 12), np.uint8), (40, 40))
    grey = grey[..., None].repeat(3, axis=2)
    camera = replace(PLAIN, blur=(0.8, 0.8))
    small = degrade_picture(grey, (20, 20), np.random.default_rng(0), camera)

    spread = 1.6**2 + 0.05  # 0.8 small pixels are 1.6 samples; the lens itself adds a little
    reach = 4  # two standard deviations, rounded up
    values, blurred = light(grey[..., 0].astype(float)), np.zeros((40, 40))
    for row in range(40):
        for column in range(40):
            total = weights = 0.0
            for i in range(-reach, reach + 1):
                for j in range(-reach, reach + 1):
                    weight = np.exp(-0.5 * (i * i + j * j) / spread)
                    total += weight * values[min(max(row + i, 0), 39), min(max(column + j, 0), 39)]
                    weights += weight
            blurred[row, column] = total / weights
    expected = shown(blurred.reshape(20, 2, 20, 2).mean(axis=(1, 3)))
    assert np.abs(small[..., 0] - expected).max() <= 2  # rounding, and the JPEG's


def test_fine_stripes_vanish_in_the_average_that_bicubic_shrinking_turns_into_false_ones():
    stripes = np.zeros((1, 112, 112, 3), np.uint8)
    stripes[:, :, ::2] = 255
    assert 4 * make(stripes, PLAIN, width=20).std() < degrade.to_width(stripes, 20).std()


def test_blur_takes_contrast_and_motion_takes_it_along_one_direction():
    rng = np.random.default_rng(0)
    checks = np.kron(rng.integers(0, 2, (28, 28)), np.ones((4, 4)))[..., None].repeat(3, 2).astype(np.uint8) * 200
    sharp, soft, moved = (
        degrade_picture(checks, (28, 28), np.random.default_rng(0), camera).std()
        for camera in (PLAIN, replace(PLAIN, blur=(1, 1)), replace(PLAIN, motion=(1, 1)))
    )
    assert soft < 0.6 * sharp and soft < moved < 0.9 * sharp


def test_gain_and_colours_scale_the_light_not_the_grey_levels():
    images = faces()
    dusk = make(images, replace(PLAIN, gain=(0.4, 0.4), red=(1.2, 1.2), blue=(0.7, 0.7)))
    ratio = light(dusk).mean(axis=(0, 1, 2)) / light(make(images, PLAIN)).mean(axis=(0, 1, 2))
    assert ratio == pytest.approx([0.48, 0.4, 0.28], rel=0.04)


def test_noise_of_counting_grows_with_the_light_and_that_of_reading_does_not():
    def noise(level: int, camera: Camera) -> float:
        picture = np.full((64, 64, 3), level, np.uint8)
        shown = degrade_picture(picture, (64, 64), np.random.default_rng(2), camera)
        return light(shown).std()

    counting, reading = replace(PLAIN, shot=(0.001, 0.001)), replace(PLAIN, read=(0.02, 0.02))
    # In light; colour is compressed to half its resolution, so that part of the noise averages out.
    assert noise(220, counting) / noise(80, counting) == pytest.approx((220 / 80) ** 1.1, rel=0.25)
    assert noise(220, reading) / noise(160, reading) == pytest.approx(1, rel=0.25)
    assert noise(128, PLAIN) < 0.002


def test_lower_quality_leaves_blocks():
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (112, 112, 1), np.uint8).repeat(3, axis=2)
    fine, coarse = (
        np.abs(
            degrade_picture(noisy, (112, 112), np.random.default_rng(0), replace(PLAIN, quality=(q, q))).astype(float)
            - noisy
        ).mean()
        for q in (95, 20)
    )
    assert coarse > 5 * fine


def test_parameters_are_drawn_from_their_ranges_each_evenly():
    rng = np.random.default_rng(0)
    taken = [ANY_CAMERA.sample(rng) for _ in range(2000)]
    for one in fields(Camera):
        low, high = getattr(ANY_CAMERA, one.name)
        values = np.array([parameters[one.name] for parameters in taken])
        assert low <= values.min() and values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


def test_a_small_picture_has_the_size_that_was_asked_for_and_is_never_larger():
    picture = faces()[0][:100]
    assert degrade_picture(picture, (25, 14), np.random.default_rng(0)).shape == (25, 14, 3)
    with pytest.raises(ValueError, match="smaller"):
        degrade_picture(picture, (101, 14), np.random.default_rng(0))


def test_a_tight_crop_is_black_outside_a_box_and_the_face_within_it():
    grey = np.full((200, 112, 112, 3), 180, np.uint8)
    shown = tight(grey, np.random.default_rng(0))
    inside = shown[..., 0] > 90
    assert (shown[~inside].max() <= 90) and (shown[inside] == 180).mean() > 0.95
    share = inside.mean(axis=(1, 2))
    assert share.min() > 0.3 and share.max() < 1 and 0.55 < share.mean() < 0.9
    assert inside[:, 40:75, 40:70].mean() > 0.995 and inside[:, 0, 0].mean() < 0.3
    for mask in inside[:20].astype(np.uint8):  # one box: its convex hull holds nothing but itself
        (outline, *others), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        assert not others and mask.sum() >= 0.97 * cv2.contourArea(cv2.convexHull(outline))


def test_a_tight_crop_misplaces_the_face_by_a_few_pixels():
    image = np.zeros((112, 112, 3), np.uint8)
    cv2.circle(image, (56, 60), 4, (255, 255, 255), -1)
    shown = tight(np.stack([image] * 200), np.random.default_rng(0)).astype(float).mean(axis=3)
    rows, columns = np.mgrid[:112, :112]
    total = shown.sum(axis=(1, 2))
    x, y = (shown * columns).sum(axis=(1, 2)) / total, (shown * rows).sum(axis=(1, 2)) / total
    assert x.mean() == pytest.approx(56, abs=0.8) and y.mean() == pytest.approx(60, abs=0.8)
    assert 2 < x.std() < 3.2 and 2 < y.std() < 3.2
    assert np.array_equal(tight(image[None], np.random.default_rng(4)), tight(image[None], np.random.default_rng(4)))


def test_what_is_no_face_no_width_and_no_camera_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"\(N, 112, 112, 3\)"):
        simulate_camera(faces()[:, :100], 20, rng)
    with pytest.raises(ValueError, match=r"\(N, 112, 112, 3\)"):
        tight(faces().astype(np.float32), rng)
    with pytest.raises(ValueError, match="4 to 112"):
        simulate_camera(faces(), 3, rng)
    with pytest.raises(ValueError, match="one for each of 4 images"):
        simulate_camera(faces(), np.array([20, 16]), rng)
    with pytest.raises(ValueError, match=r"quality.*up to 100"):
        Camera(quality=(50, 101))
    with pytest.raises(ValueError, match=r"gain.*the lower first"):
        Camera(gain=(1.0, 0.5))

"""Faults of a camera, beside what OpenCV does step by step."""

import cv2
import numpy as np
import pytest

from rifr.faces import capture, faults


@pytest.fixture
def photo():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
    return cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC)


def shot(**fields):
    """A `SHOT` record without faults but for these."""
    record = np.zeros((), capture.SHOT)
    for name, value in ({"shrink": 1.0} | fields).items():
        record[name] = value
    return record


def test_a_camera_without_faults_returns_the_photo_itself(photo):
    before = photo.copy()
    assert faults.with_faults(photo, shot()) is photo
    faults.with_faults(photo, shot(shrink=0.5, defocus=1.0, motion=4.0, quality=60))
    assert np.array_equal(photo, before)


@pytest.mark.parametrize(("shrink", "side"), [(0.5, 56), (0.41, 46), (0.9, 101), (0.001, 4)])
def test_a_shrunk_photo_was_once_as_small_as_the_shot_says(photo, shrink, side):
    small = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (112, 112), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(faults.with_faults(photo, shot(shrink=shrink)), expected)


def test_halving_averages_four_pixels(photo):
    found = faults.with_faults(photo, shot(shrink=0.5)).astype(float)
    means = photo.reshape(56, 2, 56, 2, 3).mean(axis=(1, 3))
    centre = found[1:-1, 1:-1].reshape(55, 2, 55, 2, 3).mean(axis=(1, 3))  # between four of the small photo's pixels
    assert np.abs(centre - (means[:-1, :-1] + means[1:, :-1] + means[:-1, 1:] + means[1:, 1:]) / 4).max() < 2


@pytest.mark.parametrize("deviation", [1.0, 1.7])
def test_poor_focus_is_a_gaussian(deviation):
    point = np.zeros((31, 31, 3), np.uint8)
    point[15, 15] = 255
    found = faults.with_faults(point, shot(defocus=deviation)).astype(float)
    offsets = np.arange(31) - 15
    bell = np.exp(-(offsets**2) / (2 * deviation**2))
    expected = 255 * np.outer(bell, bell) / bell.sum() ** 2
    assert np.abs(found - expected[..., None]).max() < 1


@pytest.mark.parametrize("turn", np.deg2rad([0, 20, 45, 77, 90, 120, 170]))
@pytest.mark.parametrize("length", [3.0, 5.0])
def test_a_shaken_photo_is_smeared_along_the_angle_of_the_shot(turn, length):
    streak = faults.streak(length, turn)
    assert streak.shape == (7, 7) and streak.min() >= 0 and streak.sum() == pytest.approx(1, abs=1e-6)
    rows, columns = np.mgrid[-3:4, -3:4]
    assert abs((streak * rows).sum()) < 1e-6 and abs((streak * columns).sum()) < 1e-6
    spread = np.array([[columns * columns, columns * rows], [columns * rows, rows * rows]])
    size, ways = np.linalg.eigh((streak * spread).sum(axis=(2, 3)))
    assert np.abs(ways[:, 1] @ [np.cos(turn), np.sin(turn)]) > np.cos(np.deg2rad(5))
    assert size[0] < 0.25 and 0.5 < size[1] * 12 / length**2 < 1.3  # a line of that length


def test_a_longer_shake_smears_more_and_a_dot_shows_the_streak():
    dot = np.zeros((21, 21, 3), np.uint8)
    dot[10, 10] = 250
    for length in (2.0, 4.0):
        found = faults.with_faults(dot, shot(motion=length, motion_turn=0.4))[7:14, 7:14, 1]
        assert np.abs(found - 250 * faults.streak(length, 0.4)).max() < 1
    peaks = [faults.streak(length, 0.4).max() for length in (2.0, 3.0, 4.0, 5.0)]
    assert (np.diff(peaks) < 0).all()


@pytest.mark.parametrize("quality", [30, 60, 95])
def test_a_compressed_photo_is_opencvs_round_trip_in_its_own_colours(photo, quality):
    written = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    expected = cv2.cvtColor(cv2.imdecode(written, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    found = faults.with_faults(photo, shot(quality=quality))
    assert np.array_equal(found, expected)
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(faults.with_faults(red, shot(quality=quality)).astype(int) - [200, 0, 0]).max() < 6


def test_faults_come_in_the_order_of_the_camera(photo):
    expected = photo
    for fault in ({"shrink": 0.6}, {"defocus": 1.2}, {"motion": 3.0, "motion_turn": 1.0}, {"quality": 50}):
        expected = faults.with_faults(expected, shot(**fault))
    at_once = faults.with_faults(photo, shot(shrink=0.6, defocus=1.2, motion=3.0, motion_turn=1.0, quality=50))
    assert np.array_equal(at_once, expected)
    assert at_once.shape == photo.shape and at_once.dtype == np.uint8

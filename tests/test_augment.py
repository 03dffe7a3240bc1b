"""Photos changed anew: the tones and the alignment are recomputed, and resolution stays."""

import cv2
import numpy as np
import pytest

from rifr import augment
from rifr.degrade import to_width


class Given:
    """A generator that gives the numbers of a list instead of drawing them."""

    def __init__(self, normal, uniform=1.0):
        self.numbers, self.uniform = np.zeros(10), uniform
        for place, value in normal.items():
            self.numbers[place] = value

    def normal(self, size):
        assert size == len(self.numbers)
        return self.numbers

    def random(self):
        return self.uniform


def photo(seed=0):
    """(112, 112, 3) uint8: smooth, with colours."""
    coarse = np.random.default_rng(seed).integers(40, 216, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)


def test_without_strength_a_photo_stays_as_it_is():
    assert np.array_equal(augment.changed(photo(), 0.0, np.random.default_rng(0)), photo())


@pytest.mark.parametrize("level", [0, 60, 128, 200, 255])
def test_tones_are_light_times_gain_and_colour_along_a_display_curve_stretched_about_grey(level):
    found = augment.tones(0.5, -1.0, 2.0, 1.5, -0.8)[level]
    for channel, white in enumerate((0.11 * 2.0, 0.11 * 1.5 / 3, -0.11 * 2.0)):
        light = (level / 255) ** 2.2 * np.exp(0.30 * 0.5) * np.exp(white)
        shown = light ** (np.exp(-0.18) / 2.2)
        wanted = 255 * (0.5 + (1 - 0.14 * 0.8) * (shown - 0.5))
        assert found[channel] == min(255, max(0, round(wanted)))


def test_a_face_is_turned_and_enlarged_about_the_middle_and_then_moved():
    dot = np.zeros((112, 112, 3), np.uint8)
    cv2.circle(dot, (80, 40), 4, (255, 255, 255), -1)
    found = augment.changed(dot, 1.0, Given({0: 2.0, 1: 1.5, 2: -2.0, 3: 1.0}))
    weights = found[..., 0].astype(float)
    row, column = (np.average(np.arange(112), weights=weights.sum(axis=other)) for other in (1, 0))
    turn, scale = 0.04 * 1.5, np.exp(0.03 * 2.0)
    right, down = 80 - 55.5, 40 - 55.5
    assert column == pytest.approx(55.5 + scale * (np.cos(turn) * right - np.sin(turn) * down) - 1.6 * 2, abs=0.05)
    assert row == pytest.approx(55.5 + scale * (np.sin(turn) * right + np.cos(turn) * down) + 1.6, abs=0.05)


def test_saturation_mixes_each_pixel_with_its_grey_and_some_photos_have_no_colour():
    image = photo()
    grey = image.astype(float) @ [0.299, 0.587, 0.114]
    mixed = augment.changed(image, 1.0, Given({9: -2.0}))
    assert np.abs(mixed - ((1 - 0.32) * image + 0.32 * grey[..., None])).max() < 0.75
    without = augment.changed(image, 1.0, Given({}, uniform=0.029))
    assert (np.ptp(without, axis=2) == 0).all() and np.abs(without[..., 0] - grey).max() < 0.75
    assert np.array_equal(augment.changed(image, 1.0, Given({}, uniform=0.031)), image)
    assert np.array_equal(augment.changed(image, 0.5, Given({}, uniform=0.029)), image)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_what_is_drawn_has_the_deviations_of_its_strength_and_is_cut(monkeypatch, strength):
    drawn, alignment, tones = [], augment.alignment, augment.tones
    monkeypatch.setattr(augment, "alignment", lambda *given: drawn.append(given) or alignment(*given))
    monkeypatch.setattr(augment, "tones", lambda *given: drawn.append(given) or tones(*given))
    draw = np.random.default_rng(0)
    colourless = sum(np.ptp(augment.changed(photo(), strength, draw), axis=2).max() == 0 for _ in range(800))
    numbers = np.array([first + second for first, second in zip(drawn[::2], drawn[1::2], strict=True)])
    assert numbers.shape == (800, 9) and np.abs(numbers).max() == pytest.approx(2.5 * strength)
    assert np.allclose(numbers.std(axis=0), strength, rtol=0.1) and np.allclose(numbers.mean(axis=0), 0, atol=0.12)
    assert colourless / 800 == pytest.approx(0.03 * strength, abs=0.015)


def test_resolution_is_not_taken_away():
    noise = np.random.default_rng(0).integers(60, 196, (112, 112, 3), dtype=np.uint8)
    sharp = to_width(noise, 56)  # as fine as half of the pixels can show

    def fine(image):
        spectrum = np.abs(np.fft.fft2(image.astype(float).mean(axis=2))) ** 2
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(112), np.fft.fftfreq(112)))
        return spectrum[(frequency > 20 / 112) & (frequency < 28 / 112)].sum() / spectrum[frequency > 0].sum()

    changed = [fine(augment.changed(sharp, 1.0, np.random.default_rng(seed))) for seed in range(40)]
    assert fine(to_width(sharp, 40)) < fine(to_width(sharp, 50)) < 0.9 * np.mean(changed)

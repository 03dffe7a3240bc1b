"""The temperature that calibrates a softmax, where the answer is known; new photos of known people."""

import math

import numpy as np
import pytest

from rifr import splits
from rifr.errors import DataError
from rifr.evaluation import calibration
from rifr.evaluation.calibration import Calibration
from rifr.evaluation.metrics import Interval
from rifr.faces import RenderSpec
from rifr.report import text
from tests.helpers import easy_faces


def calibrated(photos=6000, classes=10, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their own softmax: calibrated by construction."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 1.5, (photos, classes))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return logits, np.array([draw.choice(classes, p=row) for row in p])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_logits_of_t_times_calibrated_ones_give_back_t(temperature):
    logits, labels = calibrated()
    found = calibration.calibrate(temperature * logits, labels, np.arange(len(labels)) // 4, resamples=200)
    assert found.temperature.estimate == pytest.approx(temperature, rel=0.06)
    assert found.temperature.low < temperature < found.temperature.high
    at_truth = calibration.calibrate(logits, labels, labels, resamples=1)
    assert found.calibrated_loss == pytest.approx(at_truth.loss, rel=0.005)
    assert at_truth.entropy == pytest.approx(at_truth.loss, rel=0.03)  # equal on average where calibrated


def test_loss_and_accuracy_are_those_of_a_plain_loop():
    logits, labels = calibrated(50)
    expected = [
        -math.log(math.exp(row[y] / 2) / sum(math.exp(x / 2) for x in row))
        for row, y in zip(logits, labels, strict=True)
    ]
    np.testing.assert_allclose(calibration.losses_of(logits, labels, 2.0), expected)
    found = calibration.calibrate(logits, labels, np.arange(50), resamples=20)
    assert found.accuracy == np.mean([row.argmax() == y for row, y in zip(logits, labels, strict=True)])
    assert (found.photos, found.people) == (50, 50)


def test_the_best_temperature_beats_its_neighbours():
    logits, labels = calibrated(300)
    best = calibration.best_temperature(logits, labels)
    losses = [calibration.losses_of(logits, labels, best * factor).mean() for factor in (0.98, 1, 1.02)]
    assert losses[1] < min(losses[0], losses[2])


def test_the_interval_is_over_people_so_photos_of_one_person_count_as_one():
    logits, labels = calibrated(400)
    alone = calibration.calibrate(logits, labels, np.arange(400), resamples=300).temperature
    copies = calibration.calibrate(
        logits.repeat(4, 0), labels.repeat(4), np.arange(400).repeat(4), resamples=300
    ).temperature
    assert copies.high - copies.low == pytest.approx(alone.high - alone.low, rel=0.02)


def test_rows_that_do_not_fit_are_refused():
    logits, labels = calibrated(10)
    with pytest.raises(DataError, match="rows"):
        calibration.calibrate(logits, labels[:9], labels)
    with pytest.raises(DataError, match="show one person"):
        calibration.calibrate(logits, labels, np.zeros(10, int))


def test_new_photos_are_those_that_a_longer_rendering_would_have_added(store_folder):
    spec = RenderSpec("train", people=3, images_per_person=2, seed=5)
    train, longer = (
        splits.rendered_pack(RenderSpec(spec.split, spec.people, photos, spec.seed), progress=False)
        for photos in (2, 4)
    )
    new = calibration.unseen_photos(train, photos=2)
    assert new.identities.tolist() == np.repeat(train.people, 2).tolist()
    np.testing.assert_array_equal(new.images, longer.images[[2, 3, 6, 7, 10, 11]])
    fewer = calibration.unseen_photos(train, photos=2, most_people=2)
    assert fewer.people == [train.people[0], train.people[2]]


def test_people_who_were_not_rendered_have_no_new_photos(tmp_path):
    assert calibration.unseen_photos(easy_faces(tmp_path / "faces")) is None


def measured(low, best, high, loss=0.5) -> Calibration:
    return Calibration(1000, 500, 0.8, loss, 0.4, Interval(low, best, high), 0.45)


def test_the_teacher_is_called_too_sure_only_where_the_interval_lies_above_one():
    sureness = text.soft_targets.sureness
    assert "surer than it is right" in sureness(measured(1.1, 1.3, 1.5)) and "softens" in sureness(
        measured(1.1, 1.3, 1.5)
    )
    assert "less sure than it is right" in sureness(measured(0.5, 0.6, 0.7))
    assert "does not exclude 1" in sureness(measured(0.9, 1.1, 1.2))
    assert "no temperature is told" in sureness(measured(1 / 16, 0.2, 16.0)) and "is not measured" in sureness(None)


def test_the_table_has_a_row_for_each_kind_of_photo_that_there_is():
    table = text.soft_targets.calibration_table({"seen in training": measured(0.5, 0.6, 0.7), "new": None})
    assert table.photos.tolist() == ["seen in training (1,000)"] and table["best T"].tolist() == ["0.60 (0.50 to 0.70)"]
    said = text.soft_targets.seen_and_new(measured(0.5, 0.6, 0.7, loss=0.2), measured(1, 1.1, 1.2, loss=0.9))
    assert "0.70 nats higher" in said and text.soft_targets.seen_and_new(measured(1, 1, 1), None) == ""

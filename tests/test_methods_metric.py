"""Losses that compare photos with each other: each as a loop over triplets and pairs gives it."""

import contextlib
import math

import numpy as np
import pytest
import torch

from rifr import methods, presets, recipes
from rifr.errors import SettingError
from rifr.methods import Step
from rifr.training import batches, trainer
from tests.helpers import TINY, assert_equal, easy_faces, weights

B, D = 8, 5
LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])


def a_loss(name: str) -> methods.Loss:
    return methods.get(name)(presets.get(TINY, embedding=D).training, 4)


def a_step(views: int = 2, labels: torch.Tensor = LABELS) -> Step:
    """Features of any length: those of a network are."""
    draw = np.random.default_rng(7)
    z, teacher = draw.normal(size=(views * B, D)), 3 * draw.normal(size=(B, D))
    return Step(
        torch.from_numpy(z).float(), torch.zeros(4, D), labels, torch.from_numpy(teacher).float(), torch.zeros(B, 4)
    )


def of_length_one(rows: torch.Tensor) -> list[list[float]]:
    return [[value / math.hypot(*row) for value in row] for row in rows.tolist()]


def octuplet(step: Step, margin: float = 0.5) -> float:
    """Each photo, in each view, against the photos of each view."""
    z, labels, views, total = of_length_one(step.z), step.labels.tolist(), step.views, 0.0
    n = len(labels)
    for a in range(views):
        for b in range(views):
            for i in range(n):
                positives = [0.0] + [
                    math.dist(z[a * n + i], z[b * n + j]) for j in range(n) if labels[j] == labels[i] and j != i
                ]
                negatives = [math.dist(z[a * n + i], z[b * n + j]) for j in range(n) if labels[j] != labels[i]]
                total += max(0.0, max(positives) - min(negatives, default=math.inf) + margin)
    return 4 * total / (views**2 * n)


@pytest.mark.parametrize("views", [1, 2, 3])
def test_the_octuplet_loss_takes_the_farthest_of_a_person_and_the_nearest_of_another_in_each_pair_of_views(views):
    step = a_step(views)
    assert float(a_loss("octuplet")(step)) == pytest.approx(octuplet(step), rel=1e-5)


def test_the_octuplet_loss_is_the_number_that_its_authors_code_gives():
    # github.com/Martlgap/octuplet-loss (MIT), commit b210d2c, as it is set, of these features at length one.
    assert float(a_loss("octuplet")(a_step())) == pytest.approx(3.7594666, rel=1e-6)


def test_with_one_person_alone_no_triplet_is_lost():
    step = a_step(labels=torch.zeros(B, dtype=torch.int64))
    assert float(a_loss("octuplet")(step)) == 0.0


def test_a_photo_at_low_resolution_is_no_second_photo_of_its_person_for_the_octuplet_loss():
    """An anchor's own low version is far, its person's other photo near: only the other one counts."""
    near, far = [1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]
    away = [-1.0, 0.0, 0.0, 0.0, 0.0]
    z = torch.tensor([near, near, away, far, near, away])  # two photos of a person and one of another, high then low
    step = Step(z, torch.zeros(2, D), torch.tensor([0, 0, 1]))
    assert float(a_loss("octuplet")(step)) == pytest.approx(octuplet(step), rel=1e-5)


def scaling(step: Step) -> float:
    z, rows = of_length_one(step.z), step.labels.tolist() * step.views
    teacher = of_length_one(step.z_teacher) * step.views
    stress, within, between = [], [], []
    for a in range(len(z)):
        for b in range(len(z)):
            q, d = math.dist(z[a], z[b]), math.dist(teacher[a], teacher[b])
            if a != b:
                stress.append((q - d) ** 2)
            if a != b and rows[a] == rows[b]:
                within.append(q**2)
            if rows[a] != rows[b]:
                between.append(max(0.0, math.sqrt(2) - q) ** 2)
    return sum(sum(terms) / len(terms) for terms in (stress, within, between) if terms)


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("labels", [LABELS, torch.zeros(B, dtype=torch.int64), torch.arange(B)])
def test_scaling_keeps_the_distances_of_high_resolution_pulls_a_person_together_and_parts_people(views, labels):
    step = a_step(views, labels)
    assert float(a_loss("ldms")(step)) == pytest.approx(scaling(step), rel=1e-5)


@pytest.mark.parametrize("name", ["octuplet", "ldms"])
def test_features_that_are_one_have_a_finite_slope(name):
    step = Step(torch.ones(2 * B, D, requires_grad=True), torch.zeros(4, D), LABELS, torch.ones(B, D))
    a_loss(name)(step).backward()
    assert step.z.grad is not None and torch.isfinite(step.z.grad).all()


@pytest.mark.parametrize("name", ["octuplet", "ldms"])
def test_where_photos_are_compared_a_batch_holds_groups_and_the_softmax_layer_rests(
    name, tmp_path, store_folder, monkeypatch
):
    faces, plan = easy_faces(tmp_path / "faces"), presets.get(TINY, epochs=1)
    real, orders = batches.epoch_order, []
    monkeypatch.setattr(batches, "epoch_order", lambda *given: orders.append(real(*given)) or orders[-1])
    run = trainer.fit(name, plan, 0, faces, progress=False)
    assert recipes.get(name).together == 4
    assert all((np.bincount(faces.labels[batch]) % 4 == 0).all() for batch in orders[-1])
    start = trainer.find("hr-only", plan, 0, faces)
    assert start is not None and torch.equal(run.softmax(), start.softmax())
    assert not torch.equal(weights(run)["network.fc.weight"], weights(start)["network.fc.weight"])


def test_ricnn_is_hr_and_lr(tmp_path, store_folder):
    faces = easy_faces(tmp_path / "faces")
    both = [trainer.fit(name, presets.get(TINY, epochs=1), 0, faces, progress=False) for name in ("ricnn", "hr+lr")]
    assert_equal(*map(weights, both))


@pytest.mark.parametrize("name", ["octuplet", "ldms"])
def test_more_processes_than_leave_a_person_two_photos_are_refused(name, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    for processes in (1, 2, 3, 8):
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda processes=processes: processes)
        fits = processes <= 2
        with contextlib.nullcontext() if fits else pytest.raises(SettingError, match=f"{processes} processes leave"):
            a_loss(name).prepare(torch.nn.Identity(), None)


@pytest.mark.parametrize(("processes", "piece", "fits"), [(1, 8, True), (1, 6, False), (1, 1, False), (2, 6, True)])
def test_pieces_of_a_batch_that_part_a_persons_photos_are_refused(processes, piece, fits, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: processes)
    loss = methods.get("octuplet")(presets.get(TINY, embedding=D, micro_batch=piece).training, 4)
    with contextlib.nullcontext() if fits else pytest.raises(SettingError, match="choose a micro_batch"):
        loss.prepare(torch.nn.Identity(), None)

"""Losses that learn from a teacher: each as a loop over photos gives it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rifr import methods, networks, presets, recipes
from rifr.errors import SettingError
from rifr.methods import Step, distillation, margins
from rifr.training import trainer
from tests.helpers import TINY, assert_equal, easy_faces, weights
from tests.test_methods import LABELS, B, D, K, a_loss, a_step, cross_entropy_of_angles


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a.double().flatten(), b.double().flatten()
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize(("progress", "low"), [(0.0, 0.08), (0.25, 0.44), (0.5, 0.8), (1.0, 0.8)])
def test_c_t_counts_low_views_more_and_more_and_pulls_all_to_the_teacher_of_the_photo(progress, low, views):
    step, total = a_step(views, progress), 0.0
    for row, z in enumerate(step.z):
        softmax = -float((step.w @ z).log_softmax(0)[LABELS[row % B]])
        away = sum((float(a) - float(b)) ** 2 for a, b in zip(z, step.z_teacher[row % B], strict=True)) / D
        share = 1 - low if row < B else low / (views - 1)
        total += share * (softmax + 0.1 * away) / B
    assert float(a_loss("c-t")(step)) == pytest.approx(total, rel=1e-5)


def test_c_t_starts_as_a_copy_of_its_teacher(tmp_path, store_folder):
    faces, plan = easy_faces(tmp_path / "faces"), presets.get(TINY, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    ours = weights(trainer.fit("c-t", plan, 0, faces, progress=False))
    theirs = weights(trainer.find("hr-only", plan, 0, faces))
    for name in ours:
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(ours[name], theirs[name])


def maps(network: networks.FaceResNet, image: torch.Tensor) -> list[torch.Tensor]:
    """(C, H, W) that each layer gives for an image (3, 112, 112)."""
    out, found = network.stem(image[None]), []
    for layer in network.layers:
        out = layer(out)
        found.append(out[0])
    return found


def looked_into(name: str, views: int = 2) -> tuple[float, Step, list[list[tuple[torch.Tensor, torch.Tensor]]]]:
    """What the loss of two networks is, of which step, and of each row the layers' maps: the student's, the teacher's.

    Both networks are in evaluation mode, so that images can be shown one by one.
    """
    torch.manual_seed(7)
    network, earlier = (networks.build("thin", D, 0.0).eval() for _ in range(2))
    loss, images = a_loss(name), torch.randn(views * B, 3, 112, 112)
    loss.prepare(network, earlier)
    with torch.no_grad():
        step = replace(a_step(views), z=network(images), images=images)
        found = float(loss(step))
        pairs = [
            list(zip(maps(network, image), maps(earlier, images[row % B]), strict=True))
            for row, image in enumerate(images)
        ]
    return found, step, pairs


@pytest.mark.parametrize("views", [1, 2, 3])
def test_f_skd_adds_the_cosine_of_each_layers_map_to_the_teachers_of_the_photo_at_112_px(views):
    found, step, rows = looked_into("f-skd", views)
    margin = cross_entropy_of_angles(step, 16.0, lambda own, row: math.cos(own) - 0.25)
    distances = [1 - cosine(ours, theirs) for row in rows for ours, theirs in row]
    assert found == pytest.approx(margin + 20 * np.mean(distances), rel=1e-4) and np.mean(distances) > 0.01


def test_f_skds_terms_are_the_numbers_that_its_authors_code_gives():
    # github.com/gist-ailab/feature-similarity-KD (Apache 2.0 in face_recognition), commit 460063b: CosineMarginProduct
    # with s = 16 and m = 0.25 under a cross-entropy, and cosine_loss of one layer.
    step, draw = a_step(), torch.Generator().manual_seed(5)
    moved = margins.with_margin(margins.cosines(step), step.rows, 0.0, 0.25)
    assert float(F.cross_entropy(16 * moved, step.rows)) == pytest.approx(13.4360123, rel=1e-6)
    ours, theirs = torch.randn(2, B, 6, 4, 4, generator=draw), torch.randn(B, 6, 4, 4, generator=draw)
    assert float(distillation.apart(ours, theirs)) == pytest.approx(0.98617220, rel=1e-6)


@pytest.mark.parametrize("views", [1, 2, 3])
def test_a_skd_adds_the_cosine_of_where_and_to_which_channels_each_layer_attends(views):
    found, step, rows = looked_into("a-skd", views)
    margin = cross_entropy_of_angles(step, 16.0, lambda own, row: math.cos(min(own + 0.5, math.pi)))
    distances = 0.0
    for row in rows:
        for pair in row:
            places = [torch.stack([channel**2 for channel in each]).mean(0) for each in pair]
            channels = [torch.stack([(channel**2).mean() for channel in each]) for each in pair]
            distances += (1 - cosine(*places) + 1 - cosine(*channels)) / len(rows)
    assert found == pytest.approx(margin + 5 * distances, rel=1e-4) and distances > 0.01


@pytest.mark.parametrize("name", ["f-skd", "a-skd"])
def test_equal_networks_that_see_equal_images_have_no_distance_and_the_teacher_is_not_saved(name):
    network = networks.build("thin", D, 0.0).eval()
    loss, images = a_loss(name), torch.randn(B, 3, 112, 112).repeat(2, 1, 1, 1)
    loss.prepare(network, networks.build("thin", D, 0.0).eval())
    loss.theirs.network.load_state_dict(network.state_dict())
    step = replace(a_step(), z=network(images), images=images)
    for ours, theirs in loss.pairs(step):
        assert float(distillation.apart(ours.detach(), theirs)) == pytest.approx(0.0, abs=1e-6)
    assert not loss.state_dict() and not list(loss.parameters())


@pytest.mark.parametrize("name", ["f-skd", "a-skd"])
def test_a_loss_of_maps_without_a_teacher_or_layers_says_what_to_do(name):
    with pytest.raises(SettingError, match="teacher=True"):
        a_loss(name).prepare(networks.build("thin", D, 0.0), None)
    with pytest.raises(SettingError, match="basic layers"):
        a_loss(name).prepare(torch.nn.Linear(D, D), torch.nn.Linear(D, D))


def test_adadistill_makes_centres_of_the_teachers_features_and_learns_by_their_angles():
    step, loss = a_step(progress=0.25), a_loss("adadistill")
    start = torch.randn(K, D, generator=torch.Generator().manual_seed(9))
    loss.centres.copy_(start)
    found = float(loss(step))

    expected = start.clone()
    for person in set(LABELS.tolist()):
        places = []
        for row, z in enumerate(step.z):
            if LABELS[row % B] != person:
                continue
            teacher = step.z_teacher[row % B]
            kept = min(1, max(0, cosine(z, teacher))) * min(1, max(0, cosine(start[person], teacher)))
            places.append(kept * start[person] + (1 - kept) * teacher / teacher.norm())
        expected[person] = sum(places) / len(places)
    torch.testing.assert_close(loss.centres, expected)
    torch.testing.assert_close(step.w, expected)
    margin = cross_entropy_of_angles(step, 16.0, lambda own, row: math.cos(min(own + 0.225, math.pi)))
    assert found == pytest.approx(margin, rel=1e-4)
    assert {1, 3, 4} == {person for person in range(K) if torch.equal(loss.centres[person], start[person])}


def test_adadistills_centres_rest_in_evaluation():
    loss = a_loss("adadistill").eval()
    before = loss.centres.clone()
    loss(a_step())
    assert torch.equal(loss.centres, before)


def test_adadistills_softmax_layer_ends_as_its_centres(tmp_path, store_folder):
    ends = weights(
        trainer.fit("adadistill", presets.get(TINY, epochs=1), 0, easy_faces(tmp_path / "f"), progress=False)
    )
    torch.testing.assert_close(ends["softmax.weight"], ends["loss.centres"])


def test_an_inherited_classifier_stays_the_teachers_and_the_network_learns(tmp_path, store_folder):
    faces, plan = easy_faces(tmp_path / "faces"), presets.get(TINY, epochs=2)
    run, teacher = trainer.fit("inherited", plan, 0, faces, progress=False), trainer.find("hr-only", plan, 0, faces)
    assert run.record["teacher"] == teacher.key
    ours, theirs = weights(run), weights(teacher)
    assert_equal({"w": ours["softmax.weight"]}, {"w": theirs["softmax.weight"]})
    assert not torch.equal(ours["network.fc.weight"], theirs["network.fc.weight"])
    assert run.history[1]["loss"] < run.history[0]["loss"]


def test_a_run_is_found_by_the_code_that_its_loss_takes_from_others():
    assert [module.__name__ for module in methods.sources("f-skd")] == [
        f"rifr.methods.{module}" for module in ("distillation", "base", "margins")
    ]


@pytest.mark.parametrize("name", ["c-t", "f-skd", "a-skd", "adadistill", "inherited"])
def test_rows_show_what_hr_plus_lr_shows_and_learn_from_the_teacher(name):
    plan, like = recipes.get(name), recipes.get("hr+lr")
    assert (plan.uses_hr, plan.uses_lr, plan.targets) == (like.uses_hr, like.uses_lr, like.targets)
    assert plan.earlier(TINY.training) == recipes.TEACHER

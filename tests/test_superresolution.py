"""Methods that enhance before they recognise: their losses pixel by pixel, and what each stage teaches."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rifr import methods, networks, presets
from rifr.errors import SettingError
from rifr.methods import Step
from rifr.training import trainer
from tests.helpers import TINY, easy_faces, weights
from tests.test_methods import LABELS, B, D, a_loss, a_step

VIEWS = 3


def looked_at(name: str, network_name: str) -> tuple[methods.Loss, torch.nn.Module, Step]:
    """A loss that was told of a network, which was shown the images of the step; in evaluation mode."""
    torch.manual_seed(4)
    loss, network = a_loss(name), networks.build(network_name, D, 0.0).eval()
    loss.prepare(network, None)
    images = torch.rand(VIEWS * B, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        return loss, network, replace(a_step(VIEWS), z=network(images), images=images)


@torch.no_grad()
def test_csri_adds_to_the_softmax_loss_how_far_each_view_once_enhanced_is_from_its_photo():
    loss, network, step = looked_at("csri", "csri")
    found, softmax, away = float(loss(step)), [], []
    for row, z in enumerate(step.z):
        softmax.append(-float((step.w @ z).log_softmax(0)[LABELS[row % B]]))
        made = network.enhance(step.images[row : row + 1])[0]
        away.append(np.mean((made.numpy() - step.images[row % B].numpy()) ** 2))
    assert found == pytest.approx(np.mean(softmax) + 10 * np.mean(away), rel=1e-4)


@torch.no_grad()
def test_coupled_super_resolution_shares_half_of_each_layers_filters_and_counts_far_pixels_by_their_distance():
    loss, network, step = looked_at("rpcn-sr", "rpcn")
    found, total = float(loss(step)), 0.0
    of_photos = copy.deepcopy(network.enhance)
    for ours, own in zip(of_photos.parameters(), loss.own, strict=True):
        ours[len(ours) // 2 :] = own
    for row, image in enumerate(step.images):
        made = (of_photos if row < B else network.enhance)(image[None])[0]
        away = np.abs(made.numpy() - step.images[row % B].numpy()).astype(float)
        total += np.where(away < 0.1, away**2 / 2, 0.1 * (away - 0.05)).mean()
    assert found == pytest.approx(10 * total / len(step.images), rel=1e-4)


def test_an_enhancer_that_adds_begins_with_the_picture_and_one_that_does_not_with_another():
    x = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
    torch.testing.assert_close(networks.build("csri", D, 0.0).enhance(x), x, atol=0.05, rtol=0)
    made = networks.build("rpcn", D, 0.0).enhance(x)
    assert made.shape == x.shape and (made - x).abs().mean() > 0.1


def test_a_change_of_one_pixel_changes_the_enhanced_picture_around_it_alone():
    enhance = networks.build("rpcn", D, 0.0).enhance
    x = torch.zeros(1, 3, 112, 112)
    changed = x.clone()
    changed[0, :, 40, 60] = 1.0
    rows, columns = (enhance(changed) != enhance(x))[0].any(dim=0).nonzero().T
    assert 32 <= rows.min() <= 40 <= rows.max() <= 48 and 52 <= columns.min() <= 60 <= columns.max() <= 68


def test_losses_of_pictures_hold_no_part_of_the_network_and_refuse_one_without_an_enhancer():
    assert not looked_at("csri", "csri")[0].state_dict()
    loss = looked_at("rpcn-sr", "rpcn")[0]
    assert all(name.startswith("own.") for name in loss.state_dict()) and len(loss.state_dict()) == 6
    with pytest.raises(SettingError, match="enhancer"):
        a_loss("csri").prepare(networks.build("thin", D, 0.0), None)


@pytest.mark.parametrize("name", ["csri", "rpcn-sr"])
def test_pieces_of_a_batch_are_compared_with_their_own_photos(name, tmp_path, store_folder, monkeypatch):
    """Without batch normalisation, which sees the few alone, and standing still, pieces have the whole batch's loss."""
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda self, x: x * 1)
    faces, still = easy_faces(tmp_path / "faces"), presets.get(TINY, epochs=1, learning_rate=1e-12, dropout=0.0)
    whole, pieces = (
        trainer.fit(name, presets.get(still, micro_batch=few), 0, faces, progress=False).history[0]["loss"]
        for few in (0, 5)
    )
    assert pieces == pytest.approx(whole, rel=1e-4)


def test_rpcn_goes_on_from_an_enhancer_that_learnt_alone(tmp_path, store_folder):
    faces, still = easy_faces(tmp_path / "faces"), presets.get(TINY, weight_decay=0.0)
    short, long = (trainer.fit("rpcn-sr", presets.get(still, epochs=e), 0, faces, progress=False) for e in (1, 2))
    for name, value in weights(short).items():
        same = torch.equal(value, weights(long)[name])
        learns = name.startswith(("network.enhance.", "loss.own."))
        assert same != learns or name.endswith(("running_mean", "running_var", "num_batches_tracked")), name
    assert long.history[-1]["loss"] < long.history[0]["loss"]

    tuned = trainer.fit("rpcn", presets.get(still, epochs=2, learning_rate=1e-12), 0, faces, progress=False)
    stage = trainer.find("rpcn-sr", presets.get(still, epochs=2, learning_rate=1e-12), 0, faces)
    assert stage is not None and tuned.record["teacher"] == stage.key
    for name, value in weights(tuned).items():
        if name.startswith(("network.enhance.", "softmax.")):
            torch.testing.assert_close(value, weights(stage)[name])

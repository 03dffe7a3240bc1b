"""FAN: what each of its parts learns, from loops over photos."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rifr import methods, networks
from rifr.errors import SettingError
from rifr.methods import Step
from tests.test_methods import LABELS, B, D, K, a_loss, a_step


def prepared(name: str, views: int) -> tuple[methods.Loss, nn.Module, Step]:
    torch.manual_seed(6)
    loss, earlier = a_loss(name), networks.build("thin", D, 0.0).eval()
    loss.prepare(networks.build("thin", D, 0.0), earlier)
    return loss, earlier, replace(a_step(views), images=torch.rand(views * B, 3, 112, 112) * 2 - 1)


def shrunk(image: torch.Tensor) -> np.ndarray:
    """(3, 28, 28) means over 4x4 pixels."""
    return image.numpy().reshape(3, 28, 4, 28, 4).mean(axis=(2, 4))


def expected(loss: methods.Loss, step: Step) -> float:
    """The first stage's loss, photo by photo."""
    softmax, away, names = [], [], []
    others = [loss.encoder(torch.from_numpy(shrunk(step.images[photo]))[None])[0] for photo in range(B)]
    for row, z in enumerate(step.z):
        photo = row % B
        softmax.append(-float((step.w @ z).log_softmax(0)[LABELS[photo]]))
        drawn = loss.decoder(torch.cat([z / z.norm(), others[photo]])[None])[0].numpy()
        away.append(((drawn - shrunk(step.images[photo])) ** 2).mean())
    for photo in range(B):
        chances = loss.classifier(others[photo]).softmax(0).numpy()
        names.append(-np.log(chances[LABELS[photo]]) - 0.1 * np.log(chances).mean())
    return float(np.mean(softmax) + 10 * np.mean(away) + np.mean(names))


@pytest.mark.parametrize("views", [1, 2, 3])
@torch.no_grad()
def test_fan_draws_each_photo_from_its_feature_and_all_else_and_parts_the_two(views):
    loss, _, step = prepared("fan", views)
    assert float(loss(step)) == pytest.approx(expected(loss, step), rel=1e-4)


@torch.no_grad()
def test_fan_ft_pulls_the_direction_of_each_view_to_that_of_its_photo_in_the_first_stage():
    loss, earlier, step = prepared("fan-ft", 3)
    apart = []
    for row, z in enumerate(step.z):
        theirs = earlier(step.images[row % B][None])[0]
        apart.append(2 - 2 * float(z @ theirs) / float(z.norm() * theirs.norm()))
    assert float(loss(step)) == pytest.approx(expected(loss, step) + np.mean(apart), rel=1e-4)


def test_the_classifier_learns_to_name_people_and_the_encoder_to_make_all_names_alike():
    loss = prepared("fan", 2)[0]
    others = torch.randn(B, 32, requires_grad=True)
    loss.unnamed(others, LABELS).backward()
    with torch.no_grad():
        chances = loss.classifier(others).softmax(1)
        for_names = (chances - torch.eye(K)[LABELS]) / B
        torch.testing.assert_close(loss.classifier.weight.grad, for_names.T @ others)
        alike = 0.1 * (chances - 1 / K) / B
        torch.testing.assert_close(others.grad, alike @ loss.classifier.weight)


def test_the_network_of_the_first_stage_is_no_part_of_the_second_ones_loss_and_has_to_be_there():
    assert prepared("fan-ft", 2)[0].state_dict().keys() == a_loss("fan").state_dict().keys()
    with pytest.raises(SettingError, match="start"):
        a_loss("fan-ft").prepare(networks.build("thin", D, 0.0), None)

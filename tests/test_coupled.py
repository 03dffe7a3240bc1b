"""Deep coupled ResNet: its loss as a loop gives it, its gate, and a trunk that rests while the branches train."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rifr import degrade, methods, networks, presets, recipes
from rifr.methods import Step, coupled
from rifr.training import trainer
from tests.helpers import TINY, easy_faces, weights

D, LABELS = 5, torch.tensor([0, 3, 1, 1])


def a_network(embedding: int = D) -> coupled.Coupled:
    network = networks.build("coupled", embedding, 0.0)
    assert isinstance(network, coupled.Coupled)
    return network


def a_loss(name: str, network: torch.nn.Module | None = None) -> methods.Loss:
    loss = methods.get(name)(presets.get(TINY, embedding=D).training, 4)
    if network is not None:
        loss.prepare(network, None)
    return loss


def a_step(views: int) -> Step:
    draw = torch.Generator().manual_seed(1)
    z, w = 2 * torch.randn(views * 4, D, generator=draw), torch.randn(4, D, generator=draw)
    return Step(z, w, LABELS, images=torch.randn(views * 4, 3, 112, 112, generator=draw))


@pytest.mark.parametrize("views", [1, 2, 3])
def test_coupled_mappings_add_softmax_centres_and_the_way_between_a_photos_features(views):
    step, loss = a_step(views), a_loss("dcr")
    loss.centres.copy_(torch.randn(4, D, generator=torch.Generator().manual_seed(2)))
    centres, softmax, away, apart = loss.centres.tolist(), [], [], []
    for row, z in enumerate(step.z.tolist()):
        person = int(LABELS[row % 4])
        logits = [math.fsum(a * b for a, b in zip(z, w, strict=True)) for w in step.w.tolist()]
        softmax.append(math.log(sum(map(math.exp, logits))) - logits[person])
        away.append(math.dist(z, centres[person]) ** 2)
        if row >= 4:
            apart.append(math.dist(z, step.z[row % 4].tolist()) ** 2)
    expected = np.mean(softmax) + 0.004 * np.mean(away) + 0.004 * sum(apart) / max(len(apart), 1)
    assert float(loss(step)) == pytest.approx(expected, rel=1e-5)


def test_the_gate_learns_that_the_first_block_is_high_resolution():
    step, network = a_step(3), a_network()
    network.gate.linear.weight.data.normal_(generator=torch.Generator().manual_seed(4))
    step = replace(step, z=network.train()(step.images))
    logits = network.gate(step.images).tolist()
    wrong = [math.log1p(math.exp(-logit if row < 4 else logit)) for row, logit in enumerate(logits)]
    added = a_loss("dcr", network)(step) - a_loss("dcr")(step)  # both branches change nothing yet
    assert added.item() == pytest.approx(np.mean(wrong), rel=1e-4)


@pytest.mark.parametrize("sends", [-1.0, 1.0])
def test_in_training_each_view_goes_through_its_own_branch_whatever_the_gate_says(sends):
    step, network = a_step(3), a_network().train()
    with torch.no_grad():
        network.gate.linear.bias.fill_(sends)
        network.high.bias += 1.0
        network.low.bias -= 2.0
        trunk = networks.FaceResNet.forward(network, step.images)
        network(step.images)
    expected = trunk + torch.tensor([1.0] * 4 + [-2.0] * 8)[:, None]
    loss, plain = a_loss("dcr", network), a_loss("dcr")
    gate = F.binary_cross_entropy_with_logits(network.gate(step.images), torch.tensor([1.0] * 4 + [0.0] * 8))
    assert loss(step).item() == pytest.approx((plain(replace(step, z=expected)) + gate).item(), rel=1e-5)


def test_detail_is_the_energy_of_fine_bands_over_that_of_the_coarsest():
    image = np.random.default_rng(0).normal(size=(3, 112, 112))
    grey, energies = image.mean(0), []
    for _ in range(3):
        side = len(grey) // 2
        coarser = grey.reshape(side, 2, side, 2).mean((1, 3))
        energies.append(((grey - coarser.repeat(2, 0).repeat(2, 1)) ** 2).mean())
        grey = coarser
    expected = np.log(energies[:2]) - np.log(energies[2])
    found = coupled.Gate().detail(torch.from_numpy(image).float()[None])[0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3)


def test_detail_tells_low_widths_from_high_at_any_contrast():
    photos = np.random.default_rng(0).integers(0, 256, (6, 112, 112, 3), dtype=np.uint8)
    photos = degrade.to_width(photos, 80)  # no detail of single pixels, as faces have little
    high, low = (networks.to_input(torch.from_numpy(x)) for x in (photos, degrade.to_width(photos, 20)))
    gate = coupled.Gate()
    assert (gate.detail(high)[:, 0] > gate.detail(low)[:, 0] + 1).all()
    torch.testing.assert_close(gate.detail(0.3 * high), gate.detail(high), atol=0.05, rtol=0.05)


def test_the_gate_sends_each_image_through_its_branch_and_at_first_both_change_nothing():
    network = a_network().eval()
    images = torch.randn(6, 3, 112, 112, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        trunk = networks.FaceResNet.forward(network, images)
        torch.testing.assert_close(network(images), trunk)
        network.high.bias += 1.0
        network.low.bias -= 1.0
        network.gate.linear.weight.copy_(torch.tensor([[1.0, 0.0]]))
        details = network.gate.detail(images)[:, 0]
        network.gate.linear.bias.copy_(-details.median() - 1e-4)
        expected = torch.stack(
            [row + (1.0 if network.gate(image[None]) > 0 else -1.0) for row, image in zip(trunk, images)]
        )
        assert 0 < int((network.gate(images) > 0).sum()) < 6
        torch.testing.assert_close(network(images), expected)


def test_the_network_costs_what_the_thin_one_does():
    ours, thin = (networks.count(networks.build(name, 128, 0.0)).multiplies for name in ("coupled", "thin"))
    assert ours / thin == pytest.approx(1.0, abs=0.005)


def test_the_branches_train_and_the_trunk_rests(tmp_path, store_folder):
    faces, plan = easy_faces(tmp_path / "faces"), presets.get(TINY, epochs=1)
    tuned = trainer.fit("dcr-ft", plan, 0, faces, progress=False)
    trunk = trainer.find("dcr-trunk", plan, 0, faces)
    assert trunk is not None and tuned.record["teacher"] == trunk.key
    ours, theirs = weights(tuned), weights(trunk)
    for name in theirs:
        if name.startswith("network."):
            assert torch.equal(ours[name], theirs[name]), name
    assert not torch.equal(ours["network.high.weight"], ours["network.low.weight"])
    assert not torch.equal(ours["softmax.weight"], theirs["softmax.weight"])
    assert ours["network.gate.linear.weight"].any()
    assert not any(name.startswith("loss.network") for name in ours)


def test_the_branches_stand_on_a_thin_trunk_in_every_preset():
    plan = presets.get("paper")
    trunk, tuned = (recipes.get(name).relevant(plan.training) for name in ("dcr-trunk", "dcr-ft"))
    own = networks.build(tuned.network, D, 0.0).state_dict()
    theirs = networks.build(trunk.network, D, 0.0).state_dict()
    assert {name: value.shape for name, value in theirs.items()}.items() <= {
        name: value.shape for name, value in own.items()
    }.items()


def test_a_loss_made_from_another_is_found_by_the_code_of_both():
    assert [module.__name__.rpartition(".")[2] for module in methods.sources("dcr")] == ["coupled", "distances", "base"]

"""Diagrams and tables against the modules they are drawn from."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from rifr.networks import BasicBlock, BasicLayer, FaceResNet, count, resnet34, thin
from rifr.recipes import RECIPES
from rifr.report import figures


@pytest.fixture(scope="module")
def networks():
    return {"resnet34": resnet34(), "thin": thin()}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("name", ["resnet34", "thin"])
def test_the_parts_add_up_to_the_whole(networks, name):
    parts, whole = figures.network.stages(networks[name]), count(networks[name])
    assert sum(part.parameters for part in parts) == whole.parameters
    assert sum(part.multiplies for part in parts) == whole.multiplies
    last = figures.network.table(networks[name]).set_index("part").loc["whole"]
    assert (last["parameters"], last["multiplications"]) == (whole.parameters, whole.multiplies)


def test_the_sides_of_resnet34_halve_from_112_to_7(networks):
    parts = figures.network.stages(networks["resnet34"])
    assert [part.side for part in parts] == [112, 56, 28, 14, 7, 7, 1]
    assert [part.channels for part in parts] == [64, 64, 128, 256, 512, 512, 512]
    assert [part.name for part in parts] == ["stem", *(f"layers.{i}" for i in range(4)), "bn, relu, dropout", "fc"]


def test_a_layer_s_multiplications_as_worked_by_hand(networks):
    third = figures.network.stages(networks["thin"])[3]
    assert third.multiplies == (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64) * 7**2


def test_counting_leaves_the_network_as_it_was(networks):
    network = networks["thin"].train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    figures.network.stages(network)
    figures.network.network(network)
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_the_drawing_follows_the_module():
    odd = FaceResNet((5, 2), (8, 16), (2, 1), (1, 2), embedding=24, dropout=0.25)
    found = texts(figures.network.network(odd))
    assert "5×5 convolution, 8, stride 2, BN, ReLU" in found and "2 basic blocks, 8 wide, stride 1" in found
    assert "BN, ReLU, dropout 0.25" in found and f"FC, {16 * 28 * 28} → 24" in found
    assert any(text.startswith("16 × 28 × 28") for text in found) and "feature z,  24" in found


@pytest.mark.parametrize("stride, residual", [(1, "identity"), (2, "1×1 convolution,\n6, stride 2\nBN")])
def test_a_block_shows_its_residual_connection_and_the_sum_before_the_last_relu(stride, residual):
    found = texts(figures.network.block(BasicBlock(6, 6, stride)))
    assert residual in found
    order = [text for text in found if text in ("BN", "ReLU", "+")]
    assert order == ["BN", "ReLU", "BN", "+", "ReLU"]


def test_a_layer_is_a_first_block_and_repetitions():
    found = texts(figures.network.layer(BasicLayer(4, 8, 5, 2)))
    assert found[0] == "basic block, 8 wide, stride 2" and "4 × basic block, 8 wide, stride 1" in found
    assert not any(" × " in text for text in texts(figures.network.layer(BasicLayer(4, 8, 1, 2))))


@pytest.mark.parametrize("name", RECIPES)
def test_the_training_diagram_holds_what_the_recipe_holds(name):
    recipe, found = RECIPES[name], texts(figures.network.training(RECIPES[name]))
    assert ("teacher" in found) == recipe.needs_teacher
    assert ("softmax $w_{pre}$" in found) == (recipe.targets == "soft")
    assert ("shared softmax $w$" in found) == recipe.shared
    assert sum("$H(" in text for text in found) == 1 + recipe.shared
    assert sum("112 px" in text for text in found) == recipe.uses_hr + recipe.needs_teacher
    assert sum("20 or 16 px" in text for text in found) == recipe.uses_lr


@pytest.mark.parametrize("name", RECIPES)
def test_no_box_or_text_of_a_training_diagram_leaves_the_page(name):
    inside(figures.network.training(RECIPES[name]))


@pytest.mark.parametrize("name", ["resnet34", "thin"])
def test_no_box_or_text_of_a_network_s_diagrams_leaves_the_page(networks, name):
    network = networks[name]
    inside(figures.network.network(network))
    for layer in network.layers:
        inside(figures.network.layer(layer))
        inside(figures.network.block(layer[0]))


def inside(figure) -> None:
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for artist in [*figure.axes[0].texts, *figure.axes[0].patches]:
        box = artist.get_window_extent()
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, artist


def test_a_part_of_no_known_kind_is_called_by_its_class():
    assert figures.network.describe(nn.AvgPool2d(2)) == "AvgPool2d"

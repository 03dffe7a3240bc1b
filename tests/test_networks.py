"""The networks against Fig. 2, torchvision's ResNet-34 and counts worked by hand."""

import pytest
import torch
import torchvision
from torch import nn

from rifr.networks import BasicBlock, BasicLayer, count, resnet34, thin


def test_resnet34_is_four_layers_of_3_4_6_3_blocks():
    layers = list(resnet34().layers)
    assert [len(layer) for layer in layers] == [3, 4, 6, 3]
    for layer in layers:
        assert isinstance(layer[0].residual, nn.Sequential) and layer[0].residual[0].stride == (2, 2)
        assert layer[0].residual[0].kernel_size == (1, 1)
        assert all(isinstance(block.residual, nn.Identity) for block in list(layer)[1:])


def test_resnet34_counts_as_worked_by_hand():
    """Parameters of the trunk as torchvision's ResNet-34 has them, but for stem, one more projection, and the end."""
    theirs = sum(p.numel() for p in torchvision.models.resnet34().parameters())
    theirs -= 7 * 7 * 3 * 64 + 512 * 1000 + 1000  # their stem, their FC
    ours = 3 * 3 * 3 * 64 + (64 * 64 + 2 * 64) + 2 * 512 + (512 * 7 * 7 * 512 + 512)
    assert count(resnet34()).parameters == theirs + ours


def test_multiplications_of_the_thin_network_as_worked_by_hand():
    stem = 5 * 5 * 3 * 16 * 56**2
    first = (2 * 9 * 16 * 16 + 16 * 16) * 28**2
    second = (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32) * 14**2
    third = (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64) * 7**2
    fourth = (9 * 64 * 128 + 9 * 128 * 128 + 64 * 128) * 4**2
    assert count(thin(128)).multiplies == stem + first + second + third + fourth + 128 * 16 * 128


@pytest.mark.parametrize("network, size", [(resnet34(), 512), (thin(), 128), (thin(64), 64)])
def test_112_pixels_in_an_embedding_out(network, size):
    with torch.no_grad():
        assert network.eval()(torch.zeros(2, 3, 112, 112)).shape == (2, size)


def test_a_block_whose_convolutions_are_zero_passes_its_positive_input_on():
    block = BasicBlock(4, 4).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 4, 8, 8)
    torch.testing.assert_close(block(x), x)


def test_a_block_is_what_its_figure_says():
    block = BasicBlock(3, 5, stride=2).eval()
    x = torch.randn(2, 3, 9, 9)
    conv = torch.nn.functional.conv2d
    inner = torch.relu(block.bn1(conv(x, block.conv1.weight, stride=2, padding=1)))
    expected = block.bn2(conv(inner, block.conv2.weight, padding=1))
    expected = torch.relu(expected + block.residual[1](conv(x, block.residual[0].weight, stride=2)))
    torch.testing.assert_close(block(x), expected)


def test_wrong_inputs_are_refused_with_what_was_found():
    with pytest.raises(ValueError, match=r"\(1, 3, 100, 100\)"):
        thin()(torch.zeros(1, 3, 100, 100))
    with pytest.raises(ValueError, match="must be equal"):
        BasicBlock(3, 5, stride=1)


def test_a_layer_repeats_its_block_at_stride_1():
    layer = BasicLayer(8, 16, blocks=3, stride=2)
    assert [block.conv1.stride for block in layer] == [(2, 2), (1, 1), (1, 1)]


def test_an_operator_of_torchvision_runs():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]

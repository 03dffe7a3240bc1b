"""Networks of other methods: as large as they say, trained, stored and opened as the thin network is."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from rifr import methods, networks, presets, recipes
from rifr.errors import SettingError
from rifr.methods.trunks import MaxFeatureMap
from rifr.training import trainer
from tests.helpers import TINY, easy_faces

RATIOS = {"vgg": 1.08, "lightcnn": 1.08, "csri": 1.64, "rpcn": 1.64}
"""Of multiplications to the thin network's, as the docstrings have them."""


@pytest.mark.parametrize("name", RATIOS)
def test_a_network_costs_the_thin_ones_multiplications_times_what_its_docstring_says(name):
    ours, thin = (networks.count(networks.build(one, 128, 0.0)).multiplies for one in (name, "thin"))
    assert ours / thin == pytest.approx(RATIOS[name], abs=0.005)
    assert f"times {RATIOS[name]:.2f}" in " ".join(str(networks.NETWORKS[name].__doc__).split())


def widths(name: str) -> list[tuple[int, int]]:
    """(kernel, channels) of each convolution."""
    modules = networks.build(name, 128, 0.0).modules()
    return [(one.kernel_size[0], one.out_channels) for one in modules if isinstance(one, nn.Conv2d)]


def test_vgg_is_configuration_a_at_three_thirty_seconds_of_its_widths():
    assert widths("vgg") == [(3, width * 3 // 32) for width in (64, 128, 256, 256, 512, 512, 512, 512)]


def test_light_cnn_has_nine_layers_at_a_seventh_of_their_widths_each_twice_as_wide_before_its_maximum():
    published = [(5, 48), (1, 48), (3, 96), (1, 96), (3, 192), (1, 192), (3, 128), (1, 128), (3, 128)]
    ours = {48: 7, 96: 14, 192: 28, 128: 18}
    assert widths("lightcnn") == [(kernel, 2 * ours[width]) for kernel, width in published]


@pytest.mark.parametrize("shape", [(2, 6, 3, 3), (2, 6)])
def test_a_max_feature_map_keeps_the_larger_of_each_pair_of_channels(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    out = MaxFeatureMap()(x)
    assert out.shape == (2, 3, *shape[2:])
    for row in range(2):
        for channel in range(3):
            expected = np.maximum(x[row, channel].numpy(), x[row, channel + 3].numpy())
            np.testing.assert_array_equal(out[row, channel].numpy(), expected)


@pytest.mark.parametrize("name", RATIOS)
def test_every_weight_of_a_network_has_a_part_in_its_feature(name):
    network = networks.build(name, 16, 0.0)
    network(torch.randn(4, 3, 112, 112, generator=torch.Generator().manual_seed(2))).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


def test_another_process_opens_a_run_of_another_network_by_its_folder_alone(tmp_path, store_folder):
    run = trainer.fit("vggface", presets.get(TINY, epochs=1), 0, easy_faces(tmp_path / "faces"), progress=False)
    code = (
        "import sys, torch; from rifr.training.runs import Run; run = Run.open(sys.argv[1]); "
        "print(run.recipe.label, *run.network()(torch.ones(1, 3, 112, 112))[0].tolist())"
    )
    words = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], check=True, capture_output=True, text=True, env=os.environ
    ).stdout.split()
    assert words[0] == "VGGFace"
    expected = run.network()(torch.ones(1, 3, 112, 112))[0].tolist()
    np.testing.assert_allclose([float(word) for word in words[1:]], expected, rtol=1e-4, atol=1e-6)


OWN_FILE = '''
"""A network of a reader's own: the mean colours, and FC."""
from torch import nn
from rifr import networks, recipes

@networks.add("colours")
def colours(embedding, dropout):
    return nn.Sequential(nn.AdaptiveAvgPool2d({side}), nn.Flatten(), nn.Linear(3 * {side} ** 2, embedding))

recipes.add(recipes.Recipe("colours", "colours", True, False, "hard", False, changes=(("network", "colours"),)))
'''


def test_a_readers_own_network_trains_and_other_code_of_it_is_another_run_of_it_alone(
    tmp_path, store_folder, monkeypatch
):
    monkeypatch.setattr(recipes, "OTHERS", dict(recipes.OTHERS))
    monkeypatch.setattr(networks, "NETWORKS", dict(networks.NETWORKS))
    faces, plan, keys = easy_faces(tmp_path / "faces"), presets.get(TINY, epochs=1), []
    for side in ("1", "2"):
        folder = tmp_path / side
        folder.mkdir()
        (folder / "own.py").write_text(OWN_FILE.replace("{side}", side))
        networks.NETWORKS.pop("colours", None)
        methods.load(folder / "own.py")
        run = trainer.fit("colours", plan, 0, faces, progress=False)
        others = [trainer.run_key(recipes.get(name), plan.training, 0, faces, None) for name in ("hr-only", "vggface")]
        keys.append((run.key, others))
    (first, before), (second, after) = keys
    assert first != second and before == after


def test_a_name_that_is_taken_and_one_that_there_is_not_are_refused():
    with pytest.raises(SettingError, match="vgg"):
        networks.add("vgg")(lambda embedding, dropout: nn.Identity())
    other = type("thin", (), {"__module__": "mine", "__qualname__": "thin"})
    with pytest.raises(SettingError, match=r"thin.*rifr\.networks"):
        networks.add("thin")(other)
    with pytest.raises(SettingError, match=r"choose one of.*'thin'.*'vgg'"):
        presets.get("smoke", network="other")

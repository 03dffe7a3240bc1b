import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from rifr.degrade import to_width
from rifr.embed import embed

RNG = np.random.default_rng(11)
IMAGES = RNG.integers(0, 256, (10, 112, 112, 3), dtype=np.uint8)
WEIGHTS = RNG.standard_normal((14 * 14 * 3, 5)).astype(np.float32)


def network(faces):
    """Every eighth pixel through one matrix."""
    return (faces[:, ::8, ::8].reshape(len(faces), -1) / 127.5 - 1) @ WEIGHTS


def test_features_of_the_image_and_its_mirror_image_at_a_width_are_summed():
    faces = to_width(IMAGES, 20)
    found = embed(network, IMAGES, width=20)
    assert found.dtype == np.float32 and found.shape == (10, 5)
    assert np.allclose(found, network(faces) + network(faces[:, :, ::-1]), atol=1e-4)
    assert np.allclose(embed(network, IMAGES, width=20, mirror=False), network(faces), atol=1e-4)


@pytest.mark.parametrize("batch", [1, 3, 10, 400])
def test_the_batch_size_changes_nothing_and_bounds_what_the_embedder_sees(batch):
    seen = []

    def spy(faces):
        seen.append(len(faces))
        return network(faces)

    assert np.allclose(embed(spy, IMAGES, batch=batch), embed(network, IMAGES), atol=1e-4)
    assert max(seen) <= batch


def test_a_memory_map_a_tensor_giving_callable_and_a_run_are_embedders_too(tmp_path):
    class Run:
        def embedder(self):
            return lambda faces: torch.from_numpy(network(faces)).requires_grad_()

    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert np.array_equal(embed(Run(), mapped, width=40), embed(network, IMAGES, width=40))


def test_embeddings_that_are_not_finite_are_named():
    def broken(faces):
        features = network(faces)
        features[(faces == IMAGES[7]).all(axis=(1, 2, 3)), 2] = np.nan
        return features

    with pytest.raises(ValueError, match="1 embeddings are not finite: images 7."):
        embed(broken, IMAGES, batch=4)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="uint8, not .*float64"):
        embed(network, IMAGES / 255)
    with pytest.raises(ValueError, match="4 to 112"):
        embed(network, IMAGES, width=-20)
    with pytest.raises(ValueError, match=r"gave \(10,\) for 10 images"):
        embed(lambda faces: np.zeros(len(faces)), IMAGES)
    with pytest.raises(TypeError, match="not int"):
        embed(5, IMAGES)
    with pytest.raises(ValueError, match="no images"):
        embed(network, IMAGES[:0])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        embed(tmp_path / "none.onnx", IMAGES)
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ValueError, match="no ONNX network"):
        embed(tmp_path / "text.onnx", IMAGES)


def export(path, side=112, batch=None):
    """A small network as an ONNX file; its PyTorch original."""
    pytest.importorskip("onnx", reason="making an ONNX file needs the package onnx")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 7, stride=16), torch.nn.Flatten(), torch.nn.LazyLinear(6)).eval()
    example = torch.zeros(batch or 2, 3, side, side)
    model(example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (example,), str(path), dynamo=False, input_names=["x"],
                          dynamic_axes=None if batch else {"x": {0: "n"}})
    return model


@pytest.mark.parametrize("batch", [None, 4])
def test_an_onnx_file_gives_what_its_network_gives(tmp_path, batch):
    model = export(tmp_path / "small.onnx", batch=batch)
    pixels = torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = model(pixels).numpy()
    assert np.allclose(embed(str(tmp_path / "small.onnx"), IMAGES, mirror=False), expected, atol=1e-4)


def test_an_onnx_file_of_another_size_is_refused_with_what_was_found(tmp_path):
    export(tmp_path / "large.onnx", side=160)
    with pytest.raises(ValueError, match=r"160, 160\].*wanted one input \(N, 3, 112, 112\)"):
        embed(tmp_path / "large.onnx", IMAGES)


def test_a_real_network_knows_a_person_again():
    data = os.environ.get("RIFR_REAL_DATA")
    if not data:
        pytest.skip("RIFR_REAL_DATA names no folder of real faces")
    from PIL import Image

    people = sorted((Path(data) / "facescrub12").iterdir())[:2]
    images = np.stack([np.asarray(Image.open(file).convert("RGB")) for person in people
                       for file in sorted(person.iterdir())[:4]])
    features = embed(Path(data) / "models" / "mobilefacenet.onnx", images)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = features @ features.T
    assert scores[:4, :4].mean() > scores[:4, 4:].mean() + 0.3


@pytest.mark.parametrize("shape", [[1, 3, 160, 160], ["n", 112, 112, 3], ["n", 3, 112]])
def test_an_input_that_does_not_fit_is_refused_with_what_was_found_and_wanted(tmp_path, monkeypatch, shape):
    import onnxruntime

    class Session:
        def __init__(self, *_, **__):
            pass

        def get_inputs(self):
            return [type("Input", (), {"name": "x", "shape": shape, "type": "tensor(float)"})]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    (tmp_path / "network.onnx").touch()
    with pytest.raises(ValueError, match=r"network.onnx takes x \[.*wanted one input \(N, 3, 112, 112\)"):
        embed(tmp_path / "network.onnx", IMAGES)

import hashlib
import os
import re
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rifr
from rifr import networks
from rifr.degrade import to_width
from rifr.errors import DataError, SettingError
from rifr.evaluation.embed import Onnx, embed, from_onnx
from rifr.evaluation.onnx_weights import weight_files
from tests.helpers import onnx_file

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

    with pytest.raises(ValueError, match="images 7"):
        embed(broken, IMAGES, batch=4)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"uint8, not .*float64"):
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


def test_an_embedder_that_depends_on_its_batch_is_refused_and_one_that_only_rounds_is_not():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, stride=8), torch.nn.BatchNorm2d(4), torch.nn.Flatten())

    def wrapped(faces):
        return layers(networks.to_input(torch.from_numpy(faces)))

    lighter = (IMAGES * np.linspace(0.1, 1, 10)[:, None, None, None]).astype(np.uint8)  # noise is alike, faces are not
    with pytest.raises(DataError, match=r"other features in another batch.*network\.eval\(\)"):
        embed(wrapped, lighter, batch=4)
    layers.append(torch.nn.Dropout(0.1)).eval()
    found = embed(wrapped, IMAGES, batch=4, mirror=False)
    assert np.allclose(found, wrapped(IMAGES).detach(), atol=1e-4)
    layers[-1].train()
    with pytest.raises(DataError, match="in another batch"):
        embed(wrapped, IMAGES[:1])
    with pytest.raises(DataError, match="gave 5 numbers an image, then 3"):
        embed(lambda faces: network(faces)[:, : 3 if len(faces) == 2 else 5], IMAGES)

    def rounding(faces):  # as half precision does, otherwise in each batch
        return network(faces) * (1 + 0.01 * len(faces) / 4)

    assert embed(rounding, IMAGES, batch=4).shape == (10, 5)


def test_a_module_is_refused_with_the_function_that_wraps_it():
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, stride=8), torch.nn.Flatten()).eval()
    with pytest.raises(SettingError, match=r"a Sequential takes tensors.*rifr\.networks\.to_input") as refused:
        embed(layers, IMAGES)
    said = re.search(r"lambda faces: network\(.*?\)\)\)", str(refused.value))[0]
    wrapped = eval(said, {"network": layers, "rifr": rifr, "torch": torch})
    assert np.allclose(embed(wrapped, IMAGES, mirror=False), wrapped(IMAGES).detach(), atol=1e-4)


def test_a_memory_map_is_read_a_batch_at_a_time(tmp_path):
    asked = []

    class Watched(np.ndarray):
        def __getitem__(self, which):
            asked.append(which)
            return np.asarray(super().__getitem__(which))

    np.save(tmp_path / "images.npy", np.tile(IMAGES, (60, 1, 1, 1)))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    embed(network, IMAGES, width=20)  # what is imported and compiled on the way is not counted
    tracemalloc.start()
    embed(network, mapped.view(Watched), width=20, batch=8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert asked == [slice(start, start + 8) for start in range(0, 600, 8)]
    assert peak < mapped.nbytes / 4


def by_hand(matrix, images):
    return images.reshape(len(images), -1).astype(np.float64) @ matrix.astype(np.float64)


@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize("dtype, error", [(np.float32, 0.01), (np.float16, 3), (np.float64, 0.01)])
def test_an_onnx_file_gives_what_its_network_gives(tmp_path, batch, dtype, error):
    matrix = onnx_file(tmp_path / "small.onnx", [batch, 3, 112, 112], dtype)
    expected = by_hand(matrix, (IMAGES.transpose(0, 3, 1, 2) - 127.5) / 127.5)
    assert np.abs(embed(str(tmp_path / "small.onnx"), IMAGES, mirror=False) - expected).max() < error


def test_layout_is_read_from_the_file_and_colours_mean_and_scale_are_options(tmp_path):
    matrix = onnx_file(tmp_path / "last.onnx", ["n", 112, 112, 3])
    found = embed(
        Onnx(tmp_path / "last.onnx", channels="BGR", mean=(120, 110, 100), scale=(60.0, 58, 57)), IMAGES, mirror=False
    )
    pixels = (IMAGES - np.array([120, 110, 100])) / np.array([60, 58, 57])
    assert np.allclose(found, by_hand(matrix, pixels[..., ::-1]), atol=0.05)
    raw = from_onnx(tmp_path / "last.onnx", mean=0, scale=1, layout="NHWC")(IMAGES)
    assert np.allclose(raw, by_hand(matrix, IMAGES), rtol=1e-4, atol=1)


@pytest.mark.parametrize("size, how", [(96, cv2.INTER_AREA), (160, cv2.INTER_LINEAR)])
def test_another_size_is_made_from_the_degraded_face(tmp_path, size, how):
    matrix = onnx_file(tmp_path / "sized.onnx", ["n", 3, size, size])
    faces = [cv2.resize(face.astype(np.float32), (size, size), interpolation=how) for face in to_width(IMAGES, 20)]
    expected = by_hand(matrix, (np.stack(faces).transpose(0, 3, 1, 2) - 127.5) / 127.5)
    assert np.allclose(embed(tmp_path / "sized.onnx", IMAGES, width=20, mirror=False), expected, atol=0.02)


def test_a_file_of_any_size_takes_112_or_what_is_asked(tmp_path):
    matrix = onnx_file(tmp_path / "free.onnx", ["n", 3, "h", "w"], pool=True)
    for size in (None, 56):
        faces = (
            IMAGES
            if size is None
            else np.stack(
                [cv2.resize(face.astype(np.float32), (56, 56), interpolation=cv2.INTER_AREA) for face in IMAGES]
            )
        )
        expected = (faces.mean(axis=(1, 2), dtype=np.float64) / 127.5 - 1) @ matrix
        assert np.allclose(from_onnx(tmp_path / "free.onnx", size=size)(IMAGES), expected, atol=1e-3)


@pytest.mark.parametrize(
    "shape, options, words",
    [
        (["n", 1, 112, 112], {}, "NCHW has 1 channels"),
        (["n", 3, 112, 112], {"layout": "NHWC"}, "NHWC has 112 channels"),
        (["n", 3, 112, 96], {}, "112 by 96 pixels are no square"),
        (["n", 3, 112, 112], {"size": 160}, "112 pixels wide, and size=160"),
        (["n", 37632], {}, "wanted one input"),
        (["n", 3, 112, 112], {"inputs": 2}, "wanted one input"),
        (["n", 3, 112, 112], {"dtype": np.uint8}, "wanted one input"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_what_was_found_and_wanted(
    tmp_path, monkeypatch, shape, options, words
):
    import onnxruntime

    inputs, dtype = options.pop("inputs", 1), options.pop("dtype", np.float32)
    one = {"name": "x", "shape": shape, "type": "tensor(uint8)" if dtype is np.uint8 else "tensor(float)"}
    session = type(
        "Session", (), {"__init__": lambda *_, **__: None, "get_inputs": lambda _: [type("Input", (), one)] * inputs}
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    (tmp_path / "network.onnx").touch()
    with pytest.raises(ValueError, match=rf"network.onnx takes x \['n', .*{words}"):
        from_onnx(tmp_path / "network.onnx", **options)


def test_a_size_that_the_network_cannot_take_is_said_when_it_runs(tmp_path):
    matrix = onnx_file(tmp_path / "odd.onnx", ["n", 3, 56, 56], declared=["n", 3, "h", "w"])
    with pytest.raises(DataError, match=r"does not take \(10, 3, 112, 112\) float32.*--size"):
        from_onnx(tmp_path / "odd.onnx")(IMAGES)
    assert from_onnx(tmp_path / "odd.onnx", size=56)(IMAGES).shape == (10, matrix.shape[1])


@pytest.mark.parametrize("ending", ["pt", "pth", "ts", "pkl", "ckpt", "PTH", "bin"])
def test_files_that_could_run_code_are_never_opened(tmp_path, ending):
    path = tmp_path / f"network.{ending}"
    path.write_bytes(f"cos\nsystem\n(S'touch {tmp_path / 'ran'}'\ntR.".encode())
    with pytest.raises(ValueError, match="ONNX"):
        embed(path, IMAGES)
    assert not (tmp_path / "ran").exists()


def test_weights_alone_come_with_the_way_to_use_them(tmp_path):
    with pytest.raises(ValueError, match="load_state_dict"):
        embed(tmp_path / "weights.safetensors", IMAGES)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"layout": "CHW"}, "layout is one of auto, NCHW, NHWC"),
        ({"channels": "GBR"}, "channels is one of RGB, BGR"),
        ({"scale": 0}, "scale .* not zero"),
        ({"mean": (1, 2)}, "one number or three"),
        ({"mean": float("nan")}, "one number"),
        ({"size": 0}, "size is a number of pixels"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Onnx("network.onnx", **options)


def test_a_file_whose_weights_are_missing_is_refused_before_anything_is_embedded(tmp_path):
    onnx_file(tmp_path / "net.onnx", ["n", 3, 112, 112], weights_file="weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(DataError, match=r"weights\.bin"):
        Onnx(tmp_path / "net.onnx").files()
    with pytest.raises(DataError, match=r"weights\.bin"):
        embed(tmp_path / "net.onnx", IMAGES)


@pytest.mark.parametrize("weights_file", ["net.onnx.data", "checkpoint.bin", "weights of the net"])
def test_a_files_key_follows_its_bytes_its_weights_wherever_they_lie_and_its_options(tmp_path, weights_file):
    path = tmp_path / "net.onnx"
    onnx_file(path, ["n", 3, 112, 112], weights_file=weights_file)
    graph = path.read_bytes()
    assert Onnx(path).files() == [path, tmp_path / weights_file] and Onnx(path).name == "net"
    keys = {Onnx(path).key, Onnx(path, channels="BGR").key, Onnx(path, mean=0.0).key, Onnx(path, size=56).key}
    before = embed(path, IMAGES)
    onnx_file(path, ["n", 3, 112, 112], weights_file=weights_file, seed=4)
    assert path.read_bytes() == graph and not np.allclose(embed(path, IMAGES), before), "the weights alone are others"
    assert Onnx(path).checksums()[weights_file] == hashlib.sha256((tmp_path / weights_file).read_bytes()).hexdigest()
    keys.add(Onnx(path).key)
    onnx_file(path, ["n", 3, 112, 112])
    keys.add(Onnx(path).key)
    assert len(keys) == 6 and Onnx(path).key == Onnx(str(path)).key and Onnx(path).files() == [path]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_graph_names_no_weights_or_those_that_can_be_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "net.onnx"
    onnx_file(path, ["n", 3, 4, 4], weights_file="w.bin")
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(
        whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + data.draw(st.integers(0, 9)) :]
    )
    assert all(isinstance(file, Path) for file in weight_files(path))


@pytest.mark.parametrize("batch", [1, 4, 256])
def test_a_file_that_says_any_batch_and_takes_one_is_run_image_by_image(tmp_path, batch):
    matrix = onnx_file(tmp_path / "one.onnx", ["n", 3, 112, 112], one=True)
    expected = by_hand(matrix, (IMAGES.transpose(0, 3, 1, 2) - 127.5) / 127.5)
    found = embed(tmp_path / "one.onnx", IMAGES, mirror=False, batch=batch)
    assert np.abs(found - expected).max() < 0.01


def test_a_network_runs_on_a_gpu_or_the_cpu_and_never_waits_for_tensorrt(tmp_path, monkeypatch):
    import onnxruntime

    asked = []

    def session(path, options, providers):
        asked.append(providers)
        raise FileNotFoundError

    onnx_file(tmp_path / "net.onnx", ["n", 3, 112, 112])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    for available in (["Tensorrt", "CUDA", "CPU"], ["Azure", "CPU"]):
        names = [f"{name}ExecutionProvider" for name in available]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda names=names: names)
        with pytest.raises(FileNotFoundError):
            from_onnx(tmp_path / "net.onnx")
    assert asked == [["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]]


def test_a_real_network_knows_a_person_again():
    data = os.environ.get("RIFR_REAL_DATA")
    if not data:
        pytest.skip("RIFR_REAL_DATA names no folder of real faces")
    from PIL import Image

    people = sorted((Path(data) / "facescrub12").iterdir())[:2]
    images = np.stack(
        [np.asarray(Image.open(file).convert("RGB")) for person in people for file in sorted(person.iterdir())[:4]]
    )
    features = embed(Path(data) / "models" / "mobilefacenet.onnx", images)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    scores = features @ features.T
    assert scores[:4, :4].mean() > scores[:4, 4:].mean() + 0.3


def test_an_embedder_may_write_into_what_it_is_given():
    images = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)
    images.flags.writeable = False  # as those of a pack on disk

    def swapped(faces):
        return faces[..., ::-1].reshape(len(faces), -1)[:, ::997].astype(np.float32)

    def swaps(faces):
        faces[:] = faces[..., ::-1]
        return faces.reshape(len(faces), -1)[:, ::997].astype(np.float32)

    for width in (112, 20):
        assert np.array_equal(embed(swaps, images, width), embed(swapped, images, width))


@pytest.mark.parametrize(
    "gives",
    [lambda x: (np.ones((len(x), 4)), None), lambda x: {"z": x}, lambda x: ["a"], lambda x: np.ones((1, 2)) * 1j],
)
def test_what_is_no_array_of_numbers_is_refused(gives):
    with pytest.raises(DataError, match=r"the embedder gave .* wanted an array or a tensor of numbers, .1, D."):
        embed(gives, np.zeros((1, 112, 112, 3), np.uint8), 112)

"""What several tests make: faces that are learnt in seconds, folders of photos, ONNX files, a training of seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import nbformat
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from rifr import presets, storage
from rifr.packs import FacePack
from rifr.storage import cache
from rifr.training.runs import Run

TINY = replace(
    presets.get("smoke"),
    name="tiny",
    training=presets.Training("thin", embedding=16, epochs=3, batch_size=16, learning_rate=0.05, dropout=0.1),
)


def easy_faces(path: Path, people: int = 6, images: int = 8, seed: int = 0) -> FacePack:
    """A pack that a network can learn in seconds: each person is a smooth pattern of their own under noise."""
    rng = np.random.default_rng(seed)
    patterns = np.kron(rng.uniform(40, 215, (people, 7, 7, 3)), np.ones((1, 16, 16, 1)))
    shots = patterns.repeat(images, 0) + rng.normal(0, 12, (people * images, 112, 112, 3))
    names = [f"person-{i:03d}" for i in range(people) for _ in range(images)]
    return FacePack.write(path, shots.clip(0, 255).astype(np.uint8), names, source="patterns", licence="CC0")


def photos(folder: Path, name: str, count: int, seed: int = 0) -> None:
    """Write photos of a person: a coarse pattern of their own under noise."""
    rng = np.random.default_rng([seed, *name.encode()])
    pattern = np.kron(rng.uniform(40, 215, (4, 4, 3)), np.ones((28, 28, 1)))
    (folder / name).mkdir(parents=True)
    for i in range(count):
        image = (pattern + rng.normal(0, 60, (112, 112, 3))).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / name / f"{name}_{i + 1:04d}.png"), image)


def person(folder: Path, name: str, count: int) -> None:
    """Write `count` pictures of noise, of nobody else's, into a person's folder."""
    (folder / name).mkdir(parents=True)
    for i in range(count):
        image = np.random.default_rng([count, i, *name.encode()]).integers(0, 256, (112, 112, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name / f"{i}.png"), image)


def onnx_file(
    path: Path,
    shape: Sequence[int | str],
    dtype: type = np.float32,
    pool: bool = False,
    declared: Sequence[int | str] | None = None,
    weights_file: str = "",
    seed: int = 3,
    one: bool = False,
) -> np.ndarray:
    """Write an ONNX file that flattens its input and multiplies it by a matrix -> (N, 5); returns the matrix.

    shape: of the input; a word is a free dimension. pool: average over the pixels first, so that any size fits.
    declared: the shape that the file says it takes, where that is another. weights_file: keep the matrix in a file of
    this name beside it. one: fit for one image only (what is flattened is one row), whatever the shape says.
    """
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    length = 3 if pool else int(np.prod([size for size in shape[1:] if isinstance(size, int)]))
    matrix: np.ndarray = np.random.default_rng(seed).standard_normal((length, 5)).astype(dtype)
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["p"])] if pool else []
    nodes += [
        helper.make_node("Flatten", ["p" if pool else "x"], ["f"], axis=0 if one else 1),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", code, declared or shape)],
        [helper.make_tensor_value_info("y", code, ["n", 5])],
        [numpy_helper.from_array(matrix, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if weights_file:
        (path.parent / weights_file).unlink(missing_ok=True)  # else it is appended to
        onnx.save(model, str(path), save_as_external_data=True, location=weights_file, size_threshold=0)
    else:
        onnx.save(model, str(path))
    return matrix


TEXT = """# 9 Tiny

$$x = 1$$ (one)

After {cite:t}`hinton2015`, {eq}`one`; see {doc}`errata` and [chapter 10](tinyface.ipynb)."""
PARAMETERS = "preset = None  # None: $RIFR_PRESET\nseed = 0\nscale = 1.0\nwidths = None\nfolder = None"


def chapter(path: Path, code: str, cells: int = 1) -> Path:
    """A chapter of the test's own: a cell of text, one of parameters, and code."""
    new = nbformat.v4
    made = [new.new_markdown_cell(TEXT), new.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    made += [new.new_code_cell(code) for _ in range(cells)]
    for place, cell in enumerate(made):
        cell.id = f"cell-{place}"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new.new_notebook(cells=made, metadata=kernel), path)
    return path


def people_of_their_own(path: Path, name: str) -> None:
    """Put a name before those of the people in a pack of `easy_faces`, which are the same in all such packs."""
    pack = FacePack.open(path)
    people = [f"{name} {one}" for one in pack.identities]
    FacePack.write(path, np.array(pack.images), people, source="patterns", licence="CC0")


def other_code(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From now on the library's source file of this name, such as "readers/images.py", counts as another one."""
    code = cache._code_digest
    file = storage.PACKAGE / name
    assert file.is_file()
    monkeypatch.setattr(
        cache, "_code_digest", lambda one, changed: "other" if one.resolve() == file else code(one, changed)
    )


def not_to_be_unpacked(archive: bytes) -> bytes:
    """A zip whose first file begins with a block of a kind that there is not: after its header of 30 bytes and name."""
    place = 30 + int.from_bytes(archive[26:28], "little") + int.from_bytes(archive[28:30], "little")
    return archive[:place] + b"\xff" + archive[place + 1 :]


def weights(run: Run) -> dict[str, torch.Tensor]:
    """Copies of all tensors of a run by name."""
    return {name: value.clone() for name, value in run.weights().items()}


def assert_equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> None:
    """Two sets of tensors are the same, bit by bit."""
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name

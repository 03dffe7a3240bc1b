"""Networks in ONNX files: how one wants its pixels, the files it lies in, and running it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rifr import storage
from rifr.align import FACE_SIZE
from rifr.errors import DataError, SettingError
from rifr.evaluation.onnx_weights import weight_files
from rifr.readers.images import first_few

__all__ = ["Network", "Onnx", "from_onnx"]

PICKLES = {".pt", ".pth", ".ts", ".pkl", ".pickle", ".ckpt", ".bin", ".tar"}
INPUT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""What onnxruntime may run on, best first. Not TensorRT: it builds an engine for minutes and rounds otherwise."""

Network = Callable[[np.ndarray], Any]
"""(N, 112, 112, 3) uint8 RGB -> (N, D), an array or a tensor of any device."""


@dataclass(frozen=True)
class Onnx:
    """A network in an ONNX file, and how it wants its pixels: (grey level - mean) / scale.

    Parameters
    ----------
    path : Path
        The file. Pickled checkpoints are refused: they could run foreign code when they are loaded.
    layout : {"auto", "NCHW", "NHWC"}
        Of its input; "auto" is what the shape of the input says.
    channels : {"RGB", "BGR"}
        The order of the colours.
    mean, scale : float or (float, float, float)
        In grey levels of 0 to 255; three are red, green, blue.
    size : int, optional
        The side of its input in pixels; by default what the file says, else 112. For another size than 112 the face at
        its width is resized last: linearly to enlarge, by area to shrink.

    Raises
    ------
    SettingError
        For options that mean nothing, and for files of another kind.
    """

    path: Path
    layout: str = "auto"
    channels: str = "RGB"
    mean: float | tuple[float, float, float] = 127.5
    scale: float | tuple[float, float, float] = 127.5
    size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        ending = self.path.suffix.lower()
        if ending in PICKLES:
            raise SettingError(
                f"{self.path} is not loaded: a {ending} file can run foreign code when it is loaded. "
                "Export the network to ONNX, or load it yourself and pass a callable "
                "(N, 112, 112, 3) uint8 -> (N, D)"
            )
        if ending == ".safetensors":
            raise SettingError(
                f"{self.path} holds weights without their network: load them into yours "
                "(network.load_state_dict(safetensors.torch.load_file(path))) and pass a callable "
                "(N, 112, 112, 3) uint8 -> (N, D), or export it to ONNX"
            )
        for name, allowed in {"layout": ("auto", "NCHW", "NHWC"), "channels": ("RGB", "BGR")}.items():
            if getattr(self, name) not in allowed:
                raise SettingError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name in ("mean", "scale"):
            value = getattr(self, name)
            if not np.isscalar(value):
                value = tuple(float(number) for number in value)
                object.__setattr__(self, name, value)
            if (
                np.size(value) not in (1, 3)
                or not np.all(np.isfinite(value))
                or (name == "scale" and not np.all(value))
            ):
                raise SettingError(
                    f"{name} is one number or three (red, green, blue) in grey levels"
                    f"{', not zero' if name == 'scale' else ''}, not {value!r}"
                )
        if self.size is not None and not (isinstance(self.size, int) and 1 <= self.size <= 4096):
            raise SettingError(f"size is a number of pixels from 1 to 4096, not {self.size!r}")

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    def files(self) -> list[Path]:
        """The graph and the files that it names for its weights, whatever they are called.

        Raises
        ------
        FileNotFoundError
            Where there is no graph.
        DataError
            Where a file of weights is missing.
        """
        _require_file(self.path)
        weights = weight_files(self.path)
        missing = [file.name for file in weights if not file.is_file()]
        if missing:
            raise DataError(
                f"{self.path} keeps weights in {first_few(missing)}, which is not there: put it beside the graph"
            )
        return [self.path, *weights]

    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each of `files`, by name relative to the graph's folder."""
        names = [str(file.relative_to(self.path.parent)) for file in self.files()]
        return {name: storage.file_digest(file) for name, file in zip(names, self.files())}

    @property
    def key(self) -> str:
        """A digest of the graph, of its weights wherever they lie, and of the options: of all that makes a feature."""
        return storage.digest(self.checksums(), self.layout, self.channels, self.mean, self.scale, self.size)

    def embedder(self) -> Network:
        """A function from (N, 112, 112, 3) uint8 RGB to features (N, D)."""
        return from_onnx(self)


def from_onnx(path: str | Path | Onnx, **options: Any) -> Network:
    """An embedder from an ONNX file with one image input; of several outputs, the first is taken.

    A file with a fixed batch is given that many images at a time. One that says it takes any number and does not is
    given them one by one.

    Parameters
    ----------
    path : str, Path or Onnx
        The file, or `Onnx(path, ...)`.
    **options
        Those of `Onnx` (layout, channels, mean, scale, size).

    Raises
    ------
    FileNotFoundError
        Where there is no file.
    DataError
        For a file that onnxruntime cannot run or whose input does not fit.
    """
    plan = path if isinstance(path, Onnx) else Onnx(Path(path), **options)
    session, failures = _session(plan.path)
    inputs = session.get_inputs()
    layout, size = _input_layout(plan, inputs)
    batch = _known(inputs[0].shape[0])
    name, output, dtype = inputs[0].name, session.get_outputs()[0].name, INPUT_TYPES[inputs[0].type]
    mean, scale = (np.asarray(value, np.float32) for value in (plan.mean, plan.scale))

    def run(pixels: np.ndarray) -> np.ndarray:
        features = session.run([output], {name: pixels})[0]
        if not np.ndim(features) or len(features) != len(pixels) or not isinstance(features, np.ndarray):
            raise DataError(f"it gives {type(features).__name__} {np.shape(features)} for {len(pixels)} images")
        return features.reshape(len(features), -1)  # some files keep (N, D, 1, 1)

    def run_in_parts(pixels: np.ndarray, batch: int) -> np.ndarray:
        # The last part is filled up, and what was added is dropped.
        parts = [
            np.resize(pixels[start : start + batch], (batch, *pixels.shape[1:]))
            for start in range(0, len(pixels), batch)
        ]
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return np.concatenate(list(pool.map(run, parts)))[: len(pixels)]

    def run_all(pixels: np.ndarray) -> np.ndarray:
        nonlocal batch
        if batch is None:
            try:
                return run(pixels)
            except failures:
                if len(pixels) == 1:
                    raise
            features = run_in_parts(pixels, 1)  # raises again where the number of images is not what is wrong
            batch = 1
            return features
        return run_in_parts(pixels, batch)

    def network(faces: np.ndarray) -> np.ndarray:
        pixels = (_resized(faces, size) - mean) / scale  # (N, size, size, 3)
        if plan.channels == "BGR":
            pixels = pixels[..., ::-1]
        if layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        pixels = np.ascontiguousarray(pixels, dtype)
        try:
            return run_all(pixels)
        except failures as error:
            raise DataError(
                f"{plan.path} does not take {pixels.shape} {pixels.dtype}, nor its images one by one: {error}. Where "
                "its input has no fixed size, give the one it was trained with as size (--size)"
            ) from error

    return network


def _require_file(path: Path) -> None:
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {found}: give the path of an ONNX file")


def _session(path: Path) -> tuple[Any, tuple[type[Exception], ...]]:
    """The file, ready to run, and the exceptions that say that it cannot."""
    import onnxruntime  # half a second that other embedders need not wait
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    _require_file(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised too
    options.intra_op_num_threads = torch.get_num_threads()  # by itself it would take every core, whatever is asked for
    failures = (
        DataError,
        states.InvalidProtobuf,
        states.InvalidGraph,
        states.InvalidArgument,
        states.NoSuchFile,
        states.Fail,
        states.NotImplemented,
        states.RuntimeException,
    )
    available = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[provider for provider in PROVIDERS if provider in available]
        )
        return session, failures
    except failures as error:
        raise DataError(f"{path} is no ONNX network that onnxruntime can run: {error}") from error


def _input_layout(plan: Onnx, inputs: list[Any]) -> tuple[str, int]:
    """The layout and size of the file's input, from its shape where it says so, else from the options."""
    shape = list(inputs[0].shape)
    described = f"{plan.path} takes {'; '.join(f'{entry.name} {entry.shape} {entry.type}' for entry in inputs)}"
    wanted = (
        "wanted one input (N, 3, side, side) or (N, side, side, 3) of tensor(float), tensor(float16) or "
        "tensor(double): export the part of the network that takes a face and gives its embedding"
    )
    if len(inputs) != 1 or len(shape) != 4 or inputs[0].type not in INPUT_TYPES:
        raise DataError(f"{described}; {wanted}")
    layout = plan.layout
    if layout == "auto":
        layout = "NHWC" if shape[3] == 3 and shape[1] != 3 else "NCHW"
    channels, sides = (shape[1], shape[2:]) if layout == "NCHW" else (shape[3], shape[1:3])
    if _known(channels) not in (3, None):
        raise DataError(f"{described}, which as {layout} has {channels} channels; {wanted}")
    known = {side for side in map(_known, sides) if side}
    if len(known) > 1:
        raise DataError(f"{described}: {sides[0]} by {sides[1]} pixels are no square; {wanted}")
    size = known.pop() if known else plan.size or FACE_SIZE
    if plan.size not in (None, size):
        raise DataError(f"{described}: {size} pixels wide, and size={plan.size} was asked for; leave size out")
    return layout, size


def _known(dimension: int | str | None) -> int | None:
    """A dimension that the file fixes; None for one that it leaves free, by a name or by -1."""
    return dimension if isinstance(dimension, int) and dimension > 0 else None


def _resized(faces: np.ndarray, size: int) -> np.ndarray:
    """(N, size, size, 3) float32 from (N, 112, 112, 3) uint8."""
    faces = faces.astype(np.float32)
    if size == FACE_SIZE:
        return faces
    method = cv2.INTER_AREA if size < FACE_SIZE else cv2.INTER_LINEAR
    return np.stack([cv2.resize(face, (size, size), interpolation=method) for face in faces])

"""Faces to features: any embedder, any face width, a batch at a time.

An embedder is a stored Run, a Python callable that takes (N, 112, 112, 3) uint8 RGB and gives (N, D), the path of an
ONNX file, or `Onnx(path, ...)` where the file wants its pixels otherwise than RGB in [-1, 1].
"""

import glob
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from rifr import store
from rifr.degrade import FACE, check_width, to_width

__all__ = ["Onnx", "embed", "from_onnx"]

PICKLES = {".pt", ".pth", ".ts", ".pkl", ".pickle", ".ckpt", ".bin", ".tar"}
INPUTS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


@dataclass(frozen=True)
class Onnx:
    """A network in an ONNX file, and how it wants its pixels: (grey level - mean) / scale.

    path: of the file; size: the side of its input in pixels, None for what the file says, else 112. From a face of
        another size than 112, the face at its width is resized at last: linear to enlarge, by area to shrink.
    layout: "NCHW", "NHWC", or "auto" for what the shape of its input says; channels: "RGB" or "BGR".
    mean, scale: in grey levels of 0 to 255, one number or three in the order red, green, blue.

    Raises ValueError for options that mean nothing, and for files that could run foreign code when they are loaded.
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
            raise ValueError(
                f"{self.path} is not loaded: a {ending} file can run foreign code when it is loaded. "
                "Export the network to ONNX, or load it yourself and pass a callable "
                "(N, 112, 112, 3) uint8 -> (N, D)"
            )
        if ending == ".safetensors":
            raise ValueError(
                f"{self.path} holds weights without their network: load them into yours "
                "(network.load_state_dict(safetensors.torch.load_file(path))) and pass a callable "
                "(N, 112, 112, 3) uint8 -> (N, D), or export it to ONNX"
            )
        for name, allowed in {"layout": ("auto", "NCHW", "NHWC"), "channels": ("RGB", "BGR")}.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name in ("mean", "scale"):
            value = getattr(self, name)
            if not np.isscalar(value):
                value = tuple(float(one) for one in value)
                object.__setattr__(self, name, value)
            if (
                np.size(value) not in (1, 3)
                or not np.all(np.isfinite(value))
                or (name == "scale" and not np.all(value))
            ):
                raise ValueError(
                    f"{name} is one number or three (red, green, blue) in grey levels"
                    f"{', not zero' if name == 'scale' else ''}: found {value!r}"
                )
        if self.size is not None and not (isinstance(self.size, int) and 1 <= self.size <= 4096):
            raise ValueError(f"size is a number of pixels from 1 to 4096, not {self.size!r}")

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def key(self) -> str:
        """A digest of the file, of weights that lie beside it (model.onnx.data), and of the options."""
        beside = sorted(self.path.parent.glob(glob.escape(self.path.name) + "[._]*"))
        files = [store.file_digest(file) for file in (self.path, *beside) if file == self.path or file.is_file()]
        return store.digest(files, self.layout, self.channels, self.mean, self.scale, self.size)

    def embedder(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function from (N, 112, 112, 3) uint8 RGB to features (N, D)."""
        return from_onnx(self)


def embed(
    embedder, images: np.ndarray, width: int = FACE, mirror: bool = True, batch: int = 256, progress: bool = False
) -> np.ndarray:
    """(N, D) float32: the features of `images` at a face width of `width` pixels.

    images: (N, 112, 112, 3) uint8, may be a memory map: a batch at a time is read, degraded and embedded.
    mirror: add the features of the mirror image to those of the image, as the field does.

    Raises ValueError for a wrong shape and for embeddings that are not finite, with the rows of their images.
    """
    width = check_width(width)
    if batch < 1:
        raise ValueError(f"batch is at least 1, not {batch}")
    if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4 or images.shape[1:] != (FACE, FACE, 3):
        raise ValueError(
            "images are (N, 112, 112, 3) uint8, not "
            f"{getattr(images, 'shape', type(images).__name__)} {getattr(images, 'dtype', '')}"
        )
    if not len(images):
        raise ValueError("there are no images to embed")
    network = _callable(embedder)
    features = None
    with tqdm(
        total=len(images),
        desc=f"embedding at {width} px",
        unit="image",
        leave=False,
        disable=None if progress else True,
    ) as bar:
        for start in range(0, len(images), batch):
            faces = to_width(np.asarray(images[start : start + batch]), width)
            found = _features(network, faces)
            if mirror:
                found = found + _features(network, np.ascontiguousarray(faces[:, :, ::-1]))
            wrong = start + np.flatnonzero(~np.isfinite(found).all(axis=1))
            if len(wrong):
                listed = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
                raise ValueError(
                    f"{len(wrong)} embeddings are not finite: images {listed}. "
                    "Look at these images and at the embedder's weights"
                )
            if features is None:
                features = np.empty((len(images), found.shape[1]), np.float32)
            if found.shape[1] != features.shape[1]:
                raise ValueError(f"the embedder gave {features.shape[1]} numbers an image, then {found.shape[1]}")
            features[start : start + len(found)] = found
            bar.update(len(found))
    return features


def _callable(embedder) -> Callable[[np.ndarray], np.ndarray]:
    if hasattr(embedder, "embedder"):
        return embedder.embedder()
    if isinstance(embedder, (str, Path)):
        return from_onnx(embedder)
    if callable(embedder):
        return embedder
    raise TypeError(
        "an embedder is a Run, a callable (N, 112, 112, 3) uint8 -> (N, D), or the path of an ONNX file, "
        f"not {type(embedder).__name__}"
    )


def _features(network: Callable, faces: np.ndarray) -> np.ndarray:
    found = network(faces)
    if hasattr(found, "detach"):  # a tensor of any device
        found = found.detach().float().cpu().numpy()
    found = np.asarray(found, np.float32)
    if found.ndim != 2 or len(found) != len(faces):
        raise ValueError(f"the embedder gave {found.shape} for {len(faces)} images; wanted ({len(faces)}, D)")
    return found


def from_onnx(path: str | Path | Onnx, **options) -> Callable[[np.ndarray], np.ndarray]:
    """An embedder from an ONNX file with one image input; of several outputs, the first is taken.

    path: the file, or `Onnx(path, ...)`; options: those of `Onnx` (layout, channels, mean, scale, size).

    Raises FileNotFoundError, and ValueError for a file that onnxruntime cannot run or whose input is another.
    """
    plan = path if isinstance(path, Onnx) else Onnx(path, **options)
    session, failures = _session(plan.path)
    inputs = session.get_inputs()
    layout, size = _fit(plan, inputs)
    at_once = _known(inputs[0].shape[0])
    name, output, dtype = inputs[0].name, session.get_outputs()[0].name, INPUTS[inputs[0].type]
    mean, scale = (np.asarray(value, np.float32) for value in (plan.mean, plan.scale))

    def run(pixels: np.ndarray) -> np.ndarray:
        try:
            found = session.run([output], {name: pixels})[0]
        except failures as error:
            raise ValueError(
                f"{plan.path} does not take {pixels.shape} {pixels.dtype}: {error}. Where its input has "
                "no fixed size, give the one it was trained with as size (--size)"
            ) from error
        return found.reshape(len(found), -1)  # some files keep (N, D, 1, 1)

    def network(faces: np.ndarray) -> np.ndarray:
        pixels = (_resized(faces, size) - mean) / scale  # (N, size, size, 3)
        if plan.channels == "BGR":
            pixels = pixels[..., ::-1]
        if layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        pixels = np.ascontiguousarray(pixels, dtype)
        if at_once is None:
            return run(pixels)
        # A file with a fixed batch: fill the last one up, and drop what was added.
        parts = [
            np.resize(pixels[start : start + at_once], (at_once, *pixels.shape[1:]))
            for start in range(0, len(pixels), at_once)
        ]
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return np.concatenate(list(pool.map(run, parts)))[: len(pixels)]

    return network


def _session(path: Path) -> tuple:
    """The file, ready to run, and the exceptions that say that it cannot."""
    import onnxruntime  # half a second that other embedders need not wait
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the path of an ONNX file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()  # by itself it would take every core, whatever is asked for
    failures = (
        states.InvalidProtobuf,
        states.InvalidGraph,
        states.InvalidArgument,
        states.NoSuchFile,
        states.Fail,
        states.NotImplemented,
        states.RuntimeException,
    )
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=onnxruntime.get_available_providers())
        return session, failures
    except failures as error:
        raise ValueError(f"{path} is no ONNX network that onnxruntime can run: {error}") from error


def _fit(plan: Onnx, inputs: list) -> tuple[str, int]:
    """The layout and size of the file's input, from its shape where it says so, else from the options."""
    shape = list(inputs[0].shape)
    found = f"{plan.path} takes {'; '.join(f'{one.name} {one.shape} {one.type}' for one in inputs)}"
    wanted = (
        "wanted one input (N, 3, side, side) or (N, side, side, 3) of tensor(float), tensor(float16) or "
        "tensor(double): export the part of the network that takes a face and gives its embedding"
    )
    if len(inputs) != 1 or len(shape) != 4 or inputs[0].type not in INPUTS:
        raise ValueError(f"{found}; {wanted}")
    layout = plan.layout
    if layout == "auto":
        layout = "NHWC" if shape[3] == 3 and shape[1] != 3 else "NCHW"
    channels, sides = (shape[1], shape[2:]) if layout == "NCHW" else (shape[3], shape[1:3])
    if _known(channels) not in (3, None):
        raise ValueError(f"{found}, which as {layout} has {channels} channels; {wanted}")
    known = {side for side in map(_known, sides) if side}
    if len(known) > 1:
        raise ValueError(f"{found}: {sides[0]} by {sides[1]} pixels are no square; {wanted}")
    size = known.pop() if known else plan.size or FACE
    if plan.size not in (None, size):
        raise ValueError(f"{found}: {size} pixels wide, and size={plan.size} was asked for; leave size out")
    return layout, size


def _known(dimension: int | str | None) -> int | None:
    """A dimension that the file fixes; None for one that it leaves free, by a name or by -1."""
    return dimension if isinstance(dimension, int) and dimension > 0 else None


def _resized(faces: np.ndarray, size: int) -> np.ndarray:
    """(N, size, size, 3) float32 from (N, 112, 112, 3) uint8."""
    faces = faces.astype(np.float32)
    if size == FACE:
        return faces
    how = cv2.INTER_AREA if size < FACE else cv2.INTER_LINEAR
    return np.stack([cv2.resize(face, (size, size), interpolation=how) for face in faces])

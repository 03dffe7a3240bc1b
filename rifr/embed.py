"""Faces to features: any embedder, any face width, a batch at a time.

An embedder is a stored Run, a Python callable that takes (N, 112, 112, 3) uint8 RGB and gives (N, D), or the path of an
ONNX file (input (N, 3, 112, 112) RGB, grey level / 127.5 - 1).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rifr.degrade import FACE, check_width, to_width

__all__ = ["embed", "from_onnx"]


def embed(embedder, images: np.ndarray, width: int = FACE, mirror: bool = True, batch: int = 256,
          progress: bool = False) -> np.ndarray:
    """(N, D) float32: the features of `images` at a face width of `width` pixels.

    images: (N, 112, 112, 3) uint8, may be a memory map: a batch at a time is read, degraded and embedded.
    mirror: add the features of the mirror image to those of the image, as the field does.

    Raises ValueError for a wrong shape and for embeddings that are not finite, with the rows of their images.
    """
    width = check_width(width)
    if batch < 1:
        raise ValueError(f"batch is at least 1, not {batch}")
    if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4 or images.shape[1:] != (FACE, FACE, 3):
        raise ValueError("images are (N, 112, 112, 3) uint8, not "
                         f"{getattr(images, 'shape', type(images).__name__)} {getattr(images, 'dtype', '')}")
    if not len(images):
        raise ValueError("there are no images to embed")
    network = _callable(embedder)
    features = None
    with tqdm(total=len(images), desc=f"embedding at {width} px", unit="image", leave=False,
              disable=None if progress else True) as bar:
        for start in range(0, len(images), batch):
            faces = to_width(np.asarray(images[start:start + batch]), width)
            found = _features(network, faces)
            if mirror:
                found = found + _features(network, np.ascontiguousarray(faces[:, :, ::-1]))
            wrong = start + np.flatnonzero(~np.isfinite(found).all(axis=1))
            if len(wrong):
                listed = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
                raise ValueError(f"{len(wrong)} embeddings are not finite: images {listed}. "
                                 "Look at these images and at the embedder's weights")
            if features is None:
                features = np.empty((len(images), found.shape[1]), np.float32)
            if found.shape[1] != features.shape[1]:
                raise ValueError(f"the embedder gave {features.shape[1]} numbers an image, then {found.shape[1]}")
            features[start:start + len(found)] = found
            bar.update(len(found))
    return features


def _callable(embedder) -> Callable[[np.ndarray], np.ndarray]:
    if hasattr(embedder, "embedder"):
        return embedder.embedder()
    if isinstance(embedder, (str, Path)):
        return from_onnx(embedder)
    if callable(embedder):
        return embedder
    raise TypeError("an embedder is a Run, a callable (N, 112, 112, 3) uint8 -> (N, D), or the path of an ONNX file, "
                    f"not {type(embedder).__name__}")


def _features(network: Callable, faces: np.ndarray) -> np.ndarray:
    found = network(faces)
    if hasattr(found, "detach"):  # a tensor of any device
        found = found.detach().float().cpu().numpy()
    found = np.asarray(found, np.float32)
    if found.ndim != 2 or len(found) != len(faces):
        raise ValueError(f"the embedder gave {found.shape} for {len(faces)} images; wanted ({len(faces)}, D)")
    return found


def from_onnx(path: str | Path) -> Callable[[np.ndarray], np.ndarray]:
    """The network of an ONNX file as a callable (N, 112, 112, 3) uint8 RGB -> (N, D) float32.

    Raises FileNotFoundError, and ValueError for a file that is no ONNX network or whose input does not fit.
    """
    import onnxruntime  # half a second that other embedders need not wait
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the path of an ONNX file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=onnxruntime.get_available_providers())
    except (states.InvalidProtobuf, states.InvalidGraph, states.InvalidArgument, states.NoSuchFile, states.Fail,
            states.NotImplemented, states.RuntimeException) as error:
        raise ValueError(f"{path} is no ONNX network that onnxruntime can run: {error}") from error
    inputs = session.get_inputs()
    shape = list(inputs[0].shape)
    wanted = [None, 3, FACE, FACE]
    fits = len(inputs) == 1 and len(shape) == 4 and inputs[0].type == "tensor(float)" and all(
        not isinstance(found, int) or found == want for found, want in zip(shape[1:], wanted[1:]))
    if not fits:
        found = "; ".join(f"{one.name} {one.shape} {one.type}" for one in inputs)
        raise ValueError(f"{path} takes {found}; wanted one input (N, 3, 112, 112) of tensor(float), RGB in [-1, 1]")
    at_once = shape[0] if isinstance(shape[0], int) else None
    name, output = inputs[0].name, session.get_outputs()[0].name

    def network(faces: np.ndarray) -> np.ndarray:
        pixels = np.ascontiguousarray(faces.transpose(0, 3, 1, 2), np.float32)
        pixels = (pixels - 127.5) / 127.5  # (N, 3, 112, 112)
        if at_once is None:
            return _flat(session.run([output], {name: pixels})[0])
        parts = []  # a file with a fixed batch: fill the last one up, and drop what was added
        for start in range(0, len(pixels), at_once):
            part = np.resize(pixels[start:start + at_once], (at_once, *pixels.shape[1:]))
            parts.append(_flat(session.run([output], {name: part})[0])[:len(pixels) - start])
        return np.concatenate(parts)

    return network


def _flat(features: np.ndarray) -> np.ndarray:
    return features.reshape(len(features), -1)  # some files keep (N, D, 1, 1)

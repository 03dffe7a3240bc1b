"""Faces to features: any embedder, any face width, a batch at a time.

An embedder is a stored Run, a Python callable that takes (N, 112, 112, 3) uint8 RGB and returns (N, D), the path of an
ONNX file, or `Onnx(path, ...)` where the file wants its pixels otherwise than RGB in [-1, 1].
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from torch import nn

from rifr import machine
from rifr.align import FACE_SIZE
from rifr.bars import progress_bar
from rifr.degrade import check_width, to_width
from rifr.errors import DataError, SettingError
from rifr.evaluation.onnx import Network, Onnx, from_onnx
from rifr.training import parallel

__all__ = ["Embedder", "Onnx", "embed", "from_onnx"]


@runtime_checkable
class HasEmbedder(Protocol):
    """A stored run, or anything else that gives a network."""

    def embedder(self) -> Network: ...


Embedder = HasEmbedder | Network | str | Path
MAX_DIFFERENCE = 0.1
"""Of an image's features in two batches, as a share of their length: more than rounding does, less than dropout."""


def embed(
    embedder: Embedder,
    images: np.ndarray,
    width: int = FACE_SIZE,
    mirror: bool = True,
    batch: int = 256,
    progress: bool = False,
) -> np.ndarray:
    """The features of faces at a face width.

    Parameters
    ----------
    embedder : Run, Onnx, callable, str or Path
        What makes the features; a path is that of an ONNX file.
    images : (N, 112, 112, 3) uint8, RGB
        Aligned faces. May be a memory map: a batch at a time is read, degraded and embedded.
    width : int
        Face width in pixels, 4 to 112.
    mirror : bool
        Add the features of the mirror image to those of the image, as the field does.
    batch : int
        Images at a time.
    progress : bool
        Show a progress bar.

    Returns
    -------
    (N, D) float32
        Features, not normalised.

    Raises
    ------
    SettingError
        For images of another shape or type, a width or a batch out of range.
    DataError
        For embeddings that are not finite, with the rows of their images, that are not (N, D), or that depend on the
        other images of their batch, as those of a network in training mode do.
    """
    width = check_width(width)
    if batch < 1:
        raise SettingError(f"batch is at least 1, not {batch}")
    if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4 or images.shape[1:] != (FACE_SIZE, FACE_SIZE, 3):
        raise SettingError(
            "images are (N, 112, 112, 3) uint8, not "
            f"{getattr(images, 'shape', type(images).__name__)} {getattr(images, 'dtype', '')}"
        )
    if not len(images):
        raise SettingError("there are no images to embed")
    network = _network(embedder)
    machine.keep_freed_memory()
    features = None
    with progress_bar(
        total=len(images),
        desc=f"embedding at {width} px",
        unit="image",
        leave=False,
        position=parallel.progress_bar_position(),
        show=progress,
    ) as bar:
        for start in range(0, len(images), batch):
            faces = to_width(np.array(images[start : start + batch]), width)
            # Copied first: an embedder may write into what it is given.
            mirrored, two = _mirrored(faces) if mirror else None, faces[:2].copy()
            part = _features(network, faces)
            if start == 0:
                _require_repeatable(part[:2], _features(network, two))
            if mirrored is not None:
                part = part + _features(network, mirrored)
            bad_rows = start + np.flatnonzero(~np.isfinite(part).all(axis=1))
            if len(bad_rows):
                listed = ", ".join(map(str, bad_rows[:10])) + (", ..." if len(bad_rows) > 10 else "")
                raise DataError(
                    f"{len(bad_rows)} embeddings are not finite: images {listed}. "
                    "Look at these images and at the embedder's weights"
                )
            if features is None:
                features = np.empty((len(images), part.shape[1]), np.float32)
            if part.shape[1] != features.shape[1]:
                raise DataError(f"the embedder gave {features.shape[1]} numbers an image, then {part.shape[1]}")
            features[start : start + len(part)] = part
            bar.update(len(part))
    assert features is not None  # there is a first image
    return features


def _network(embedder: Embedder) -> Network:
    if isinstance(embedder, HasEmbedder):
        return embedder.embedder()
    if isinstance(embedder, (str, Path)):
        return from_onnx(embedder)
    if isinstance(embedder, nn.Module):
        raise SettingError(
            f"a {type(embedder).__name__} takes tensors, and an embedder is given (N, 112, 112, 3) uint8 RGB: wrap it "
            "in a function that makes its input of these, such as lambda faces: network(rifr.networks.to_input("
            "torch.from_numpy(faces))) for RGB in [-1, 1], with the network in evaluation mode"
        )
    if callable(embedder):
        return embedder
    raise TypeError(
        "an embedder is a Run, a callable (N, 112, 112, 3) uint8 -> (N, D), or the path of an ONNX file, "
        f"not {type(embedder).__name__}"
    )


def _mirrored(faces: np.ndarray) -> np.ndarray:
    # As one tall picture: OpenCV turns the pixels of its rows ten times as fast as NumPy copies a reversed view.
    return cv2.flip(faces.reshape(-1, *faces.shape[2:]), 1).reshape(faces.shape)


def _require_repeatable(among_others: np.ndarray, alone: np.ndarray) -> None:
    """DataError where two images have other features by themselves than in their batch."""
    if among_others.shape != alone.shape:
        raise DataError(f"the embedder gave {among_others.shape[1]} numbers an image, then {alone.shape[1]}")
    difference = np.linalg.norm(among_others - alone, axis=1)
    if (difference > MAX_DIFFERENCE * np.linalg.norm(among_others, axis=1)).any():
        raise DataError(
            "the embedder gives an image other features in another batch, and they should depend on the image alone. "
            "A network in training mode does so: put it in evaluation mode first (network.eval())"
        )


def _features(network: Network, faces: np.ndarray) -> np.ndarray:
    features = network(faces)
    if hasattr(features, "detach"):  # a tensor of any device
        features = features.detach().float().cpu().numpy()
    try:
        features = np.asarray(features)
        features = features.astype(np.float32, casting="same_kind" if features.dtype.kind == "c" else "unsafe")
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the embedder gave {type(features).__name__} ({error}); wanted an array or a tensor of numbers, "
            f"({len(faces)}, D)"
        ) from error
    if features.ndim != 2 or len(features) != len(faces):
        raise DataError(f"the embedder gave {features.shape} for {len(faces)} images; wanted ({len(faces)}, D)")
    return features

"""Face width: an aligned 112x112 face brought down to w x w pixels and back up to 112x112, both times bicubic.

The result is OpenCV's: `cv2.resize(..., interpolation=cv2.INTER_CUBIC)` down, then up, for 8-bit images (a = -0.75, no
antialiasing, the border repeated, rounded to 8 bits after each of the two steps), within one grey level.

On the CPU, OpenCV itself makes the small image: builds of OpenCV round ties and weights differently, and a level lost
there could grow to two on the way up. The way up, where most of the time goes, is a compiled loop of ours, two to four
times faster than OpenCV's. Tensors on another device take the same four-tap sums in PyTorch for both steps; there
about one pixel in a million of a face, and three of plain noise, at the worst width (48), is two levels from OpenCV's,
which breaks ties one way or the other by the processor it runs on. All sums are elementwise in float32, so no
precision setting for matrix products (TF32, autocast) changes a pixel.
"""

from __future__ import annotations

import operator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import cv2
import numba
import numpy as np
import torch

from rifr.align import FACE_SIZE
from rifr.errors import DataError, SettingError

__all__ = ["NARROWEST", "to_width"]

NARROWEST = 4  # pixels: below this, bicubic interpolation reads the border more than the face
IMAGES_PER_TASK = 64  # that a thread takes at a time
CHUNK = 512  # images at a time on another device than the CPU, so that temporaries do not grow with the batch

Images = TypeVar("Images", np.ndarray, torch.Tensor)


def to_width(images: Images, width: int) -> Images:
    """Bring aligned faces down to a face width and back up to 112x112, both times bicubic, as section III-A has it.

    Parameters
    ----------
    images
        An array (N, 112, 112, 3) or (112, 112, 3) uint8; or a tensor (N, 3, 112, 112) on any device, uint8 or floating
        point in [-1, 1] (what the networks take: grey level / 127.5 - 1, rounded to the nearest level). No gradient
        flows back to it.
    width
        4 to 112 pixels; 112 returns `images` themselves.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Of the kind, shape, dtype and device of `images`.

    Raises
    ------
    SettingError
        For a width out of range.
    DataError
        For another shape, or floating-point values out of range. Checking these waits for the tensor's device; uint8
        tensors are not checked.
    TypeError
        For a width that is no integer, or for another dtype.
    """
    width = check_width(width)
    if isinstance(images, torch.Tensor):
        return _tensor_to_width(images, width)
    if not isinstance(images, np.ndarray):
        raise TypeError(
            f"images are a NumPy array or a PyTorch tensor, not {type(images).__name__}: "
            "use np.asarray or torch.as_tensor"
        )
    if images.dtype != np.uint8:
        raise TypeError(
            f"an array of images is uint8 (0 to 255), not {images.dtype}: round and cast it, or hand a "
            "floating-point tensor (N, 3, 112, 112) in [-1, 1]"
        )
    if images.ndim not in (3, 4) or images.shape[-3:] != (FACE_SIZE, FACE_SIZE, 3):
        raise DataError(f"an array of images is (N, 112, 112, 3) or (112, 112, 3), not {images.shape}")
    if width == FACE_SIZE:
        return images
    return _resize_on_cpu(images.reshape(-1, FACE_SIZE, FACE_SIZE, 3), width).reshape(images.shape)


def check_width(width: int) -> int:
    """Return the face width as an int. Raises TypeError for no whole number, and SettingError for one out of range."""
    try:
        if isinstance(width, (bool, np.bool_)):
            raise TypeError
        width = operator.index(width)
    except TypeError:
        raise TypeError(
            f"a face width is a whole number of pixels from {NARROWEST} to {FACE_SIZE}, not {width!r}"
        ) from None
    if not NARROWEST <= width <= FACE_SIZE:
        raise SettingError(f"a face width is {NARROWEST} to {FACE_SIZE} pixels, not {width}")
    return width


@torch.no_grad()
def _tensor_to_width(images: torch.Tensor, width: int) -> torch.Tensor:
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, FACE_SIZE, FACE_SIZE):
        raise DataError(f"a tensor of images is (N, 3, 112, 112), not {tuple(images.shape)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"a tensor of images is uint8 (0 to 255) or floating point in [-1, 1], not {images.dtype}")
    if width == FACE_SIZE:
        return images
    if images.dtype == torch.uint8:
        return _resize_planes(images, width)
    # A little beyond the range is rounding in a narrower floating-point type; more is another scale. NaN fails too.
    if images.numel() and not bool(images.abs().amax() <= 1.01):
        raise DataError(
            f"floating-point images lie in [-1, 1], not from {images.min().item():g} to "
            f"{images.max().item():g}: use grey level / 127.5 - 1, or hand uint8"
        )
    grey = images.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return _resize_planes(grey, width).float().div_(127.5).sub_(1).to(images.dtype)


def _resize_planes(images: torch.Tensor, width: int) -> torch.Tensor:
    """uint8 (N, 3, 112, 112) on any device, down and up."""
    if images.device.type == "cpu":
        return torch.from_numpy(_resize_on_cpu(images.numpy(), width, channels_first=True))
    result = torch.empty(images.shape, dtype=torch.uint8, device=images.device)
    for start in range(0, len(images), CHUNK):
        small = _resize_on_device(images[start : start + CHUNK].float(), width)
        result[start : start + CHUNK] = _resize_on_device(small, FACE_SIZE).to(torch.uint8)
    return result


@cache
def taps(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Which four input pixels make an output pixel, and with what weights: (size_out, 4) int64 and float32.

    The cubic convolution kernel with a = -0.75 about the output pixel's centre; pixels beyond the border are the
    border's pixel again, as OpenCV has it.
    """
    centre = (np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5
    first = np.floor(centre).astype(np.int64) - 1
    index = first[:, None] + np.arange(4)  # (size_out, 4)
    distance = np.abs(centre[:, None] - index)
    a = -0.75
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    weight = np.where(distance <= 1, near, far)
    return index.clip(0, size_in - 1), weight.astype(np.float32)


@cache
def _taps_on(device: torch.device, size_in: int, size_out: int) -> tuple[torch.Tensor, ...]:
    """`taps` as tensors, brought to a device once: to bring them each time lets a GPU run dry."""
    return tuple(torch.from_numpy(array).to(device) for array in taps(size_in, size_out))


def _resize_on_device(images: torch.Tensor, size: int) -> torch.Tensor:
    """float32 (N, 3, a, a) with whole values -> (N, 3, size, size), whole values from 0 to 255."""
    index, weight = _taps_on(images.device, images.shape[-1], size)
    first, second, third, fourth = (images[:, :, index[:, k]] * weight[:, k, None] for k in range(4))
    rows = first + second + third + fourth  # (N, 3, size, a)
    first, second, third, fourth = (rows[:, :, :, index[:, k]] * weight[:, k] for k in range(4))
    both = first + second + third + fourth  # (N, 3, size, size)
    return both.round_().clamp_(0, 255)


def _resize_on_cpu(images: np.ndarray, width: int, channels_first: bool = False) -> np.ndarray:
    """uint8 (N, 112, 112, 3), or (N, 3, 112, 112), -> the same shape, on as many threads as PyTorch uses."""
    result = np.empty(images.shape, np.uint8)
    index, weight = taps(width, FACE_SIZE)
    # In a row the three channels of a pixel lie side by side: (4, 336).
    columns = np.ascontiguousarray((index.repeat(3, axis=0) * 3 + np.tile(np.arange(3), FACE_SIZE)[:, None]).T)
    plan = (index, weight, columns.astype(np.uint32), np.ascontiguousarray(weight.repeat(3, axis=0).T))

    def resize_part(start: int) -> None:
        target = result[start : start + IMAGES_PER_TASK]
        faces = target.transpose(0, 2, 3, 1).copy() if channels_first else target
        small = np.empty((len(faces), width, width, 3), np.uint8)
        for image, shrunk in zip(images[start : start + IMAGES_PER_TASK], small):
            image = np.ascontiguousarray(image.transpose(1, 2, 0) if channels_first else image)
            cv2.resize(image, (width, width), dst=shrunk, interpolation=cv2.INTER_CUBIC)
        _enlarge(
            small.reshape(len(faces), width, width * 3), faces.reshape(len(faces), FACE_SIZE, FACE_SIZE * 3), *plan
        )
        if channels_first:
            target[...] = faces.transpose(0, 3, 1, 2)

    starts = range(0, len(images), IMAGES_PER_TASK)
    threads = min(torch.get_num_threads(), len(starts))
    if threads < 2:
        for start in starts:
            resize_part(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(resize_part, starts))
    return result


@numba.njit(nogil=True, cache=True)
def _enlarge(
    small: np.ndarray,
    faces: np.ndarray,
    index: np.ndarray,
    weight: np.ndarray,
    columns: np.ndarray,
    column_weights: np.ndarray,
) -> None:
    """Bicubic from uint8 (N, w, 3w) to uint8 (N, 112, 336): along the rows first, while they are few.

    Each sum reads four one-dimensional arrays, not one of two dimensions: loops that the compiler can vectorise.
    """
    a, b, c, d = columns[0], columns[1], columns[2], columns[3]
    p, q, r, s = column_weights[0], column_weights[1], column_weights[2], column_weights[3]
    wide = np.empty((small.shape[1], faces.shape[2]), np.float32)
    whole = np.float32(12582912.0)  # 1.5 * 2**23: adding and taking it away rounds to a whole number, ties to even
    for image in range(len(small)):
        for row in range(len(wide)):
            line, out = small[image, row].astype(np.float32), wide[row]
            for x in range(len(out)):
                out[x] = line[a[x]] * p[x] + line[b[x]] * q[x] + line[c[x]] * r[x] + line[d[x]] * s[x]
        for row in range(len(index)):
            e, f, g, h = wide[index[row, 0]], wide[index[row, 1]], wide[index[row, 2]], wide[index[row, 3]]
            t, u, v, w = weight[row, 0], weight[row, 1], weight[row, 2], weight[row, 3]
            line = faces[image, row]
            for x in range(len(line)):
                value = ((e[x] * t + f[x] * u + g[x] * v + h[x] * w) + whole) - whole
                line[x] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))

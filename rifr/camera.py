"""Native-like low resolution: what a camera does to a small face, which bicubic shrinking does not.

    light   soft optics and motion blur it before it is sampled, a pixel of the sensor averages it over its area,
            there is little of it and it has a colour, and it is counted with noise
    file    the small picture is compressed as a JPEG

Everything is drawn for each picture from the ranges of a `Camera`; the same draw gives the same bytes. `tight` is what
a tightly cropped face looks like once it is aligned. The paper describes both and gives no numbers: they are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from rifr.degrade import FACE, check_width

__all__ = ["ANY_CAMERA", "Camera", "degraded", "simulate_camera", "tight"]

Range = tuple[float, float]
GAMMA = 2.2  # of the pictures that come in
SAMPLES = 2  # samples a small pixel is averaged from, along each side, at most
LINEAR = (np.arange(256, dtype=np.float32) / 255) ** GAMMA


@dataclass(frozen=True)
class Camera:
    """Ranges that a picture's parameters are drawn from, each evenly.

    blur                the lens: standard deviation in pixels of the small picture
    motion              the same along the direction of the movement, drawn too; added to the lens in quadrature
    gain                of the light: 1 leaves it, 0.3 is dusk
    red, green, blue    of each colour's light: the lamp's colour and the camera's white balance
    gamma               of the display curve; 2.2 undoes that of the picture, lower ones crush the shadows
    shot                noise of counting: its variance where the light is 1, growing with the light
    read                noise of the sensor itself: standard deviation, the same in the dark (light is 0 to 1)
    quality             of the JPEG, 1 to 100
    """

    blur: Range = (0.2, 0.6)
    motion: Range = (0.0, 0.7)
    gain: Range = (0.3, 1.1)
    red: Range = (0.88, 1.15)
    green: Range = (0.94, 1.06)
    blue: Range = (0.82, 1.1)
    gamma: Range = (1.9, 2.3)
    shot: Range = (0.0, 0.003)
    read: Range = (0.0, 0.016)
    quality: Range = (40, 92)

    def __post_init__(self) -> None:
        for name, (low, high) in ((one.name, getattr(self, one.name)) for one in fields(self)):
            least = {"gamma": 0.5, "quality": 1}.get(name, 0)
            if not least <= low <= high or (name == "quality" and high > 100):
                raise ValueError(
                    f"Camera.{name} is {(low, high)}: give two numbers from {least} on, the lower first"
                    f"{', up to 100' if name == 'quality' else ''}."
                )

    def drawn(self, draw: np.random.Generator) -> dict[str, float]:
        """The parameters of one picture, by name."""
        values = draw.random(len(fields(self)))
        return {
            one.name: low + (high - low) * value
            for one, value in zip(fields(self), values, strict=True)
            for low, high in [getattr(self, one.name)]
        }


ANY_CAMERA = Camera()
"""A camera that nothing is known of: what students are trained with."""


def simulate_camera(
    images: np.ndarray, width: int | np.ndarray, draw: np.random.Generator, camera: Camera = ANY_CAMERA
) -> np.ndarray:
    """Aligned faces as a camera gives them at a face width, bicubic up to 112x112 again.

    images: (N, 112, 112, 3) uint8; width: 4 to 112 pixels, one or (N,). Returns a new array of the images' shape.
    Raises ValueError for another shape or dtype, a width out of range, or as many widths as there are no images.
    """
    _faces(images)
    widths = np.broadcast_to(width, len(images)) if np.ndim(width) == 0 else np.asarray(width)
    if widths.shape != (len(images),):
        raise ValueError(f"width is one number or one for each of {len(images)} images, not {widths.shape}")
    result = np.empty_like(images)
    for image, side, target in zip(images, widths, result, strict=True):
        side = check_width(side)
        cv2.resize(degraded(image, (side, side), draw, camera), (FACE, FACE), dst=target, interpolation=cv2.INTER_CUBIC)
    return result


def degraded(
    picture: np.ndarray, size: tuple[int, int], draw: np.random.Generator, camera: Camera = ANY_CAMERA
) -> np.ndarray:
    """The small picture (height, width, 3) uint8 RGB that a camera makes of a large one.

    picture: (h, w, 3) uint8 RGB; size: (height, width) in pixels, none larger than the picture's.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is (h, w, 3) uint8, not {picture.shape} {picture.dtype}")
    height, width = size
    if not (1 <= height <= picture.shape[0] and 1 <= width <= picture.shape[1]):
        raise ValueError(f"a camera makes pictures smaller: {picture.shape[:2]} does not become {size}")
    taken = camera.drawn(draw)
    light = LINEAR[_sampled(picture, height, width, taken, draw.uniform(0, np.pi))]
    light *= taken["gain"] * np.array([taken["red"], taken["green"], taken["blue"]], np.float32)
    noise = np.sqrt(taken["shot"] * light + taken["read"] ** 2, dtype=np.float32)
    light += noise * draw.standard_normal(light.shape, np.float32)
    shown = np.clip(light, 0, 1) ** np.float32(1 / taken["gamma"]) * 255 + 0.5
    return _compressed(shown.astype(np.uint8), round(taken["quality"]))


def tight(images: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """What a tightly cropped face looks like once aligned: black outside a turned box, and a little out of place.

    images: (N, 112, 112, 3) uint8; returns a new array. The box leaves 32 to 58 px to each side of the face's middle,
    its upper edge lies at -4 to 28 px, its lower one at 92 to 118 px; it is turned by 8 degrees (standard deviation).
    Errors of landmarks on small faces: a turn of 3 degrees, 4 % in size, 2.5 px in place (standard deviations).
    """
    _faces(images)
    result = np.empty_like(images)
    for image, target in zip(images, result, strict=True):
        left, right = (FACE - 1) / 2 - draw.uniform(32, 58), (FACE - 1) / 2 + draw.uniform(32, 58)
        top, bottom = draw.uniform(-4, 28), draw.uniform(92, 118)
        corners = _turned(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), draw.normal(0, 8))
        inside = np.zeros((FACE, FACE), np.uint8)
        cv2.fillConvexPoly(inside, np.rint(corners).astype(np.int32), 1)
        middle, turn, size = ((FACE - 1) / 2, (FACE - 1) / 2), draw.normal(0, 3), np.exp(draw.normal(0, 0.04))
        matrix = cv2.getRotationMatrix2D(middle, turn, size)
        matrix[:, 2] += draw.normal(0, 2.5, 2)
        cv2.warpAffine(image * inside[..., None], matrix, (FACE, FACE), dst=target, flags=cv2.INTER_LINEAR)
    return result


def _sampled(picture: np.ndarray, height: int, width: int, taken: dict[str, float], direction: float) -> np.ndarray:
    """Blurred, then averaged over the area of each pixel: (height, width, 3) uint8."""
    # Blur is a few small pixels wide: where the picture is much finer, it is averaged some way down first.
    rows, columns = min(picture.shape[0], SAMPLES * height), min(picture.shape[1], SAMPLES * width)
    picture = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    kernel = _kernel(taken["blur"] * rows / height, taken["motion"] * rows / height, direction)
    blurred = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_AREA)


def _kernel(blur: float, motion: float, direction: float) -> np.ndarray:
    """A Gaussian, longer along `direction` (radians): odd-sized float32 that sums to 1; lengths in samples."""
    reach = max(1, int(np.ceil(2 * np.hypot(blur, motion))))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = x * np.cos(direction) + y * np.sin(direction)
    across = y * np.cos(direction) - x * np.sin(direction)
    floor = 0.05  # a perfect lens: one sample
    bell = np.exp(-0.5 * (along**2 / (blur**2 + motion**2 + floor) + across**2 / (blur**2 + floor)))
    return (bell / bell.sum()).astype(np.float32)


def _compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    file = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]


def _turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """(K, 2) points turned about the middle of the face."""
    angle, middle = np.deg2rad(degrees), (FACE - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - middle) @ turn.T + middle


def _faces(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (FACE, FACE, 3):
        raise ValueError(f"images are (N, 112, 112, 3) uint8, not {images.shape} {images.dtype}")

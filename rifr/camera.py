"""A simulated camera: what one does to a small face, which bicubic shrinking does not.

Light, in this order: the optics and the movement blur it, each pixel of the sensor averages it over the pixel's area,
there is little of it and it has a colour, and it is counted with noise. All of this is computed on linear light; the
picture's gamma is undone first. Then the display curve is applied and the small picture is compressed as a JPEG.

Every parameter is drawn for each picture from the ranges of a `Camera`; the same generator gives the same bytes.
`tight` is what a tightly cropped face looks like once it is aligned. The paper (section IV-A) names both effects and
gives no numbers: the ranges are ours. A *native* low-resolution image comes from a real camera; these are simulated.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from rifr.align import FACE_SIZE
from rifr.degrade import check_width
from rifr.errors import DataError, SettingError

__all__ = ["ANY_CAMERA", "Camera", "degrade_picture", "simulate_camera", "tight"]

Range = tuple[float, float]
GAMMA = 2.2  # of the pictures that come in
SAMPLES = 2  # samples a small pixel is averaged from, along each side, at most
LINEAR = (np.arange(256, dtype=np.float32) / 255) ** np.float32(GAMMA)
"""(256,) the light, from 0 to 1, of each grey level."""


@dataclass(frozen=True)
class Camera:
    """Ranges (low, high) that a picture's parameters are drawn from, each uniformly.

    Parameters
    ----------
    blur
        Of the lens: standard deviation in pixels of the small picture.
    motion
        The same along the direction of the movement, which is drawn too; added to the lens in quadrature.
    gain
        Of the light: 1 leaves it, 0.3 is dusk.
    red, green, blue
        Of each colour's light: the lamp's colour and the camera's white balance.
    gamma
        Of the display curve; 2.2 undoes that of the picture, lower ones crush the shadows.
    shot
        Shot noise: its variance where the light is 1, in proportion to the light elsewhere.
    read
        Noise of the sensor itself: standard deviation, the same in the dark (light runs from 0 to 1).
    quality
        Of the JPEG, 1 to 100.

    Raises
    ------
    SettingError
        For a range that is not ordered or goes beyond its limits.
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
        for name, low, high in ((field.name, *getattr(self, field.name)) for field in fields(self)):
            least = {"gamma": 0.5, "quality": 1}.get(name, 0)
            if not least <= low <= high or (name == "quality" and high > 100):
                raise SettingError(
                    f"Camera.{name} is {(low, high)}: give two numbers from {least} on, the lower first"
                    f"{', up to 100' if name == 'quality' else ''}."
                )

    def sample(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw the parameters of one picture, by name."""
        ranges = [(field.name, *getattr(self, field.name)) for field in fields(self)]
        values = rng.random(len(ranges))
        return {name: low + (high - low) * value for (name, low, high), value in zip(ranges, values, strict=True)}


ANY_CAMERA = Camera()
"""A camera that nothing is known of: what students are trained with."""


def simulate_camera(
    images: np.ndarray, width: int | np.ndarray, rng: np.random.Generator, camera: Camera = ANY_CAMERA
) -> np.ndarray:
    """Make aligned faces small as a camera would, and bicubic 112x112 again.

    Parameters
    ----------
    images
        (N, 112, 112, 3) uint8 RGB.
    width
        Face width in pixels, 4 to 112: one for all or (N,).
    rng
        Generator of the parameters.
    camera
        Ranges that they are drawn from.

    Returns
    -------
    numpy.ndarray
        A new array of the images' shape and dtype.

    Raises
    ------
    DataError
        For another shape or dtype.
    SettingError
        For a width out of range, or another number of widths than images.
    """
    _check_faces(images)
    widths = np.broadcast_to(width, len(images)) if np.ndim(width) == 0 else np.asarray(width)
    if widths.shape != (len(images),):
        raise SettingError(f"width is one number or one for each of {len(images)} images, not {widths.shape}")
    result = np.empty(images.shape, np.uint8)  # whatever the images' layout
    for image, side, target in zip(images, widths, result, strict=True):
        side = check_width(side)
        cv2.resize(
            degrade_picture(image, (side, side), rng, camera),
            (FACE_SIZE, FACE_SIZE),
            dst=target,
            interpolation=cv2.INTER_CUBIC,
        )
    return result


def degrade_picture(
    picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator, camera: Camera = ANY_CAMERA
) -> np.ndarray:
    """Photograph a large picture with a coarse sensor.

    Parameters
    ----------
    picture
        (h, w, 3) uint8 RGB.
    size
        (height, width) of the result in pixels, neither larger than the picture's.
    rng
        Generator of the parameters.
    camera
        Ranges that they are drawn from.

    Returns
    -------
    numpy.ndarray
        (height, width, 3) uint8 RGB.

    Raises
    ------
    DataError
        For another shape or dtype, or a size larger than the picture.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise DataError(f"a picture is (h, w, 3) uint8, not {picture.shape} {picture.dtype}")
    height, width = size
    if not (1 <= height <= picture.shape[0] and 1 <= width <= picture.shape[1]):
        raise DataError(f"a camera makes pictures smaller: {picture.shape[:2]} does not become {size}")
    parameters = camera.sample(rng)
    light = _exposed(LINEAR[picture], height, width, parameters, rng.uniform(0, np.pi))
    light = (
        light * parameters["gain"] * np.array([parameters["red"], parameters["green"], parameters["blue"]], np.float32)
    )
    noise = np.sqrt(parameters["shot"] * light + parameters["read"] ** 2, dtype=np.float32)
    light += noise * rng.standard_normal(light.shape, np.float32)
    shown = np.clip(light, 0, 1) ** np.float32(1 / parameters["gamma"]) * 255 + 0.5
    return _compressed(shown.astype(np.uint8), round(parameters["quality"]))


def tight(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make aligned faces look as if they had been cropped tightly and then aligned: black outside a turned box.

    The box leaves 32 to 58 px to each side of the face's middle, its upper edge lies at -4 to 28 px, its lower one at
    92 to 118 px; it is turned by 8 degrees (standard deviation). Errors of landmarks on small faces are added: a turn
    of 3 degrees, 4 % in size, 2.5 px in place (standard deviations).

    Parameters
    ----------
    images
        (N, 112, 112, 3) uint8.
    rng
        Generator of the boxes and errors.

    Returns
    -------
    numpy.ndarray
        A new array of the images' shape and dtype.

    Raises
    ------
    DataError
        For another shape or dtype.
    """
    _check_faces(images)
    result = np.empty(images.shape, np.uint8)  # whatever the images' layout
    for image, target in zip(images, result, strict=True):
        left, right = (FACE_SIZE - 1) / 2 - rng.uniform(32, 58), (FACE_SIZE - 1) / 2 + rng.uniform(32, 58)
        top, bottom = rng.uniform(-4, 28), rng.uniform(92, 118)
        corners = _turned(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), rng.normal(0, 8))
        inside = np.zeros((FACE_SIZE, FACE_SIZE), np.uint8)
        cv2.fillConvexPoly(inside, np.rint(corners).astype(np.int32), 1)
        middle, turn, size = ((FACE_SIZE - 1) / 2, (FACE_SIZE - 1) / 2), rng.normal(0, 3), np.exp(rng.normal(0, 0.04))
        matrix = np.asarray(cv2.getRotationMatrix2D(middle, turn, size))
        matrix[:, 2] = matrix[:, 2] + rng.normal(0, 2.5, 2)
        cv2.warpAffine(image * inside[..., None], matrix, (FACE_SIZE, FACE_SIZE), dst=target, flags=cv2.INTER_LINEAR)
    return result


def _exposed(light: np.ndarray, height: int, width: int, parameters: dict[str, float], direction: float) -> np.ndarray:
    """Linear light (h, w, 3) float32, blurred, then averaged over each pixel's area: (height, width, 3) float32."""
    # Blur is a few small pixels wide: where the picture is much finer, it is averaged some way down first.
    rows, columns = min(light.shape[0], SAMPLES * height), min(light.shape[1], SAMPLES * width)
    light = cv2.resize(light, (columns, rows), interpolation=cv2.INTER_AREA)
    kernel = _kernel(parameters["blur"] * rows / height, parameters["motion"] * rows / height, direction)
    blurred = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REPLICATE)
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
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))[..., ::-1]


def _turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """(K, 2) points turned about the middle of the face."""
    angle, middle = np.deg2rad(degrees), (FACE_SIZE - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - middle) @ turn.T + middle


def _check_faces(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (FACE_SIZE, FACE_SIZE, 3):
        raise DataError(f"images are (N, 112, 112, 3) uint8, not {images.shape} {images.dtype}")

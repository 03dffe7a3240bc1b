"""Faces down to a width and up again, beside OpenCV image by image: `degradation.py [--small]`."""

import sys

import cv2
import numpy as np
from harness import SEED, Row, Side, main, measure

from rifr.align import FACE_SIZE
from rifr.degrade import to_width


def make(images: int, width: int) -> tuple[np.ndarray, int]:
    noise = np.random.default_rng(SEED).integers(0, 256, (min(images, 500), FACE_SIZE, FACE_SIZE, 3), dtype=np.uint8)
    return np.resize(noise, (images, FACE_SIZE, FACE_SIZE, 3)), width


def one_by_one(images: np.ndarray, width: int) -> np.ndarray:
    result = np.empty_like(images)
    for image, target in zip(images, result):
        small = cv2.resize(image, (width, width), interpolation=cv2.INTER_CUBIC)
        target[...] = cv2.resize(small, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC)
    return result


def apart(inputs: tuple, answer: np.ndarray) -> int:
    """Grey levels between an answer and OpenCV's, at most, over all images."""
    images, width = inputs
    return max(
        int(np.abs(part.astype(np.int16) - one_by_one(image[None], width)[0]).max())
        for part, image in zip(answer, images)
    )


def nothing(inputs: tuple, answer: np.ndarray) -> None:
    """OpenCV's answer is made again where ours is."""


def rows(small: bool = False) -> list[Row]:
    tiny = {"images": 50, "width": 20}
    size = tiny if small else {"images": 10_000, "width": 20}
    one, other = measure(Side(make, to_width, apart), size, tiny), measure(Side(make, one_by_one, nothing), size, tiny)
    return [
        Row(
            "degradation",
            f"{size['images']:,} images, {FACE_SIZE} → {size['width']} → {FACE_SIZE} px",
            one.seconds,
            "`cv2.resize` image by image",
            other.seconds,
            1,
            one.peak_mib,
            other.peak_mib,
            one.summary <= 1,
            note=f"At most {one.summary} grey level apart.",
        )
    ]


if __name__ == "__main__":
    sys.exit(main(rows, __doc__))

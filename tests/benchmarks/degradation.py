"""Degradation beside OpenCV image by image: `python tests/benchmarks/degradation.py [--images 10000] [--width 20]`.

Prints both times on the same images, their ratio, the largest difference in grey levels, and the process's peak memory.
Each side is run three times, in turn; the best of the three counts, for a busy machine only ever adds time.
"""

import argparse
import resource
import time

import cv2
import numpy as np

from rifr.degrade import to_width


def one_by_one(images: np.ndarray, width: int) -> np.ndarray:
    result = np.empty_like(images)
    for image, target in zip(images, result):
        small = cv2.resize(image, (width, width), interpolation=cv2.INTER_CUBIC)
        target[...] = cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC)
    return result


def seconds(function, images: np.ndarray, width: int) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    result = function(images, width)
    return time.perf_counter() - start, result


def main(images: int = 10_000, width: int = 20) -> dict[str, float]:
    noise = np.random.default_rng(0).integers(0, 256, (min(images, 500), 112, 112, 3), dtype=np.uint8)
    faces = np.resize(noise, (images, 112, 112, 3))
    to_width(faces[:2], width)  # compile
    ours, theirs = [], []
    for _ in range(3):
        elapsed, result = seconds(to_width, faces, width)
        ours.append(elapsed)
        elapsed, expected = seconds(one_by_one, faces, width)
        theirs.append(elapsed)
    apart = max(int(np.abs(a.astype(np.int16) - b).max()) for a, b in zip(result, expected))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"degradation, {images:,} images, 112 -> {width} -> 112: {min(ours):.2f} s; cv2.resize image by image: "
          f"{min(theirs):.2f} s; {min(theirs) / min(ours):.1f} times as fast; at most {apart} grey level apart; "
          f"peak memory {peak:.2f} GiB (the images and both results: {3 * faces.nbytes / 2**30:.2f} GiB)")
    return {"ours_s": min(ours), "rival_s": min(theirs), "ratio": min(theirs) / min(ours), "apart": apart,
            "peak_gib": peak}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=20)
    main(**vars(parser.parse_args()))

"""Writes .rec and .idx files as InsightFace packs them, for the tests of their reader."""

import itertools
import struct

import cv2
import numpy as np

MAGIC = struct.pack("<I", 0xCED7230A)
WHOLE, FIRST, MIDDLE, LAST = range(4)


def write(path, images, labels, quality=95, header=True):
    """Images are (H, W, 3) uint8 RGB, each written as a JPEG, or encoded already; a label is a number or several.

    Without the header, as im2rec writes, the images have the keys 0, 1, ... and no records of people follow.
    """
    images, labels = list(images), list(labels)
    end = len(labels) + 1
    people = [
        [key for key, _ in run]
        for _, run in itertools.groupby(enumerate(labels, start=1), key=lambda entry: np.ravel(entry[1])[0])
    ]
    records = [(label, _encoded(image, quality)) for label, image in zip(labels, images, strict=True)]
    if header:
        records = [([end, end + len(people)], b""), *records, *(([keys[0], keys[-1] + 1], b"") for keys in people)]
    framed = [_framed(_packed(label, key, data)) for key, (label, data) in enumerate(records)]
    offsets = itertools.accumulate(map(len, framed), initial=0)
    path.write_bytes(b"".join(framed))
    path.with_suffix(".idx").write_text(
        "".join(f"{key}\t{offset}\n" for key, offset in zip(range(len(framed)), offsets))
    )


def _encoded(image, quality):
    if isinstance(image, bytes):
        return image
    return cv2.imencode(".jpg", np.asarray(image)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _packed(label, key, data):
    if np.ndim(label):
        return struct.pack("<IfQQ", len(label), 0, key, 0) + np.asarray(label, "<f4").tobytes() + data
    return struct.pack("<IfQQ", 0, label, key, 0) + data


def _framed(payload):
    """A record's parts: the payload is cut at each magic that it holds at a multiple of 4, and the magic left out."""
    words = np.frombuffer(payload, "<u4", len(payload) // 4)
    places = [4 * int(place) for place in np.flatnonzero(words == np.frombuffer(MAGIC, "<u4"))]
    begins, ends = [0, *(place + 4 for place in places)], [*places, len(payload)]
    parts = []
    for number, (begin, end) in enumerate(zip(begins, ends)):
        kind = WHOLE if not places else FIRST if number == 0 else LAST if number == len(places) else MIDDLE
        parts.append(struct.pack("<4sI", MAGIC, kind << 29 | (end - begin)) + payload[begin:end])
    return b"".join(parts) + bytes(-len(payload) % 4)

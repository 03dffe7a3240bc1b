"""Which files the weights of an ONNX network lie in: read from the graph's bytes, with no ONNX package.

A large network keeps its tensors in files beside the graph; each tensor names its own (`external_data`, "location").
An ONNX file is a protocol buffer: fields of (number << 3 | type), and messages inside of messages.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

__all__ = ["weight_files"]

# Which fields of a message hold which messages, from the model down to a tensor's external data (onnx.proto).
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external data"},
}


def weight_files(path: Path) -> list[Path]:
    """The files, sorted, that the graph in `path` names for its weights; none for what is no protocol buffer."""
    with open(path, "rb") as file:
        if not path.stat().st_size:
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            view = memoryview(content)
            try:
                names = set(_locations(view, "model"))
            except (IndexError, UnicodeDecodeError):  # damaged: onnxruntime says so
                names = set()
            finally:
                view.release()
    return [path.parent / name for name in sorted(names)]


def _locations(message: memoryview, kind: str) -> Iterator[str]:
    if kind == "external data":
        key, value = (bytes(dict(_fields(message)).get(number, b"")).decode() for number in (1, 2))
        if key == "location":
            yield value
        return
    for number, content in _fields(message):
        if number in MESSAGES[kind]:
            yield from _locations(content, MESSAGES[kind][number])


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The number and bytes of each field that has a length; numbers are passed over; IndexError at missing bytes."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        match tag & 7:
            case 0:
                _, place = _varint(message, place)
            case 1:
                place += 8
            case 5:
                place += 4
            case 2:
                length, place = _varint(message, place)
                if place + length > len(message):
                    raise IndexError("a field is longer than its message")
                yield tag >> 3, message[place : place + length]
                place += length
            case _:
                raise IndexError("no field begins here")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, the last without its eighth, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise IndexError("a number has more than 64 bits")

"""InsightFace's verification files (lfw.bin, agedb_30.bin, ...): aligned pairs with their answers, in one pickle.

The pickle holds `(bins, issame)`: 2N encoded images, of which 2i and 2i + 1 make pair i, and N answers. A pickle is a
program, and these files come from anywhere: here it can do nothing but put together bytes, lists, tuples, bools and
numbers. Even NumPy's own helpers, which the files of some publishers name, are replaced by ones that hold bytes.
"""

import io
import pickle
import pickletools
import re
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

__all__ = ["read"]

STEPS = set(
    [
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "POP",
        "POP_MARK",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "EMPTY_LIST",
        "LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "GET",
        "BINGET",
        "LONG_BINGET",
        "PUT",
        "BINPUT",
        "LONG_BINPUT",
        "MEMOIZE",
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "BUILD",
    ]
)
REMEDY = "get the file again from its publisher"


def read(path: str | Path, size: int = 112) -> tuple[np.ndarray, np.ndarray]:
    """(2N, size, size, 3) uint8 RGB images, of which rows 2i and 2i + 1 make pair i, and (N,) bool: the same person?

    Raises FileNotFoundError, and ValueError, which names the file and the entry, for a pickle that asks for anything
    but data (it is not run), that is truncated or holds something else, and for an image that is corrupt, cut short or
    of another size.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the path of a verification file, such as lfw.bin")
    bins, same = _contents(path, path.read_bytes())
    images = np.empty((len(bins), size, size, 3), np.uint8)
    for entry, data in enumerate(bins):
        try:
            images[entry] = _image(data, size)
        except ValueError as error:
            raise ValueError(f"{path}: image {entry} (of pair {entry // 2}) {error}") from error
    return images, same


def _contents(path: Path, data: bytes) -> tuple[list[bytes], np.ndarray]:
    """The encoded images and the answers."""
    try:
        for step, argument, _ in pickletools.genops(data):
            if step.name not in STEPS:
                named = f"asks for {argument!r}" if step.name == "INST" else f"holds the step {step.name}"
                raise _Refused(f"{named}, which no list of images needs")
            # A place in the memo beyond any that the file could use: memory would be set aside up to there.
            if step.name in ("PUT", "LONG_BINPUT") and argument > len(data):
                raise ValueError(f"memo place {argument}")
        found = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except _Refused as error:
        raise ValueError(f"{path} {error}: it was not run. Do not use it; {REMEDY}") from error
    except Exception as error:  # what a damaged pickle raises is not specified
        raise ValueError(f"{path} is no whole pickle ({type(error).__name__}: {error}): {REMEDY}") from error
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise ValueError(f"{path} does not hold (images, answers): {REMEDY}")
    bins, answers = (_entries(part) for part in found)
    if bins is None or answers is None:
        raise ValueError(f"{path} does not hold a list of images and a list of answers: {REMEDY}")
    if not bins or len(bins) != 2 * len(answers):
        raise ValueError(f"{path} holds {len(bins)} images for {len(answers)} answers, not two for each: {REMEDY}")
    bins = [_bytes(entry) for entry in bins]
    answers = [_answer(entry) for entry in answers]
    for kind, entries, wanted in (("image", bins, "encoded bytes"), ("answer", answers, "True or False")):
        if None in entries:
            raise ValueError(f"{path}: {kind} {entries.index(None)} is not {wanted}: {REMEDY}")
    return bins, np.array(answers, bool)


class _Refused(Exception):
    """The pickle asks for something that is not data."""


class _Type:
    """Stands in for numpy.dtype: its code ("u1", "b1", "O8") and byte order."""

    def __init__(self, code, *_):
        self.code, self.order = code.decode() if isinstance(code, bytes) else str(code), "<"

    def __setstate__(self, state):
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        self.order = ">" if order == ">" else "<"


class _Array:
    """Stands in for numpy.ndarray: type and bytes, or type and list."""

    type, data = None, None

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        _, _, self.type, _, self.data = state

    @classmethod
    def of(cls, data, kind):
        made = cls()
        made.data, made.type = data, kind
        return made


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        def latin(text, codec):  # how Python 2's protocols spell bytes
            if codec not in ("latin1", b"latin1"):
                raise ValueError(f"codec {codec!r}")
            return text.encode("latin1")

        where = re.sub(r"^numpy\._core\b", "numpy.core", module)
        stand_ins = {
            ("_codecs", "encode"): latin,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Type,
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
            ("numpy.core.multiarray", "scalar"): lambda kind, data: _Array.of(data, kind),
            ("numpy.core.numeric", "_frombuffer"): lambda data, kind, *_: _Array.of(data, kind),
        }
        if (where, name) not in stand_ins:
            raise _Refused(f"asks for {module}.{name}, which no list of images needs")
        return stand_ins[where, name]


def _entries(part) -> list | None:
    """The items of a list, or of an array of numbers or of objects; None for anything else."""
    if isinstance(part, (list, tuple)):
        return list(part)
    if not isinstance(part, _Array) or not isinstance(part.type, _Type):
        return None
    if isinstance(part.data, list):
        return part.data
    if not re.fullmatch("b1|[iu][1248]", part.type.code) or not isinstance(part.data, (bytes, bytearray)):
        return None
    width = int(part.type.code[1])
    if len(part.data) % width:
        return None
    return np.frombuffer(part.data, part.type.order + ("u1" if part.type.code == "b1" else part.type.code)).tolist()


def _bytes(entry) -> bytes | None:
    if isinstance(entry, _Array) and isinstance(entry.type, _Type) and entry.type.code in ("u1", "i1"):
        entry = entry.data
    return bytes(entry) if isinstance(entry, (bytes, bytearray)) else None


def _answer(entry) -> bool | None:
    if isinstance(entry, _Array):
        items = _entries(entry)
        entry = items[0] if items and len(items) == 1 else None
    return bool(entry) if isinstance(entry, int) and entry in (0, 1) else None


def _image(data: bytes, size: int) -> np.ndarray:
    """(size, size, 3) uint8 RGB."""
    try:
        # The header first: a few bytes can claim an image that fills the memory.
        with Image.open(io.BytesIO(data)) as header:
            kind, found = header.format, header.size
    except Exception as error:  # Pillow's readers raise many kinds for damaged headers
        raise ValueError(f"is no image of a known format: {REMEDY}") from error
    if found != (size, size):
        raise ValueError(
            f"is {found[0]}x{found[1]} pixels, not {size}x{size}: give size={found[0]}, or take the aligned file"
        )
    # OpenCV fills up what is missing of a JPEG without an error.
    if kind == "JPEG" and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ValueError(f"is cut short: {REMEDY}")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None or image.shape != (size, size, 3):
        raise ValueError(f"is a corrupt {kind}: {REMEDY}")
    return image[:, :, ::-1]

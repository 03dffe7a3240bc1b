"""MXNet's RecordIO (train.rec with train.idx), as CASIA-WebFace is distributed: read and written without MXNet.

    train.idx    lines `key<TAB>offset`: the byte of train.rec at which a record begins
    train.rec    records of one or more parts; a part is
                     uint32 0xced7230a    the magic, by which a part is found
                     uint32               top 3 bits: 0 whole, 1 first, 2 middle, 3 last part; low 29: bytes that follow
                     the bytes, filled up with zeros to a multiple of 4
    a record     uint32 flag, float32 label, uint64 id, uint64 id2; then `flag` float32 labels; then an encoded image
    record 0     flag 2 and labels [end, end of the people's records]: the images are the records 1 to end - 1

The magic may occur in a record's own bytes. Where it does, at a multiple of 4, the writer leaves it out and begins
another part; the reader puts it back. Bytes are little-endian.
"""

import io
import itertools
import mmap
import re
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from rifr import storage
from rifr.packs import FacePack
from rifr.readers.folder import LISTED, PART, _decode

__all__ = ["RecordFile", "read", "write"]

MAGIC = struct.pack("<I", 0xCED7230A)
PART_HEADER = struct.Struct("<4sI")
RECORD_HEADER = struct.Struct("<IfQQ")
WHOLE, FIRST, MIDDLE, LAST = range(4)
LONGEST = (1 << 29) - 1  # bytes of a part
EXACT = 1 << 24  # the whole numbers up to here are float32 numbers
REMEDY = "get the .rec and .idx files again, both from one place"


class RecordFile:
    """The images of a .rec file, which is read as a memory map, one record at a time.

    `len(file)` is the number of images, `file.keys` their keys 1, 2, ...; iterating gives (label, encoded image) in the
    order of the keys.

    Raises FileNotFoundError for a missing .rec or .idx, and ValueError, which names the file, for an empty one, a
    malformed line of the .idx (by number), records beyond the end of the .rec, images that the .idx leaves out, and a
    record 0 that is missing or is no header.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} does not exist: give the path of a record file, such as train.rec")
        if not self.path.stat().st_size:
            raise ValueError(f"{self.path} is empty: {REMEDY}")
        with open(self.path, "rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._offsets = _offsets(self.path, len(self._bytes))
        self._begins = frozenset(self._offsets.values())
        self.keys = range(1, self._end())

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[tuple[float | np.ndarray, bytes]]:
        return (self.record(key) for key in self.keys)

    def record(self, key: int) -> tuple[float | np.ndarray, bytes]:
        """The label, a number or a (flag,) float32 array, and the bytes after it, which are an encoded image.

        Raises ValueError, which names the key and the byte, for a key that is not in the .idx and for a record that is
        cut short or damaged. The format has no checksums: damage within the image or the label shows only there.
        """
        _, label, data = self._unpacked(key)
        return label, data

    def _unpacked(self, key: int) -> tuple[int, float | np.ndarray, bytes]:
        payload = self._payload(key)
        if len(payload) < RECORD_HEADER.size:
            raise self._damaged(key, f"holds {len(payload)} bytes, fewer than the {RECORD_HEADER.size} of its header")
        flag, label, _, _ = RECORD_HEADER.unpack_from(payload)
        begin = RECORD_HEADER.size + 4 * flag
        if begin > len(payload):
            raise self._damaged(key, f"announces {flag} labels, more than its {len(payload)} bytes hold")
        if flag:
            label = np.frombuffer(payload, "<f4", flag, RECORD_HEADER.size).astype(np.float32)
        return flag, label, payload[begin:]

    def _payload(self, key: int) -> bytes:
        if key not in self._offsets:
            raise ValueError(
                f"{self.path} has no record {key!r} in its .idx file, which lists {len(self._offsets)}: "
                f"the images have the keys 1 to len() of the file"
            )
        offset, parts, kind = self._offsets[key], [], None
        while kind not in (WHOLE, LAST):
            kind, begin, end = self._part(key, offset)
            if kind not in ((MIDDLE, LAST) if parts else (WHOLE, FIRST)):
                raise self._damaged(
                    key,
                    f"has a part of kind {kind} at byte {offset}, where "
                    f"{'it should go on' if parts else 'a record should begin'}",
                )
            parts.append(self._bytes[begin:end])
            offset = end + -(end - begin) % 4
        if offset < len(self._bytes) and offset not in self._begins and not self._looks_like_a_record(offset):
            raise self._damaged(key, f"ends at byte {offset}, where no other record begins")
        return MAGIC.join(parts)

    def _part(self, key: int, offset: int) -> tuple[int, int, int]:
        """The kind of the part at `offset`, and where its bytes begin and end."""
        begin = offset + PART_HEADER.size
        if begin > len(self._bytes):
            raise self._damaged(key, f"is cut short: the file ends at byte {len(self._bytes)}, within a part's header")
        magic, length = PART_HEADER.unpack_from(self._bytes, offset)
        if magic != MAGIC:
            raise self._damaged(key, f"has {magic.hex()} at byte {offset} instead of the magic {MAGIC.hex()}")
        kind, length = length >> 29, length & LONGEST
        if begin + length + -length % 4 > len(self._bytes):
            raise self._damaged(
                key,
                f"is cut short: it has {length} bytes from byte {begin}, and the file ends at byte {len(self._bytes)}",
            )
        inside = self._bytes.find(MAGIC, begin, begin + length)
        while inside >= 0 and (inside - begin) % 4:
            inside = self._bytes.find(MAGIC, inside + 1, begin + length)
        if inside >= 0:
            raise self._damaged(key, f"has {length} bytes from byte {begin}, and another part begins at byte {inside}")
        return kind, begin, begin + length

    def _looks_like_a_record(self, offset: int) -> bool:
        """For an .idx that leaves records out. A file that was cut off may end within the next record's header."""
        head = self._bytes[offset : offset + PART_HEADER.size]
        return len(head) < PART_HEADER.size or (head.startswith(MAGIC) and head[-1] >> 5 in (WHOLE, FIRST))

    def _end(self) -> int:
        """The key after the last image's."""
        if 0 not in self._offsets:
            raise ValueError(f"{self.path} has no record 0, which says where the images end: {REMEDY}")
        flag, labels, _ = self._unpacked(0)
        if flag != 2:
            raise ValueError(
                f"{self.path}: record 0 has flag {flag}, not 2, so it is not the header of a face set: "
                "only files that were packed as InsightFace packs them can be read"
            )
        if not (labels[0] >= 2 and labels[0] == np.floor(labels[0]) and np.isfinite(labels[0])):
            raise ValueError(f"{self.path}: record 0 says that the images end before key {labels[0]}: {REMEDY}")
        end = int(labels[0])
        missing = next((key for key in range(1, end) if key not in self._offsets), None)
        if missing is not None:
            raise ValueError(
                f"{self.path}: record 0 promises the images 1 to {end - 1}, and the .idx file leaves out "
                f"{missing}: {REMEDY}"
            )
        return end

    def _damaged(self, key: int, reason: str) -> ValueError:
        return ValueError(f"{self.path}: record {key} (at byte {self._offsets[key]}) {reason}: {REMEDY}")


def read(
    path: str | Path,
    out: str | Path,
    fewest: int = 1,
    people: int | None = None,
    exclude: Collection[str | int] = (),
    on_bad: str = "skip",
    licence: str = "as the owner of the images states",
    progress: bool = True,
) -> FacePack:
    """Write the people of a .rec file as a pack at `out`; an identity is the label in six digits: "000123".

    An image's label may be an array: its first number is taken. People come in the order of their labels, a person's
    images in that of their keys, which are the attribute `key`. A label beyond 999999 makes all identities longer.
    fewest: take people with at least so many good images; people: stop after so many; exclude: identities or labels
        to leave out.
    on_bad: "skip" leaves out records that are damaged and images that are unreadable, truncated, not 112x112, or in
        colours other than RGB or grey, and names them by key in the manifest; "refuse" raises at the first.

    The images are never in memory together: with on_bad="skip" each is decoded twice, to know the good ones, and again
    to write them. Raises what `RecordFile` raises, and ValueError where nobody is left, for wrong options, and for a
    bad record with on_bad="refuse".
    """
    if on_bad not in ("skip", "refuse"):
        raise ValueError(f'on_bad is "skip" or "refuse", not {on_bad!r}')
    if fewest < 1 or (people is not None and people < 1):
        raise ValueError(f"fewest and people are at least 1: not {fewest} and {people}")
    unwanted = _labels_to_exclude(exclude)
    file = RecordFile(path)
    bad: dict[int, str] = {}
    everyone = _keys_by_label(file, on_bad, bad, progress)
    excluded = sorted(set(everyone) & unwanted)

    chosen: dict[int, list[int]] = {}
    candidates = sorted(set(everyone) - unwanted)
    for label in tqdm(candidates, desc=f"checking {file.path.name}", unit="person", disable=None if progress else True):
        keys = everyone[label]
        if on_bad == "skip" and len(keys) >= fewest:
            keys = [key for key in keys if _is_good(file, key, bad)]
        if len(keys) >= fewest:
            chosen[label] = keys
            if len(chosen) == people:
                break
    listed = [f"{key}: {reason}" for key, reason in sorted(bad.items())]
    if not chosen:
        raise ValueError(
            f"nobody is left of the {len(everyone)} people in {file.path}: {len(excluded)} excluded, "
            f"{len(bad)} records bad, the others with fewer than {fewest} good images"
            + (f". The first bad record: {listed[0]}" if bad else "")
        )
    width = max(6, len(str(max(everyone))))
    spec = {
        "reader": "recordio",
        "file": file.path.name,
        "fewest": fewest,
        "people": people,
        "on_bad": on_bad,
        "people_found": len(everyone),
        "excluded": [f"{label:0{width}d}" for label in excluded],
        "skipped": len(bad),
        "skipped_keys": listed[:LISTED],
    }
    keys = list(itertools.chain.from_iterable(chosen.values()))
    identities = [f"{label:0{width}d}" for label, own in chosen.items() for _ in own]
    return FacePack.write(
        out,
        _parts(file, keys, progress),
        identities,
        attributes={"key": np.array(keys)},
        source=f"images in the record file {file.path.name}",
        licence=licence,
        spec=spec,
    )


def write(
    path: str | Path, images: Iterable[np.ndarray | bytes], labels: Sequence[float | Sequence[float]], quality: int = 95
) -> None:
    """Write a .rec file and its .idx, as InsightFace packs them, so that MXNet's and its successors' loaders read them.

    images: (H, W, 3) uint8 RGB, each written as a JPEG of `quality` 1 to 100, or encoded already (bytes); may be an
        iterator, of which one is in memory at a time.
    labels: as many, each a number or an array of numbers of which the first says who it is. A person's images should
        follow one another: each run of a label becomes a record of its own, after the images', with the run's first key
        and the key after its last.

    A kill leaves the old pair of files, or a .rec without its .idx, never a pair that does not match.
    Raises ValueError for an ending other than .rec, more or fewer images than labels, none, too many, a label that is
    no float32 number, and images of another type or shape.
    """
    path = Path(path)
    if path.suffix != ".rec":
        raise ValueError(f"{path} should end in .rec: its index will lie beside it and end in .idx")
    if quality not in range(1, 101):
        raise ValueError(f"quality is a whole number from 1 to 100, not {quality!r}")
    labels = [_label(path, place, label) for place, label in enumerate(labels)]
    people = [
        [key for key, _ in run]
        for _, run in itertools.groupby(enumerate(labels, start=1), key=lambda entry: float(np.ravel(entry[1])[0]))
    ]
    end = len(labels) + 1
    if not labels or end + len(people) > EXACT:
        raise ValueError(f"{path} can hold from 1 image to {EXACT} images and people, not {len(labels)} images")
    index = path.with_suffix(".idx")
    offsets: list[int] = []

    def fill(file: BinaryIO) -> None:
        def put(label: float | np.ndarray, data: bytes = b"") -> None:
            offset = file.tell()
            try:
                file.write(_framed(_packed(label, len(offsets), data)))
            except ValueError as error:
                raise ValueError(f"{path}: record {len(offsets)} {error}") from error
            offsets.append(offset)

        put(np.array([end, end + len(people)], np.float32))
        for image in images:
            if len(offsets) == end:
                raise ValueError(f"{path}: more images than the {len(labels)} labels")
            put(labels[len(offsets) - 1], _encoded(path, len(offsets), image, quality))
        if len(offsets) != end:
            raise ValueError(f"{path}: {len(offsets) - 1} images for {len(labels)} labels")
        for keys in people:
            put(np.array([keys[0], keys[-1] + 1], np.float32))
        index.unlink(missing_ok=True)

    storage.atomic_write(path, fill)
    storage.atomic_write(index, "".join(f"{key}\t{offset}\n" for key, offset in enumerate(offsets)))


def _offsets(path: Path, size: int) -> dict[int, int]:
    """Where each key's record begins, from the .idx file beside `path`."""
    index = path.with_suffix(".idx")
    if not index.is_file():
        raise FileNotFoundError(f"{index} does not exist: put it beside {path.name}, which cannot be read without it")
    offsets: dict[int, int] = {}
    for number, line in enumerate(index.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        found = re.fullmatch(rb"\s*(\d{1,18})\t(\d{1,18})\s*", line)
        if not found:
            shown = line[:60].decode(errors="replace")
            raise ValueError(f"{index}, line {number}: found {shown!r}, wanted key<TAB>offset. {REMEDY.capitalize()}")
        key, offset = int(found[1]), int(found[2])
        if key in offsets:
            raise ValueError(f"{index}, line {number}: key {key} stands there a second time. {REMEDY.capitalize()}")
        offsets[key] = offset
    if not offsets:
        raise ValueError(f"{index} is empty: {REMEDY}")
    beyond = [key for key, offset in offsets.items() if offset + PART_HEADER.size > size]
    if beyond:
        raise ValueError(
            f"{path} ends at byte {size}, and {len(beyond)} of {len(offsets)} records lie beyond it (the "
            f"first: {beyond[0]}, at byte {offsets[beyond[0]]}): {REMEDY}"
        )
    return offsets


def _labels_to_exclude(exclude: Collection[str | int]) -> set[int]:
    if isinstance(exclude, str):
        raise ValueError(f"exclude is a list of identities, not the text {exclude!r}: write [{exclude!r}]")
    wrong = [name for name in exclude if not re.fullmatch("[0-9]{1,18}", str(name))]
    if wrong:
        raise ValueError(f"exclude holds {wrong[0]!r}: in a record file people have numbers, such as 123 or '000123'")
    return {int(name) for name in exclude}


def _keys_by_label(file: RecordFile, on_bad: str, bad: dict[int, str], progress: bool) -> dict[int, list[int]]:
    """The keys of each person's images; adds to `bad` the records that are damaged or say nobody."""
    people: dict[int, list[int]] = {}
    for key in tqdm(file.keys, desc=f"labels of {file.path.name}", unit="image", disable=None if progress else True):
        try:
            label = float(np.ravel(file.record(key)[0])[0])
            if not (0 <= label <= EXACT and label.is_integer()):
                raise ValueError(f"{file.path}: record {key} has the label {label}, which is no number of a person")
        except ValueError as error:
            if on_bad == "refuse":
                raise ValueError(f'{error} (or pass on_bad="skip")') from error
            bad[key] = str(error).removeprefix(f"{file.path}: ")
        else:
            people.setdefault(int(label), []).append(key)
    return people


def _is_good(file: RecordFile, key: int, bad: dict[int, str]) -> bool:
    try:
        _image(file.record(key)[1])
    except ValueError as error:
        bad[key] = str(error)
        return False
    return True


def _parts(file: RecordFile, keys: list[int], progress: bool) -> Iterator[np.ndarray]:
    """The images of `keys` in parts of (n, 112, 112, 3) uint8 RGB."""
    with tqdm(
        total=len(keys), desc=f"reading {file.path.name}", unit="image", disable=None if progress else True
    ) as bar:
        for start in range(0, len(keys), PART):
            images = []
            for key in keys[start : start + PART]:
                try:
                    images.append(_image(file.record(key)[1]))
                except ValueError as error:
                    raise ValueError(
                        f"{file.path}: the image of record {key} cannot be used: {error}. Get the file "
                        'again, or pass on_bad="skip"'
                    ) from error
                bar.update()
            yield np.stack(images)


def _image(data: bytes) -> np.ndarray:
    """(112, 112, 3) uint8 RGB."""
    try:
        return _decode(io.BytesIO(data))
    except Image.UnidentifiedImageError as error:
        raise ValueError("no image of a known format") from error
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        raise ValueError(str(error) or type(error).__name__) from error


def _label(path: Path, place: int, label: Any) -> float | np.ndarray:
    """A number, or a (n,) float32 array."""
    try:
        exact = np.asarray(label, np.float64)
    except (TypeError, ValueError, OverflowError):
        exact = np.array(np.nan)
    with np.errstate(over="ignore"):
        single = exact.astype(np.float32)
    if exact.ndim > 1 or not exact.size or not np.isfinite(single).all() or (single != exact).any():
        raise ValueError(
            f"{path}: label {place} is {label!r}, and should be a number, or a list of them, that float32 "
            f"can hold (whole numbers up to {EXACT})"
        )
    return float(single) if single.ndim == 0 else single


def _encoded(path: Path, key: int, image: np.ndarray | bytes, quality: int) -> bytes:
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"{path}: image {key} is (height, width, 3) uint8 or encoded bytes, not {image.shape} {image.dtype}"
        )
    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1].tobytes()


def _packed(label: float | np.ndarray, key: int, data: bytes) -> bytes:
    if isinstance(label, np.ndarray):
        return RECORD_HEADER.pack(len(label), 0, key, 0) + label.astype("<f4").tobytes() + data
    return RECORD_HEADER.pack(0, label, key, 0) + data


def _framed(payload: bytes) -> bytes:
    """A record's parts: the payload is cut at each magic that it holds at a multiple of 4, and the magic left out."""
    words = np.frombuffer(payload, "<u4", len(payload) // 4)
    places = [4 * int(place) for place in np.flatnonzero(words == np.frombuffer(MAGIC, "<u4"))]
    begins, ends = [0, *(place + 4 for place in places)], [*places, len(payload)]
    if max(end - begin for begin, end in zip(begins, ends)) > LONGEST:
        raise ValueError(f"has {len(payload)} bytes, and can have {LONGEST}")
    framed = []
    for number, (begin, end) in enumerate(zip(begins, ends)):
        kind = WHOLE if not places else FIRST if number == 0 else LAST if number == len(places) else MIDDLE
        framed.append(PART_HEADER.pack(MAGIC, kind << 29 | (end - begin)) + payload[begin:end])
    return b"".join(framed) + bytes(-len(payload) % 4)

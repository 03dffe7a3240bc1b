"""MXNet's RecordIO (train.rec with train.idx), as CASIA-WebFace is distributed, read without MXNet.

    train.idx    lines `key<TAB>offset`: the byte of train.rec at which a record begins
    train.rec    records of one or more parts; a part is
                     uint32 0xced7230a    the magic, by which a part is found
                     uint32               top 3 bits: 0 whole, 1 first, 2 middle, 3 last part; low 29: bytes that follow
                     the bytes, filled up with zeros to a multiple of 4
    a record     uint32 flag, float32 label, uint64 id, uint64 id2; then `flag` float32 labels; then an encoded image
    record 0     flag 2, labels [end, end of the people's records] and no image: the images are the records 1 to end - 1

A file that `mxnet.tools.im2rec` made has no such record 0: all of its records are images, as InsightFace's loader takes
them, too.

The magic may occur in a record's own bytes. Where it does, at a multiple of 4, writers leave it out and begin another
part; the reader puts it back. Bytes are little-endian.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from rifr.align import FACE_SIZE
from rifr.bars import progress_bar
from rifr.errors import DataError, SettingError
from rifr.packs import FacePack
from rifr.readers.images import BadImages, check_names, decode
from rifr.readers.writing import Limits, Origin, write_people

__all__ = ["RecordFile", "first_label", "read"]

MAGIC = struct.pack("<I", 0xCED7230A)
PART_HEADER = struct.Struct("<4sI")
RECORD_HEADER = struct.Struct("<IfQQ")
WHOLE, FIRST, MIDDLE, LAST = range(4)  # kinds of parts
LONGEST = (1 << 29) - 1  # bytes of a part
LARGEST_LABEL = 1 << 24  # the whole numbers up to here are float32 numbers
REMEDY = "get the .rec and .idx files again, both from one place"


class RecordFile:
    """The images of a .rec file, which is read as a memory map, one record at a time.

    `len(file)` is the number of images; iterating gives (label, encoded image) in the order of the keys.

    Attributes
    ----------
    keys
        The images' keys, ascending: 1, 2, ... for a file with a header, else all of the .idx.
    people
        The number of people, as the header says; None without one.

    Raises
    ------
    FileNotFoundError
        For a missing .rec or .idx.
    DataError
        With the file's name: for an empty one, a malformed line of the .idx (by number), records beyond the end of the
        .rec, images that the .idx leaves out, and a record 0 that is missing or cannot be.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} does not exist: give the path of a record file, such as train.rec")
        if not self.path.stat().st_size:
            raise DataError(f"{self.path} is empty: {REMEDY}")
        with open(self.path, "rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._offsets = _offsets(self.path, len(self._bytes))
        self._begins = frozenset(self._offsets.values())
        self.keys: Sequence[int]
        self.people: int | None
        self.keys, self.people = self._images()

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[tuple[float | np.ndarray, bytes]]:
        return (self.record(key) for key in self.keys)

    def record(self, key: int) -> tuple[float | np.ndarray, bytes]:
        """The label, a number or a (flag,) float32 array, and the bytes after it, which are an encoded image.

        The format has no checksums: damage within the image or the label shows only there.

        Raises
        ------
        DataError
            With the key and the byte: for a key that is not in the .idx and for a record that is cut short or damaged.
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
            raise DataError(
                f"{self.path} has no record {key!r} in its .idx file, which lists {len(self._offsets)}: "
                "the images have the keys of `keys`"
            )
        offset, kind = self._offsets[key], None
        parts: list[bytes] = []
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

    def _images(self) -> tuple[Sequence[int], int | None]:
        """The images' keys, and the number of people if a header says it."""
        if 0 not in self._offsets:
            raise DataError(f"{self.path} has no record 0, which says where the images end: {REMEDY}")
        flag, labels, data = self._unpacked(0)
        if flag != 2 or data:
            try:
                decode(
                    data, f"{self.path}: record 0 has flag {flag}, not 2 and no image, so it is no header of a face set"
                )
            except DataError as error:
                raise DataError(f"{error}, so it is no image either: {REMEDY}") from error
            return sorted(self._offsets), None
        end, end_of_people = np.asarray(labels, np.float64)
        if not (end >= 2 and end == np.floor(end) and np.isfinite(end)):
            raise DataError(f"{self.path}: record 0 says that the images end before key {end:g}: {REMEDY}")
        missing = next((key for key in range(1, int(end)) if key not in self._offsets), None)
        if missing is not None:
            raise DataError(
                f"{self.path}: record 0 promises the images 1 to {end - 1:.0f}, and the .idx file leaves out "
                f"{missing}: {REMEDY}"
            )
        return range(1, int(end)), max(0, int(end_of_people - end)) if np.isfinite(end_of_people) else None

    def _damaged(self, key: int, reason: str) -> DataError:
        return DataError(f"{self.path}: record {key} (at byte {self._offsets[key]}) {reason}: {REMEDY}")


def first_label(label: float | np.ndarray) -> float:
    """Who a label says it is: an array's first number."""
    return float(np.ravel(label)[0])


def read(
    path: str | Path,
    out: str | Path,
    min_images: int = 1,
    max_people: int | None = None,
    exclude: Collection[str | int] = (),
    on_bad: str = "skip",
    licence: str = "as the owner of the images states",
    progress: bool = True,
) -> FacePack:
    """Write the people of a .rec file as a pack; an identity is the label in six digits: "000123".

    People come in the order of their labels, a person's images in that of their keys, which are the attribute `key`. A
    label beyond 999999 makes all identities longer.

    Parameters
    ----------
    path
        The .rec file; its .idx lies beside it.
    out
        The folder of the pack.
    min_images
        Take people with at least so many good images.
    max_people
        Stop after so many people.
    exclude
        Identities or labels to leave out.
    on_bad
        "skip" leaves out records that are damaged and images that are unreadable, truncated or not 112x112, and names
        them by key in the manifest; "refuse" raises at the first.
    licence
        What the manifest says of it.
    progress
        Whether to show a progress bar.

    Raises
    ------
    FileNotFoundError
        For a missing .rec or .idx.
    SettingError
        For wrong options.
    DataError
        For what `RecordFile` refuses, for a bad record with on_bad="refuse", and where nobody is left.
    """
    bad, limits = BadImages(on_bad), Limits(min_images, None, max_people)
    unwanted = _labels_to_exclude(exclude)
    file = RecordFile(path)
    everyone = _keys_by_label(file, bad, progress)
    width = max(6, len(str(max(everyone, default=0))))
    excluded = [f"{label:0{width}d}" for label in sorted(set(everyone) & unwanted)]
    people = {f"{label:0{width}d}": everyone[label] for label in sorted(set(everyone) - unwanted)}
    nobody = f"nobody is left of the {len(everyone)} people in {file.path}: {len(excluded)} excluded"
    spec = {"reader": "recordio", "file": file.path.name, "people_found": len(everyone), "excluded": excluded}
    return write_people(
        out,
        progress_bar(people.items(), desc=f"reading {file.path.name}", unit="person", show=progress),
        lambda key: bad.decode(file.record(key)[1], f"record {key}", FACE_SIZE),
        ("key", int),
        limits,
        bad,
        Origin(f"images in the record file {file.path.name}", licence, spec, nobody),
    )


def _offsets(path: Path, size: int) -> dict[int, int]:
    """Where each key's record begins, from the .idx file beside `path`."""
    index = path.with_suffix(".idx")
    if not index.is_file():
        raise FileNotFoundError(f"{index} does not exist: put it beside {path.name}, which cannot be read without it")
    offsets: dict[int, int] = {}
    for number, line in enumerate(index.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        entry = re.fullmatch(rb"\s*(\d{1,18})\t(\d{1,18})\s*", line)
        if not entry:
            shown = line[:60].decode(errors="replace")
            raise DataError(f"{index}, line {number}: found {shown!r}, wanted key<TAB>offset. {REMEDY.capitalize()}")
        key, offset = int(entry[1]), int(entry[2])
        if key in offsets:
            raise DataError(f"{index}, line {number}: key {key} stands there a second time. {REMEDY.capitalize()}")
        offsets[key] = offset
    if not offsets:
        raise DataError(f"{index} is empty: {REMEDY}")
    beyond = [key for key, offset in offsets.items() if offset + PART_HEADER.size > size]
    if beyond:
        raise DataError(
            f"{path} ends at byte {size}, and {len(beyond)} of {len(offsets)} records lie beyond it (the "
            f"first: {beyond[0]}, at byte {offsets[beyond[0]]}): {REMEDY}"
        )
    return offsets


def _labels_to_exclude(exclude: Collection[str | int]) -> set[int]:
    check_names(exclude)
    others = [name for name in exclude if not re.fullmatch("[0-9]{1,18}", str(name))]
    if others:
        raise SettingError(
            f"exclude holds {others[0]!r}: in a record file people have numbers, such as 123 or '000123'"
        )
    return {int(name) for name in exclude}


def _keys_by_label(file: RecordFile, bad: BadImages, progress: bool) -> dict[int, list[int]]:
    """The keys of each person's images; `bad` takes the records that are damaged or say nobody."""
    people: dict[int, list[int]] = {}
    for key in progress_bar(file.keys, desc=f"labels of {file.path.name}", unit="image", show=progress):
        try:
            label = first_label(file.record(key)[0])
            if not (0 <= label <= LARGEST_LABEL and label.is_integer()):
                raise DataError(f"{file.path}: record {key} has the label {label}, which is no number of a person")
        except DataError as error:
            bad.add(str(error).removeprefix(f"{file.path}: "), error)
        else:
            people.setdefault(int(label), []).append(key)
    return people

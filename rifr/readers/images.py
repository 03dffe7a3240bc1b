"""What counts as an image, which files of a folder are images, and the one decoder of all of them.

`decode` gives (H, W, 3) uint8 RGB, upright as the EXIF says; `list_images` and `list_people` list a folder, and name
each file that is left out; `BadImages` skips and names what cannot be used, or refuses it.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rifr.errors import DataError, SettingError, first_few

__all__ = [
    "ENDINGS",
    "BadImages",
    "LeftOutFile",
    "Listing",
    "check_names",
    "decode",
    "file_states",
    "first_few",
    "is_image",
    "is_litter",
    "list_images",
    "list_people",
    "named_and_counted",
]

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""The endings of images, in small letters; capitals do not matter. Of an animation the first picture is read."""

LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r"}
MANIFEST_NAMES = 100  # files that a manifest names; the rest is counted

T = TypeVar("T")


def is_litter(name: str) -> bool:
    """Whether a file or folder is what systems leave behind: `.DS_Store`, `._x`, `Thumbs.db`, `__MACOSX`."""
    return name.startswith(".") or name.lower() in LITTER


def is_image(name: str | Path) -> bool:
    """Whether a file of this name counts as an image."""
    path = Path(name)
    return path.suffix.lower() in ENDINGS and not is_litter(path.name)


def file_states(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """The name, size and time of change of each file, by which packs are found again without reading them."""
    return [(file.name, (state := file.stat()).st_size, state.st_mtime_ns) for file in files]


def check_names(exclude: Collection[Any]) -> None:
    """Refuse one text where a list of names is meant: its letters would be taken for names."""
    if isinstance(exclude, str):
        raise SettingError(f"exclude is a list of names, not the text {exclude!r}: write [{exclude!r}]")


def named_and_counted(what: str, lines: Sequence[object]) -> dict[str, Any]:
    """What a manifest says of files that a pack does not hold: how many, and the first hundred."""
    return {what: len(lines), f"{what}_files": [str(line) for line in lines[:MANIFEST_NAMES]]}


def decode(source: str | Path | bytes, name: str = "", side: int | None = None) -> np.ndarray:
    """Decode an image, upright and in colour.

    It is turned as its EXIF orientation says. Grey becomes three equal channels, 16 bits become 8, transparent pixels
    are laid over white, and palettes, CMYK and the like are converted.

    Parameters
    ----------
    source
        A file, or its bytes.
    name
        What an error calls the image; by default the path.
    side
        Refuse an image that is not `side` x `side` pixels, before its pixels are decoded.

    Returns
    -------
    numpy.ndarray
        (H, W, 3) uint8 RGB.

    Raises
    ------
    DataError
        With the name and the reason: not there, empty, not an image, truncated, of another size or kind of numbers.
    """
    name = name or (str(source) if isinstance(source, (str, Path)) else "image")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if side is not None and image.size != (side, side):
                raise DataError(f"{image.width}x{image.height} pixels, not {side}x{side}")
            return _rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        raise DataError(f"{name}: {_reason(source, error)}") from error


def _rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8; `image` may have any mode of Pillow."""
    if image.mode == "F":
        raise DataError("its pixels are floating-point numbers: save it with 8 bits a channel")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise DataError("its grey values go beyond 16 bits: save it with 8 bits a channel")
        grey = ((values + 128) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def _reason(source: str | Path | bytes, error: Exception) -> str:
    if not isinstance(error, UnidentifiedImageError):
        if isinstance(error, OSError) and error.strerror:
            return error.strerror.lower()
        return str(error) or type(error).__name__
    begin = source[:64] if isinstance(source, bytes) else _first_bytes(Path(source))
    if not begin:
        return "the file is empty"
    if begin.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not an image"
    return "no image of a known format"


def _first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(64)


class LeftOutFile(NamedTuple):
    """A file or folder that is no image of a person; as text `Ada/1.heic: ends in .heic, ...`."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass
class Listing:
    """The images of a folder that holds a folder for each person.

    Parameters
    ----------
    people
        The images of each person, both in the order of their names; a person may have none.
    loose
        Names of images that lie beside the people's folders.
    left_out
        Each other file or folder that is no image of a person, its name below the folder, and why.
    """

    people: dict[str, list[Path]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    left_out: list[LeftOutFile] = field(default_factory=list)

    @property
    def images(self) -> list[Path]:
        """All images, person by person."""
        return [image for images in self.people.values() for image in images]


def list_images(folder: Path, prefix: str = "") -> tuple[list[Path], list[LeftOutFile]]:
    """List the images of one folder in the order of their names.

    Returns
    -------
    tuple
        The images, and each file, link or folder that is none, its name after `prefix`. What systems leave behind
        (`is_litter`) is in neither.
    """
    images, left_out = [], []
    for entry in sorted(folder.iterdir()):
        if is_litter(entry.name):
            continue
        if entry.is_file() and is_image(entry):
            images.append(entry)
        else:
            left_out.append(LeftOutFile(f"{prefix}{entry.name}", _why_left_out(entry)))
    return images, left_out


def list_people(folder: Path) -> Listing:
    """List the images of a folder that holds a folder for each person; the folders' own folders are left out.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        Where `folder` is none.
    """
    if not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist: give a folder that holds a folder for each person")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: give a folder that holds a folder for each person")
    listing = Listing()
    for entry in sorted(folder.iterdir()):
        if is_litter(entry.name):
            continue
        if entry.is_dir():
            listing.people[entry.name], left_out = list_images(entry, f"{entry.name}/")
            listing.left_out += left_out
        elif entry.is_file() and is_image(entry):
            listing.loose.append(entry.name)
        else:
            listing.left_out.append(LeftOutFile(entry.name, _why_left_out(entry)))
    return listing


def _why_left_out(entry: Path) -> str:
    if entry.is_dir():
        return "a folder within a person's folder"
    if not entry.exists():
        return "a link to nothing" if entry.is_symlink() else "not there any more"
    if not entry.is_file():
        return "no file"
    return f"ends in {entry.suffix or 'nothing'}, not as an image ({', '.join(ENDINGS)})"


class BadImages:
    """What a reader does with images that cannot be used: skip and name them, or refuse the first.

    Parameters
    ----------
    on_bad
        "skip" or "refuse".

    Attributes
    ----------
    lines
        `name: reason` of each skipped image.
    """

    def __init__(self, on_bad: str):
        if on_bad not in ("skip", "refuse"):
            raise SettingError(f'on_bad is "skip" or "refuse", not {on_bad!r}')
        self.on_bad = on_bad
        self.lines: list[str] = []

    def decode(self, source: Path | bytes, name: str, side: int | None = None) -> np.ndarray | None:
        """Decode as `decode` does; None for a skipped image.

        Parameters
        ----------
        source
            A file, or its bytes.
        name
            How messages call it.
        side
            The side it must have in pixels; None: any.

        Raises
        ------
        DataError
            At the first bad image with on_bad="refuse".
        """
        if self.on_bad == "refuse" and isinstance(source, Path):
            name = str(source)
        try:
            return decode(source, name, side)
        except DataError as error:
            self.add(str(error), error)
            return None

    def add(self, line: str, cause: Exception | None = None) -> None:
        """Skip what `line` names and says the reason of, or refuse it."""
        if self.on_bad == "refuse":
            raise DataError(f'{line}. Mend or delete it, or pass on_bad="skip"') from cause
        self.lines.append(line)

    def first(self) -> str:
        """An error's last sentence, on the first of them."""
        return f". The first that is bad: {self.lines[0]}" if self.lines else ""

    def spec(self) -> dict[str, Any]:
        """What the manifest says of them."""
        return {"on_bad": self.on_bad, **named_and_counted("skipped", self.lines)}

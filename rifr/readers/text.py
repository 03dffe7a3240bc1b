"""The text of a list, whatever editor wrote it: UTF-8 with or without a byte order mark, or Windows' "Unicode"."""

from __future__ import annotations

import codecs
from pathlib import Path

from rifr.errors import DataError

__all__ = ["read_text"]


def read_text(path: str | Path, remedy: str) -> str:
    """Read a text file.

    Parameters
    ----------
    path
        The file.
    remedy
        What an error tells the user to do, such as "give the path of LFW's pairs.txt".

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    DataError
        For a file that is no text.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: {remedy}")
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text: {remedy}") from error

"""What can go wrong by no fault of the library: one type per kind, so that callers and tests need not read prose.

    RifrError
        SettingError     a setting, an option or an argument that does not fit (also a ValueError)
        DataError        an image, a pack, a list, a file or an archive that cannot be used (also a ValueError)
        TrainingError    a training that cannot go on, such as one whose loss is not finite (also a FloatingPointError)
        StorageError     a disk that is full, a folder that may not be written to (also an OSError)

Each message names what is wrong and says what to do. Everything else that is raised is a programming
error and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["DataError", "RifrError", "SettingError", "StorageError", "TrainingError", "first_few"]


class RifrError(Exception):
    """The base of all errors that a user can mend; the command line shows them as one line."""


class SettingError(RifrError, ValueError):
    """A setting, an option or an argument that does not fit."""


class DataError(RifrError, ValueError):
    """An image, a pack, a list, a file or an archive that cannot be used."""


class TrainingError(RifrError, FloatingPointError):
    """A training that cannot go on."""


class StorageError(RifrError, OSError):
    """A disk that takes no more, or a folder that may not be written to."""


def first_few(names: Sequence[str], few: int = 10) -> str:
    """The first few of many names, and how many there are.

    >>> first_few(["a", "b", "c"], few=2)
    'a, b, ... (3 in all)'
    """
    return ", ".join(names[:few]) + (f", ... ({len(names):,} in all)" if len(names) > few else "")

"""Stored results: written atomically, found again by what made them, and made once however many ask.

atomic        files and folders that are old or new, never half; locks; the errors of a full disk in plain words
cache         where results lie, the digests that they are found by, `found_or_made`
interrupts    Ctrl-C and SIGTERM as one KeyboardInterrupt
rows          some rows of an array on disk
"""

from rifr.storage import interrupts
from rifr.storage.atomic import (
    atomic_directory,
    atomic_write,
    checkpoint_path,
    explain_os_error,
    lock,
    read_json,
    readable_json,
    require_writable,
)
from rifr.storage.cache import (
    PACKAGE,
    PARSING,
    checkout,
    digest,
    file_digest,
    folder_digest,
    found_or_made,
    note_use,
    place,
    root,
    sources_digest,
    stored,
    used,
    user_cache,
)

__all__ = [
    "PACKAGE",
    "PARSING",
    "atomic_directory",
    "atomic_write",
    "checkout",
    "checkpoint_path",
    "digest",
    "explain_os_error",
    "file_digest",
    "folder_digest",
    "found_or_made",
    "interrupts",
    "lock",
    "note_use",
    "place",
    "read_json",
    "readable_json",
    "require_writable",
    "root",
    "sources_digest",
    "stored",
    "used",
    "user_cache",
]

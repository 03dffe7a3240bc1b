"""What this process may use of the machine that it runs on: cores and memory, the same answer on every system."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

import joblib
import psutil

__all__ = ["available_cores", "available_memory", "keep_freed_memory", "peak_memory"]

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
KEPT_BYTES = 2**30


def available_cores() -> int:
    """The cores that affinity and control groups leave to this process, not those that the machine has."""
    return joblib.cpu_count()


def available_memory() -> int:
    """Bytes of memory that this process may come to hold: the machine's, or less where a control group says so."""
    limits = [psutil.virtual_memory().total]
    for file in CGROUP_LIMITS:
        if file.is_file() and (text := file.read_text().strip()).isdigit():  # "max": no limit
            limits.append(int(text))
    return min(limits)


def peak_memory() -> int:
    """The most bytes that this process has held so far."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # there is none on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep up to `KEPT_BYTES` that this process frees for its next allocation.

    It gives large blocks back to the system at once, and each step of a network asks for the same ones again, which
    the system clears page by page: a third of the time in which a thin network embeds, a seventh of that in which it
    trains. The numbers that are computed are the same.

    Returns
    -------
    bool
        Whether it could be set; on a system without glibc nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    return mallopt is not None and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(M_MMAP_MAX, 0))

"""Ctrl-C, and the SIGTERM that schedulers and parents send, as one KeyboardInterrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

__all__ = ["shielded", "stoppable"]

DEBOUNCE_SECONDS = 2.0
"""Seconds within which several signals are one: a terminal sends one to a whole family, and the parent one more."""


class _Shields:
    """How many blocks of `shielded` the main thread is in, and whether an interrupt waits for their end."""

    depth = 0
    waiting = False


@contextlib.contextmanager
def stoppable() -> Iterator[list[float]]:
    """Within the block, SIGINT and SIGTERM raise KeyboardInterrupt, and what is begun is cleared away undisturbed.

    Yields the list of the times of the signals: libraries turn an interrupt into errors of their own, which are known
    by it. Signals that were ignored before stay ignored; outside of the main thread nothing changes.
    """
    times: list[float] = []

    def stop(number: int, frame: FrameType | None) -> None:
        times.append(time.monotonic())
        if len(times) == 1 or times[-1] - times[-2] > DEBOUNCE_SECONDS:
            if _Shields.depth:
                _Shields.waiting = True
            else:
                raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {
            number: signal.signal(number, stop)
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) != signal.SIG_IGN
        }
    try:
        yield times
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """What `stoppable` raises comes at the block's end: for a few lines of which all or none must have been run.

    What waits for somebody has no place in it.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    _Shields.depth += 1
    try:
        yield
    finally:
        _Shields.depth -= 1
        if not _Shields.depth and _Shields.waiting:
            _Shields.waiting = False
            raise KeyboardInterrupt

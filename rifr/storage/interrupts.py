"""Ctrl-C, and the SIGTERM that schedulers and parents send, as one KeyboardInterrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

__all__ = ["stoppable"]

DEBOUNCE_SECONDS = 2.0
"""Seconds within which several signals are one: a terminal sends one to a whole family, and the parent one more."""


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

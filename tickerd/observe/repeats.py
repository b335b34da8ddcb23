"""Counts log lines that repeat, so that a flood becomes a few lines and a number."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Key = tuple[str, str, str]
"""Event, unit, level."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Lines that were not written in a window that has ended."""

    event: str
    unit: str
    level: str
    count: int
    window_s: float


@dataclass(slots=True)
class _Window:
    ends: float
    seen: int = 0


class Repeats:
    """Lets the first lines with the same event and unit through in each window of time, and counts the rest.

    Args:
        limit: lines let through in a window.
        window_s: its length; it begins with the first line.
        most: keys watched at a time. The one begun longest ago makes room for a new one.
        now: a monotonic clock in seconds.
    """

    def __init__(
        self,
        limit: int = 20,
        window_s: float = 10.0,
        *,
        most: int = 1000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._window_s = window_s
        self._most = most
        self._now = now
        self._windows: dict[Key, _Window] = {}
        self._ended: list[Suppressed] = []
        # re-entrant: the garbage collector may log while this thread is in here
        self._lock = threading.RLock()

    def admit(self, event: str, unit: str, level: str) -> bool:
        """True if this line is to be written."""
        key = (event, unit, level)
        now = self._now()
        with self._lock:
            window = self._windows.get(key)
            if window is None or window.ends <= now:
                window = self._begin(key, now)
            window.seen += 1
            return window.seen <= self._limit

    def due(self, *, everything: bool = False) -> list[Suppressed]:
        """What was suppressed in windows that have ended (or in all); each is told once."""
        now = self._now()
        with self._lock:
            for key in [key for key, window in self._windows.items() if everything or window.ends <= now]:
                self._end(key)
            ended, self._ended = self._ended, []
        return ended

    def _begin(self, key: Key, now: float) -> _Window:
        self._end(key)
        if len(self._windows) >= self._most:
            self._end(next(iter(self._windows)))
        window = self._windows[key] = _Window(now + self._window_s)
        return window

    def _end(self, key: Key) -> None:
        window = self._windows.pop(key, None)
        if window is not None and window.seen > self._limit:
            self._ended.append(Suppressed(*key, count=window.seen - self._limit, window_s=self._window_s))

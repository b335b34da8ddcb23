"""Whether a connection is alive, judged by the age of its last frame. All state, no waiting."""

from typing import Literal

Verdict = Literal["live", "stale", "dead"]

OVERSLEPT = 1.0
"""A watcher that woke up so many seconds late was blocked with the whole loop: nobody read meanwhile."""


class Liveness:
    """Times the silence. Seconds, on any one clock, come in as arguments."""

    def __init__(self, stale_after: float, dead_after: float, now: float) -> None:
        self._stale_after = stale_after
        self._dead_after = dead_after
        self._since = now
        self._stale = False

    def frame(self, now: float) -> None:
        """A frame has come."""
        self._since = now
        self._stale = False

    def due(self) -> float:
        """When to look next."""
        return self._since + (self._dead_after if self._stale else self._stale_after)

    def silence(self, now: float) -> float:
        """Seconds without a frame."""
        return now - self._since

    def check(self, due: float, now: float) -> Verdict:
        """Judge, at ``now``, for a watcher that meant to look at ``due``.

        A watcher that overslept begins a new measurement: frames may be waiting in the socket unread.
        """
        if now - due > OVERSLEPT:
            self._since = now
            return "live"
        # the same sums as in `due`: a difference may be a hair less, and the watcher would look again at once for ever
        if now >= self._since + self._dead_after:
            return "dead"
        if now >= self._since + self._stale_after:
            self._stale = True
            return "stale"
        return "live"

"""The one clock of the daemon: wall-clock nanoseconds that never disagree with trio's timers."""

import time

import trio


class Clock:
    """Wall time as a fixed offset from trio's clock, handed down from the daemon to everything.

    Within a run two readings differ by exactly the time that trio's timers measured between them, so
    ages and timestamps agree, and a test that drives trio's ``MockClock`` drives this one too. Must be made
    inside ``trio.run``.

    Args:
        wall_ns: what the wall clock shows now, in nanoseconds since 1970 UTC; the host's by default.
    """

    def __init__(self, wall_ns: int | None = None) -> None:
        now = time.time_ns() if wall_ns is None else wall_ns  # noqa: TID251 - the one reader of the host's clock
        self._offset_ns = now - round(trio.current_time() * 1e9)

    def now_ns(self) -> int:
        """Wall-clock nanoseconds since 1970 UTC."""
        return self._offset_ns + round(trio.current_time() * 1e9)

    def skew_s(self) -> float:
        """How far the host's clock has been moved since this clock was made, in seconds (host minus ours)."""
        return (time.time_ns() - self.now_ns()) / 1e9  # noqa: TID251

"""When a recorded moment is due; pure."""

_BACK_NS = 5 * 10**9
"""A jump back by more than this begins a new count: another recording, not two connections side by side."""


class Pace:
    """Maps recorded nanoseconds to seconds of trio's clock.

    Args:
        speed: how many times faster than recorded; None is flat out.
        max_pause_s: longest silence that is kept.
    """

    def __init__(self, speed: float | None, max_pause_s: float | None) -> None:
        self._speed = speed
        self._max_pause_ns = None if max_pause_s is None else round(max_pause_s * 1e9)
        self._zero_ns: int | None = None
        self._zero_s = 0.0
        self._last_ns = 0

    def due(self, when_ns: int, now_s: float) -> float:
        """When to play what was received at ``when_ns`` (0: not known, so at once)."""
        if self._speed is None or not when_ns:
            return now_s
        if self._zero_ns is None or when_ns < self._last_ns - _BACK_NS:
            self._zero_ns, self._zero_s = when_ns, now_s
        elif self._max_pause_ns is not None and when_ns - self._last_ns > self._max_pause_ns:
            self._zero_ns += when_ns - self._last_ns - self._max_pause_ns
        self._last_ns = when_ns
        return self._zero_s + (when_ns - self._zero_ns) / 1e9 / self._speed

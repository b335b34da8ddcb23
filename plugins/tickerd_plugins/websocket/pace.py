"""How often one client may ask: a bucket of requests, patience while it is empty, and an end to that. Pure."""

from collections import deque

WAIT_S = 1.0
"""A request that would have to wait longer is an error."""
ERRORS, WITHIN_S = 5, 10.0
"""So many errors in such a time end the connection."""


class Bucket:
    """Filled evenly.

    Args:
        rate: a second.
        most: at once.
        now: seconds.
    """

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate = rate
        self._most = self._left = most
        self._at = now

    def take(self, now: float, cost: float = 1) -> float:
        """Seconds to wait before doing it; more than `WAIT_S`: it was not taken, and must not be done."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        wait = max(0.0, (cost - self._left) / self._rate)
        if wait <= WAIT_S:
            self._left -= cost
        return wait


class Errors:
    """Counts errors of one kind."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=ERRORS)

    def too_many(self, now: float) -> bool:
        """One more; whether there are too many now."""
        self._times.append(now)
        return len(self._times) == ERRORS and now - self._times[0] <= WITHIN_S

"""How long to wait before the next attempt: doubling, capped, with jitter, and never below the first wait."""

import random
from collections.abc import Callable

from tickerd.plugin.backoff import backoff


class BackOff:
    """Counts attempts that failed, for `tickerd.plugin.backoff`.

    Args:
        initial: seconds of the first wait, and the shortest wait there is.
        cap: seconds of the longest wait.
        draw: gives a float in [0, 1).
    """

    def __init__(self, initial: float, cap: float, draw: Callable[[], float] = random.random) -> None:
        self._initial = initial
        self._cap = cap
        self._draw = draw
        self._attempt = 0

    def next(self) -> float:
        """Seconds to wait now."""
        self._attempt += 1
        wait = backoff(self._attempt, initial=self._initial, cap=self._cap, random=self._draw)
        return max(self._initial, wait)

    def reset(self) -> None:
        """Begin anew with the shortest wait."""
        self._attempt = 0

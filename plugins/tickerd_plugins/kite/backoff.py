"""How long to wait before the next attempt: doubling, capped, with full jitter. Pure."""

import random
from collections.abc import Callable


class BackOff:
    """Waits that double up to a cap; each is drawn from zero to its ceiling, but never below ``initial``.

    Args:
        initial: seconds of the first ceiling, and the shortest wait there is.
        cap: seconds of the highest ceiling.
        draw: picks a wait between two bounds.
    """

    def __init__(
        self, initial: float, cap: float, draw: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._initial = initial
        self._cap = cap
        self._draw = draw
        self._ceiling = initial

    def next(self) -> float:
        """Seconds to wait now."""
        wait = max(self._initial, self._draw(0.0, self._ceiling))
        self._ceiling = min(self._cap, self._ceiling * 2)
        return wait

    def reset(self) -> None:
        """Begin anew with the shortest wait."""
        self._ceiling = self._initial

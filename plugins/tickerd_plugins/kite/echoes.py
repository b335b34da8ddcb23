"""Order updates and broadcasts come over every connection of a login: what has been told is not told again. Pure."""

from collections import Counter, OrderedDict
from collections.abc import Hashable

KEEP_S = 60.0
MOST = 2000


class Echoes:
    """Counts each message by connection: the second of one connection is new, the first of another is not."""

    def __init__(self) -> None:
        self._told: OrderedDict[Hashable, tuple[float, Counter[int]]] = OrderedDict()

    def __len__(self) -> int:
        """Messages that are remembered."""
        return len(self._told)

    def is_echo(self, message: Hashable, connection: int, now: float) -> bool:
        """Whether this has come over another connection already.

        Args:
            now: seconds of a clock that does not go back.
        """
        self._forget(now)
        _, seen = self._told.pop(message, (now, Counter()))
        told = max(seen.values(), default=0)
        seen[connection] += 1
        self._told[message] = (now, seen)
        return seen[connection] <= told

    def _forget(self, now: float) -> None:
        while self._told:
            oldest = next(iter(self._told))
            if len(self._told) <= MOST and now - self._told[oldest][0] <= KEEP_S:
                return
            del self._told[oldest]

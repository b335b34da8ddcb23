"""What has been reported already: bounded in number and in time. Pure: time is handed in."""

from collections import OrderedDict

MOST = 10_000


class Seen:
    """Remembers ids.

    Args:
        keep_s: how long each is remembered.
        most: then the oldest are forgotten before their time.
    """

    def __init__(self, keep_s: float, most: int = MOST) -> None:
        self._keep_s = keep_s
        self._most = most
        self._since: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def is_new(self, name: str, now: float) -> bool:
        """Whether it has not been there; from now on it has."""
        while self._since and now - next(iter(self._since.values())) > self._keep_s:
            self._since.popitem(last=False)
        if name in self._since:
            return False
        if len(self._since) >= self._most:
            self._since.popitem(last=False)
        self._since[name] = now
        return True

"""How often one address may knock: so many at once, one more each interval. Pure, and bounded in memory."""

from collections import OrderedDict

from tickerd.plugin.ratelimit import Rate

MOST_ADDRESSES = 10_000


class Knocks:
    """Remembers for each address when all would be allowed again; those longest silent are forgotten."""

    def __init__(self, rate: Rate, most: int = MOST_ADDRESSES) -> None:
        self._rate = rate
        self._most = most
        self._due: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Addresses that are remembered."""
        return len(self._due)

    def wait(self, address: str, now: float) -> float:
        """0 when the address may, and it is counted; else seconds after which it may."""
        due = max(self._due.pop(address, now), now)
        after = due + self._rate.interval_s - (now + self._rate.period_s)
        self._due[address] = due if after > 0 else due + self._rate.interval_s
        while len(self._due) > self._most:
            self._due.popitem(last=False)
        return max(0.0, after)

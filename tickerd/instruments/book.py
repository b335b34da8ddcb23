"""What selectors mean at present: worked out once for everybody who uses the same one."""

from collections.abc import Callable
from typing import NamedTuple

from tickerd.instruments.selectors import NO_MIDDLES, Choice, Price, Selected, choose
from tickerd.instruments.table import Namespace
from tickerd.plugin.selectors import Match

MOST_KEPT = 2000
"""Selectors that are remembered; a client may write as many as it likes. The oldest go first."""


def no_price(_: object) -> None:
    """Nothing has a price."""


class _Entry(NamedTuple):
    version: int
    """Of the namespace that it is of."""
    today: str
    choice: Choice
    selected: Selected


class SelectorBook:
    """Follows tables, days and prices.

    Args:
        today: the day in India, as an ISO date.
        price: the last price of an instrument.
    """

    def __init__(self, today: Callable[[], str] = str, price: Price = no_price) -> None:
        self._date = today
        self.price = price
        self.today = today()
        self.version = 0
        """Grows when selectors may mean others for another reason than a new table."""
        self._entries: dict[tuple[Namespace, str | Match], _Entry] = {}

    def select(self, namespace: Namespace, key: str | Match) -> Selected:
        """What a selector means now."""
        entry = self._entries.get((namespace, key))
        if entry is None or (entry.version, entry.today) != (namespace.version, self.today):
            choice = choose(namespace.listing, key, self.today)
            middles = NO_MIDDLES if entry is None else entry.selected.middles
            entry = _Entry(namespace.version, self.today, choice, choice.at(self.price, middles))
            self._keep(namespace, key, entry)
        return entry.selected

    def turn(self) -> bool:
        """Whether another day has begun; from now on it counts."""
        before, self.today = self.today, self._date()
        self.version += before != self.today
        return before != self.today

    def follow(self) -> bool:
        """Look at the prices; whether a window has moved, opened or closed."""
        moved = False
        for place, entry in self._entries.items():
            if entry.choice.chains:
                before = entry.selected
                now = entry.choice.at(self.price, before.middles)
                if (now.middles, now.waiting) != (before.middles, before.waiting):
                    self._entries[place] = entry._replace(selected=now)
                    moved = True
        self.version += moved
        return moved

    def _keep(self, namespace: Namespace, key: str | Match, entry: _Entry) -> None:
        self._entries.pop((namespace, key), None)
        self._entries[namespace, key] = entry
        if len(self._entries) > MOST_KEPT:
            del self._entries[next(iter(self._entries))]

"""What connected clients want, put together for upstream: at the highest mode, and for a while after they left."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import takewhile

import trio

from tickerd.plugin import MODES, Instrument, Mode

_RANK = {mode: rank for rank, mode in enumerate(MODES)}

Key = str | int
Changes = Mapping[Key, Mode | None]
Want = Callable[[Changes], Mapping[Key, str]]
"""`tickerd.plugin.ServingContext.want`."""


class Wants:
    """Counts who wants what.

    Args:
        want: tells upstream of changes.
        release_after: seconds that something is wanted on after nobody wants it any more.
    """

    def __init__(self, want: Want, release_after: float) -> None:
        self._want = want
        self._release_after = release_after
        self._owners: dict[str, dict[Key, Mode]] = {}
        self._counts: dict[Key, list[int]] = {}
        """How many want it, by the rank of the mode."""
        self._told: dict[Key, Mode] = {}
        self._leaving: OrderedDict[Key, float] = OrderedDict()
        """When nobody wanted it any more, the earliest first."""
        self._left = trio.Event()

    def set(self, owner: str, items: Mapping[Instrument, Mode]) -> Mapping[Key, str]:
        """Replace all that one client wants; what cannot be had of it, with a word for the reason."""
        held = self._owners.get(owner, {})
        wanted = {key_of(instrument): mode for instrument, mode in items.items()}
        return self.change(owner, {**dict.fromkeys(held), **wanted})

    def change(self, owner: str, changes: Changes) -> Mapping[Key, str]:
        """Change some of what one client wants, by `key_of`; None is no longer."""
        held = self._owners.setdefault(owner, {})
        news: dict[Key, Mode | None] = {}
        for key, mode in changes.items():
            before = held.pop(key, None)
            if mode is not None:
                held[key] = mode
            if mode != before:
                self._count(key, before, mode)
                self._settle(key, news)
        if not held:
            del self._owners[owner]
        return self._want(news) if news else {}

    def drop(self, owner: str) -> None:
        """It is gone."""
        self.change(owner, dict.fromkeys(self._owners.get(owner, {})))

    async def release(self) -> None:
        """Let go of what nobody has wanted for the time that is given. Never returns."""
        while True:
            if not self._leaving:
                self._left = trio.Event()
                await self._left.wait()
            await trio.sleep_until(max(trio.current_time(), self._next()))
            due = self._due(trio.current_time())
            if due:
                self._want(dict.fromkeys(due))

    def _next(self) -> float:
        since = next(iter(self._leaving.values()), trio.current_time())
        return since + self._release_after

    def _due(self, now: float) -> list[Key]:
        found = list(takewhile(lambda key: self._leaving[key] + self._release_after <= now, self._leaving))
        for key in found:
            del self._leaving[key], self._told[key]
        return found

    def _count(self, key: Key, before: Mode | None, after: Mode | None) -> None:
        counts = self._counts.setdefault(key, [0] * len(MODES))
        if before is not None:
            counts[_RANK[before]] -= 1
        if after is not None:
            counts[_RANK[after]] += 1

    def _settle(self, key: Key, news: dict[Key, Mode | None]) -> None:
        counts = self._counts[key]
        highest = next((mode for mode in reversed(MODES) if counts[_RANK[mode]]), None)
        if highest is None:
            del self._counts[key]
            self._leaving[key] = trio.current_time()
            self._left.set()
            return
        self._leaving.pop(key, None)
        if self._told.get(key) != highest:
            self._told[key] = news[key] = highest


def key_of(instrument: Instrument) -> Key:
    """What outlives the day: the symbol, and the token only where no dump has named it."""
    return instrument.symbol if instrument.tradingsymbol else instrument.token

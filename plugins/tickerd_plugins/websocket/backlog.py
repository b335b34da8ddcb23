"""The newest batches, kept in memory: who comes back soon needs no journal."""

from collections import deque

import trio

from tickerd.plugin import Batch, Position


class Backlog:
    """Bounded by bytes.

    Args:
        size: how many; 0 keeps nothing.
        since: position from which on batches are added.
    """

    def __init__(self, size: int, since: Position) -> None:
        self._size = size
        self._held = 0
        self._batches: deque[Batch] = deque()
        self._since = since
        """Everything after it is here."""

    def add(self, batch: Batch) -> None:
        """One more, without what is cached in it."""
        bare = batch.bare()
        self._batches.append(bare)
        self._held += bare.nbytes
        while self._batches and self._held > self._size:
            oldest = self._batches.popleft()
            self._held -= oldest.nbytes
            self._since = max(self._since, oldest.last)

    def clear(self, since: Position) -> None:
        """There is a hole: only what comes after this position is whole."""
        self._batches.clear()
        self._held, self._since = 0, since

    def history(self, after: Position) -> "Recent | None":
        """See `tickerd.plugin.ServingContext.history`."""
        newest = self._batches[-1].last if self._batches else self._since
        if after.epoch != self._since.epoch or not self._since <= after <= newest:
            return None
        return Recent(self, after)

    def after(self, position: Position, until: Position, max_ticks: int) -> list[Batch]:
        """The next batches after a position, none beyond another.

        Raises:
            Overtaken: they are not here any more.
        """
        if position < self._since:
            raise Overtaken
        found: list[Batch] = []
        ticks = 0
        for batch in self._batches:
            if batch.last > until or ticks >= max_ticks:
                break
            if batch.last > position:
                found.append(batch)
                ticks += len(batch)
        return found


class Overtaken(Exception):
    """The reader is so slow that what it would have read next is gone."""


class Recent:
    """`tickerd.plugin.History` of a backlog."""

    def __init__(self, backlog: Backlog, at: Position) -> None:
        self._backlog = backlog
        self.at = at

    async def read(self, until: Position, max_ticks: int) -> list[Batch]:
        """See `tickerd.plugin.History.read`."""
        await trio.lowlevel.checkpoint()
        found = self._backlog.after(self.at, until, max_ticks)
        self.at = found[-1].last if found else max(self.at, until)
        return found

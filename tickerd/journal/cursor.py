"""Reading the journal behind the writer: from a position up to one that is committed, in a thread."""

from collections.abc import Callable, Iterator
from functools import partial

import trio

from tickerd.journal.writer import Journal
from tickerd.plugin import Batch, Position

MAX_READERS = 4

ReadFrom = Callable[[Position], Iterator[Batch]]
"""Gives the batches after a position, in order, as far as the files go at that time."""


class Cursor:
    """One reader's place in the journal. Holds at most one chunk of it in memory; nothing needs closing.

    Args:
        journal: the live one.
        read_from: reads the files; see `tickerd.journal.reader`.
        after: the last position that the reader has.
    """

    def __init__(
        self, journal: Journal, read_from: ReadFrom, after: Position, limiter: trio.CapacityLimiter
    ) -> None:
        self._journal = journal
        self._read_from = read_from
        self._limiter = limiter
        self._batches: Iterator[Batch] | None = None
        self._ahead: Batch | None = None
        self.at = after

    async def read(self, until: Position, max_ticks: int) -> list[Batch]:
        """The next batches, none beyond ``until``; empty when there are none left before it.

        Waits until the writer has got there. What was lost to the journal is simply not among them.
        """
        await self._journal.until(until)
        batches = await trio.to_thread.run_sync(partial(self._read, until, max_ticks), limiter=self._limiter)
        self.at = batches[-1].last if batches else max(self.at, until)
        return batches

    def _read(self, until: Position, max_ticks: int) -> list[Batch]:
        found: list[Batch] = []
        ticks = 0
        while ticks < max_ticks:
            batch = self._next()
            if batch is None:
                break
            if batch.last > until:
                self._ahead = batch
                break
            found.append(batch)
            ticks += len(batch)
        return found

    def _next(self) -> Batch | None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            return ahead
        if self._batches is None:
            self._batches = self._read_from(self.at)
        batch = next(self._batches, None)
        if batch is None:
            self._batches = None
        return batch

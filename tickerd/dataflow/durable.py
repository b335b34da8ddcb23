"""The feed of a durable sink: live while it keeps up, out of the journal when it was down or fell behind."""

from collections import deque
from collections.abc import Callable

import trio

from tickerd.dataflow.hub import Hub
from tickerd.dataflow.subscription import Filter, Spilled, Subscription
from tickerd.dataflow.wanted import Wanted
from tickerd.journal.cursor import Cursor
from tickerd.plugin import Batch, Position

OpenCursor = Callable[[Position], Cursor]


class DurableFeed:
    """`tickerd.dataflow.delivery.Feed` that loses nothing while the journal holds it.

    It joins the stream at a position and first reads the journal up to there; then it is live, and decoded
    and encoded ticks are shared with everybody else. When it falls behind by more than its buffer, what was
    queued is let go, it joins anew, and reads from the journal what it missed. Close it.

    Args:
        filter: of the live stream.
        wanted: the same for what is read from the journal, where instruments are those of that time: a table that
            was not loaded yet, or knows other tokens today, must not decide.
        after: the last position that the sink has.
    """

    def __init__(
        self,
        hub: Hub,
        name: str,
        buffer: int,
        filter: Filter,  # noqa: A002
        wanted: Wanted,
        after: Position,
        open_cursor: OpenCursor,
    ) -> None:
        self._hub = hub
        self._name = name
        self._buffer = buffer
        self._filter = filter
        self._wanted = wanted
        self._open_cursor = open_cursor
        self._returned: deque[Batch] = deque()
        self._cursor: Cursor | None = None
        self._joined, self._live = self._join()
        self._ended = False
        self.at = after
        self.spilled = 0
        """How often it fell behind."""

    def _join(self) -> tuple[Position, Subscription]:
        return self._hub.subscribe(self._name, "spill", self._buffer, self._filter)

    @property
    def behind(self) -> bool:
        """Reading from the journal."""
        return self.at < self._joined

    @property
    def queued_bytes(self) -> int:
        """What waits in memory."""
        return self._live.queued_bytes

    @property
    def settled(self) -> Position | None:
        """Everything up to here has been received or was not wanted; None while something waits to be received."""
        waits = self.behind or self._returned or self._live.waits
        return None if waits else max(self.at, self._hub.position)

    async def receive(self, max_ticks: int, max_wait: float) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`. A batch may be empty: then only its position has moved."""
        if self._returned:
            await trio.lowlevel.checkpoint()
            return self._returned.popleft()
        if self.behind:
            return await self._from_journal(max_ticks)
        try:
            batch = await self._live.receive(max_ticks, max_wait)
        except Spilled:
            self.spilled += 1
            self._live.close()
            self._joined, self._live = self._join()
            if self._ended:
                self._live.end()
            return await self._from_journal(max_ticks)
        self.at = max(self.at, batch.last)
        return batch

    async def _from_journal(self, max_ticks: int) -> Batch:
        if self._cursor is None:
            self._cursor = self._open_cursor(self.at)
        batches = await self._cursor.read(self._joined, max_ticks)
        self.at = self._cursor.at
        if not self.behind:
            self._cursor = None
        wanted = [part for part in map(self._wanted, batches) if part is not None]
        if not wanted:
            return Batch(ticks=(), last=self.at)
        whole = Batch.merged(wanted)
        whole.last = self.at
        return whole

    def put_back(self, batch: Batch) -> None:
        """See `tickerd.dataflow.delivery.Feed`."""
        self._returned.appendleft(batch)

    def renew(self, batch: Batch, oldest_ns: int | None) -> Batch:
        """Nothing is left out."""
        del oldest_ns
        return batch

    def discard(self, batch: Batch, reason: str) -> None:
        """Nothing is given up: the next attempt begins at what was committed."""
        del batch, reason

    def forfeit(self, batch: Batch) -> int:
        """Nothing is lost: it is in the journal."""
        del batch
        return 0

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._live.end()

    def close(self) -> None:
        """Leave the hub."""
        self._live.close()

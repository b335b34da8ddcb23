"""A feed that can be taken away from its sink between two batches, for whoever takes over."""

import trio

from tickerd.dataflow.delivery import Feed
from tickerd.plugin import Batch


class Releasable:
    """`tickerd.dataflow.delivery.Feed` that has ended once it is released, whatever still waits in it."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._scope = trio.CancelScope()
        self.released = False

    def release(self) -> None:
        """The sink shall finish what it has in hand and take no more."""
        self.released = True
        self._scope.cancel()

    async def receive(self, max_ticks: int, max_wait: float) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`. A call that the release ends has taken nothing."""
        if not self.released:
            with trio.CancelScope() as self._scope:
                return await self._feed.receive(max_ticks, max_wait)
        await trio.lowlevel.checkpoint()
        raise trio.EndOfChannel

    def put_back(self, batch: Batch) -> None:
        """See `tickerd.dataflow.delivery.Feed`."""
        self._feed.put_back(batch)

    def renew(self, batch: Batch, oldest_ns: int | None) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`. Once released, what is newer is the successor's."""
        return batch if self.released else self._feed.renew(batch, oldest_ns)

    def discard(self, batch: Batch, reason: str) -> None:
        """See `tickerd.dataflow.delivery.Feed`."""
        self._feed.discard(batch, reason)

    def forfeit(self, batch: Batch) -> int:
        """See `tickerd.dataflow.delivery.Feed`. Nothing is lost that a successor can be given."""
        if not self.released:
            return self._feed.forfeit(batch)
        self._feed.put_back(batch)
        return 0

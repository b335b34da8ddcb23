"""Pausing a sink and flushing it: what stands between its feed and whoever reads it."""

import weakref
from collections.abc import Callable
from typing import Protocol

import trio

from tickerd.dataflow.breaker import BreakerPolicy
from tickerd.dataflow.delivery import Commit, Feed
from tickerd.dataflow.durable import DurableFeed
from tickerd.dataflow.guard import Admission, Guard, Tell
from tickerd.dataflow.subscription import Subscription
from tickerd.plugin import Batch


class Waker(Protocol):
    """Whoever goes by a valve."""

    def wake(self) -> None:
        """Look again how it stands."""
        ...


class Valve:
    """One for each sink by name; outlives restarts of the sink, and its being replaced in a reload."""

    def __init__(self) -> None:
        self.is_open = True
        self._flushes: list[trio.Event] = []
        self._wakers: weakref.WeakSet[Waker] = weakref.WeakSet()

    def join(self, waker: Waker) -> None:
        """Be woken by every change, for as long as there is somebody to wake."""
        self._wakers.add(waker)

    def close(self) -> None:
        """The sink is handed nothing more; a batch that it has in hand is finished."""
        self.is_open = False
        self._wake()

    def open(self) -> None:
        """Go on."""
        self.is_open = True
        self._wake()

    async def flush(self) -> None:
        """Have what waits handed to the sink at once, and return when it is safe. The valve has to be open."""
        done = trio.Event()
        self._flushes.append(done)
        self._wake()
        try:
            await done.wait()
        finally:
            if done in self._flushes:
                self._flushes.remove(done)

    @property
    def is_flushing(self) -> bool:
        """Whether somebody waits for everything to be safe."""
        return bool(self._flushes)

    def flushed(self) -> None:
        """Everything that waited is safe."""
        for done in self._flushes:
            done.set()
        self._flushes.clear()

    def _wake(self) -> None:
        for waker in list(self._wakers):
            waker.wake()


class Valves:
    """Those of all sinks, by name."""

    def __init__(self) -> None:
        self._valves: dict[str, Valve] = {}

    def of(self, sink: str) -> Valve:
        """That of a sink, whether or not there is one of that name."""
        return self._valves.setdefault(sink, Valve())


class Valved:
    """`tickerd.dataflow.delivery.Feed` that gives nothing while its valve is closed.

    Args:
        commit: made to be safe when everything was handed on for a flush.
    """

    def __init__(self, feed: Feed, valve: Valve, commit: Commit) -> None:
        self._feed = feed
        self._valve = valve
        self._commit = commit
        self._scope = trio.CancelScope()
        self._changed = trio.Event()
        self._ended = False
        valve.join(self)

    def wake(self) -> None:
        """See `Waker`."""
        self._changed.set()
        self._changed = trio.Event()
        self._scope.cancel()

    def end(self) -> None:
        """The feed comes to its end; while the valve is closed it does so with what waits still in it."""
        self._ended = True
        self._changed.set()

    async def receive(self, max_ticks: int, max_wait: float) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`. A call that a change interrupts has taken nothing."""
        while True:
            await self._until_open()
            is_flushing = self._valve.is_flushing
            if is_flushing and not _waits(self._feed):
                # what was handed out before has been written, or we would not be asked for the next
                await self._commit.now()
                self._valve.flushed()
                continue
            with trio.CancelScope() as self._scope:
                return await self._feed.receive(max_ticks, 0 if is_flushing else max_wait)

    async def _until_open(self) -> None:
        while not self._valve.is_open:
            if self._ended:
                await trio.lowlevel.checkpoint()
                raise trio.EndOfChannel
            await self._changed.wait()

    def put_back(self, batch: Batch) -> None:
        """See `tickerd.dataflow.delivery.Feed`."""
        self._feed.put_back(batch)

    def renew(self, batch: Batch, oldest_ns: int | None) -> Batch:
        """See `tickerd.dataflow.delivery.Feed`."""
        return self._feed.renew(batch, oldest_ns)

    def discard(self, batch: Batch, reason: str) -> None:
        """See `tickerd.dataflow.delivery.Feed`."""
        self._feed.discard(batch, reason)

    def forfeit(self, batch: Batch) -> int:
        """See `tickerd.dataflow.delivery.Feed`."""
        return self._feed.forfeit(batch)


class ValvedGuard(Guard):
    """A guard that holds every attempt back while a valve is closed: for messages that have left the feed."""

    def __init__(
        self, valve: Valve, policy: BreakerPolicy | None, now_ns: Callable[[], int], tell: Tell
    ) -> None:
        super().__init__(policy, now_ns, tell)
        self._valve = valve
        valve.join(self)

    async def admitted(self, leave: Callable[[], bool] = lambda: False) -> Admission:
        """See `Guard.admitted`."""
        waited = False
        while not self._valve.is_open:
            if leave():
                return "left"
            waited = True
            await self._changed.wait()
        admission = await super().admitted(leave)
        return "waited" if waited and admission == "at_once" else admission


def _waits(feed: Feed) -> bool:
    """Whether something can be received without waiting for it to be published."""
    if isinstance(feed, DurableFeed):
        return feed.settled is None
    return isinstance(feed, Subscription) and feed.waits

"""The kinds of units: sources, pushing sinks, serving sinks."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from tickerd.config.settings import SinkSettings, SourceSettings
from tickerd.dataflow.commit import DurableCommit
from tickerd.dataflow.delivery import Commit, Feed, Meter, NoCommit, deliver
from tickerd.dataflow.demand import Demand, Key
from tickerd.dataflow.durable import DurableFeed
from tickerd.dataflow.letters import dead_letters
from tickerd.dataflow.redrive import Redriving
from tickerd.dataflow.subscription import Filter
from tickerd.dataflow.wanted import Wanted
from tickerd.instruments import InstrumentTable
from tickerd.plugin import (
    AnyRecord,
    Batch,
    Gap,
    Mode,
    Position,
    Reject,
    Retry,
    ServingSink,
    Sink,
    record_kind,
)
from tickerd.runtime.context import Context, ServingContext, SourceContext
from tickerd.runtime.house import House
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.unit import Attempt, Unit
from tickerd.state import StateError, cursors, deadletters


class SourceUnit(Unit):
    """A source, its demand, and the namespace of its instruments."""

    kind = "source"

    def __init__(self, settings: SourceSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings.name, house.clock, changed)
        self.settings = settings
        self._house = house
        self._namespace = house.table.namespace(settings.type.namespace or settings.name)
        self.demand = Demand(self._namespace)
        self.demand.want("yaml", _wants(settings))
        self._context: SourceContext | None = None

    async def body(self, attempt: Attempt) -> None:
        """See `Unit.body`."""
        settings = self.settings
        self._context = SourceContext(self, settings.name, self._house, self._namespace, self.demand)
        try:
            await settings.type(settings.options).run(self._context, task_status=attempt)
        finally:
            self.revoke()

    def revoke(self) -> None:
        """See `Unit.revoke`."""
        if self._context is not None:
            self._context.close()

    def close(self) -> None:
        """See `Unit.close`."""
        self.demand.close()


def _wants(settings: SourceSettings) -> dict[Key, Mode]:
    return {key: entry.mode for entry in settings.subscribe for key in entry.instruments}


class SinkUnit(Unit):
    """A pushing sink. What it is fed from is the subclasses' business."""

    kind = "sink"

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings.name, house.clock, changed)
        self.settings = settings
        self.meter = Meter()
        self._house = house
        self._context: Context | None = None

    @abstractmethod
    def open_feed(self, sink: Sink) -> AbstractAsyncContextManager[tuple[Feed, Commit]]:
        """What one attempt is fed from, and where it keeps how far it got."""

    @property
    @abstractmethod
    def dropped(self) -> int:
        """Ticks and records that this sink will never get."""

    @property
    @abstractmethod
    def queued_bytes(self) -> int:
        """What waits for it in memory."""

    async def body(self, attempt: Attempt) -> None:
        """See `Unit.body`."""
        settings = self.settings
        assert issubclass(settings.type, Sink)
        context = self._context = Context(self, settings.name, self._house)

        def retrying(error: Retry, wait: float) -> None:
            context.log.warning("batch not taken, will try again", reason=error.reason, wait_s=round(wait, 3))

        try:
            async with (
                settings.type(settings.options, context) as sink,
                self.open_feed(sink) as (plain, commit),
            ):
                feed = Redriving(plain, self._house.db, settings.name, self.clock)

                async def answered(batch: Batch, rejects: Sequence[Reject]) -> None:
                    if not await feed.taken(batch, rejects) and rejects:
                        context.log.error("records refused for good", count=len(rejects), first=rejects[0])
                        await self._keep_refused(batch, rejects)

                attempt.started()
                await deliver(
                    sink,
                    feed,
                    self.meter,
                    commit=commit,
                    batch=settings.batch,
                    retry=settings.retry,
                    clock=self.clock,
                    retrying=retrying,
                    answered=answered,
                )
        finally:
            self.revoke()

    async def _keep_refused(self, batch: Batch, rejects: Sequence[Reject]) -> None:
        """Put them into the dead letters; a state file that cannot be written is told and changes nothing."""
        letters = dead_letters(self.settings.name, batch, rejects, self.clock.now_ns())
        try:
            await self._house.db.run(deadletters.add, letters)
        except StateError as error:
            structlog.get_logger().error("dead letters cannot be kept", unit=self.name, reason=str(error))

    def revoke(self) -> None:
        """See `Unit.revoke`."""
        if self._context is not None:
            self._context.close()


class LiveSinkUnit(SinkUnit):
    """Fed by a subscription, which outlives restarts of the sink."""

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        wanted = sink_filter(settings, house.table)
        _, self._subscription = house.hub.subscribe(self.name, settings.overflow, settings.buffer, wanted)

    @asynccontextmanager
    async def open_feed(self, sink: Sink) -> AsyncIterator[tuple[Feed, Commit]]:
        """See `SinkUnit.open_feed`."""
        del sink
        # where an earlier durable delivery got to means nothing once the sink has been written to without it
        try:
            await self._house.db.run(cursors.remove, self.name)
        except StateError as error:
            structlog.get_logger().error(
                "old position cannot be forgotten", unit=self.name, reason=str(error)
            )
        yield self._subscription, NoCommit()

    @property
    def dropped(self) -> int:
        """See `SinkUnit.dropped`."""
        return self._subscription.dropped + self.meter.lost + self.meter.rejected

    @property
    def queued_bytes(self) -> int:
        """See `SinkUnit.queued_bytes`."""
        return self._subscription.queued_bytes

    def finish(self) -> None:
        """See `Unit.finish`."""
        self._subscription.end()

    def close(self) -> None:
        """See `Unit.close`."""
        self._subscription.close()


class DurableSinkUnit(SinkUnit):
    """Fed from the journal where the live stream has gone by; each attempt begins at what was committed."""

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        self._joined_at = house.hub.position
        self._feed: DurableFeed | None = None
        self._finished = False
        self.committed: Position | None = None

    @asynccontextmanager
    async def open_feed(self, sink: Sink) -> AsyncIterator[tuple[Feed, Commit]]:
        """See `SinkUnit.open_feed`."""
        house, settings = self._house, self.settings
        assert house.recorder is not None
        commit = DurableCommit(house.db, self.name, sink, settings.batch.commit, self.clock)
        after = await commit.begin(self._joined_at)
        after = self._on_disk(sink.resume_from() or after, house.recorder)
        feed = self._feed = DurableFeed(
            house.hub,
            self.name,
            settings.buffer,
            sink_filter(settings, house.table),
            Wanted(settings.events, settings.instruments),
            after,
            house.recorder.open_cursor,
        )
        if self._finished:
            feed.end()
        try:
            yield feed, commit
        finally:
            self.committed = commit.committed
            feed.close()

    def _on_disk(self, after: Position, recorder: Recorder) -> Position:
        """Set a cursor beyond the journal's end back to it: what lay between was lost in a power cut."""
        end = recorder.last_on_disk(after)
        if end < after:
            structlog.get_logger().error(
                "cursor is beyond the journal", unit=self.name, lost=after.seq - end.seq
            )
            gap = Gap(source=self.name, reason="cursor_beyond_journal", after=(end.epoch, end.seq))
            gap.lost, gap.ts_recv = after.seq - end.seq, self.clock.now_ns()
            self._house.hub.publish_records(gap)
        return end

    @property
    def dropped(self) -> int:
        """See `SinkUnit.dropped`."""
        return self.meter.rejected

    @property
    def queued_bytes(self) -> int:
        """See `SinkUnit.queued_bytes`."""
        return 0 if self._feed is None else self._feed.queued_bytes

    @property
    def behind(self) -> bool:
        """Reading from the journal."""
        return self._feed is not None and self._feed.behind

    def finish(self) -> None:
        """See `Unit.finish`."""
        self._finished = True
        if self._feed is not None:
            self._feed.end()


class ServingUnit(Unit):
    """A serving sink; it makes a subscription for each of its clients."""

    kind = "sink"

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings.name, house.clock, changed)
        self.settings = settings
        self._house = house
        self._context: ServingContext | None = None

    async def body(self, attempt: Attempt) -> None:
        """See `Unit.body`."""
        settings = self.settings
        assert issubclass(settings.type, ServingSink)
        self._context = ServingContext(self, settings.name, self._house)
        try:
            await settings.type(settings.options).run(self._context, task_status=attempt)
        finally:
            self.revoke()

    def revoke(self) -> None:
        """See `Unit.revoke`."""
        if self._context is not None:
            self._context.close()


def sink_unit(
    settings: SinkSettings, house: House, changed: Callable[[Unit], None]
) -> SinkUnit | ServingUnit:
    """The unit for a sink of either shape and delivery."""
    if issubclass(settings.type, ServingSink):
        return ServingUnit(settings, house, changed)
    if settings.delivery == "durable":
        return DurableSinkUnit(settings, house, changed)
    return LiveSinkUnit(settings, house, changed)


def sink_filter(settings: SinkSettings, table: InstrumentTable) -> Filter:
    """The part of the stream that a sink's ``events`` and ``instruments`` ask for."""
    kinds = frozenset(settings.events)

    def wanted_record(record: AnyRecord) -> bool:
        return record_kind(record) in kinds

    if settings.instruments is None:
        return Filter(ticks="tick" in kinds, records=wanted_record)
    return Filter(ticks="tick" in kinds, tokens=Tokens(settings.instruments, table), records=wanted_record)


class Tokens:
    """Today's tokens of the instruments that a sink lists; looked up again when a dump was loaded."""

    def __init__(self, keys: Sequence[Key], table: InstrumentTable) -> None:
        self._keys = keys
        self._table = table
        self._seen: tuple[int, ...] = ()
        self._tokens: frozenset[int] = frozenset()

    def __call__(self) -> Collection[int]:
        """The tokens, from the cache while no table has changed."""
        namespaces = self._table.namespaces()
        seen = tuple(id(namespace.by_token) for namespace in namespaces)
        if seen != self._seen:
            self._seen = seen
            found = (namespace.find(key) for key in self._keys for namespace in namespaces)
            self._tokens = frozenset(instrument.token for instrument in found if instrument is not None)
        return self._tokens

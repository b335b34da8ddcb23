"""The kinds of units: sources, pushing sinks, serving sinks."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import structlog
import trio

from tickerd.config.settings import SinkSettings, SourceSettings
from tickerd.dataflow.commit import DurableCommit
from tickerd.dataflow.delivery import Commit, Feed, Meter, NoCommit, deliver
from tickerd.dataflow.demand import YAML, Demand, Wish
from tickerd.dataflow.durable import DurableFeed
from tickerd.dataflow.letters import dead_letters
from tickerd.dataflow.redrive import Redriving
from tickerd.dataflow.release import Releasable
from tickerd.dataflow.subscription import Filter
from tickerd.dataflow.valve import Valved
from tickerd.dataflow.wanted import Wanted
from tickerd.dataflow.wants import Wants
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
    Source,
    record_kind,
)
from tickerd.runtime.context import Context, ServingContext, SourceContext
from tickerd.runtime.house import House
from tickerd.runtime.plan import UnitSettings
from tickerd.runtime.posting import by_message, guard_of, post
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.unit import Attempt, Unit
from tickerd.state import StateError, cursors, deadletters


class ConfiguredUnit(Unit):
    """A unit that a section of the YAML describes, and that hands over to its successor in a reload."""

    def __init__(self, settings: UnitSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings.name, house.clock, changed)
        self.settings = settings
        self._house = house
        self._context: Context | None = None
        self._plugin: Source | Sink | ServingSink | None = None
        self._predecessor: trio.Event | None = None

    @property
    def plugin(self) -> Source | Sink | ServingSink | None:
        """The plugin's object that runs now."""
        return self._plugin if self.state == "running" else None

    @property
    def addresses(self) -> frozenset[str]:
        """Where it listens."""
        return frozenset() if self._context is None else frozenset(self._context.borrowed)

    def wait_for_predecessor(self) -> None:
        """Come up, and then wait for `predecessor_is_gone` before anything is taken."""
        self._predecessor = trio.Event()

    def predecessor_is_gone(self) -> None:
        """Go on."""
        if self._predecessor is not None:
            self._predecessor.set()

    async def after_predecessor(self, attempt: Attempt) -> None:
        """Where a body waits; it counts as started then."""
        if self._predecessor is not None and not self._predecessor.is_set():
            attempt.started()
            await self._predecessor.wait()

    def inherit(self, old: "ConfiguredUnit") -> None:
        """Take over what outlives the old unit; it still runs, and takes nothing new from now on."""

    def release(self) -> None:
        """Ask for an end that leaves everything that is not in hand to the successor."""

    async def apply(self, settings: UnitSettings) -> bool:
        """Go by these while running; False: it cannot, and has to be restarted.

        Only options of the class ``live`` differ.
        """
        old, plugin = self.settings, self.plugin
        if (
            old.options != settings.options
            and plugin is not None
            and not await plugin.apply(settings.options)
        ):
            return False
        self.settings = settings
        self._follow(old)
        return True

    def _follow(self, old: UnitSettings) -> None:
        """Go by the common options in ``settings`` where they are not as they were."""

    def revoke(self) -> None:
        """See `Unit.revoke`."""
        if self._context is not None:
            self._context.close()


class SourceUnit(ConfiguredUnit):
    """A source, its demand, and the namespace of its instruments."""

    kind = "source"
    settings: SourceSettings

    def __init__(self, settings: SourceSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        self.namespace = house.table.namespace(settings.type.namespace or settings.name)
        self.demand = house.wants.join(
            settings.name, self.namespace, settings.type.capacity_of(settings.options)
        )
        self.demand.want(YAML, _wants(settings))

    async def body(self, attempt: Attempt) -> None:
        """See `Unit.body`."""
        settings = self.settings
        context = self._context = SourceContext(self, settings.name, self._house, self.namespace, self.demand)
        source = self._plugin = settings.type(settings.options)
        try:
            await source.run(context, task_status=attempt)
        finally:
            self.revoke()

    def inherit(self, old: ConfiguredUnit) -> None:
        """What everybody else wants is wanted of the new one too."""
        if isinstance(old, SourceUnit) and old.namespace is self.namespace:
            self.demand.close()
            self.demand = old.demand
            old.demand = Demand(self.namespace)
            self.demand.want(YAML, _wants(self.settings))

    def close(self) -> None:
        """See `Unit.close`."""
        self.demand.close()

    def _follow(self, old: UnitSettings) -> None:
        if isinstance(old, SourceSettings) and old.subscribe != self.settings.subscribe:
            self.demand.want(YAML, _wants(self.settings))


def _wants(settings: SourceSettings) -> dict[Wish, Mode]:
    return {key: entry.mode for entry in settings.subscribe for key in entry.keys}


class SinkUnit(ConfiguredUnit):
    """A pushing sink. What it is fed from is the subclasses' business."""

    kind = "sink"
    settings: SinkSettings

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        self.meter = Meter()
        self.guard = guard_of(settings, house, self.name)
        self._released = False
        self._held: Releasable | None = None
        self._valved: Valved | None = None
        self._is_ending = False

    def release(self) -> None:
        """See `ConfiguredUnit.release`: the batch in hand is finished, and no more is taken."""
        self._released = True
        if self._held is not None:
            self._held.release()

    @property
    def paused(self) -> bool:
        """Whether it is handed nothing at present."""
        return not self._house.valves.of(self.settings.name).is_open

    def _end_valve(self) -> None:
        """Do not wait to be resumed before the end."""
        self._is_ending = True
        if self._valved is not None:
            self._valved.end()

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
            async with AsyncExitStack() as stack:
                sink = self._plugin = await stack.enter_async_context(
                    settings.type(settings.options, context)
                )
                await self.after_predecessor(attempt)
                plain, commit = await stack.enter_async_context(self.open_feed(sink))
                valve = self._house.valves.of(settings.name)
                self._valved = Valved(plain, valve, NoCommit() if by_message(settings) else commit)
                if self._is_ending:
                    self._valved.end()
                self._held = Releasable(self._valved)
                if self._released:
                    self._held.release()
                if by_message(settings):
                    attempt.started()
                    await post(
                        settings,
                        self._house,
                        sink,
                        plain=plain,
                        held=self._held,
                        commit=commit,
                        guard=self.guard,
                        meter=self.meter,
                        log=context.log,
                    )
                    return
                feed = Redriving(self._held, self._house.db, settings.name, self.clock)

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
                    guard=self.guard,
                    keeps=settings.delivery == "durable",
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


class LiveSinkUnit(SinkUnit):
    """Fed by a subscription, which outlives restarts of the sink."""

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        wanted = sink_filter(settings, house.wants)
        _, self.subscription = house.hub.subscribe(self.name, settings.overflow, settings.buffer, wanted)
        self._bequeathed = False

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
        yield self.subscription, NoCommit()

    @property
    def dropped(self) -> int:
        """See `SinkUnit.dropped`."""
        lost = self.meter.lost + self.meter.rejected + self.meter.given_up
        return self.subscription.dropped + self.subscription.expired + lost

    @property
    def queued_bytes(self) -> int:
        """See `SinkUnit.queued_bytes`."""
        return self.subscription.queued_bytes

    def inherit(self, old: ConfiguredUnit) -> None:
        """What waits for the old one waits for the new one."""
        if isinstance(old, LiveSinkUnit) and not old._bequeathed:
            self.subscription.close()
            self.subscription, old._bequeathed = old.subscription, True
            self._follow(old.settings)

    def _follow(self, old: UnitSettings) -> None:
        settings = self.settings
        wanted = sink_filter(settings, self._house.wants)
        self.subscription.alter(settings.overflow, settings.buffer, wanted)

    def finish(self) -> None:
        """See `Unit.finish`."""
        if self._bequeathed:
            return
        if self.paused:
            self.meter.lost += self.subscription.queued_ticks
        self.subscription.end()
        self._end_valve()

    def close(self) -> None:
        """See `Unit.close`."""
        if not self._bequeathed:
            self.subscription.close()


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
            sink_filter(settings, house.wants),
            Wanted(
                settings.events,
                settings.instruments,
                current=house.wants.selection(settings.instruments or ()),
            ),
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
        if end < after and not by_message(self.settings):  # an outbox has what lay between
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
        self._end_valve()


class ServingUnit(ConfiguredUnit):
    """A serving sink; it takes leave of its clients when it is asked to end."""

    kind = "sink"
    settings: SinkSettings

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        self._stopping = trio.Event()

    def finish(self) -> None:
        """See `Unit.finish`."""
        self._stopping.set()

    def release(self) -> None:
        """See `ConfiguredUnit.release`."""
        self._stopping.set()

    async def body(self, attempt: Attempt) -> None:
        """See `Unit.body`."""
        settings = self.settings
        assert issubclass(settings.type, ServingSink)
        context = self._context = ServingContext(self, settings.name, self._house, self._stopping)
        sink = self._plugin = settings.type(settings.options)
        try:
            await sink.run(context, task_status=attempt)
        finally:
            self.revoke()


def sink_unit(
    settings: SinkSettings, house: House, changed: Callable[[Unit], None]
) -> SinkUnit | ServingUnit:
    """The unit for a sink of either shape and delivery."""
    if issubclass(settings.type, ServingSink):
        return ServingUnit(settings, house, changed)
    if settings.delivery == "durable":
        return DurableSinkUnit(settings, house, changed)
    return LiveSinkUnit(settings, house, changed)


def sink_filter(settings: SinkSettings, wants: Wants) -> Filter:
    """The part of the stream that a sink's ``events`` and ``instruments`` ask for."""
    kinds = frozenset(settings.events)

    def wanted_record(record: AnyRecord) -> bool:
        return record_kind(record) in kinds

    if settings.instruments is None:
        return Filter(ticks="tick" in kinds, records=wanted_record)
    tokens = wants.selection(settings.instruments)
    return Filter(ticks="tick" in kinds, tokens=tokens, records=wanted_record)

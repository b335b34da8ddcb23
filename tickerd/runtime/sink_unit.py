"""What pushing sinks have in common, whatever they are fed from."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import structlog

from tickerd.config.settings import SinkSettings
from tickerd.dataflow.delivery import Commit, Feed, Meter, NoCommit, deliver
from tickerd.dataflow.letters import dead_letters
from tickerd.dataflow.redrive import Redriving
from tickerd.dataflow.release import Releasable
from tickerd.dataflow.subscription import Filter
from tickerd.dataflow.valve import Valved
from tickerd.dataflow.wants import Wants
from tickerd.plugin import (
    AnyRecord,
    Batch,
    Reject,
    Retry,
    Sink,
    record_kind,
)
from tickerd.runtime.configured import ConfiguredUnit
from tickerd.runtime.context import Context
from tickerd.runtime.house import House
from tickerd.runtime.posting import by_message, guard_of, post
from tickerd.runtime.unit import Attempt, Unit
from tickerd.state import StateError, deadletters


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


def sink_filter(settings: SinkSettings, wants: Wants) -> Filter:
    """The part of the stream that a sink's ``events`` and ``instruments`` ask for."""
    kinds = frozenset(settings.events)

    def wanted_record(record: AnyRecord) -> bool:
        return record_kind(record) in kinds

    if settings.instruments is None:
        return Filter(ticks="tick" in kinds, records=wanted_record)
    tokens = wants.selection(settings.instruments)
    return Filter(ticks="tick" in kinds, tokens=tokens, records=wanted_record)

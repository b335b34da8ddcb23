"""The kinds of units: sources, pushing sinks, serving sinks."""

from collections.abc import Callable, Collection, Sequence

from tickerd.config.settings import SinkSettings, SourceSettings
from tickerd.dataflow.delivery import Meter, NoCommit, deliver
from tickerd.dataflow.demand import Demand, Key
from tickerd.dataflow.subscription import Filter
from tickerd.instruments import InstrumentTable
from tickerd.plugin import AnyRecord, Mode, Reject, Retry, ServingSink, Sink, record_kind
from tickerd.runtime.context import Context, ServingContext, SourceContext
from tickerd.runtime.house import House
from tickerd.runtime.unit import Attempt, Unit


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
    """A pushing sink and its subscription, which outlives restarts of the sink."""

    kind = "sink"

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings.name, house.clock, changed)
        self.settings = settings
        self._house = house
        self.meter = Meter()
        self.joined_at, self.subscription = house.hub.subscribe(
            self.name, settings.overflow, settings.buffer, sink_filter(settings, house.table)
        )
        self._context: Context | None = None

    async def body(self, attempt: Attempt) -> None:
        """See `Unit.body`."""
        settings = self.settings
        assert issubclass(settings.type, Sink)
        context = self._context = Context(self, settings.name, self._house)

        def retrying(error: Retry, wait: float) -> None:
            context.log.warning("batch not taken, will try again", reason=error.reason, wait_s=round(wait, 3))

        def refused(rejects: Sequence[Reject]) -> None:
            context.log.error("records refused for good", count=len(rejects), first=rejects[0])

        try:
            async with settings.type(settings.options, context) as sink:
                attempt.started()
                await deliver(
                    sink,
                    self.subscription,
                    self.meter,
                    commit=NoCommit(),
                    batch=settings.batch,
                    retry=settings.retry,
                    clock=self.clock,
                    retrying=retrying,
                    refused=refused,
                )
        finally:
            self.revoke()

    def finish(self) -> None:
        """See `Unit.finish`."""
        self.subscription.end()

    def revoke(self) -> None:
        """See `Unit.revoke`."""
        if self._context is not None:
            self._context.close()

    def close(self) -> None:
        """See `Unit.close`."""
        self.subscription.close()


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
    """The unit for a sink of either shape."""
    if issubclass(settings.type, ServingSink):
        return ServingUnit(settings, house, changed)
    return SinkUnit(settings, house, changed)


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

"""Runs the outbox of a message sink: which sinks have one, and what it works with."""

from structlog.typing import FilteringBoundLogger

from tickerd.config.settings import SinkSettings
from tickerd.dataflow.commit import DurableCommit
from tickerd.dataflow.delivery import Commit, Feed, Meter
from tickerd.dataflow.durable import DurableFeed
from tickerd.dataflow.guard import Guard, Verdict
from tickerd.dataflow.outbox import Desk, Outbox
from tickerd.dataflow.release import Releasable
from tickerd.dataflow.valve import ValvedGuard
from tickerd.plugin import Endpoint, MessageSink, Sink
from tickerd.runtime.house import House


def by_message(settings: SinkSettings) -> bool:
    """Whether what this sink is given goes through the outbox."""
    if not issubclass(settings.type, MessageSink) or settings.retry.schedule is None:
        return False
    return settings.type.by_message(settings.options)


async def post(
    settings: SinkSettings,
    house: House,
    sink: Sink,
    *,
    plain: Feed,
    held: Releasable,
    commit: Commit,
    guard: Guard,
    meter: Meter,
    log: FilteringBoundLogger,
) -> None:
    """Run a sink's outbox until its feed has ended and nothing is due.

    Args:
        plain: what ``held`` may take away from it.
    """
    assert isinstance(sink, MessageSink)
    desk = Desk(
        name=settings.name,
        db=house.db,
        clock=house.clock,
        guard=guard,
        meter=meter,
        sending=house.sending,
        log=log,
        max_ticks=settings.batch.max_ticks,
        max_wait=settings.batch.max_wait,
        max_bytes=settings.buffer,
    )
    durable = commit if isinstance(commit, DurableCommit) else None
    settled = (lambda: plain.settled) if isinstance(plain, DurableFeed) else (lambda: None)
    await Outbox(desk, sink, settings.retry, durable, settled).run(held, lambda: held.released)


def guard_of(settings: SinkSettings, house: House, unit: str) -> Guard:
    """A sink's guard, which tells everybody when the sink keeps failing."""

    def tell(verdict: Verdict, reason: str) -> None:
        record = Endpoint(source=unit, state=verdict, detail=reason, ts_recv=house.clock.now_ns())
        house.hub.publish_records(record)

    if by_message(settings):
        return ValvedGuard(house.valves.of(settings.name), settings.retry.breaker, house.clock.now_ns, tell)
    return Guard(settings.retry.breaker, house.clock.now_ns, tell)

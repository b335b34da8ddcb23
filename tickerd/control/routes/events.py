"""What happens, as it happens: server-sent events."""

from collections.abc import Iterator
from contextlib import ExitStack

from pydantic import Field

from tickerd.control.broadcast import Event
from tickerd.control.endless import Endless
from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Reply, Route
from tickerd.control.routes.health import SCOPE
from tickerd.plugin.scopes import TICKS

MOST_STREAMS = 32
"""At a time."""
HEARTBEAT_S = 15.0
"""Between two signs of life; a client that has gone is noticed by then at the latest."""


class EventsQuery(Input):
    """Which events."""

    kinds: tuple[str, ...] = Field((), max_length=16)
    """unit, record, reload, key and the like, given as often as there are; all by default."""
    after: str = Field("", max_length=64)
    """Id of the last event that was seen; ``Last-Event-ID`` goes before it."""


class EventStream(Endless):
    """The body of one such answer."""

    first = b"retry: 2000\n\n"
    alive = b": alive\n\n"
    bye = b"event: bye\ndata: {}\n\n"

    def __init__(self, call: Call, last_id: str) -> None:
        super().__init__(call, heartbeat_s=HEARTBEAT_S)
        self._broadcast = call.facade.events
        self._kinds = frozenset(call.query.kinds) or None
        self._sees_all = call.caller.may(TICKS) and call.caller.instruments is None
        self._after = number_of(last_id or call.query.after, self._broadcast.epoch)

    def join(self, leaving: ExitStack) -> None:
        """See `Endless`."""
        self._listener = leaving.enter_context(self._broadcast.listen(self._kinds, after=self._after))

    async def wait(self) -> None:
        """See `Endless`."""
        await self._listener.wait()

    def take(self) -> bytes:
        """See `Endless`."""
        return b"".join(self._written(*self._listener.take()))

    def _written(self, dropped: int, events: list[Event]) -> Iterator[bytes]:
        if dropped:
            yield b'event: dropped\ndata: {"count":%d}\n\n' % dropped
        for event in events:
            if event.private and not self._sees_all:
                continue
            head = f"id: {self._broadcast.epoch}-{event.number}\nevent: {event.kind}\ndata: "
            yield head.encode() + event.data + b"\n\n"


def number_of(last_id: str, epoch: int) -> int | None:
    """Where to go on: an id of an earlier run means from the beginning of this one.

    Raises:
        Problem: it is no id of ours.
    """
    if not last_id:
        return None
    run, between, number = last_id.partition("-")
    if not (between and run.isascii() and run.isdigit() and number.isascii() and number.isdigit()):
        raise Problem(400, "query.after: this is no id of an event", code="invalid")
    return int(number) if int(run) == epoch else 0


async def events(call: Call) -> Reply:
    """One stream for each caller, within the limit for all."""
    broadcast = call.facade.events
    if len(broadcast) >= MOST_STREAMS:
        text = f"{MOST_STREAMS} streams of events are open; try again later"
        raise Problem(503, text, headers={"Retry-After": "10"})
    stream = EventStream(call, call.headers.get("last-event-id", "")[:64])
    return Reply(body=stream, content_type="text/event-stream", endless=True)


ROUTES = (
    Route(
        method="GET",
        path="/v1/events",
        summary="What happens, as server-sent events",
        description=(
            "Changes of units, control records, reloads. Each event has an id, by which a client that comes "
            "back goes on; a comment every 15 s is a sign of life; `dropped` says how many a slow client missed. "
            f"Orders, reports and the broker's notices need the scope `{TICKS}` for all exchanges."
        ),
        handler=events,
        scope=SCOPE,
        query=EventsQuery,
        content_type="text/event-stream",
        statuses={503: "Too many streams are open."},
    ),
)

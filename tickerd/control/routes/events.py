"""What happens, as it happens: server-sent events."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

import trio
from pydantic import Field
from quart.wrappers.response import ResponseBody

from tickerd.control.broadcast import Broadcast, Event
from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Reply, Route
from tickerd.control.routes.health import SCOPE
from tickerd.plugin import Clock
from tickerd.plugin.auth import Principal

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


class EventStream(ResponseBody):
    """The body of one such answer: ends when the client leaves, the server stops or the credential ends."""

    def __init__(
        self,
        broadcast: Broadcast,
        query: EventsQuery,
        last_id: str,
        *,
        principal: Principal | None,
        clock: Clock,
        stopping: trio.Event,
    ) -> None:
        self._broadcast = broadcast
        self._kinds = frozenset(query.kinds) or None
        self._after = number_of(last_id or query.after, broadcast.epoch)
        self._principal = principal
        self._clock = clock
        self._stopping = stopping
        self._leaving = ExitStack()

    async def __aenter__(self) -> Self:
        """Join."""
        self._listener = self._leaving.enter_context(self._broadcast.listen(self._kinds, after=self._after))
        self._begun = self._said_bye = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        self._leaving.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """What waits, or a sign of life."""
        if not self._begun:
            self._begun = True
            return b"retry: 2000\n\n"
        if self._said_bye:
            raise StopAsyncIteration
        if self._may_go_on():
            with trio.move_on_after(HEARTBEAT_S):
                await self._wait()
        if not self._may_go_on():
            self._said_bye = True
            return b"event: bye\ndata: {}\n\n"
        dropped, events = self._listener.take()
        text = b"".join(self._written(dropped, events))
        return text or b": alive\n\n"

    def _may_go_on(self) -> bool:
        principal = self._principal
        valid = principal is None or principal.validity.holds(self._clock.now_ns())
        return valid and not self._stopping.is_set()

    async def _wait(self) -> None:
        """Until something happens that concerns this stream."""
        async with trio.open_nursery() as nursery:

            async def first(wait: Callable[[], Awaitable[object]]) -> None:
                await wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, self._listener.wait)
            nursery.start_soon(first, self._stopping.wait)
            if self._principal is not None:
                nursery.start_soon(first, partial(self._principal.until_ended, self._clock))

    def _written(self, dropped: int, events: list[Event]) -> Iterator[bytes]:
        if dropped:
            yield b'event: dropped\ndata: {"count":%d}\n\n' % dropped
        for event in events:
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
    stream = EventStream(
        broadcast,
        call.query,
        call.headers.get("last-event-id", "")[:64],
        principal=call.principal,
        clock=call.facade.clock,
        stopping=call.stopping,
    )
    return Reply(body=stream, content_type="text/event-stream", endless=True)


ROUTES = (
    Route(
        method="GET",
        path="/v1/events",
        summary="What happens, as server-sent events",
        description=(
            "Changes of units, control records, reloads. Each event has an id, by which a client that comes "
            "back goes on; a comment every 15 s is a sign of life; `dropped` says how many a slow client missed."
        ),
        handler=events,
        scope=SCOPE,
        query=EventsQuery,
        content_type="text/event-stream",
        statuses={503: "Too many streams are open."},
    ),
)

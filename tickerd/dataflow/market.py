"""Tells in the stream when exchanges open and close and when their day ends."""

from collections.abc import Callable, Collection, Iterator
from itertools import groupby

import trio

from tickerd.calendar import Calendar, Event
from tickerd.plugin import Batch, Clock, Market

TOLD = ("open", "close", "end_of_day")
"""Events of the calendar that become records."""
LONGEST_SLEEP_S = 60.0
"""A clock that is set right, or a wish for one more exchange, is noticed after so long at the latest."""
SHORTEST_SLEEP_S = 0.001
"""Rounding may end a sleep some nanoseconds early; this is what keeps it from becoming a busy loop."""
OLDEST_NS = 7 * 86_400 * 10**9
"""What is older than this when it is noticed is not told: the clock was set by years, nobody slept so long."""

Publish = Callable[[Batch], None]
Exchanges = Callable[[], Collection[str]]


async def announce(
    calendar: Calendar, clock: Clock, publish: Publish, exchanges: Exchanges, *, since_ns: int | None = None
) -> None:
    """Publish a `Market` record for each exchange at each open, close and end of day; runs until cancelled.

    Each event is told once. One that is noticed late, because the loop was blocked or the clock jumped ahead,
    is told then, with the time at which it was due; when the clock is set back, nothing is told a second time.

    Args:
        calendar: says when. Events are told for assumed days as well.
        clock: the daemon's.
        publish: takes a batch of the records that are due at the same moment; must not wait.
        exchanges: which ones to tell about, asked each time.
        since_ns: events up to then have been told, in nanoseconds since 1970 UTC; now when left out.
    """
    told = clock.now_ns() if since_ns is None else since_ns
    while True:
        now = clock.now_ns()
        for at_ns, events in groupby(_due(calendar, max(told, now - OLDEST_NS), now, exchanges()), _at):
            publish(Batch.control(*map(_record, events)))
            told = at_ns
        told = max(told, now)
        await trio.sleep(_pause(calendar, told, exchanges(), clock))


def _at(event: Event) -> int:
    return event.at_ns


def _due(calendar: Calendar, after_ns: int, until_ns: int, exchanges: Collection[str]) -> Iterator[Event]:
    events = calendar.events_between(after_ns, until_ns, exchanges)
    return (event for event in events if event.kind in TOLD)


def _record(event: Event) -> Market:
    return Market(exchange=event.exchange, event=event.kind, ts_recv=event.at_ns)


def _pause(calendar: Calendar, told: int, exchanges: Collection[str], clock: Clock) -> float:
    """Seconds until the next event, or until the next look."""
    horizon = told + round(LONGEST_SLEEP_S * 1e9)
    event = next(_due(calendar, told, horizon, exchanges), None)
    wanted = LONGEST_SLEEP_S if event is None else (event.at_ns - clock.now_ns()) / 1e9
    return min(max(wanted, SHORTEST_SLEEP_S), LONGEST_SLEEP_S)

"""The stream as it passes, for whoever wants to look: a little of it, and never at the feed's expense."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from itertools import islice

import msgspec
import trio
from pydantic import Field

from tickerd.control.endless import Endless
from tickerd.control.facade import Facade
from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Reply, Route
from tickerd.control.routes.instruments import is_token, unknown_instrument
from tickerd.control.routes.quotes import Key
from tickerd.dataflow.subscription import Filter
from tickerd.plugin import AnyRecord, Batch, Tick

MOST_TAPS = 4
"""At a time."""
MOST_INSTRUMENTS = 100
BUFFER = 2**20
"""Bytes that wait for one; older ones are dropped and counted."""
PIECE = 64
"""Ticks that are encoded in one go, before other tasks have their turn."""
MOST_PER_S = 2000
"""Ticks and records for one tap: more is read by nobody, and would cost the feed time."""
_NDJSON, _SSE = "application/x-ndjson", "text/event-stream"


class TapQuery(Input):
    """What to show."""

    i: tuple[Key, ...] = Field((), max_length=MOST_INSTRUMENTS)
    """Only ticks of these, and no records: ``EXCHANGE:SYMBOL`` or a token, given as often as there are."""
    limit: int | None = Field(None, ge=1, le=1_000_000)
    """End after so many."""


class TapStream(Endless):
    """The body of one tap: a JSON object for each tick and record, a line each or an event each."""

    def __init__(self, call: Call, wanted: Filter, *, as_events: bool) -> None:
        super().__init__(call)
        self._open = call.desk.steering.tap
        self._taps = call.taps
        self._name = call.by.who
        self._wanted = wanted
        self._left: int | None = call.query.limit
        self._form = b"data: %b\n\n" if as_events else b"%b\n"
        self.first = self.alive = b": alive\n\n" if as_events else b"\n"
        self._waiting: Iterator[bytes] = iter(())
        self._batch: Batch | None = None
        self._next_at = 0.0

    def join(self, leaving: ExitStack) -> None:
        """See `Endless`."""
        self._taps.append(self)
        leaving.callback(self._taps.remove, self)
        self._subscription = leaving.enter_context(self._open(self._name, self._wanted, BUFFER))

    @property
    def is_over(self) -> bool:
        """See `Endless`."""
        return self._left == 0

    async def wait(self) -> None:
        """See `Endless`. What is left of a batch comes before the next one."""
        await trio.sleep_until(self._next_at)
        if self._batch is None:
            try:
                self._batch = await self._subscription.receive(PIECE, 0)
            except trio.EndOfChannel:
                self._left = 0
                return
            self._waiting = self._objects(self._batch)

    def take(self) -> bytes:
        """See `Endless`."""
        if self._batch is None:
            return b""
        most = PIECE if self._left is None else min(PIECE, self._left)
        taken = list(islice(self._waiting, most))
        if len(taken) < PIECE:
            self._batch = None
        if self._left is not None:
            self._left -= len(taken)
        self._next_at = trio.current_time() + len(taken) / MOST_PER_S
        return b"".join(self._form % text for text in taken)

    def _objects(self, batch: Batch) -> Iterator[bytes]:
        yield from (tick.json for tick in batch.ticks if self._may_see(tick))
        yield from (msgspec.json.encode(record) for record in batch.records)

    def _may_see(self, tick: Tick) -> bool:
        principal = self._principal
        if principal is None or principal.instruments is None:
            return True
        return tick.instrument is not None and principal.may_see(tick.instrument)


class Tokens:
    """Today's tokens of what was asked for; looked up again when a table was replaced."""

    def __init__(self, facade: Facade, keys: Collection[str]) -> None:
        self._facade = facade
        self._keys = keys
        self._seen: tuple[int, ...] | None = None
        self._tokens: frozenset[int] = frozenset()

    def __call__(self) -> Collection[int]:
        """From the cache while no table has changed."""
        seen = tuple(map(id, self._facade.tables()))
        if seen != self._seen:
            self._seen = seen
            found = (self._facade.find(int(key) if is_token(key) else key) for key in self._keys)
            self._tokens = frozenset(one.token for one in found if one is not None)
        return self._tokens


async def tap(call: Call) -> Reply:
    """Within the limit for all."""
    if len(call.taps) >= MOST_TAPS:
        text = f"{MOST_TAPS} taps are open; close one, or try again later"
        raise Problem(503, text, headers={"Retry-After": "10"})
    for key in call.query.i:
        instrument = call.facade.find(int(key) if is_token(key) else key)
        if instrument is None:
            raise Problem(404, await unknown_instrument(call, key))
        if not call.caller.may_see(instrument):
            raise Problem(403, f"this key may not see {key!r}")
    as_events = _SSE in call.headers.get("accept", "")
    body = TapStream(call, _filter(call), as_events=as_events)
    return Reply(body=body, content_type=_SSE if as_events else _NDJSON, endless=True)


def _filter(call: Call) -> Filter:
    def records(record: AnyRecord) -> bool:
        del record
        return not call.query.i and call.caller.instruments is None

    tokens: Callable[[], Collection[int] | None] = lambda: None  # noqa: E731
    if call.query.i:
        tokens = Tokens(call.facade, call.query.i)
    return Filter(tokens=tokens, records=records)


ROUTES = (
    Route(
        method="GET",
        path="/v1/tap",
        summary="Ticks and control records as they pass",
        description=(
            "One JSON object a line, or server-sent events for who accepts `text/event-stream`; an empty line is a "
            f"sign of life. At most {MOST_PER_S} a second: what a tap does not take is dropped, and a `gap` record "
            "says how many. Callers whose key is narrowed to some exchanges see ticks of those, and no records."
        ),
        handler=tap,
        scope="history:read",
        query=TapQuery,
        content_type=_NDJSON,
        statuses={404: "No such instrument.", 503: "Too many taps are open."},
    ),
)

"""What is traded: search and look-up in the tables of the day."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import trio
from pydantic import Field

from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Page, PageQuery, Route
from tickerd.control.wording import quoted
from tickerd.instruments.search import search as search_table
from tickerd.instruments.suggest import suggest
from tickerd.observe.picture import Shown
from tickerd.plugin import Instrument
from tickerd.plugin.auth import Principal
from tickerd.plugin.scopes import TICKS

Tables = Sequence[Mapping[str, Instrument]]


@dataclass(frozen=True, kw_only=True)
class InstrumentShown(Shown):
    """One instrument, as the broker's daily dump has it."""

    symbol: str
    """``EXCHANGE:TRADINGSYMBOL``."""
    token: int
    """The broker's number; used again for another once it has expired."""
    namespace: str
    """Of the tokens: kite for all Kite sources."""
    exchange: str
    tradingsymbol: str
    name: str
    segment: str
    instrument_type: str
    expiry: str | None
    """ISO date; null when it does not expire."""
    strike: float
    lot_size: int
    tick_size: float


class SearchQuery(PageQuery):
    """What to look for: all that is given must hold."""

    q: str = Field("", max_length=100)
    """Words, each of which must be part of the symbol or of the name, in any case."""
    exchange: str | None = Field(None, max_length=32)
    segment: str | None = Field(None, max_length=32)
    instrument_type: str | None = Field(None, max_length=32)
    """EQ, FUT, CE, PE and the like."""
    name: str | None = Field(None, max_length=100)
    """Of the company or underlying, exactly as in the dump."""
    expiry: str | None = Field(None, max_length=10, pattern=r"^\d{4}-\d{2}-\d{2}$")


def shown(instrument: Instrument) -> InstrumentShown:
    """An instrument as the API shows it."""
    return InstrumentShown(
        symbol=instrument.symbol,
        token=instrument.token,
        namespace=instrument.namespace,
        exchange=instrument.exchange,
        tradingsymbol=instrument.tradingsymbol,
        name=instrument.name,
        segment=instrument.segment,
        instrument_type=instrument.instrument_type,
        expiry=instrument.expiry or None,
        strike=instrument.strike,
        lot_size=instrument.lot_size,
        tick_size=instrument.tick_size,
    )


def matches(tables: Tables, query: SearchQuery, principal: Principal | None) -> list[Instrument]:
    """The first ``limit + 1`` instruments that match, by symbol. Pure, and slow on a whole table."""
    fields = ("exchange", "segment", "instrument_type", "name", "expiry")
    columns = {field: wanted for field in fields if (wanted := getattr(query, field)) is not None}
    may_see = (lambda _: True) if principal is None else principal.may_see
    found = (
        search_table(
            table, query.q.split(), columns, limit=query.limit + 1, after=query.after, may_see=may_see
        )
        for table in tables
    )
    return heapq.nsmallest(query.limit + 1, chain.from_iterable(found), key=attrgetter("symbol"))


async def search(call: Call) -> Page[InstrumentShown]:
    """In a thread."""
    query: SearchQuery = call.query
    found = await trio.to_thread.run_sync(
        matches, call.facade.tables(), query, call.principal, limiter=call.searches, abandon_on_cancel=True
    )
    items = tuple(shown(instrument) for instrument in found[: query.limit])
    return Page(items=items, next=items[-1].symbol if len(found) > query.limit else None)


async def look_up(call: Call) -> InstrumentShown:
    """By symbol or token."""
    text = call.path["key"]
    instrument = call.facade.find(int(text) if is_token(text) else text)
    if instrument is None:
        raise Problem(404, await unknown_instrument(call, text))
    if call.principal is not None and not call.principal.may_see(instrument):
        raise Problem(403, f"this key may not see {quoted(text)}")
    return shown(instrument)


async def unknown_instrument(call: Call, text: str) -> str:
    """That there is none, and what may have been meant."""
    symbols = chain.from_iterable(call.facade.tables())
    near = await trio.to_thread.run_sync(
        suggest, text[:64], symbols, limiter=call.searches, abandon_on_cancel=True
    )
    return f"no instrument {quoted(text)}" + (f" (did you mean {near!r}?)" if near else "")


class Refresh(Input):
    """Which dump."""

    source: str | None = Field(None, min_length=1, max_length=64)
    """Name of a source; by default every one that has a dump."""


@dataclass(frozen=True, kw_only=True)
class Refreshing(Shown):
    """What was asked for."""

    sources: tuple[str, ...]
    """Those that download their dump now."""


async def refresh(call: Call) -> Refreshing:
    """Answers before it has been downloaded."""
    body: Refresh = call.body
    return Refreshing(sources=await call.desk.steering.refresh_instruments(body.source, call.by))


def is_token(text: str) -> bool:
    """Whether it is a number rather than a symbol."""
    return text.isascii() and text.isdigit() and len(text) <= 10


ROUTES = (
    Route(
        method="GET",
        path="/v1/instruments",
        summary="Search the instruments of the day",
        handler=search,
        scope=TICKS,
        query=SearchQuery,
        answer=Page[InstrumentShown],
    ),
    Route(
        method="GET",
        path="/v1/instruments/<key>",
        summary="One instrument by symbol or token",
        handler=look_up,
        scope=TICKS,
        answer=InstrumentShown,
        statuses={404: "No such instrument."},
    ),
    Route(
        method="POST",
        path="/v1/instruments/refresh",
        summary="Download the instrument dump again",
        description=(
            "Answers at once; a source downloads its dump once a minute at most. How it went shows in the state of "
            "the source, and as an `instrument` record when something is another."
        ),
        handler=refresh,
        scope="sources:write",
        rate="units",
        changes=True,
        body=Refresh,
        answer=Refreshing,
        status=202,
        statuses={404: "No such source, or none that has a dump."},
    ),
)

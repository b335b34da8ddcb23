"""Dead letters: what sinks refused for good; looked at, offered again, or dropped."""

from dataclasses import dataclass
from sqlite3 import Connection
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tickerd.control.payload import decoded
from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, NumberedQuery, Page, PageQuery, Route, number_in, page_of
from tickerd.control.routes.health import SCOPE
from tickerd.control.routes.instruments import InstrumentShown, shown
from tickerd.control.routes.sinks import WRITE, sink_of
from tickerd.control.wording import quoted
from tickerd.observe.picture import Shown
from tickerd.plugin import Principal
from tickerd.state import audit, deadletters
from tickerd.state.deadletters import KeptLetter, Line, Ranges
from tickerd.state.keys import By

MOST_RANGES = 1000
_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, kw_only=True)
class LettersShown(Shown):
    """A sink's dead letters in figures."""

    sink: str
    letters: int
    bytes: int
    """That they take in the state file, about."""
    removed: int
    """Letters that had to make room for later ones, ever."""
    redrives: int
    """Letters that wait to be offered again."""
    newest: int
    """Id of the last one; 0 where there is none."""


@dataclass(frozen=True, kw_only=True)
class LineShown(Shown):
    """One letter in a list."""

    id: int
    position: tuple[int, int]
    """(epoch, seq) of the record that was refused."""
    kind: str
    """tick, or the kind of the control record."""
    symbol: str | None
    reason: str
    """Why it was refused the last time."""
    attempts: int
    first_ns: int
    """When it was first offered, in nanoseconds since 1970 UTC."""
    last_ns: int
    """When it was last offered."""
    size: int
    """Bytes that it takes, about."""
    redrive_requested_ns: int | None
    """When somebody asked that it be offered again; null when nobody has."""


@dataclass(frozen=True, kw_only=True)
class LetterShown(LineShown):
    """One letter whole."""

    sink: str
    instrument: InstrumentShown | None
    """Null for a control record."""
    message_id: str | None
    """Under which it was sent, where the sink's protocol has such a thing."""
    response: str
    """The beginning of what the other side answered."""
    payload: Any
    """The record, in hex when it cannot be decoded; null when it was too long to be kept."""


@dataclass(frozen=True, kw_only=True)
class Redriven(Shown):
    """What was asked for."""

    sink: str
    marked: int
    """Letters that were not asked for yet."""
    waiting: int
    """All that wait to be offered again."""


@dataclass(frozen=True, kw_only=True)
class Dropped(Shown):
    """What was deleted."""

    sink: str
    dropped: int


class Range(Input):
    """Letters from one id to another, both included."""

    first: _Id
    last: _Id


class Letters(Input):
    """Which letters: ``letters``, or all that there are now."""

    letters: tuple[Range, ...] = Field((), max_length=MOST_RANGES)
    all: bool = False

    @model_validator(mode="after")
    def _either(self) -> "Letters":
        if self.all == bool(self.letters):
            raise PydanticCustomError("either", "give either letters or all=true")
        return self


async def totals(call: Call) -> Page[LettersShown]:
    """Of every sink that has or had some."""
    found = await call.desk.db.read(_totals)
    return page_of(found, lambda one: one.sink, call.query)


async def listing(call: Call) -> Page[LineShown]:
    """The oldest first."""
    query: NumberedQuery = call.query
    after = number_in(query.after, "query.after") if query.after else 0
    found = await call.desk.db.read(
        deadletters.page, call.path["sink"], after=after, limit=min(query.limit, deadletters.PAGE)
    )
    if not found and not after:
        await _known(call)
    items = tuple(map(_line, found))
    return Page(items=items, next=str(items[-1].id) if len(items) == query.limit else None)


async def one(call: Call) -> LetterShown:
    """Whole, with the record."""
    sink, number = call.path["sink"], number_in(call.path["id"], "id")
    letter = await call.desk.db.read(deadletters.get, sink, number)
    if letter is None:
        raise Problem(404, f"{quoted(sink)} has no dead letter {number}")
    if not _may_see(call.caller, letter):
        what = quoted(letter.kind if letter.instrument is None else letter.instrument.symbol)
        raise Problem(403, f"this key may not see {what}")
    return _whole(letter)


async def redrive(call: Call) -> Redriven:
    """The sink's delivery finds them in the state file."""
    sink = sink_of(call, call.path["sink"]).name
    now_ns = call.facade.clock.now_ns()
    marked, waiting = await call.desk.db.run_synced(_redrive, sink, _ranges(call.body), call.by, now_ns)
    if not marked:
        raise Problem(404, f"{quoted(sink)} has no such dead letter that is not waiting already")
    return Redriven(sink=sink, marked=marked, waiting=waiting)


async def drop(call: Call) -> Dropped:
    """For good. Also for a sink that is no longer configured."""
    sink, now_ns = call.path["sink"], call.facade.clock.now_ns()
    dropped = await call.desk.db.run_synced(_drop, sink, _ranges(call.body), call.by, now_ns)
    if not dropped:
        raise Problem(404, f"{quoted(sink)} has no such dead letter")
    return Dropped(sink=sink, dropped=dropped)


def _totals(connection: Connection) -> list[LettersShown]:
    return [
        LettersShown(newest=deadletters.newest(connection, one.sink), **one._asdict())
        for one in deadletters.totals(connection)
    ]


def _redrive(
    connection: Connection, sink: str, ranges: Ranges | None, by: By, now_ns: int
) -> tuple[int, int]:
    marked = deadletters.request_redrive(connection, sink, ranges, now_ns=now_ns)
    if marked:
        _note(connection, "dlq.redrive", sink, ranges, marked, by, now_ns)
    waiting = [one.redrives for one in deadletters.totals(connection) if one.sink == sink]
    return marked, sum(waiting)


def _drop(connection: Connection, sink: str, ranges: Ranges | None, by: By, now_ns: int) -> int:
    dropped = deadletters.drop(connection, sink, ranges)
    if dropped:
        _note(connection, "dlq.drop", sink, ranges, dropped, by, now_ns)
    return dropped


def _note(
    connection: Connection, what: str, sink: str, ranges: Ranges | None, letters: int, by: By, now_ns: int
) -> None:
    after = {"sink": sink, "ids": ranges or "all", "letters": letters}
    change = audit.Change(when_ns=now_ns, who=by.who, what=what, origin=by.origin, after=after)
    audit.append(connection, change)


def _ranges(body: Letters) -> Ranges | None:
    """Without overlaps, so that none is counted twice."""
    if body.all:
        return None
    ranges: list[tuple[int, int]] = []
    for first, last in sorted((one.first, one.last) for one in body.letters):
        if ranges and first <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges


async def _known(call: Call) -> None:
    """That there is such a sink, or was one with letters."""
    name = call.path["sink"]
    if not any(one.sink == name for one in await call.desk.db.read(deadletters.totals)):
        sink_of(call, name)


def _may_see(caller: Principal, letter: KeptLetter) -> bool:
    """Control records tell of the account: they are for those who may see all instruments."""
    if letter.instrument is None:
        return caller.instruments is None
    return caller.may_see(letter.instrument)


def _line(line: Line) -> LineShown:
    fields = line._asdict()
    return LineShown(position=(fields.pop("epoch"), fields.pop("seq")), **fields)


def _whole(letter: KeptLetter) -> LetterShown:
    payload = letter.payload or b""
    return LetterShown(
        id=letter.id,
        position=(letter.position.epoch, letter.position.seq),
        kind=letter.kind,
        symbol=None if letter.instrument is None else letter.instrument.symbol,
        reason=letter.reason,
        attempts=letter.attempts,
        first_ns=letter.first_ns,
        last_ns=letter.last_ns,
        size=len(payload) + len(letter.response) + deadletters.OVERHEAD,
        redrive_requested_ns=letter.redrive_requested_ns,
        message_id=letter.message_id,
        response=letter.response.decode("utf-8", "backslashreplace"),
        payload=decoded(letter.payload, letter.payload_form),
        instrument=None if letter.instrument is None else shown(letter.instrument),
        sink=letter.sink,
    )


_SINK = {404: "No such sink."}
_LETTERS = {404: "No such sink, or none of these letters."}

ROUTES = (
    Route(
        method="GET",
        path="/v1/dead-letters",
        summary="All sinks that have dead letters, in figures",
        handler=totals,
        scope=SCOPE,
        query=PageQuery,
        answer=Page[LettersShown],
    ),
    Route(
        method="GET",
        path="/v1/dead-letters/<sink>",
        summary="Dead letters of a sink, the oldest first",
        handler=listing,
        scope=SCOPE,
        query=NumberedQuery,
        answer=Page[LineShown],
        statuses=_SINK,
    ),
    Route(
        method="GET",
        path="/v1/dead-letters/<sink>/<id>",
        summary="One dead letter whole, with its record",
        handler=one,
        scope="history:read",
        answer=LetterShown,
        statuses=_LETTERS,
    ),
    Route(
        method="POST",
        path="/v1/dead-letters/<sink>/redrive",
        summary="Offer dead letters to their sink again",
        description="Within seconds. One that is taken is gone then, one that is refused again stays.",
        handler=redrive,
        scope=WRITE,
        rate="units",
        changes=True,
        body=Letters,
        answer=Redriven,
        statuses=_LETTERS,
    ),
    Route(
        method="POST",
        path="/v1/dead-letters/<sink>/drop",
        summary="Delete dead letters for good",
        handler=drop,
        scope=WRITE,
        rate="units",
        changes=True,
        body=Letters,
        answer=Dropped,
        statuses=_LETTERS,
    ),
)

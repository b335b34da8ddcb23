"""What is posted: ``{"type", "timestamp", "data"}`` as JSON, encoded once, and the id that it has for ever. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tickerd.plugin import (
    AnyRecord,
    Endpoint,
    Gap,
    InstrumentChange,
    Market,
    Notice,
    Order,
    Position,
    Report,
    Status,
    Tick,
)

MAX_BODY = 256 * 1024
"""Bytes of one body."""

_encode = msgspec.json.Encoder().encode
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def message_id(sink: str, position: Position, ts_ns: int, salt: bytes = b"") -> str:
    """``msg_`` and a ULID that follows from the record: its time, and a digest where others have chance.

    The same record always has the same id, also after a crash and a second reading of the journal.
    """
    what = b"\0".join((sink.encode(), b"%d.%d" % position, b"%d" % ts_ns, salt))
    number = (ts_ns // 10**6 & (2**48 - 1)) << 80 | int.from_bytes(hashlib.sha256(what).digest()[:10])
    return "msg_" + "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


def stamp(ts_ns: int) -> str:
    """When it happened, as ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(ts_ns // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ts_ns // 10**6 % 1000:03}Z"


def body(kind: str, ts_ns: int, data: Any) -> bytes:
    """One event."""
    return _encode({"type": kind, "timestamp": stamp(ts_ns), "data": data})


def kind_of(record: AnyRecord) -> str:  # noqa: PLR0911 - a table
    """The event's type: a noun, a dot, and what happened."""
    match record:
        case Gap():
            return "feed.gap"
        case Status():
            return f"feed.{record.state}"
        case Market():
            return f"market.{_word(record.event)}"
        case Order():
            return "order.updated"
        case InstrumentChange():
            return f"instrument.{record.change}"
        case Notice():
            return f"notice.{record.kind}"
        case Endpoint():
            return f"endpoint.{record.state}"
        case Report():
            return "report.received"


def _word(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text.lower()) or "unknown"


def tick_bodies(
    ticks: Sequence[Tick], records: Sequence[AnyRecord], most_rows: int, most_bytes: int = MAX_BODY
) -> Iterable[tuple[Position, int, bytes]]:
    """Bodies of so many rows and bytes at most: the position of the last tick in each, when it came, the body.

    Each tick's JSON is what every other sink gets of it. A single one that is too long goes alone.
    """
    room = most_bytes - 300
    told = _encode(list(records)) if records else b"[]"
    part: list[Tick] = []
    size = len(told)
    for tick in ticks:
        if part and (len(part) >= most_rows or size + len(tick.json) + 1 > room):
            yield _tick_body(part, told)
            part, told, size = [], b"[]", 2
        part.append(tick)
        size += len(tick.json) + 1
    if part:
        yield _tick_body(part, told)


def _tick_body(part: Sequence[Tick], told: bytes) -> tuple[Position, int, bytes]:
    newest = max(part, key=lambda tick: tick.position)
    rows = b",".join([tick.json for tick in part])
    text = b'{"type":"ticks","timestamp":"%b","data":{"ticks":[%b],"records":%b}}' % (
        stamp(newest.ts_recv).encode(),
        rows,
        told,
    )
    return newest.position, newest.ts_recv, text

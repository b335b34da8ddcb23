"""Dead letters: what a sink refused for good, kept until somebody looks; each can be offered to it again.

Functions of a connection, to be run by `Database.run` or inside `tools.writing`. The way of a redrive: somebody
calls `request_redrive` (it is in the file, so it outlives a restart); the sink's delivery calls `take_redrives`
when its unit starts, and whenever it is told that there are some, offers what it got, and calls `finish` with
the outcome of each. What was taken and not finished is simply taken again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, NamedTuple

import msgspec

from tickerd.plugin import Instrument, Position

LONGEST_REASON = 2000
"""Characters."""
LONGEST_RESPONSE = 4096
"""Bytes."""
LONGEST_PAYLOAD = 2**20
"""Bytes; a longer one is not kept, and a redrive needs the journal."""
PAGE = 1000
OVERHEAD = 200
"""What a letter takes beside its texts, about."""

Ranges = Sequence[tuple[int, int]]
"""Ids, both ends included."""


@dataclass(frozen=True)
class Caps:
    """How much is kept for one sink; beyond it the oldest letters make room."""

    letters: int = 10_000
    bytes: int = 2**26


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One record and why it was refused. Texts and bytes that are too long are cut when it is added."""

    sink: str
    position: Position
    kind: str = "tick"
    """``tick``, or the kind of the control record."""
    instrument: Instrument | None = None
    message_id: str | None = None
    """Under which it was sent, where the sink's protocol has such a thing."""
    reason: str
    attempts: int = 1
    first_ns: int
    """When it was first offered."""
    last_ns: int
    response: bytes = b""
    """What the other side answered; its first bytes."""
    payload: bytes | None = None
    """A copy of the record, for when the journal does not have it any more."""
    payload_form: str = "json"
    """``json`` or ``msgpack``."""


@dataclass(frozen=True, kw_only=True)
class KeptLetter(Letter):
    """A letter as it is kept. Ids grow and are never used again."""

    id: int
    redrive_requested_ns: int | None = None


class Line(NamedTuple):
    """What a list shows of a letter."""

    id: int
    epoch: int
    seq: int
    kind: str
    symbol: str | None
    reason: str
    attempts: int
    first_ns: int
    last_ns: int
    size: int
    redrive_requested_ns: int | None


class Totals(NamedTuple):
    """A sink's letters in figures."""

    sink: str
    letters: int
    bytes: int
    removed: int
    """Letters that had to make room for later ones, ever."""
    redrives: int
    """Letters that wait to be offered again."""


def add(connection: Connection, letters: Sequence[Letter], caps: Caps = Caps()) -> int:
    """Keep them; how many older ones had to make room.

    A record that is refused again, as after a crash or a redrive, stays the one letter it was: attempts add up,
    and the last reason counts.
    """
    connection.executemany(_ADD, map(_values, letters))
    return sum(_make_room(connection, sink, caps) for sink in sorted({letter.sink for letter in letters}))


def totals(connection: Connection) -> Sequence[Totals]:
    """The figures of every sink that has or had letters, by name."""
    return [Totals(*row) for row in connection.execute(_TOTALS)]


def page(connection: Connection, sink: str, *, after: int = 0, limit: int = 100) -> Sequence[Line]:
    """A sink's letters, oldest first, at most `PAGE`; ``after`` the id of the last one that was shown."""
    return [Line(*row) for row in connection.execute(_PAGE, (sink, after, max(0, min(limit, PAGE))))]


def get(connection: Connection, sink: str, number: int) -> KeptLetter | None:
    """One letter whole, or None."""
    row = connection.execute(f"{_WHOLE} WHERE sink = ? AND id = ?", (sink, number)).fetchone()
    return None if row is None else _letter(row)


def count(connection: Connection, sink: str, ranges: Ranges | None = None) -> int:
    """How many of these letters there are."""
    query = "SELECT count(*) FROM dead_letters WHERE sink = ? AND id BETWEEN ? AND ?"
    return sum(connection.execute(query, (sink, *ends)).fetchone()[0] for ends in _or_all(ranges))


def newest(connection: Connection, sink: str) -> int:
    """The id of the sink's last letter, or 0: "all" as of now is everything up to it."""
    query = "SELECT coalesce(max(id), 0) FROM dead_letters WHERE sink = ?"
    (number,) = connection.execute(query, (sink,)).fetchone()
    return int(number)


def drop(connection: Connection, sink: str, ranges: Ranges | None = None) -> int:
    """Delete these letters of the sink, or all; how many there were."""
    query = "DELETE FROM dead_letters WHERE sink = ? AND id BETWEEN ? AND ?"
    return sum(connection.execute(query, (sink, *ends)).rowcount for ends in _or_all(ranges))


def request_redrive(connection: Connection, sink: str, ranges: Ranges | None = None, *, now_ns: int) -> int:
    """Ask that these letters of the sink, or all, be offered to it again; how many were not asked for yet."""
    query = (
        "UPDATE dead_letters SET redrive_requested_ns = ? "
        "WHERE sink = ? AND id BETWEEN ? AND ? AND redrive_requested_ns IS NULL"
    )
    return sum(connection.execute(query, (now_ns, sink, *ends)).rowcount for ends in _or_all(ranges))


def take_redrives(connection: Connection, sink: str, limit: int = 100) -> Sequence[KeptLetter]:
    """The letters to be offered again, in the order of their positions; they stay until `finish`."""
    query = f"{_WHOLE} WHERE sink = ? AND redrive_requested_ns IS NOT NULL ORDER BY epoch, seq LIMIT ?"
    return [_letter(row) for row in connection.execute(query, (sink, max(0, min(limit, PAGE))))]


def finish(
    connection: Connection, number: int, ok: bool, *, reason: str = "", response: bytes = b"", now_ns: int
) -> bool:
    """A letter was offered again: when it was taken it goes, when not it stays, no longer asked for.

    Returns whether it was still there: somebody may have dropped it meanwhile.
    """
    if ok:
        return connection.execute("DELETE FROM dead_letters WHERE id = ?", (number,)).rowcount > 0
    text, answer = _text(reason)[:LONGEST_REASON], response[:LONGEST_RESPONSE]
    done = connection.execute(
        "UPDATE dead_letters SET redrive_requested_ns = NULL, attempts = attempts + 1, last_ns = ?, "
        "size = size - length(CAST(reason AS BLOB)) - length(response) + ?, reason = ?, response = ? WHERE id = ?",
        (now_ns, len(text.encode()) + len(answer), text, answer, number),
    )
    return done.rowcount > 0


_ADD = (
    "INSERT INTO dead_letters (sink, epoch, seq, kind, symbol, instrument, message_id, reason, attempts, "
    "first_ns, last_ns, response, payload, payload_form, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (sink, epoch, seq) DO UPDATE SET attempts = attempts + excluded.attempts, "
    "reason = excluded.reason, last_ns = excluded.last_ns, response = excluded.response, "
    "message_id = excluded.message_id, payload = excluded.payload, payload_form = excluded.payload_form, "
    "size = excluded.size, redrive_requested_ns = NULL"
)
_TOTALS = (
    "SELECT sink, letters, bytes, removed, (SELECT count(*) FROM dead_letters AS one "
    "WHERE one.sink = dead_letter_sinks.sink AND one.redrive_requested_ns IS NOT NULL) "
    "FROM dead_letter_sinks ORDER BY sink"
)
_PAGE = (
    "SELECT id, epoch, seq, kind, symbol, reason, attempts, first_ns, last_ns, size, redrive_requested_ns "
    "FROM dead_letters WHERE sink = ? AND id > ? ORDER BY id LIMIT ?"
)
_WHOLE = (
    "SELECT id, sink, epoch, seq, kind, instrument, message_id, reason, attempts, first_ns, last_ns, response, "
    "payload, payload_form, redrive_requested_ns FROM dead_letters"
)
_LARGEST_ID = 2**63 - 1


def _or_all(ranges: Ranges | None) -> Ranges:
    return [(0, _LARGEST_ID)] if ranges is None else ranges


def _make_room(connection: Connection, sink: str, caps: Caps) -> int:
    query = "SELECT letters, bytes FROM dead_letter_sinks WHERE sink = ?"
    letters, size = connection.execute(query, (sink,)).fetchone()
    last, removed = 0, 0
    oldest = connection.execute("SELECT id, size FROM dead_letters WHERE sink = ? ORDER BY id", (sink,))
    while letters - removed > caps.letters or size > caps.bytes:
        last, freed = oldest.fetchone()
        removed, size = removed + 1, size - freed
    if removed:
        connection.execute("DELETE FROM dead_letters WHERE sink = ? AND id <= ?", (sink, last))
        connection.execute(
            "UPDATE dead_letter_sinks SET removed = removed + ? WHERE sink = ?", (removed, sink)
        )
    return removed


def _values(letter: Letter) -> Sequence[Any]:
    reason = _text(letter.reason)[:LONGEST_REASON]
    response = letter.response[:LONGEST_RESPONSE]
    payload = letter.payload if letter.payload is None or len(letter.payload) <= LONGEST_PAYLOAD else None
    instrument = None if letter.instrument is None else msgspec.json.encode(letter.instrument)
    symbol = None if letter.instrument is None else letter.instrument.symbol
    texts = (reason.encode(), response, payload or b"", instrument or b"", (symbol or "").encode())
    size = OVERHEAD + sum(map(len, texts))
    return (
        *(letter.sink, *letter.position, letter.kind, symbol, instrument, letter.message_id, reason),
        *(letter.attempts, letter.first_ns, letter.last_ns, response, payload, letter.payload_form, size),
    )


def _text(text: str) -> str:
    """As UTF-8 can say it: what others wrote may hold lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def _letter(row: tuple[Any, ...]) -> KeptLetter:
    number, sink, epoch, seq, kind, instrument, message_id, reason, attempts, *rest = row
    first_ns, last_ns, response, payload, payload_form, redrive_requested_ns = rest
    return KeptLetter(
        id=number,
        sink=sink,
        position=Position(epoch, seq),
        kind=kind,
        instrument=None if instrument is None else msgspec.json.decode(instrument, type=Instrument),
        message_id=message_id,
        reason=reason,
        attempts=attempts,
        first_ns=first_ns,
        last_ns=last_ns,
        response=response,
        payload=payload,
        payload_form=payload_form,
        redrive_requested_ns=redrive_requested_ns,
    )

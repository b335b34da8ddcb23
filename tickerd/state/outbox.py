"""The outbox: messages that were composed for a sink and are not delivered yet, in the order of their making.

Functions of a connection, to be run by `Database.run` or inside `tools.writing`. `take_in` moves the sink's cursor in
the same transaction that keeps its messages, and `settle` makes a dead letter in the one that gives a message
up: whenever the process dies, each message is in one place, and what is sent again has the same id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import NamedTuple

from tickerd.plugin import Message, Position
from tickerd.state import cursors, deadletters
from tickerd.state.deadletters import Letter

OVERHEAD = 200
"""What a message takes beside its body, about."""


class Waiting(NamedTuple):
    """One message in the outbox."""

    row: int
    """Grows with each message; the order of a sink's messages."""
    message: Message
    attempts: int
    """Those that failed."""
    first_ns: int
    """When it was put in."""
    tried_ns: int | None
    """When its first attempt failed; None before."""
    due_ns: int
    """When the next attempt is due."""
    aside: bool
    """It was passed by, so that others need not wait for it any more."""


class Later(NamedTuple):
    """An attempt failed, and there will be another."""

    row: int
    attempts: int
    tried_ns: int
    due_ns: int
    aside: bool


class Taken(NamedTuple):
    """What `take_in` did."""

    put: int
    """Messages; fewer than were given when some were there already."""
    overflowed: int
    """Older ones that had to make room, now dead letters."""


class Standing(NamedTuple):
    """How a sink's outbox stands."""

    messages: int = 0
    bytes: int = 0
    failing_since_ns: int | None = None
    """Since when every attempt has failed; None when the last one did not."""
    failures: int = 0
    """Attempts since then."""


@dataclass(frozen=True)
class Settled:
    """What became of attempts."""

    delivered: Sequence[int] = ()
    """Rows."""
    later: Sequence[Later] = ()
    given_up: Sequence[tuple[int, Letter]] = ()
    """Rows, and the letters that they become."""
    failing_since_ns: int | None = None
    failures: int = 0


def take_in(
    connection: Connection,
    sink: str,
    messages: Iterable[Message],
    *,
    cursor: tuple[str, Position, bytes] | None,
    max_bytes: int,
    now_ns: int,
    wait_ns: int = 0,
) -> Taken:
    """Keep messages, and how far the sink has got with composing, in one step.

    Args:
        messages: in order; one whose id is there already is left out.
        cursor: the unit's name, its position, and what it keeps beside it; None with live delivery.
        max_bytes: beyond it the oldest messages of the sink become dead letters.
        wait_ns: until their first attempt.
    """
    before = connection.total_changes
    rows = [
        (sink, one.id, *one.position, one.kind, one.body, OVERHEAD + len(one.body), now_ns, now_ns + wait_ns)
        for one in messages
    ]
    connection.executemany(_PUT, rows)
    put = (connection.total_changes - before) // 2  # each also adds to the totals, in a trigger
    if cursor is not None:
        cursors.put(connection, cursor[0], cursor[1], kept=cursor[2], now_ns=now_ns)
    return Taken(put, _make_room(connection, sink, max_bytes, now_ns) if rows else 0)


def in_order(
    connection: Connection, sink: str, *, after: int, limit: int, max_bytes: int
) -> Sequence[Waiting]:
    """Messages that were not passed by, in their order, those after a row; at least one if there is any."""
    rows = connection.execute(
        f"{_SELECT} WHERE sink = ? AND aside = 0 AND id > ? ORDER BY id LIMIT ?", (sink, after, limit)
    )
    return _page(rows, max_bytes)


def due(
    connection: Connection, sink: str, *, until_ns: int, limit: int, max_bytes: int, only_aside: bool = False
) -> Sequence[Waiting]:
    """Messages whose next attempt is due by then, the longest due first; at least one if there is any."""
    rows = connection.execute(
        f"{_SELECT} WHERE sink = ? AND due_ns <= ? AND aside >= ? ORDER BY due_ns, id LIMIT ?",
        (sink, until_ns, int(only_aside), limit),
    )
    return _page(rows, max_bytes)


def next_due(connection: Connection, sink: str, *, after_ns: int, only_aside: bool = False) -> int | None:
    """When the first attempt later than that is due."""
    query = "SELECT min(due_ns) FROM outbox WHERE sink = ? AND due_ns > ? AND aside >= ?"
    (found,) = connection.execute(query, (sink, after_ns, int(only_aside))).fetchone()
    return None if found is None else int(found)


def settle(connection: Connection, sink: str, done: Settled) -> None:
    """Write down what became of attempts."""
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(row,) for row in done.delivered])
    connection.executemany(
        "UPDATE outbox SET attempts = ?, tried_ns = ?, due_ns = ?, aside = ? WHERE id = ?",
        [(one.attempts, one.tried_ns, one.due_ns, one.aside, one.row) for one in done.later],
    )
    if done.given_up:
        deadletters.add(connection, [letter for _, letter in done.given_up])
        connection.executemany("DELETE FROM outbox WHERE id = ?", [(row,) for row, _ in done.given_up])
    connection.execute(
        "INSERT INTO outbox_sinks (sink, failing_since_ns, failures) VALUES (?, ?, ?) "
        "ON CONFLICT (sink) DO UPDATE SET failing_since_ns = excluded.failing_since_ns, failures = excluded.failures",
        (sink, done.failing_since_ns, done.failures),
    )


def standing(connection: Connection, sink: str) -> Standing:
    """How the sink's outbox stands."""
    query = "SELECT messages, bytes, failing_since_ns, failures FROM outbox_sinks WHERE sink = ?"
    row = connection.execute(query, (sink,)).fetchone()
    return Standing() if row is None else Standing(*row)


def spread(connection: Connection, sink: str, now_ns: int, window_ns: int) -> int:
    """After a restart: give what has failed before and is due by now a new time within a window, at random.

    The times come from SQLite. Returns how many there were.
    """
    query = (
        "UPDATE outbox SET due_ns = ? + (abs(random()) % 1000) * ? / 1000 "
        "WHERE sink = ? AND attempts > 0 AND due_ns <= ?"
    )
    return connection.execute(query, (now_ns, window_ns, sink, now_ns)).rowcount


def take_back(connection: Connection, sink: str, *, limit: int, now_ns: int) -> int:
    """Put dead letters that somebody wants offered again into the outbox, under their old ids; how many.

    One whose body was not kept stays a letter and says so.
    """
    letters = deadletters.take_redrives(connection, sink, limit)
    for letter in letters:
        if letter.payload is None or letter.message_id is None:
            reason = f"{letter.reason}; it cannot be sent again: its copy was not kept"
            deadletters.finish(connection, letter.id, ok=False, reason=reason, now_ns=now_ns)
            continue
        size = OVERHEAD + len(letter.payload)
        facts = (sink, letter.message_id, *letter.position, letter.kind, letter.payload, size, now_ns, now_ns)
        connection.execute(_PUT, facts)
        deadletters.finish(connection, letter.id, ok=True, now_ns=now_ns)
    return len(letters)


def forget(connection: Connection, sink: str) -> int:
    """Throw away what waits for a sink that is gone for good; how many messages."""
    gone = connection.execute("DELETE FROM outbox WHERE sink = ?", (sink,)).rowcount
    connection.execute("DELETE FROM outbox_sinks WHERE sink = ?", (sink,))
    return gone


_Row = tuple[int, str, int, int, str, bytes, int, int, int | None, int, int]
_PUT = (
    "INSERT INTO outbox (sink, message_id, epoch, seq, kind, body, size, attempts, first_ns, due_ns, aside) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0) ON CONFLICT (sink, message_id) DO NOTHING"
)
_SELECT = (
    "SELECT id, message_id, epoch, seq, kind, body, attempts, first_ns, tried_ns, due_ns, aside FROM outbox"
)


def _page(rows: Iterable[_Row], max_bytes: int) -> list[Waiting]:
    found: list[Waiting] = []
    for row in rows:
        one = _waiting(row)
        max_bytes -= len(one.message.body)
        if found and max_bytes < 0:
            break
        found.append(one)
    return found


def _waiting(row: _Row) -> Waiting:
    number, message_id, epoch, seq, kind, body, attempts, first_ns, tried_ns, due_ns, aside = row
    message = Message(message_id, Position(epoch, seq), kind, body)
    return Waiting(number, message, attempts, first_ns, tried_ns, due_ns, bool(aside))


def letter_of(
    sink: str, one: Waiting, reason: str, now_ns: int, *, attempts: int, response: bytes = b""
) -> Letter:
    """A message that was given up, as a dead letter."""
    return Letter(
        sink=sink,
        position=one.message.position,
        kind=one.message.kind,
        message_id=one.message.id,
        reason=reason,
        attempts=attempts,
        first_ns=one.first_ns,
        last_ns=now_ns,
        response=response,
        payload=one.message.body,
    )


def _make_room(connection: Connection, sink: str, max_bytes: int, now_ns: int) -> int:
    size = standing(connection, sink).bytes
    found: list[Waiting] = []
    oldest = connection.execute(f"{_SELECT} WHERE sink = ? ORDER BY id", (sink,))
    while size > max_bytes:
        one = _waiting(oldest.fetchone())
        size -= OVERHEAD + len(one.message.body)
        found.append(one)
    if found:
        reason = "the outbox is full, and older messages make room"
        deadletters.add(
            connection, [letter_of(sink, one, reason, now_ns, attempts=one.attempts) for one in found]
        )
        connection.execute("DELETE FROM outbox WHERE sink = ? AND id <= ?", (sink, found[-1].row))
    return len(found)

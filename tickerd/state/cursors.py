"""Where each durable unit stands: the last position that its target has acknowledged.

Functions of a connection, to be run by `Database.run` or inside `tools.writing`.
"""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import NamedTuple

from tickerd.plugin import Position


class Cursor(NamedTuple):
    """One unit's."""

    unit: str
    position: Position
    kept: bytes
    """What the unit keeps together with the position, in a form of its own; the file sink: lengths of files."""
    updated_ns: int


_ALL = "SELECT unit, epoch, seq, kept, updated_ns FROM cursors"


def put(connection: Connection, unit: str, position: Position, *, kept: bytes = b"", now_ns: int) -> None:
    """Set the position, forward or back, and what is kept beside it, in one step."""
    connection.execute(
        "INSERT INTO cursors (unit, epoch, seq, kept, updated_ns) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (unit) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, kept = excluded.kept, "
        "updated_ns = excluded.updated_ns",
        (unit, *position, kept, now_ns),
    )


def get(connection: Connection, unit: str) -> Cursor | None:
    """The unit's cursor, or None when it never had one."""
    row = connection.execute(f"{_ALL} WHERE unit = ?", (unit,)).fetchone()
    return None if row is None else _cursor(row)


def every(connection: Connection) -> Sequence[Cursor]:
    """All of them, by the unit's name."""
    return [_cursor(row) for row in connection.execute(f"{_ALL} ORDER BY unit")]


def lowest(connection: Connection) -> Cursor | None:
    """The one furthest behind: nothing after its position may be deleted from the journal."""
    row = connection.execute(f"{_ALL} ORDER BY epoch, seq LIMIT 1").fetchone()
    return None if row is None else _cursor(row)


def remove(connection: Connection, unit: str) -> bool:
    """Forget the unit's; whether there was one. A unit that is gone for good would hold the journal for ever."""
    return connection.execute("DELETE FROM cursors WHERE unit = ?", (unit,)).rowcount > 0


def _cursor(row: tuple[str, int, int, bytes, int]) -> Cursor:
    unit, epoch, seq, kept, updated_ns = row
    return Cursor(unit, Position(epoch, seq), kept, updated_ns)

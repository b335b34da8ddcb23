"""The audit trail: who changed what, when and from where. Only added to; the oldest make room.

Functions of a connection, to be run by `Database.run_synced` or inside `tools.writing`, in the transaction of
the change itself where it is one of this file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

import msgspec

MOST = 100_000
"""Entries that are kept."""
LONGEST = 2**18
"""Bytes of ``before`` and of ``after`` as JSON; longer ones are told by their length alone."""
PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Change:
    """What was changed. Secrets have been taken out of it by the caller."""

    when_ns: int
    who: str
    """``key tkd_…`` or ``uid 1000``."""
    what: str
    """A dotted verb, for example ``dlq.drop``."""
    origin: str
    """An address, a socket, or ``cli``."""
    before: Any = None
    """Anything that JSON can say, like ``after``."""
    after: Any = None


@dataclass(frozen=True, kw_only=True)
class Entry(Change):
    """A change as it stands in the trail; ids grow with time."""

    id: int


def append(connection: Connection, change: Change) -> int:
    """Add one; its id."""
    added = connection.execute(
        "INSERT INTO audit (when_ns, who, what, origin, before, after) VALUES (?, ?, ?, ?, ?, ?)",
        (change.when_ns, change.who, change.what, change.origin, _json(change.before), _json(change.after)),
    ).lastrowid
    assert added is not None
    connection.execute("DELETE FROM audit WHERE id <= ?", (added - MOST,))
    return added


def page(connection: Connection, *, before: int | None = None, limit: int = 100) -> Sequence[Entry]:
    """The newest entries first, at most `PAGE`; ``before`` the id of the last one that was shown."""
    found = connection.execute(
        "SELECT id, when_ns, who, what, origin, before, after FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
        (2**63 - 1 if before is None else before, max(0, min(limit, PAGE))),
    )
    return [
        Entry(
            id=number,
            when_ns=when_ns,
            who=who,
            what=what,
            origin=origin,
            before=msgspec.json.decode(old),
            after=msgspec.json.decode(new),
        )
        for number, when_ns, who, what, origin, old, new in found
    ]


def _json(value: Any) -> str:
    text = msgspec.json.encode(value)
    if len(text) > LONGEST:
        text = msgspec.json.encode({"left_out_bytes": len(text)})
    return text.decode()

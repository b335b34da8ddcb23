"""Small values that were set at run time and shall be there after a restart: JSON by namespace and key.

Functions of a connection, to be run by `Database.run` or inside `tools.writing`.
"""

from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any

import msgspec

LONGEST = 2**20
"""Bytes of one value as JSON."""


def put(connection: Connection, namespace: str, key: str, value: Any, *, now_ns: int) -> None:
    """Set one value; anything that JSON can say, None included.

    Raises:
        ValueError: it is longer than `LONGEST`.
    """
    text = msgspec.json.encode(value)
    if len(text) > LONGEST:
        raise ValueError(f"the value of {key!r} in {namespace!r} has {len(text)} bytes, more than {LONGEST}")
    connection.execute(
        "INSERT INTO runtime (namespace, key, value, updated_ns) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, updated_ns = excluded.updated_ns",
        (namespace, key, text.decode(), now_ns),
    )


def get(connection: Connection, namespace: str, key: str, default: Any = None) -> Any:
    """The value, or the default when there is none."""
    query = "SELECT value FROM runtime WHERE namespace = ? AND key = ?"
    row = connection.execute(query, (namespace, key)).fetchone()
    return default if row is None else msgspec.json.decode(row[0])


def every(connection: Connection, namespace: str) -> Mapping[str, Any]:
    """All values of a namespace, by key."""
    query = "SELECT key, value FROM runtime WHERE namespace = ? ORDER BY key"
    return {key: msgspec.json.decode(value) for key, value in connection.execute(query, (namespace,))}


def remove(connection: Connection, namespace: str, key: str) -> bool:
    """Forget one value; whether there was one."""
    query = "DELETE FROM runtime WHERE namespace = ? AND key = ?"
    return connection.execute(query, (namespace, key)).rowcount > 0

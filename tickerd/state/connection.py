"""One SQLite connection as we want it, and transactions on it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Literal

FILE = "tickerd.db"
APPLICATION_ID = int.from_bytes(b"tckd")
"""In the header of the file, where ``file(1)`` and we look whose it is."""
BUSY_S = 5.0
"""How long a transaction waits for one of another process: the daemon's and the tools' take milliseconds."""
_LARGEST_WAL = 2**24

# "sync" outlives a power cut, "fast" a crash of the process; neither is ever seen in half
Begin = Literal["read", "fast", "sync"]


def connect(path: Path, mode: Literal["ro", "rw", "rwc"], *, immutable: bool = False) -> Connection:
    """Open the file; it must exist, but for ``rwc``. Transactions are ours to begin: see `transaction`.

    Raises:
        sqlite3.Error: it cannot be opened, or what it begins with is no database.
    """
    uri = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_WAL}")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: Connection, how: Begin) -> Iterator[None]:
    """All or nothing. A ``read`` sees one moment whatever others write meanwhile, and may not write itself."""
    for pragma in _BEFORE[how]:
        connection.execute(pragma)
    try:
        # IMMEDIATE takes the write lock now: turning a read into a write later may fail at once, unretried
        connection.execute("BEGIN" if how == "read" else "BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    finally:
        for pragma in _AFTER[how]:
            connection.execute(pragma)


_BEFORE = {"read": ("PRAGMA query_only = ON",), "fast": (), "sync": ("PRAGMA synchronous = FULL",)}
_AFTER = {"read": ("PRAGMA query_only = OFF",), "fast": (), "sync": ("PRAGMA synchronous = NORMAL",)}

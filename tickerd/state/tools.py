"""The state file for command-line tools: beside a running daemon, or without one. They make and change no schema."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection

from tickerd.state import schema
from tickerd.state.connection import APPLICATION_ID, FILE, connect, transaction
from tickerd.state.errors import StateError, told


@contextmanager
def reading(directory: Path) -> Iterator[Connection]:
    """A connection that sees the file as it is at one moment and cannot write.

    Raises:
        StateError: there is none, or it cannot be read.
    """
    path = _present(directory)
    with told(path), closing(_reader(path)) as connection:
        _same_version(connection, path)
        with transaction(connection, "read"):
            yield connection


@contextmanager
def writing(directory: Path) -> Iterator[Connection]:
    """A connection in a transaction that outlives a power cut; it waits up to 5 s for the daemon's.

    Raises:
        StateError: there is none, it cannot be written, or it stayed locked.
    """
    path = _present(directory)
    with told(path), closing(connect(path, "rw")) as connection:
        _same_version(connection, path)
        with transaction(connection, "sync"):
            yield connection


def _present(directory: Path) -> Path:
    path = directory / FILE
    if not path.exists():
        raise StateError(path, "missing", "there is no such state file; has tickerd run with this directory?")
    return path


def _reader(path: Path) -> Connection:
    try:
        return connect(path, "ro")
    except sqlite3.OperationalError:
        # A reader needs the files beside, or the right to make them. Without a log nobody writes: read it as it is.
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        return connect(path, "ro", immutable=True)


def _same_version(connection: Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StateError(path, "damaged", "is not a state file of tickerd")
    number, known = schema.version(connection), schema.newest()
    if number > known:
        text = f"was written by a newer tickerd (version {number}, this one knows {known}); use that one"
        raise StateError(path, "newer", text)
    if number < known:
        text = f"is of version {number}, this tickerd needs {known}; start the daemon once, which updates it"
        raise StateError(path, "older", text)

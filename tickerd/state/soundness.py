"""Is this file ours and whole? And what becomes of one that is not: moved aside, never deleted."""

from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection

from tickerd.state import schema
from tickerd.state.connection import APPLICATION_ID
from tickerd.state.errors import StateError

_MOST_AHEAD = 1000
"""Versions; a number further ahead than this is damage, not the future."""
_FOUND = 3
_BESIDE = ("", "-wal", "-shm")


def examine(connection: Connection, path: Path) -> None:
    """Raise unless the file is ours, whole, and not newer than we are. Reads all of it.

    Raises:
        StateError: ``damaged`` or ``newer``.
        sqlite3.Error: it cannot even be read as a database.
    """
    # An empty file has none either: ours comes into being whole, by a rename
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StateError(path, "damaged", "is not a state file of tickerd")
    number, known = schema.version(connection), schema.newest()
    if not 0 < number <= known + _MOST_AHEAD:
        raise StateError(path, "damaged", f"claims to be of version {number}")
    if number > known:
        raise StateError(
            path,
            "newer",
            f"was written by a newer tickerd (version {number}, this one knows {known}); "
            "install that one again, or move the file away and lose what it holds",
        )
    found = [text for (text,) in connection.execute(f"PRAGMA quick_check({_FOUND:d})")]
    if found != ["ok"]:
        words = " ".join(" ".join(found).split())
        raise StateError(path, "damaged", f"is damaged: {words[:500]}")


def move_aside(path: Path) -> Path:
    """Rename the file and what belongs to it after the time of its last change; where it is now.

    ``-wal`` goes with it under the name that SQLite looks for, so that ``sqlite3 FILE .recover`` finds it all.
    """
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%SZ")
    target, number = path.with_name(f"{path.name}.corrupt-{stamp}"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}.{number}")
    for suffix in _BESIDE:
        if (beside := path.with_name(path.name + suffix)).exists():
            beside.rename(target.with_name(target.name + suffix))
    return target

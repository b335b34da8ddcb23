"""What can be wrong with the state file, told so that somebody can mend it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Problem = Literal[
    "busy", "damaged", "full", "missing", "newer", "older", "read_only", "replaced", "unreachable"
]
"""``replaced``: another file was put in its place while it was in use. ``missing`` and ``older`` are met by tools
only: the daemon makes the file and brings it up to date."""


class StateError(OSError):
    """The state file cannot be used, or not now.

    An ``OSError``, since most of it passes once a person has freed or remounted the disk.
    """

    def __init__(self, path: Path, problem: Problem, text: str) -> None:
        super().__init__(f"{path}: {text}")
        self.path = path
        self.problem: Problem = problem


_TEXTS: dict[int, tuple[Problem, str]] = {
    sqlite3.SQLITE_CORRUPT: ("damaged", "is damaged"),
    sqlite3.SQLITE_NOTADB: ("damaged", "is not a database"),
    sqlite3.SQLITE_FULL: ("full", "the disk is full; free some space"),
    sqlite3.SQLITE_READONLY: ("read_only", "cannot be written; is it another user's, or mounted read-only?"),
    sqlite3.SQLITE_BUSY: ("busy", "another process holds it locked; end that process"),
    sqlite3.SQLITE_PROTOCOL: ("busy", "another process holds it locked; end that process"),
    sqlite3.SQLITE_CANTOPEN: ("unreachable", "cannot be opened; may this user read and write its directory?"),
    sqlite3.SQLITE_PERM: ("unreachable", "may not be opened by this user; look at its owner and mode"),
    sqlite3.SQLITE_AUTH: ("unreachable", "may not be opened by this user; look at its owner and mode"),
}

_UNREADABLE = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)
"""The disk cannot give back what was written: for us the same as damage."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise what SQLite finds wrong with the file as a `StateError`, and what is wrong with a statement as it is."""
    try:
        yield
    except sqlite3.Error as error:
        if problem := classify(error, path):
            raise problem from error
        raise


def classify(error: sqlite3.Error, path: Path) -> StateError | None:
    """The error as one of the file's, or None when it is the caller's own (a wrong statement, a constraint)."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # the module's own errors have none
    if code in _UNREADABLE:
        return StateError(path, "damaged", f"cannot be read ({error.sqlite_errorname})")
    if code & 0xFF == sqlite3.SQLITE_IOERR:
        text = f"input/output error ({error.sqlite_errorname}); look at the kernel's log"
        return StateError(path, "unreachable", text)
    if code & 0xFF in _TEXTS:
        return StateError(path, *_TEXTS[code & 0xFF])
    return None

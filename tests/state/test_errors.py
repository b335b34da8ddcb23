"""Errors of the file are told from errors of the statement."""

import sqlite3
from pathlib import Path

import pytest

from tickerd.plugin.errors import may_pass
from tickerd.state.errors import classify, told

FILE = Path("/var/lib/tickerd/tickerd.db")


def error(code, kind=sqlite3.OperationalError):
    made = kind("words of sqlite")
    made.sqlite_errorcode, made.sqlite_errorname = code, "NAME"
    return made


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "damaged"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_IOERR_READ, "damaged"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, "damaged"),
        (sqlite3.SQLITE_IOERR_WRITE, "unreachable"),
        (sqlite3.SQLITE_IOERR_FSYNC, "unreachable"),
        (sqlite3.SQLITE_FULL, "full"),
        (sqlite3.SQLITE_READONLY, "read_only"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "read_only"),
        (sqlite3.SQLITE_BUSY, "busy"),
        (sqlite3.SQLITE_CANTOPEN, "unreachable"),
        (sqlite3.SQLITE_PERM, "unreachable"),
    ],
)
def test_what_is_wrong_with_the_file(code, problem):
    found = classify(error(code), FILE)
    assert found.problem == problem
    assert str(found).startswith("/var/lib/tickerd/tickerd.db: ")
    assert may_pass(found)


@pytest.mark.parametrize(
    "made",
    [
        error(sqlite3.SQLITE_ERROR),
        error(sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.IntegrityError),
        sqlite3.ProgrammingError("Cannot operate on a closed database."),
    ],
)
def test_what_is_wrong_with_the_statement_stays_as_it_is(made):
    assert classify(made, FILE) is None
    with pytest.raises(type(made)) as caught, told(FILE):
        raise made
    assert caught.value is made


def test_a_full_disk_names_the_file_and_what_to_do():
    with (
        pytest.raises(OSError, match=r"^/var/lib/tickerd/tickerd\.db: the disk is full; free some space$"),
        told(FILE),
    ):
        raise error(sqlite3.SQLITE_FULL)

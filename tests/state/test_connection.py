"""Connections and transactions."""

import sqlite3
from contextlib import closing

import pytest

from tickerd.state.connection import connect, transaction


@pytest.fixture
def open_file(tmp_path):
    with closing(connect(tmp_path / "a b?#%.db", "rwc")) as connection:
        connection.execute("CREATE TABLE t (x)")
        yield connection


def rows(connection):
    return [x for (x,) in connection.execute("SELECT x FROM t")]


def pragma(connection, name):
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_the_name_of_the_file_may_hold_what_a_uri_cannot(open_file, tmp_path):
    assert [path.name for path in tmp_path.iterdir()] == ["a b?#%.db"]


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        connect(tmp_path / "none.db", "rw")


@pytest.mark.parametrize("how", ["fast", "sync"])
def test_a_transaction_is_all_or_nothing(open_file, how):
    with transaction(open_file, how):
        open_file.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.OperationalError, match="no such table"), transaction(open_file, how):
        open_file.executemany("INSERT INTO t VALUES (?)", [(2,), (3,)]).execute("INSERT INTO none VALUES (4)")
    assert rows(open_file) == [1]
    assert not open_file.in_transaction


def test_only_a_synced_one_syncs_at_its_commit(open_file):
    seen = {}
    for how in ("sync", "fast", "read"):
        with transaction(open_file, how):
            seen[how] = pragma(open_file, "synchronous")
    assert seen == {"sync": 2, "fast": 1, "read": 1}
    assert pragma(open_file, "synchronous") == 1


def test_a_read_cannot_write_and_the_next_write_can(open_file):
    with (
        pytest.raises(sqlite3.OperationalError, match="readonly"),
        transaction(open_file, "read"),
    ):
        open_file.execute("INSERT INTO t VALUES (1)")
    with transaction(open_file, "fast"):
        open_file.execute("INSERT INTO t VALUES (2)")
    assert rows(open_file) == [2]


def test_foreign_keys_are_enforced(open_file):
    assert pragma(open_file, "foreign_keys") == 1

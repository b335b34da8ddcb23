"""Migrations: from every older version to the newest, with everything kept."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tickerd.state import schema

ROWS = Path(__file__).parent / "rows"
"""For each version, statements that fill the tables that it brought, as a daemon of that version would have."""
VERSIONS = range(schema.newest() + 1)


def at_version(number: int) -> sqlite3.Connection:
    """A database as it was in the days of that version, with rows in all its tables."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for step in range(1, number + 1):
        schema.migrate(connection, upto=step)
        connection.executescript((ROWS / f"{step:04}.sql").read_text())
    return connection


def test_every_version_has_rows_to_try_it_with_and_they_reach_every_table():
    assert [path.stem for path in sorted(ROWS.iterdir())] == [f"{n:04}" for n in VERSIONS[1:]]
    with closing(at_version(schema.newest())) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert [
            name for (name,) in tables if not connection.execute(f"SELECT * FROM {name}").fetchone()
        ] == []


@pytest.mark.parametrize("old", VERSIONS)
def test_from_every_older_version_with_its_data_kept(old, dump):
    with closing(at_version(old)) as connection, closing(at_version(0)) as fresh:
        before = dump(connection)
        assert schema.migrate(connection) == schema.newest() - old
        assert schema.version(connection) == schema.newest()
        schema.migrate(fresh)
        assert dump(connection)[""] == dump(fresh)[""], "the schema differs from that of a new file"
        assert {table: rows for table, rows in dump(connection).items() if table in before and table} == {
            table: rows for table, rows in before.items() if table
        }
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_migrating_twice_does_nothing(connection):
    assert schema.migrate(connection) == 0


def test_a_step_that_fails_leaves_nothing_of_itself(monkeypatch):
    bad = schema.Migration(2, "bad", "CREATE TABLE half (x);\nCREATE TABLE cursors (y);\n")
    monkeypatch.setattr(schema, "migrations", lambda: (*steps, bad))
    steps = (schema.Migration(1, "good", "CREATE TABLE cursors (x);\n"),)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.migrate(connection)
        assert schema.version(connection) == 1
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("cursors",)]
        assert not connection.in_transaction


def test_the_numbers_begin_at_one_and_have_no_hole():
    names = [f"{step.number:04}_{step.name}" for step in schema.migrations()]
    folder = Path(schema.__file__).parent / "migrations"
    assert names == sorted(path.stem for path in folder.glob("*.sql"))
    assert len(names) == schema.newest() >= 4


def test_statements_are_told_apart_even_inside_triggers():
    sql = "-- one; two\nCREATE TABLE a (b);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  SELECT 1;\nEND;\n-- end\n"
    first, second = schema.statements(sql)
    assert first.startswith("-- one; two\nCREATE TABLE")
    assert second.endswith("SELECT 1;\nEND;\n")


def test_a_statement_without_an_end_is_an_error():
    with pytest.raises(ValueError, match="without an end: 'CREATE TABLE a"):
        list(schema.statements("CREATE TABLE a (b)"))

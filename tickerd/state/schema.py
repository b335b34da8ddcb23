"""The schema as numbered steps forward; ``PRAGMA user_version`` says how many of them a file has behind it."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from sqlite3 import Connection
from typing import NamedTuple

from tickerd.state.connection import transaction


class Migration(NamedTuple):
    """One step; once released it never changes, since files have it behind them."""

    number: int
    name: str
    sql: str


@cache
def migrations() -> Sequence[Migration]:
    """All steps, in order, numbered from 1 without a hole."""
    folder = resources.files("tickerd.state") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda one: one.name
    )
    steps = tuple(
        Migration(int(file.name[:4]), file.name[5:-4], file.read_text(encoding="utf-8")) for file in files
    )
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    return steps


def newest() -> int:
    """The version that this tickerd works with."""
    return len(migrations())


def version(connection: Connection) -> int:
    """How many steps the file has behind it."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def migrate(connection: Connection, upto: int | None = None) -> int:
    """Take the steps that are missing, each in a transaction of its own; how many there were.

    What was interrupted goes on with the same step next time: a step is behind a file in whole or not at all.
    """
    missing = migrations()[version(connection) : upto]
    for step in missing:
        with transaction(connection, "sync"):
            for statement in statements(step.sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step.number:d}")
    return len(missing)


def statements(sql: str) -> Iterator[str]:
    """One by one: sqlite3's own ``executescript`` would end the transaction first."""
    text = ""
    for line in sql.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
    if any(line and not line.startswith("--") for line in map(str.strip, text.splitlines())):
        raise ValueError(f"a statement without an end: {text.strip()[:60]!r}")

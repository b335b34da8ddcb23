"""State files to try things with."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from tickerd.plugin import Instrument, Position
from tickerd.state import Database, schema
from tickerd.state.connection import FILE, connect
from tickerd.state.deadletters import Letter
from tickerd.state.store import Store

HOSTILE = (
    "'; DROP TABLE cursors; --",
    'x" OR "1"="1',
    "') ; ATTACH 'evil.db' AS evil; --",
    "a\x00b",
    "%_[*?",
    "?1 :name @x $y",
    "ₓ😀\u202eɐ\n\r\x1b[2J",
    "NULL",
    "",
    "1e309",
    "x" * 2**20,
)


@pytest.fixture(params=HOSTILE, ids=lambda text: ascii(text[:24]))
def hostile(request: pytest.FixtureRequest) -> str:
    """Texts that do harm where they are not bound."""
    return str(request.param)


@pytest.fixture
def connection() -> Iterator[Connection]:
    """To an empty database of the newest version, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.migrate(connection)
        yield connection


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(tmp_path) as db:
        yield db


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A state file that was made and closed."""
    store = Store(tmp_path / FILE)
    store.open()
    store.close()
    return tmp_path / FILE


@pytest.fixture
def dump() -> Callable[[Connection], dict[str, list[Any]]]:
    """Everything in a database: rows by table, and the schema."""

    def dump(connection: Connection) -> dict[str, list[Any]]:
        schema = connection.execute("SELECT name, type, sql FROM sqlite_master ORDER BY name").fetchall()
        tables = [name for name, kind, _ in schema if kind == "table"]
        rows = {name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall() for name in tables}
        return {"": schema, **rows}

    return dump


@pytest.fixture
def tables(dump: Callable[[Connection], dict[str, list[Any]]]) -> Callable[[Path], dict[str, list[Any]]]:
    """`dump` of a file that nobody writes."""

    def tables(path: Path) -> dict[str, list[Any]]:
        with closing(connect(path, "ro")) as connection:
            return dump(connection)

    return tables


@pytest.fixture
def letter() -> Callable[..., Letter]:
    """A letter; what is given takes the place of what it would say."""

    def letter(seq: int = 1, **fields: Any) -> Letter:
        plain = {
            "sink": "archive",
            "position": Position(1, seq),
            "instrument": Instrument("kite", 408065, "NSE", "INFY"),
            "reason": "refused",
            "first_ns": 10,
            "last_ns": 20,
            "payload": b'{"seq":1}',
        }
        return Letter(**plain | fields)

    return letter

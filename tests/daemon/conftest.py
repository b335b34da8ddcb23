"""A house with a state file, and what somebody may see."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio.testing

from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.plugin import Clock, Instrument, Principal
from tickerd.runtime.house import House
from tickerd.runtime.listeners import Listeners
from tickerd.state import Database, StateDirectory, audit


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """Waits for the threads of the state file before it jumps."""
    return trio.testing.MockClock(autojump_threshold=0.05)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """With two instruments and one source that has room for three."""
    with StateDirectory(tmp_path) as state:
        async with Database(tmp_path) as db:
            yield make_house(state, db)


def make_house(state: StateDirectory, db: Database) -> House:
    made = House(Hub(1), InstrumentTable(), Clock(), state, Listeners(), db)
    namespace = made.table.namespace("kite")
    names = [("NSE", "INFY"), ("NSE", "RELIANCE"), ("BSE", "INFY"), ("NFO", "A"), ("NFO", "B")]
    namespace.load([Instrument("kite", number, *name) for number, name in enumerate(names, 1)])
    made.wants.join("kite", namespace, 3)
    return made


@pytest.fixture
def again() -> Callable[[House], House]:
    """The same house after a restart."""
    return lambda house: make_house(house.state, house.db)


@pytest.fixture
def everything() -> Principal:
    return Principal(id="uid 0", scopes=frozenset({"subs:write"}))


@pytest.fixture
def trail(house: House) -> Callable[[], Any]:
    """``await trail()``: the audit trail, the oldest change first."""

    async def read() -> list[Any]:
        return list(reversed(await house.db.read(audit.page)))

    return read

"""The part of a daemon that delivers durably, which can crash and start again."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tickerd.config import JournalSettings, SinkSettings
from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.plugin import Clock
from tickerd.plugin.plain import PLAIN
from tickerd.runtime.house import House
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.supervisor import Supervisor
from tickerd.runtime.units import sink_unit
from tickerd.state import Database, StateDirectory


@pytest.fixture
def sink_runs(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[tuple[Any, House]]]:
    """``async with sink_runs(settings, graceful=…) as (unit, house)``: from one start to one end.

    What was kept is there at the next. The end comes at once, as in a crash, unless it is to be graceful.
    """

    @asynccontextmanager
    async def sink_runs(settings: SinkSettings, *, graceful: bool) -> AsyncIterator[tuple[Any, House]]:
        with StateDirectory(tmp_path) as state:
            async with Database(tmp_path) as db, trio.open_nursery() as parking, trio.open_nursery() as core:
                clock, hub = Clock(), Hub(state.next_epoch())
                recorder = Recorder(JournalSettings(), tmp_path / "journal", hub, clock, db, {"plain": PLAIN})
                await recorder.open()
                await core.start(recorder.run)
                house = House(hub, InstrumentTable(), clock, state, Listeners(), db, recorder)
                unit = sink_unit(settings, house, lambda _: None)
                supervisor = Supervisor(
                    parking, core, clock, start_deadline=5, stop_deadline=1, draw=lambda: 0.0
                )
                await supervisor.start([unit])
                yield unit, house
                if graceful:
                    hub.close()
                    await supervisor.stop([unit], grace=5)
                core.cancel_scope.cancel()
                parking.cancel_scope.cancel()

    return sink_runs

"""Units: a source and its demand, a pushing sink and its subscription, a serving sink; and their contexts."""

from typing import ClassVar

import pytest
import trio
import trio.testing

from tickerd.config import SinkSettings, SourceSettings, SubscribeEntry
from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.plugin import (
    Batch,
    Clock,
    Closed,
    Gap,
    Instrument,
    Options,
    Position,
    Row,
    ServingSink,
    Sink,
    Source,
    Status,
)
from tickerd.runtime.house import House
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.supervisor import Supervisor
from tickerd.runtime.units import ServingUnit, SinkUnit, SourceUnit, sink_unit
from tickerd.state import Database, StateDirectory, cursors


class NoOptions(Options):
    """None."""


class OneTick(Source):
    """Publishes one tick and waits."""

    Options = NoOptions
    namespace = "kite"
    contexts: ClassVar = []

    def __init__(self, options):
        pass

    async def run(self, ctx, *, task_status):
        OneTick.contexts.append(ctx)
        ctx.instruments.load([Instrument("kite", 7, "NSE", "SEVEN"), Instrument("kite", 8, "NSE", "EIGHT")])
        task_status.started()
        ctx.report("playing", "a tick", ticks=1)
        ctx.count("played")
        ctx.publish(Batch.of([Row(7, last_price=1.5), Row(8, last_price=2.5)]))
        ctx.publish(Batch.control(Status(state="connected"), Gap(reason="test")))
        await trio.sleep_forever()


class Collect(Sink):
    """Keeps what it is given."""

    Options = NoOptions
    taken: ClassVar = []

    def __init__(self, options, ctx):
        self.ctx = ctx

    async def write(self, batch):
        Collect.taken += [*batch.ticks, *batch.records]
        return []


class Serve(ServingSink):
    """Reads the stream in its own task."""

    Options = NoOptions
    seen: ClassVar = []

    def __init__(self, options):
        pass

    async def run(self, ctx, *, task_status):
        with ctx.subscribe(lambda: {7}) as (_, subscription):
            task_status.started()
            while True:
                batch = await subscription.receive()
                Serve.seen += [tick.symbol for tick in batch.ticks]


def source(**more):
    entries = (SubscribeEntry(instruments=("NSE:SEVEN",)), SubscribeEntry(instruments=(9,), mode="ltp"))
    return SourceSettings(name="one", use="one", type=OneTick, options=NoOptions(), subscribe=entries, **more)


def sink(kind, **more):
    return SinkSettings(name=kind.__name__.lower(), use="x", type=kind, options=NoOptions(), **more)


@pytest.fixture
def autojump_clock():
    """Waits for the threads of the state file before it jumps."""
    return trio.testing.MockClock(autojump_threshold=0.05)


@pytest.fixture
async def house(tmp_path):
    for kept in (OneTick.contexts, Collect.taken, Serve.seen):
        kept.clear()
    with StateDirectory(tmp_path) as state:
        async with Database(tmp_path) as db:
            yield House(Hub(1), InstrumentTable(), Clock(), state, Listeners(), db)


@pytest.fixture
def run(house):
    """Run these units until nothing moves any more, then stop them."""

    async def go(*units):
        async with trio.open_nursery() as parking, trio.open_nursery() as keepers:
            supervisor = Supervisor(parking, keepers, house.clock, start_deadline=10, stop_deadline=5)
            for kind in ("sink", "source"):  # a serving sink joins when it runs, so it goes first
                await supervisor.start([unit for unit in units if unit.kind == kind])
            with trio.move_on_after(0.5):
                await trio.sleep_forever()
            house.hub.close()
            await supervisor.stop(units, grace=1)
            keepers.cancel_scope.cancel()

    return go


def nothing(unit):
    pass


async def test_ticks_and_records_go_from_a_source_to_every_sink(house, run, autojump_clock):
    await run(
        sink_unit(sink(Collect), house, nothing),
        sink_unit(sink(Serve), house, nothing),
        SourceUnit(source(), house, nothing),
    )
    assert [getattr(item, "symbol", None) for item in Collect.taken] == ["NSE:SEVEN", "NSE:EIGHT", None, None]
    assert Serve.seen == ["NSE:SEVEN"]


async def test_a_sink_gets_only_the_instruments_and_events_that_it_lists(house, run, autojump_clock):
    settings = sink(Collect, instruments=("NSE:EIGHT",), events=("tick", "gap"))
    await run(sink_unit(settings, house, nothing), SourceUnit(source(), house, nothing))
    assert [type(item).__name__ for item in Collect.taken] == ["Tick", "Gap"]
    assert Collect.taken[0].symbol == "NSE:EIGHT"


async def test_a_sink_may_want_records_only(house, run, autojump_clock):
    await run(
        sink_unit(sink(Collect, events=("status",)), house, nothing), SourceUnit(source(), house, nothing)
    )
    assert [type(item) for item in Collect.taken] == [Status]


async def test_what_the_yaml_wants_is_the_demand_of_the_source(house, run, autojump_clock):
    unit = SourceUnit(source(), house, nothing)
    await run(unit, sink_unit(sink(Collect), house, nothing))
    wanted = {i.token: mode for i, mode in unit.demand.wanted().items()}
    assert wanted == {7: "full", 9: "ltp"}


async def test_what_a_source_reports_and_counts_is_in_its_snapshot(house, run, autojump_clock):
    unit = SourceUnit(source(), house, nothing)
    await run(unit)
    snapshot = unit.snapshot()
    assert (snapshot.reported, snapshot.reported_detail, snapshot.facts) == (
        "playing",
        "a tick",
        {"ticks": 1},
    )
    assert snapshot.counts == {"played": 1}


async def test_a_context_refuses_everything_once_its_unit_has_ended(house, run, autojump_clock):
    await run(SourceUnit(source(), house, nothing))
    (context,) = OneTick.contexts
    for call in (
        lambda: context.publish(Batch.of([Row(1)])),
        lambda: context.count("x"),
        lambda: context.report("x"),
        lambda: context.state_dir,
    ):
        with pytest.raises(Closed, match=r"source\.one has been stopped"):
            call()


async def test_each_unit_has_a_directory_of_its_own(house, run, autojump_clock):
    unit = SourceUnit(source(), house, nothing)
    directories = []

    class Look(OneTick):
        async def run(self, ctx, *, task_status):  # noqa: ASYNC128 - the base class does
            directories.append(ctx.state_dir)
            await super().run(ctx, task_status=task_status)

    unit.settings = unit.settings.model_copy(update={"type": Look})
    await run(unit)
    assert directories[0].parts[-2:] == ("source", "one")
    assert directories[0].is_dir()


def test_the_kind_of_unit_follows_the_shape_of_the_sink():
    assert SinkUnit.kind == ServingUnit.kind == "sink"


async def test_what_a_stopped_sink_still_held_shows_as_lost(house, run, autojump_clock):
    class Busy(Collect):
        async def write(self, batch):
            await trio.sleep(1000)

    unit = sink_unit(sink(Busy), house, nothing)
    await run(unit, SourceUnit(source(), house, nothing))
    assert unit.meter.lost == 4


async def test_live_delivery_forgets_where_an_earlier_durable_one_got_to(house, run, autojump_clock):
    await house.db.run(cursors.put, "sink.collect", Position(1, 5), now_ns=1)
    await run(sink_unit(sink(Collect, delivery="live"), house, nothing))
    assert await house.db.read(cursors.get, "sink.collect") is None

"""Reloads: the new comes up before the old goes, nothing is lost or sent twice, and a refusal changes nothing."""

import gc
import os
from typing import ClassVar

import pytest
import trio
import trio.testing

from tickerd.config import JournalSettings
from tickerd.config.settings import LimitSettings, Settings, SinkSettings, SourceSettings, SubscribeEntry
from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.plugin import (
    Batch,
    Clock,
    Instrument,
    Options,
    Rejected,
    Retry,
    Row,
    ServingSink,
    Sink,
    Source,
    option,
)
from tickerd.plugin.plain import PLAIN
from tickerd.runtime.fleet import Fleet
from tickerd.runtime.house import House
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.plan import plan
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.supervisor import Supervisor
from tickerd.state import Database, StateDirectory

NOT_UP = -2
"""A value of ``live`` that a running plugin does not take, and with which it does not come up."""


class KnobOptions(Options):
    knob: int = option(0, doc="Needs a new unit.")
    live: int = option(0, doc="Does not.", reload="live")
    broken: bool = option(False, doc="Whether it comes up.")


class Knobs(Source):
    """Publishes when the test says so; one that runs is in ``running``."""

    Options = KnobOptions
    namespace = "kite"
    running: ClassVar[list["Knobs"]] = []
    log: ClassVar[list[str]] = []
    fails_at: ClassVar[set[int]] = set()
    hangs_at: ClassVar[set[int]] = set()

    def __init__(self, options):
        self.options = options

    async def run(self, ctx, *, task_status):
        if self.options.broken or self.options.live == NOT_UP:
            raise Rejected("broken")
        ctx.instruments.load([Instrument("kite", 7, "NSE", "SEVEN"), Instrument("kite", 8, "NSE", "EIGHT")])
        self.ctx = ctx
        Knobs.running.append(self)
        Knobs.log.append(f"up {self.options.knob}")
        task_status.started()
        try:
            async for change in ctx.demand.changes():
                Knobs.log.append(f"demand {sorted((one.token, mode) for one, mode in change.items())}")
        finally:
            Knobs.log.append(f"down {self.options.knob}")
            Knobs.running.remove(self)

    async def apply(self, options):
        if options.live < 0:
            return False
        if options.live in Knobs.fails_at:
            raise RuntimeError("no")
        if options.live in Knobs.hangs_at:
            await trio.sleep_forever()
        self.options = options
        Knobs.log.append(f"live {options.live}")
        return True


class Taker(Sink):
    """Keeps what it is given, by instance."""

    Options = KnobOptions
    delivery = "live"
    taken: ClassVar[list[int]] = []
    by: ClassVar[list[int]] = []
    gate: ClassVar[trio.Event | None] = None
    refuse: ClassVar[int] = 0

    def __init__(self, options, ctx):
        self.options = options

    async def __aenter__(self):
        if self.options.broken:
            raise OSError("port taken")
        return self

    async def write(self, batch):
        if Taker.refuse:
            Taker.refuse -= 1
            raise Retry("down")
        if Taker.gate is not None:
            await Taker.gate.wait()
        await trio.lowlevel.checkpoint()
        Taker.taken += [tick.volume_traded for tick in batch.ticks]
        Taker.by += [self.options.knob for _ in batch.ticks]
        return []


class AfterTaker(Taker):
    replace = "after"


class Cancelling(AfterTaker):
    """When it comes up for the second time, whoever had asked for that leaves."""

    scope: ClassVar[trio.CancelScope | None] = None

    async def __aenter__(self):
        await super().__aenter__()
        if Cancelling.scope is not None:
            Cancelling.scope.cancel()
            await trio.sleep(0.05)
        return self


class Door(ServingSink):
    """Listens."""

    class Options(Options):
        listen: str = option(doc="Where.")
        greeting: int = option(0, doc="What it says.")

    def __init__(self, options):
        self.options = options

    async def run(self, ctx, *, task_status):
        listener = await ctx.listen(self.options.listen)
        task_status.started()
        while True:
            stream = await listener.accept()
            await stream.send_all(b"%d" % self.options.greeting)
            await stream.aclose()


@pytest.fixture(autouse=True)
def clean():
    Knobs.running.clear()
    Knobs.log.clear()
    Knobs.fails_at.clear()
    Knobs.hangs_at.clear()
    Taker.taken.clear()
    Taker.by.clear()
    Taker.gate, Taker.refuse = None, 0
    Cancelling.scope = None


def source(name="src", instruments=("NSE:SEVEN",), type=Knobs, **options):  # noqa: A002
    own = {key: options.pop(key) for key in ("knob", "live", "broken") if key in options}
    entries = (SubscribeEntry(instruments=list(instruments)),)
    return SourceSettings(
        name=name, use="x", type=type, options=KnobOptions(**own), subscribe=entries, **options
    )


def sink(name="out", type=Taker, delivery="live", **options):  # noqa: A002
    own = {key: options.pop(key) for key in ("knob", "live", "broken") if key in options}
    made = {"batch": {"max_wait": "0ms", "commit": "20ms"}} | options
    return SinkSettings(name=name, use="x", type=type, options=KnobOptions(**own), delivery=delivery, **made)


def door(address, name="door", **options):
    return SinkSettings(name=name, use="d", type=Door, options=Door.Options(listen=address, **options))


def settings(*units, **rest):
    return Settings.model_construct(
        sources={one.name: one for one in units if isinstance(one, SourceSettings)},
        sinks={one.name: one for one in units if isinstance(one, SinkSettings)},
        **({"limits": LimitSettings(stop_deadline="1s", start_deadline="2s")} | rest),
    )


class Ship:
    """A fleet and the means to change it."""

    def __init__(self, fleet, hub, table):
        self.fleet, self.hub, self.table = fleet, hub, table
        self.published = 0

    async def reload(self, *units):
        new = settings(*units)
        return await self.fleet.apply(new, plan(self.fleet.settings, new))

    def publish(self, count=1):
        for _ in range(count):
            self.published += 1
            self.hub.publish(
                Batch.of([Row(7, volume_traded=self.published)]), "src", self.table.namespace("kite")
            )

    async def delivered(self):
        with trio.fail_after(30):
            while len(Taker.taken) < self.published:
                await trio.sleep(0.005)


@pytest.fixture
async def ship(tmp_path):
    with StateDirectory(tmp_path) as state:
        async with (
            Database(tmp_path) as db,
            trio.open_nursery() as parking,
            trio.open_nursery() as core,
        ):
            hub, clock, table = Hub(state.next_epoch()), Clock(), InstrumentTable()
            recorder = Recorder(
                JournalSettings(min_free="0B"), tmp_path / "journal", hub, clock, db, {"plain": PLAIN}
            )
            await recorder.open()
            await core.start(recorder.run)
            listeners = Listeners()
            house = House(hub, table, clock, state, listeners, db, recorder)
            supervisor = Supervisor(parking, core, clock, start_deadline=2, stop_deadline=1, draw=lambda: 0.0)
            made = Ship(Fleet(house, supervisor, lambda _: None), hub, table)
            made.listeners, made.house = listeners, house
            yield made
            core.cancel_scope.cancel()
            parking.cancel_scope.cancel()
    await listeners.aclose()


async def test_units_that_are_equal_are_kept_and_not_touched(ship):
    await ship.fleet.start(settings(source(), sink()))
    before = {unit.name: unit for unit in ship.fleet.units}
    verdict = await ship.reload(source(), sink())
    assert verdict.applied
    assert verdict.kept == ("sink.out", "source.src")
    assert {unit.name: unit for unit in ship.fleet.units} == before
    assert Knobs.log == ["up 0", "demand [(7, 'full')]"]


async def test_a_sink_that_is_replaced_hands_over_without_loss_or_repeat(ship):
    await ship.fleet.start(settings(source(), sink(knob=1)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_publishing, ship)
        await trio.sleep(0.02)
        verdict = await ship.reload(source(), sink(knob=2))
        assert (verdict.applied, verdict.restarted) == (True, ("sink.out",))
        await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    await ship.delivered()
    assert Taker.taken == list(range(1, ship.published + 1))
    assert Taker.by == sorted(Taker.by)
    assert set(Taker.by) == {1, 2}
    assert Knobs.log == ["up 0", "demand [(7, 'full')]"]


async def keep_publishing(ship):
    while True:
        ship.publish()
        await trio.sleep(0.0005)


@pytest.mark.parametrize("delivery", ["live", "durable"])
@pytest.mark.parametrize("kind", [Taker, AfterTaker])
async def test_what_waits_for_a_sink_goes_to_its_successor(ship, delivery, kind):
    await ship.fleet.start(settings(source(), sink(knob=1, type=kind, delivery=delivery)))
    Taker.gate = trio.Event()
    ship.publish(3)
    await trio.testing.wait_all_tasks_blocked(0.02)
    ship.publish(3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ship.reload, source(), sink(knob=2, type=kind, delivery=delivery))
        await trio.testing.wait_all_tasks_blocked(0.02)
        ship.publish(3)
        Taker.gate.set()
    ship.publish(3)
    await ship.delivered()
    assert Taker.taken == list(range(1, 13))
    assert set(Taker.by) == {1, 2}


async def test_a_sink_whose_target_is_down_hands_over_what_it_could_not_write(ship):
    await ship.fleet.start(settings(source(), sink(knob=1, retry={"initial": "30s", "cap": "60s"})))
    Taker.refuse = 1
    ship.publish(2)
    await trio.testing.wait_all_tasks_blocked(0.02)
    verdict = await ship.reload(source(), sink(knob=2))
    assert verdict.applied
    await ship.delivered()
    assert sorted(Taker.taken) == [1, 2]


async def test_a_sink_that_does_not_come_up_leaves_everything_as_it_was(ship):
    await ship.fleet.start(settings(source(), sink(knob=1)))
    before = ship.fleet.units
    verdict = await ship.reload(source(instruments=["NSE:EIGHT"]), sink(knob=2, broken=True), sink("more"))
    assert not verdict.applied
    assert verdict.errors == ("sink.out does not come up: port taken",)
    assert "everything runs on as before" in verdict.text()
    assert ship.fleet.units == before
    assert [unit.state for unit in before] == ["running", "running"]
    assert Knobs.log == ["up 0", "demand [(7, 'full')]"]
    ship.publish(2)
    await ship.delivered()
    assert Taker.by == [1, 1]
    assert (await ship.reload(source(), sink(knob=1))).kept == ("sink.out", "source.src")


async def test_a_source_that_does_not_come_up_is_replaced_by_what_ran_before(ship):
    await ship.fleet.start(settings(source(knob=1), sink(knob=1)))
    ship.fleet.unit("source.src").demand.want("client", {"NSE:EIGHT": "ltp"})
    verdict = await ship.reload(source(knob=2, broken=True), sink(knob=2), sink("more"))
    assert not verdict.applied
    assert "source.src does not come up: broken" in verdict.text()
    await trio.testing.wait_all_tasks_blocked()
    assert [one.options.knob for one in Knobs.running] == [1]
    assert Knobs.log[-1] == "demand [(7, 'full'), (8, 'ltp')]"
    assert [unit.name for unit in ship.fleet.units] == ["sink.out", "source.src"]
    ship.publish(2)
    await ship.delivered()
    assert Taker.by == [1, 1]


async def test_one_more_symbol_is_one_change_of_demand_on_the_running_source(ship):
    await ship.fleet.start(settings(source(), sink()))
    verdict = await ship.reload(source(instruments=["NSE:SEVEN", "NSE:EIGHT"]), sink())
    assert verdict.changed == ("source.src",)
    await trio.testing.wait_all_tasks_blocked()
    assert Knobs.log == ["up 0", "demand [(7, 'full')]", "demand [(8, 'full')]"]


async def test_options_that_are_live_reach_the_running_plugin(ship):
    await ship.fleet.start(settings(source(), sink()))
    assert (await ship.reload(source(live=5), sink())).changed == ("source.src",)
    assert Knobs.log[-1] == "live 5"
    assert len(Knobs.running) == 1


async def test_a_plugin_that_cannot_change_while_it_runs_is_restarted(ship):
    await ship.fleet.start(settings(source(), sink()))
    verdict = await ship.reload(source(live=-1), sink(live=1))
    assert (verdict.changed, set(verdict.restarted)) == ((), {"source.src", "sink.out"})
    assert "down 0" in Knobs.log


async def test_a_change_is_taken_back_when_another_unit_fails(ship):
    await ship.fleet.start(settings(source("a"), source("b")))
    verdict = await ship.reload(source("a", live=3), source("b", live=-1, broken=True))
    assert not verdict.applied
    assert Knobs.log.count("live 3") <= 1
    assert sorted(one.options.live for one in Knobs.running) == [0, 0]


@pytest.mark.parametrize("how", [Knobs.fails_at, Knobs.hangs_at])
async def test_a_plugin_that_fails_or_hangs_while_it_changes_is_restarted(ship, how):
    await ship.fleet.start(
        settings(source(), limits=LimitSettings(start_deadline="300ms", stop_deadline="1s"))
    )
    how.add(5)
    with trio.fail_after(10):
        verdict = await ship.reload(source(live=5))
    assert (verdict.applied, verdict.changed, verdict.restarted) == (True, (), ("source.src",))
    assert [one.options.live for one in Knobs.running] == [5]


async def test_a_plugin_that_cannot_take_a_change_back_is_restarted_as_it_was(ship):
    await ship.fleet.start(settings(source("a", live=1), source("b")))
    Knobs.fails_at.add(1)
    verdict = await ship.reload(source("a", live=3), source("b", live=NOT_UP))
    assert not verdict.applied
    assert "live 3" in Knobs.log
    assert sorted(one.options.live for one in Knobs.running) == [0, 1]


async def test_a_refused_reload_that_is_cancelled_is_taken_back_to_the_end(ship):
    await ship.fleet.start(settings(sink("a", type=AfterTaker, knob=1), sink("b", type=Cancelling)))
    with trio.CancelScope() as Cancelling.scope:
        await ship.reload(sink("a", type=AfterTaker, knob=2), sink("b", type=Cancelling, broken=True))
    assert Cancelling.scope.cancel_called
    assert [(unit.settings.options.knob, unit.state) for unit in ship.fleet.units] == [
        (1, "running"),
        (0, "running"),
    ]


async def test_units_are_added_and_removed(ship):
    await ship.fleet.start(settings(source(), sink()))
    verdict = await ship.reload(source("other", instruments=["NSE:EIGHT"]), sink("new"))
    assert (verdict.added, verdict.removed) == (("sink.new", "source.other"), ("source.src", "sink.out"))
    assert [unit.name for unit in ship.fleet.units] == ["sink.new", "source.other"]
    assert ship.fleet.unit("sink.out") is None
    ship.publish(1)
    await ship.delivered()


async def test_a_sink_that_is_removed_first_takes_what_waits_for_it(ship):
    await ship.fleet.start(settings(source(), sink()))
    Taker.gate = trio.Event()
    ship.publish(5)
    await trio.testing.wait_all_tasks_blocked(0.02)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ship.reload, source())
        await trio.testing.wait_all_tasks_blocked(0.02)
        Taker.gate.set()
    assert Taker.taken == [1, 2, 3, 4, 5]


async def test_the_order_of_overflow_and_buffer_follows_a_restart(ship):
    await ship.fleet.start(settings(source(), sink(overflow="conflate")))
    Taker.gate = trio.Event()
    ship.publish(3)
    await trio.testing.wait_all_tasks_blocked(0.02)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ship.reload, source(), sink(overflow="drop_oldest", buffer="1MiB"))
        await trio.testing.wait_all_tasks_blocked(0.02)
        Taker.gate.set()
    subscription = ship.fleet.unit("sink.out").subscription
    assert (subscription.overflow, subscription.buffer) == ("drop_oldest", 2**20)
    ship.publish(2)
    with trio.fail_after(30):
        while Taker.taken[-2:] != [4, 5]:
            await trio.sleep(0.005)


async def test_two_reloads_at_once_are_done_one_after_the_other(ship):
    await ship.fleet.start(settings(source(), sink()))
    done = []

    async def reload(knob):
        done.append(await ship.reload(source(), sink(knob=knob)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reload, 1)
        nursery.start_soon(reload, 1)
    assert [verdict.generation for verdict in done] == [2, 3]
    assert all(verdict.applied for verdict in done)


async def test_a_fleet_that_stops_is_not_changed_any_more(ship):
    await ship.fleet.start(settings(source(), sink()))
    await ship.fleet.stop("source")
    verdict = await ship.reload(source(), sink(knob=1))
    assert (verdict.applied, verdict.errors) == (False, ("tickerd is stopping",))


async def test_an_address_that_is_taken_is_a_verdict_and_one_that_is_kept_is_never_rebound(ship, tmp_path):
    mine, taken = f"unix:{tmp_path}/mine", f"unix:{tmp_path}/taken"
    async with trio.open_nursery() as nursery:
        others = Listeners()
        nursery.start_soon(trio.serve_listeners, hang_up, [await others.lend(taken)])
        await ship.fleet.start(settings(source(), door(mine)))
        inode = await inode_of(ship.listeners, mine)
        verdict = await ship.reload(source(), door(taken))
        assert not verdict.applied
        assert "taken: in use by another process" in verdict.text()
        assert await greeting(mine) == b"0"
        verdict = await ship.reload(source(), door(mine, greeting=7))
        assert verdict.restarted == ("sink.door",)
        assert await greeting(mine) == b"7"
        assert await inode_of(ship.listeners, mine) == inode
        await ship.reload(source(), door(f"unix:{tmp_path}/moved"))
        with pytest.raises(ConnectionRefusedError):
            await greeting(mine)
        nursery.cancel_scope.cancel()
    await others.aclose()


async def inode_of(listeners, address):
    loan = await listeners.lend(address)
    found = os.fstat(loan.socket.fileno()).st_ino
    listeners.give_back(loan)
    return found


async def hang_up(stream):
    await stream.aclose()


async def greeting(address):
    with trio.fail_after(30):
        async with await trio.open_unix_socket(address.removeprefix("unix:")) as stream:
            return await stream.receive_some(10)


async def test_a_hundred_reloads_leave_nothing_behind_and_lose_nothing(ship):
    await ship.fleet.start(settings(source(), sink(), sink("durable", delivery="durable")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_publishing, ship)
        for knob in range(100):
            verdict = await ship.reload(
                source(instruments=["NSE:SEVEN", "NSE:EIGHT"][: 1 + knob % 2]),
                sink(knob=knob),
                sink("durable", delivery="durable", knob=-1),
            )
            assert verdict.applied, verdict
        nursery.cancel_scope.cancel()
    with trio.fail_after(30):
        while len(Taker.taken) < 2 * ship.published:
            await trio.sleep(0.01)
    assert sorted(Taker.taken) == sorted([*range(1, ship.published + 1)] * 2)
    gc.collect()
    units = [one for one in gc.get_objects() if type(one).__name__ == "LiveSinkUnit"]
    assert len(units) <= 3
    assert len(ship.hub._subscriptions) == 2
    assert ship.fleet.generation == 101


async def test_a_cancelled_reload_is_taken_back(ship):
    await ship.fleet.start(settings(source(), sink(knob=1)))
    with trio.move_on_after(0.2):
        await ship.reload(source(), sink(knob=2), sink("slow", type=Slow))
    assert [unit.name for unit in ship.fleet.units] == ["sink.out", "source.src"]
    ship.publish(1)
    await ship.delivered()
    assert Taker.by == [1]


async def test_a_reload_that_is_cancelled_while_the_old_ones_go_is_finished(ship):
    await ship.fleet.start(settings(source(), sink(knob=1)))
    Taker.gate = trio.Event()
    ship.publish(1)
    await trio.testing.wait_all_tasks_blocked(0.02)
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(let_go, scope)
            await ship.reload(source(), sink(knob=2))
    assert ship.fleet.settings.sinks["out"].options.knob == 2
    ship.publish(1)
    await ship.delivered()
    assert Taker.by == [1, 2]


async def let_go(scope):
    await trio.testing.wait_all_tasks_blocked(0.05)  # the new one is up, the old one has a batch in hand
    scope.cancel()
    await trio.testing.wait_all_tasks_blocked(0.05)
    Taker.gate.set()


class Slow(Taker):
    """Takes its time to come up."""

    async def __aenter__(self):
        await trio.sleep(1.5)
        return self

"""Steering sinks of a running feed, and the tap."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import trio
import trio.testing

from tickerd.config import SinkSettings
from tickerd.config.problem import Problem as ConfigProblem
from tickerd.control.steering import Refused
from tickerd.daemon.feed import Reload
from tickerd.daemon.steering import DaemonSteering
from tickerd.dataflow.subscription import Filter
from tickerd.plugin import Batch, Options, Retry, Row, ServingSink, Sink
from tickerd.runtime.supervisor import Supervisor
from tickerd.runtime.units import sink_unit
from tickerd.runtime.verdict import refused
from tickerd.state.keys import By

BY = By("uid 0", "unix:/x")


class NoOptions(Options):
    """None."""


class Collect(Sink):
    """Keeps what it is given, unless it is told to fail."""

    Options = NoOptions
    taken: ClassVar[list[int]] = []
    failing: ClassVar[list[str]] = []

    def __init__(self, options: Any, ctx: Any) -> None:
        pass

    async def write(self, batch: Batch) -> list[Any]:
        if self.failing:
            raise Retry(reason=self.failing[0])
        Collect.taken += [tick.volume_traded for tick in batch.ticks]
        return []


class Serve(ServingSink):
    """Serves nobody."""

    Options = NoOptions

    def __init__(self, options: Any) -> None:
        pass

    async def run(self, ctx: Any, *, task_status: Any) -> None:
        task_status.started()
        await trio.sleep_forever()


class Running:
    """Two sinks that run, and how to steer them."""

    def __init__(self, house: Any, supervisor: Supervisor) -> None:
        Collect.taken.clear()
        Collect.failing.clear()
        self.house, self.supervisor = house, supervisor
        self.units = {
            f"sink.{name}": sink_unit(self.settings(name, kind, **more), house, lambda _: None)
            for name, kind, more in (
                ("archive", Collect, {"batch": {"max_wait": "60s"}}),
                ("guarded", Collect, {"retry": {"breaker": {}}}),
                ("stream", Serve, {}),
            )
        }
        from tickerd.daemon.pauses import Pauses

        fleet = SimpleNamespace(unit=self.units.get)
        self.steering: Any = DaemonSteering(SimpleNamespace(house=house, fleet=fleet, pauses=Pauses(house)))

    @staticmethod
    def settings(name: str, kind: Any, **more: Any) -> SinkSettings:
        return SinkSettings(name=name, use="x", type=kind, options=NoOptions(), **more)

    def publish(self, value: int) -> None:
        namespace = self.house.table.namespace("kite")
        self.house.hub.publish(Batch.of([Row(1, volume_traded=value)]), "kite", namespace)


@pytest.fixture
async def running(house: Any) -> AsyncIterator[Running]:
    async with trio.open_nursery() as parking, trio.open_nursery() as core:
        supervisor = Supervisor(parking, core, house.clock, start_deadline=5, stop_deadline=5)
        made = Running(house, supervisor)
        await supervisor.start(list(made.units.values()))
        yield made
        await supervisor.stop(list(made.units.values()))
        core.cancel_scope.cancel()
        parking.cancel_scope.cancel()


async def settled() -> None:
    for _ in range(3):
        await trio.sleep(0.05)
        await trio.testing.wait_all_tasks_blocked()


async def test_a_flush_hands_over_what_waits_and_is_in_the_trail(running: Running, trail: Any) -> None:
    await settled()
    running.publish(1)
    await settled()
    assert running.units["sink.archive"].meter.written == 0  # it gathers for a minute
    await running.steering.flush("archive", BY)
    assert running.units["sink.archive"].meter.written == 1
    assert [(one.what, one.after) for one in await trail()] == [("sinks.flush", {"sink": "archive"})]


async def test_a_paused_sink_gets_nothing_until_it_is_resumed(running: Running) -> None:
    unit = running.units["sink.guarded"]
    await running.steering.pause("guarded", BY)
    assert unit.paused
    running.publish(1)
    await settled()
    assert unit.meter.written == 0
    with pytest.raises(Refused, match="sink 'guarded' is paused: resume it first"):
        await running.steering.flush("guarded", BY)
    await running.steering.resume("guarded", BY)
    await running.steering.flush("guarded", BY)
    assert unit.meter.written == 1


async def test_a_paused_sink_does_not_hold_up_the_end_and_its_loss_is_counted(running: Running) -> None:
    unit = running.units["sink.guarded"]
    await running.steering.pause("guarded", BY)
    running.publish(1)
    with trio.fail_after(2):
        await running.supervisor.stop([unit], grace=60)
    assert (unit.meter.written, unit.meter.lost) == (0, 1)


async def test_what_is_not_taken_in_time_is_told_with_the_reason(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd.daemon.steering.FLUSH_S", 0.2)
    Collect.failing.append("disk full")
    running.publish(1)
    with pytest.raises(Refused, match=r"has not taken everything within 0\.2 s: disk full") as raised:
        await running.steering.flush("guarded", BY)
    assert raised.value.code == "unavailable"
    Collect.failing.clear()


async def test_a_sink_that_does_not_run_is_not_flushed(running: Running) -> None:
    await running.supervisor.stop([running.units["sink.archive"]])
    with pytest.raises(Refused, match="sink 'archive' is stopped"):
        await running.steering.flush("archive", BY)


async def test_a_breaker_is_closed_and_the_trail_says_how_it_stood(running: Running, trail: Any) -> None:
    guard = running.units["sink.guarded"].guard
    for _ in range(5):
        guard.failed("no")
    assert guard.breaker.state == "open"
    await running.steering.reset_breaker("guarded", BY)
    assert guard.breaker.state == "closed"
    (entry,) = await trail()
    assert (entry.what, entry.before["state"], entry.after["state"]) == (
        "sinks.reset_breaker",
        "open",
        "closed",
    )


@pytest.mark.parametrize("verb", ["pause", "flush", "reset_breaker"])
async def test_what_cannot_be_steered_is_told(running: Running, verb: str) -> None:
    with pytest.raises(Refused, match="there is no sink 'nobody'") as raised:
        await getattr(running.steering, verb)("nobody", BY)
    assert raised.value.code == "unknown"
    with pytest.raises(Refused, match="sink 'stream' serves clients") as raised:
        await getattr(running.steering, verb)("stream", BY)
    assert raised.value.code == "conflict"


async def test_a_sink_without_a_breaker_has_none_to_reset(running: Running) -> None:
    with pytest.raises(Refused, match="sink 'archive' has no breaker"):
        await running.steering.reset_breaker("archive", BY)


async def test_a_tap_sees_what_passes_and_leaves_nothing_behind(running: Running) -> None:
    before = len(running.house.hub._subscriptions)
    with running.steering.tap("uid 0", Filter(), 2**20) as subscription:
        running.publish(7)
        batch = await subscription.receive()
    assert [tick.volume_traded for tick in batch.ticks] == [7]
    assert len(running.house.hub._subscriptions) == before


WRONG = ConfigProblem("t.yaml", 3, 5, "sinks.a", "unknown plugin 'fil'", "did you mean 'file'?")


@pytest.mark.parametrize(
    "done",
    [
        Reload(problems=(WRONG,), verdict=refused(1, "t.yaml:3:5: sinks.a: unknown plugin 'fil'")),
        Reload(verdict=refused(1, "sink.a does not start: no room")),
        Reload(problems=(WRONG,) * 50, verdict=refused(1, *(f"t.yaml:{n}: wrong" for n in range(50)))),
    ],
    ids=["a wrong file", "a unit that does not start", "a very wrong file"],
)
async def test_a_reload_that_is_refused_is_in_the_trail(house: Any, trail: Any, done: Reload) -> None:
    async def reload() -> Reload:
        return done

    feed: Any = SimpleNamespace(
        house=house, fleet=SimpleNamespace(generation=1), reload=reload, rehearse=reload
    )
    answer = await DaemonSteering(feed).reload(BY)
    assert (answer.problems, answer.verdict) == (done.problems, done.verdict)
    (line,) = await trail()
    assert (line.what, line.who, line.before) == ("config.reload", BY.who, {"generation": 1})
    assert done.verdict is not None
    assert (line.after["applied"], line.after["errors"]) == (False, list(done.verdict.errors)[:20])
    await DaemonSteering(feed).reload(BY, dry_run=True)
    assert len(await trail()) == 1

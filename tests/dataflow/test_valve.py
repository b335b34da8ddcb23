"""Pausing and flushing what lies between a feed and its reader."""

import gc
from typing import Any

import pytest
import trio
import trio.testing

from tickerd.dataflow.delivery import NoCommit
from tickerd.dataflow.hub import Hub
from tickerd.dataflow.subscription import Subscription
from tickerd.dataflow.valve import Valve, Valved, ValvedGuard, Valves
from tickerd.instruments import InstrumentTable
from tickerd.plugin import Batch, Instrument, Position, Row


class Commit(NoCommit):
    """Counts."""

    def __init__(self) -> None:
        self.done = 0

    async def now(self) -> None:
        self.done += 1
        await trio.lowlevel.checkpoint()


class Made:
    """A hub, a valve and what stands behind it."""

    def __init__(self) -> None:
        self.hub = Hub(1)
        self.namespace = InstrumentTable().namespace("x")
        self.namespace.load([Instrument("x", 1, "NSE", "ONE")])
        _, self.subscription = self.hub.subscribe("s", "drop_oldest", 2**20)
        self.valve, self.commit = Valve(), Commit()
        self.feed = Valved(self.subscription, self.valve, self.commit)
        self.taken: list[int] = []

    def publish(self, *values: int) -> None:
        rows = [Row(1, volume_traded=value) for value in values]
        self.hub.publish(Batch.of(rows), "s", self.namespace)

    async def read(self, max_wait: float = 0) -> None:
        """Like a sink that takes everything."""
        while True:
            try:
                batch = await self.feed.receive(1000, max_wait)
            except trio.EndOfChannel:
                return
            await trio.lowlevel.checkpoint()
            self.taken += [tick.volume_traded for tick in batch.ticks]


@pytest.fixture
def made() -> Made:
    return Made()


async def test_an_open_valve_is_not_noticed(made: Made, autojump_clock: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.read)
        made.publish(1, 2)
        await trio.testing.wait_all_tasks_blocked()
        made.publish(3)
        await trio.testing.wait_all_tasks_blocked()
        assert (made.taken, made.commit.done) == ([1, 2, 3], 0)
        nursery.cancel_scope.cancel()


async def test_nothing_passes_a_closed_one_and_nothing_is_lost(made: Made, autojump_clock: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.read)
        await trio.testing.wait_all_tasks_blocked()
        made.valve.close()
        made.publish(1)
        await trio.testing.wait_all_tasks_blocked()
        assert (made.taken, made.subscription.queued_ticks) == ([], 1)
        made.valve.open()
        made.publish(2)
        await trio.testing.wait_all_tasks_blocked()
        assert made.taken == [1, 2]
        nursery.cancel_scope.cancel()


async def test_it_closes_while_more_is_waited_for(made: Made, autojump_clock: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.read, 60.0)
        made.publish(1)
        await trio.sleep(1)
        made.valve.close()
        await trio.sleep(100)
        assert (made.taken, made.subscription.queued_ticks) == ([], 1)
        nursery.cancel_scope.cancel()


async def test_a_flush_does_not_wait_for_more_and_makes_safe_what_was_written(
    made: Made, autojump_clock: Any
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.read, 60.0)
        for value in range(5):
            made.publish(value)
        await trio.testing.wait_all_tasks_blocked()
        assert made.taken == []
        began = trio.current_time()
        await made.valve.flush()
        assert (made.taken, made.commit.done, trio.current_time()) == ([0, 1, 2, 3, 4], 1, began)
        assert not made.valve.is_flushing
        nursery.cancel_scope.cancel()


async def test_a_flush_of_nothing_returns(made: Made, autojump_clock: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.read)
        with trio.fail_after(1):
            await made.valve.flush()
            async with trio.open_nursery() as several:
                several.start_soon(made.valve.flush)
                several.start_soon(made.valve.flush)
        nursery.cancel_scope.cancel()


async def test_who_gives_up_waiting_for_a_flush_is_forgotten(made: Made, autojump_clock: Any) -> None:
    with trio.move_on_after(1):
        await made.valve.flush()
    assert not made.valve.is_flushing


async def test_a_closed_one_does_not_hold_up_the_end(made: Made, autojump_clock: Any) -> None:
    made.valve.close()
    made.publish(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.read)
        await trio.testing.wait_all_tasks_blocked()
        made.subscription.end()
        made.feed.end()
    assert (made.taken, made.subscription.queued_ticks) == ([], 1)
    made.feed.end()
    with pytest.raises(trio.EndOfChannel):
        await made.feed.receive(1, 0)


async def test_an_open_one_is_drained_before_the_end(made: Made, autojump_clock: Any) -> None:
    made.publish(1)
    made.subscription.end()
    made.feed.end()
    await made.read()
    assert made.taken == [1]


async def test_everything_else_is_the_feeds_own(made: Made, autojump_clock: Any) -> None:
    made.publish(1)
    batch = await made.feed.receive(10, 0)
    assert made.feed.renew(batch, None) is batch
    assert made.feed.forfeit(batch) == 1
    made.feed.put_back(batch)
    assert made.subscription.queued_ticks == 1
    made.feed.discard(await made.feed.receive(10, 0), "sink_failed")
    assert made.subscription.dropped == 1
    assert batch.last == Position(1, 1)


def test_a_sink_has_one_valve_whatever_becomes_of_it() -> None:
    valves = Valves()
    assert valves.of("a") is valves.of("a")
    assert valves.of("a") is not valves.of("b")


def test_those_who_are_gone_are_not_woken() -> None:
    made = Made()
    valve = made.valve
    assert isinstance(made.subscription, Subscription)
    del made
    gc.collect()
    assert len(valve._wakers) == 0


async def test_a_guard_holds_attempts_back_while_it_is_closed(autojump_clock: Any) -> None:
    valve, said = Valve(), []
    guard = ValvedGuard(valve, None, lambda: 0, lambda *_: None)
    assert await guard.admitted() == "at_once"
    valve.close()

    async def attempt() -> None:
        said.append(await guard.admitted())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(attempt)
        await trio.sleep(100)
        assert said == []
        valve.open()
    assert said == ["waited"]


async def test_a_guard_lets_whoever_has_to_leave_go(autojump_clock: Any) -> None:
    valve, leaving = Valve(), []
    guard = ValvedGuard(valve, None, lambda: 0, lambda *_: None)
    valve.close()
    async with trio.open_nursery() as nursery:

        async def attempt() -> None:
            assert await guard.admitted(lambda: bool(leaving)) == "left"

        nursery.start_soon(attempt)
        await trio.testing.wait_all_tasks_blocked()
        leaving.append(True)
        guard.wake()

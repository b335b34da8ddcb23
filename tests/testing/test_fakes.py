"""The fakes behave as the host does where plugins can tell the difference."""

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import trio
import trio.testing

from tickerd.plugin import Batch, Closed, Gap, Instrument, Position, Row
from tickerd.testing import FakeContext, FakeServingContext, stamped

ONE = Instrument("n", 1, "NSE", "ONE")
TWO = Instrument("n", 2, "NSE", "TWO")

Contexts = Callable[..., FakeContext]


async def test_demand_yields_everything_first_and_then_differences(tickerd_context: Contexts) -> None:
    demand = tickerd_context().demand
    demand.want({ONE: "full"})
    async with aclosing(demand.changes()) as changes:
        assert await anext(changes) == {ONE: "full"}
        demand.want({TWO: "ltp"})
        demand.want({ONE: None})
        assert await anext(changes) == {ONE: None, TWO: "ltp"}
        assert demand.wanted() == {TWO: "ltp"}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anext, changes)
            await trio.testing.wait_all_tasks_blocked()
            demand.want({TWO: "full"})


async def test_what_is_published_gets_positions_symbols_and_its_source(tickerd_context: Contexts) -> None:
    ctx = tickerd_context("feed")
    ctx.instruments.load([ONE])
    ctx.publish(Batch.of([Row(1), Row(2)], ts_recv=5))
    ctx.publish(Batch.control(Gap(reason="x"), Gap(reason="y", source="own")))
    ticks, records = ctx.published
    assert [(tick.position, tick.symbol, tick.source) for tick in ticks.ticks] == [
        (Position(1, 1), "NSE:ONE", "feed"),
        (Position(1, 2), None, "feed"),
    ]
    assert [(record.seq, record.source) for record in records.records] == [(3, "feed"), (4, "own")]
    assert records.last == Position(1, 4)
    assert ctx.instruments.get(1) is ONE
    assert len(ctx.instruments) == 1


async def test_after_the_end_every_call_is_refused(tickerd_context: Contexts) -> None:
    ctx = tickerd_context()
    ctx.count("good", 2)
    ctx.report("fine", "very", since=1)
    ctx.close()
    for call in (lambda: ctx.publish(Batch.control()), lambda: ctx.count("x"), lambda: ctx.report("x")):
        with pytest.raises(Closed, match="'unit' has stopped"):
            call()
    assert ctx.counts == {"good": 2}
    assert ctx.reports == [("fine", "very", {"since": 1})]


async def test_until_wakes_up_for_what_was_told(
    tickerd_context: Contexts, autojump_clock: trio.testing.MockClock
) -> None:
    ctx = tickerd_context()

    async def later() -> None:
        for _ in range(3):
            await trio.sleep(1)
            ctx.count("step")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        await ctx.until(lambda: ctx.counts["step"] >= 2)
        assert trio.current_time() == pytest.approx(2)


async def test_a_serving_context_lends_sockets_and_feeds_subscriptions(tmp_path: Path) -> None:
    ctx = FakeServingContext(tmp_path)
    listener = await ctx.listen("0.0.0.0:80")
    assert listener is await ctx.listen("0.0.0.0:80")
    assert listener.socket.getsockname()[0] == "127.0.0.1"
    with ctx.subscribe() as (position, subscription):
        assert position == Position(1, 0)
        batch = stamped(Batch.of([Row(1)]))
        ctx.subscriptions[0].push(batch)
        assert await subscription.receive() is batch
        ctx.subscriptions[0].close()
        with pytest.raises(trio.EndOfChannel):
            await subscription.receive()
    assert ctx.subscriptions == []
    await ctx.aclose()
    with pytest.raises(Closed):
        await ctx.listen("127.0.0.1:1")
    with pytest.raises(Closed), ctx.subscribe():
        pass
    assert listener.socket.fileno() == -1


def test_a_batch_of_records_only_can_be_stamped() -> None:
    batch = stamped(Batch.control(Gap(reason="x")), 9, epoch=2, source="s")
    assert (batch.last, batch.records[0].source) == (Position(2, 9), "s")

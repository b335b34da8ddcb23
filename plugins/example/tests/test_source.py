"""The source against the real feed, and against feeds that misbehave."""

from collections.abc import Callable

import pytest
import trio
from tickerd.plugin import Gap, Instrument, Status
from tickerd.testing import FakeContext, check_source, running

from tickerd_example.protocol import Item, Listing, Price, Want, line
from tickerd_example.source import ExampleOptions, ExampleSource

ACME = Instrument("unit", 1, "TOY", "ACME")


async def test_it_keeps_the_rules_of_every_source(
    feed_address: str, tickerd_context: Callable[..., FakeContext]
) -> None:
    def wanting() -> FakeContext:
        ctx = tickerd_context()
        ctx.demand.want({ACME: "quote"})
        return ctx

    options = ExampleOptions(address=feed_address)
    await check_source(lambda: ExampleSource(options), wanting, items=5)


async def test_what_is_wanted_comes_in_the_mode_that_is_wanted(
    feed_address: str, tickerd_context: Callable[..., FakeContext]
) -> None:
    ctx = tickerd_context()
    ctx.demand.want({ACME: "ltp"})
    async with running(ExampleSource(ExampleOptions(address=feed_address)), ctx):
        with trio.fail_after(5):
            await ctx.until(lambda: ctx.seq >= 2)
        (tick,) = ctx.published[1].ticks
        assert (tick.symbol, tick.mode, tick.row.volume_traded) == ("TOY:ACME", "ltp", None)
        ctx.demand.want({ACME: "quote"})
        with trio.fail_after(5):
            await ctx.until(lambda: ctx.published[-1].ticks[0].volume_traded)


async def test_a_connection_that_ends_is_a_gap_and_the_hosts_to_mend(
    tickerd_context: Callable[..., FakeContext],
) -> None:
    async def short_feed(stream: trio.SocketStream) -> None:
        await stream.send_all(line(Listing("TOY", [Item(1, "ACME")])) + b"rubbish\n")
        await stream.receive_some()
        await stream.send_all(line(Price(1, 5.0, 1)) + line(Price(2, 6.0, 1)))
        await stream.aclose()

    ctx = tickerd_context()
    ctx.demand.want({ACME: "full"})
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, short_feed, [listener])
        options = ExampleOptions(address=f"127.0.0.1:{listener.socket.getsockname()[1]}")
        with trio.fail_after(5):
            with pytest.RaisesGroup(trio.BrokenResourceError, allow_unwrapped=True, flatten_subgroups=True):
                async with running(ExampleSource(options), ctx):
                    await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    connected, ticks, gap = ctx.published
    assert isinstance(connected.records[0], Status)
    assert [tick.last_price for tick in ticks.ticks] == [5.0]
    assert isinstance(gap.records[0], Gap)
    assert gap.records[0].since_ns == ticks.ticks[0].ts_recv
    assert ctx.counts == {"malformed": 1}


async def test_a_silent_feed_is_given_up(
    tickerd_context: Callable[..., FakeContext], autojump_clock: trio.testing.MockClock
) -> None:
    async def silent_feed(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    autojump_clock.autojump_threshold = 0.05  # sockets are not on the virtual clock
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, silent_feed, [listener])
        options = ExampleOptions(address=f"127.0.0.1:{listener.socket.getsockname()[1]}", silence="30s")
        began = trio.current_time()
        with pytest.RaisesGroup(trio.TooSlowError, allow_unwrapped=True, flatten_subgroups=True):
            async with running(ExampleSource(options), tickerd_context()):
                await trio.sleep_forever()
        assert 30 <= trio.current_time() - began < 31
        nursery.cancel_scope.cancel()


def test_the_first_want_is_everything() -> None:
    assert line(Want([1, 2])) == b'{"type":"want","tokens":[1,2]}\n'

"""What the stream protocol does for all its clients together."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from tickerd.plugin import Batch, Gap, Instrument, Market, Notice, Row, Status

Serve = Callable[..., AbstractAsyncContextManager[Any]]

INFY, TCS = 408065, 2953217


def rows(*tokens: int, price: float = 100.0) -> Batch:
    return Batch.of([Row(token, mode="full", last_price=price) for token in tokens], ts_recv=5)


async def test_who_hears_nothing_hears_that_nothing_happened(serve: Serve) -> None:
    async with serve(heartbeat="1s") as served, served.client() as client:
        began = trio.current_time()
        for _ in range(2):
            beat = await client.until("hb")
            assert (beat["seq"], beat["fs"]) == (0, 0)
        assert trio.current_time() - began < 2 * 5  # the default is five seconds


async def test_the_newest_of_each_instrument_comes_once_an_interval(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        await client.subscribe("NSE:INFY", "NSE:TCS", mode="ltp", interval_ms=50)
        for price in range(10):
            served.ctx.publish(rows(INFY, price=float(price)))
        served.ctx.publish(rows(TCS))
        ticks = await client.until("ticks")
        assert sorted((row[0], row[5]) for row in ticks["rows"]) == [(INFY, 9.0), (TCS, 100.0)]


async def test_every_tick_comes_where_that_is_wanted_also_in_intervals(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        await client.subscribe("NSE:INFY", mode="ltp", interval_ms=50, delivery="stream")
        for price in range(10):
            served.ctx.publish(rows(INFY, price=float(price)))
        prices: list[float] = []
        while len(prices) < 10:
            prices += [row[5] for row in (await client.until("ticks"))["rows"]]
        assert prices == [float(price) for price in range(10)]


async def test_clients_alike_share_what_they_are_sent(serve: Serve) -> None:
    async with serve() as served, served.client() as one, served.client() as two, served.client() as odd:
        for client in (one, two):
            await client.subscribe("NSE:INFY", "NSE:TCS", mode="ltp", interval_ms=0)
        await odd.subscribe("NSE:INFY", mode="ltp", interval_ms=0)
        face = served.server._faces[0]
        with trio.fail_after(3):
            while len(face.groups) > 2:
                await trio.sleep(0.05)
        for price in (1.0, 2.0):
            served.ctx.publish(rows(INFY, TCS, price=price))
            assert (await one.until("ticks"))["rows"] == (await two.until("ticks"))["rows"]
            assert len((await odd.until("ticks"))["rows"]) == 1
        await one.subscribe("NSE:NIFTY 50", mode="ltp", interval_ms=0)
        served.ctx.publish(rows(INFY, 256265))
        assert len((await one.until("ticks"))["rows"]) == 2
        assert len((await two.until("ticks"))["rows"]) == 1


async def test_one_that_goes_in_the_middle_of_a_round_does_not_harm_the_others(serve: Serve) -> None:
    async with serve() as served, trio.open_nursery() as nursery:
        got = 0

        async def listen(number: int, *, task_status: trio.TaskStatus[None]) -> None:
            nonlocal got
            async with served.client() as client:
                await client.subscribe("NSE:INFY", mode="ltp", interval_ms=0)
                task_status.started()
                await client.until("ticks")
                if number % 4:
                    await client.until("ticks")
                    got += 1

        for number in range(40):
            await nursery.start(listen, number)
        await trio.sleep(0.6)
        with trio.fail_after(5):
            while got < 30:
                served.ctx.publish(rows(INFY))
                await trio.sleep(0.01)


async def test_what_happens_upstream_is_told(serve: Serve) -> None:
    async with serve() as served, served.client() as client, served.client(binary=True) as other:
        served.ctx.publish(rows(INFY))
        served.ctx.publish(
            Batch.control(
                Status(source="kite", connection=1, state="stale", detail="silent", ts_recv=4),
                Market(exchange="NSE", event="close"),
                Notice(kind="message", data="not for clients"),
                Gap(source="kite", reason="reconnect", since_ns=1, until_ns=2, instruments=["NSE:INFY"]),
            )
        )
        for one in (client, other):
            status = await one.until("status")
            assert (status["source"], status["state"], status["connection"]) == ("kite", "stale", 1)
            assert await one.next() == {"t": "market", "exchange": "NSE", "event": "close", "seq": 3}
            gap = await one.next()
            assert (gap["reason"], gap["detail"], gap["dropped"]) == ("upstream_gap", "reconnect", None)
            assert gap["instruments"] == ["NSE:INFY"]
        async with served.client() as late:
            assert (await late.until("status"))["state"] == "stale"


async def test_a_symbol_that_means_something_else_today_is_asked_for_again(serve: Serve) -> None:
    async with serve() as served, served.client() as client, served.client() as other:
        await client.subscribe("NSE:INFY")
        await other.subscribe("NSE:TCS")
        await trio.sleep(0.6)
        served.ctx.instruments.load(
            [Instrument("kite", 1, "NSE", "INFY"), Instrument("kite", TCS, "NSE", "TCS")]
        )
        assert await client.closed() == (4011, "state_reset")
        served.ctx.publish(rows(TCS))
        await other.until("ticks")


async def test_what_cannot_be_decoded_is_counted_and_the_rest_goes_on(serve: Serve) -> None:
    async with serve() as served, served.client() as client:
        await client.subscribe("NSE:INFY", mode="ltp", interval_ms=0)
        broken = rows(INFY)
        assert broken._split is not None
        broken._split = broken._split._replace(packets=[b"\xc1"])
        served.ctx.published.clear()
        from tickerd.testing import stamped

        stamped(broken, served.ctx.seq + 1, instruments=served.ctx.instruments.table)
        assert broken.origin is not None
        broken.origin.namespace = "kite"
        served.ctx.subscriptions[0].push(broken)
        served.ctx.seq += 1
        served.ctx.publish(rows(INFY, price=7.0))
        assert (await client.until("ticks"))["rows"][0][5] == 7.0
        assert served.ctx.counts["undecodable"] == 1

"""The official Python ticker against the simulator, each time in a process of its own: its reactor cannot restart."""

import sys

import pytest
import trio

from tickerd_plugins.simulator import Simulator, SimulatorOptions, open_simulator

INFY, NIFTY = 408065, 256265
PROGRAM = """
import json, sys
from kiteconnect import KiteTicker

root, access_token, mode, *tokens = sys.argv[1:]
tokens = [int(token) for token in tokens]
ticker = KiteTicker("demo", access_token, root=root, reconnect_max_delay=5)

def say(event, **what):
    print(json.dumps({"event": event, **what}, default=str), flush=True)

def on_connect(ws, response):
    say("connect")
    ws.subscribe(tokens)
    ws.set_mode(mode, tokens)

ticker.on_connect = on_connect
ticker.on_ticks = lambda ws, ticks: say("ticks", ticks=ticks)
ticker.on_order_update = lambda ws, data: say("order", data=data)
ticker.on_error = lambda ws, code, reason: say("error", code=code, reason=str(reason))
ticker.on_close = lambda ws, code, reason: say("close", code=code, reason=str(reason))
ticker.connect()
"""


def command(sim: Simulator, mode: str = "full", access_token: str = "demo-token") -> list[str]:
    return [sys.executable, "-c", PROGRAM, sim.ws_url, access_token, mode, str(INFY), str(NIFTY)]


async def ticks_in_mode(child, mode: str) -> list[dict]:
    """Passes over the snapshots in the default mode."""
    while True:
        ticks = (await child.next("ticks"))["ticks"]
        if ticks[0]["mode"] == mode:
            return ticks


@pytest.mark.parametrize(
    ("mode", "has", "has_not"),
    [
        ("ltp", {"last_price"}, {"ohlc", "depth"}),
        ("quote", {"last_price", "ohlc", "volume_traded"}, {"depth", "exchange_timestamp"}),
        ("full", {"last_price", "ohlc", "volume_traded", "depth", "exchange_timestamp", "oi"}, set()),
    ],
)
async def test_ticks_in_every_mode(
    sim: Simulator, start_child, mode: str, has: set[str], has_not: set[str]
) -> None:
    async with start_child(*command(sim, mode)) as child:
        infy, nifty = await ticks_in_mode(child, mode)
        line = sim.line(INFY)
        assert line is not None
        assert (infy["instrument_token"], infy["last_price"], infy["tradable"]) == (INFY, line.price, True)
        assert (nifty["instrument_token"], nifty["tradable"]) == (NIFTY, False)
        assert has <= infy.keys()
        assert not has_not & infy.keys()
        while line.price == infy["last_price"]:
            sim.tick(INFY)
        while infy["last_price"] != line.price:
            (infy,) = (await child.next("ticks"))["ticks"]
        assert infy["mode"] == mode


async def test_order_updates_and_errors_are_pushed(sim: Simulator, start_child) -> None:
    async with start_child(*command(sim)) as child:
        await ticks_in_mode(child, "full")
        form = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "1"}
        form |= {"product": "MIS", "order_type": "MARKET"}
        order = sim.place_order("regular", form)
        assert (await child.next("order"))["data"]["order_id"] == order["order_id"]
        sim.inject("text=error:something is wrong")
        assert (await child.next("error"))["reason"] == "something is wrong"


async def test_it_comes_back_after_a_drop(sim: Simulator, start_child) -> None:
    async with start_child(*command(sim)) as child:
        await ticks_in_mode(child, "full")
        sim.inject("drop")
        assert (await child.next("close"))["code"] == 1006
        await child.next("connect")
        assert [tick["instrument_token"] for tick in await ticks_in_mode(child, "full")] == [INFY, NIFTY]
        assert list(sim.connections) == [2]


async def test_bad_frames_and_heartbeats_do_not_end_it(sim: Simulator, start_child) -> None:
    async with start_child(*command(sim)) as child:
        await ticks_in_mode(child, "full")
        sim.connections[1].heartbeat()
        sim.connections[1].heartbeat()
        for kind in ("zero-packets", "unknown-length", "trailing-bytes", "empty"):
            sim.inject(f"malformed={kind}")
        sim.inject("text=unknown")
        sim.inject("text=message")
        sim.inject("text=error:still here")
        assert (await child.next("error"))["reason"] == "still here"
        assert list(sim.connections) == [1]


async def test_a_bad_token_is_refused(sim: Simulator, start_child) -> None:
    async with start_child(*command(sim, access_token="stale")) as child:
        assert "403" in (await child.next("close"))["reason"]
    assert sim.counters["rejected_403"] >= 1


@pytest.mark.full
async def test_it_lives_on_heartbeats_alone(start_child) -> None:
    async with (
        open_simulator(SimulatorOptions(heartbeat=0.1, instruments=100)) as sim,
        start_child(*command(sim)) as child,
    ):
        await ticks_in_mode(child, "full")
        with trio.fail_after(10):
            await sim.until(lambda sim: sim.counters["heartbeats"] >= 20)
        sim.tick(INFY)
        await child.next("ticks")
        assert list(sim.connections) == [1]

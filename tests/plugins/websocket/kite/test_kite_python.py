"""The official Python client, unmodified but for its ``root``, each time in a process of its own."""

import sys
from typing import Any

import msgspec
import pytest
import trio

from tickerd.plugin import Batch, Notice, Order
from tickerd.wire.kite import official
from tickerd.wire.kite.layout import FULL_PACKET, INDEX_FULL_PACKET

INFY, NIFTY = 408_065, 256_265
KEY = "tkd_live_3kTMd5lGqkYh_a+b/c=d"
PROGRAM = """
import json, sys
from kiteconnect import KiteTicker

root, access_token, mode, *tokens = sys.argv[1:]
tokens = [int(token) for token in tokens]
ticker = KiteTicker("app", access_token, root=root, reconnect_max_delay=5)

def say(event, **what):
    print(json.dumps({"event": event, **what}, default=str), flush=True)

def on_connect(ws, response):
    say("connect")
    ws.subscribe(tokens)
    ws.set_mode(mode, tokens)

def on_message(ws, payload, is_binary):
    if is_binary and len(payload) == 1:
        say("heartbeat")

ticker.on_connect = on_connect
ticker.on_message = on_message
ticker.on_ticks = lambda ws, ticks: say("ticks", ticks=ticks)
ticker.on_order_update = lambda ws, data: say("order", data=data)
ticker.on_error = lambda ws, code, reason: say("error", code=code, reason=str(reason))
ticker.on_close = lambda ws, code, reason: say("close", code=code, reason=str(reason))
ticker.connect()
"""


def command(served: Any, mode: str = "full", *, path: str = "", key: str = KEY) -> list[str]:
    return [sys.executable, "-c", PROGRAM, served.url + path, key, mode, str(INFY), str(NIFTY)]


def infy(last: int, volume: int = 1_192_471) -> bytes:
    head = (INFY, last, 7, 157_037, volume, 256_443, 363_009, 156_915, 157_500, 156_105, 156_780)
    book = (5, 157_340, 1, 140, 157_300, 2, 2, 157_295, 1, 219, 157_290, 7, 50, 157_285, 1) * 2
    return FULL_PACKET.pack(*head, 1_625_461_887, 10, 20, 5, 1_625_461_887, *book)


def nifty(last: int) -> bytes:
    return INDEX_FULL_PACKET.pack(NIFTY, last, 1_600_000, 1_500_000, 1_550_000, 1_560_000, -36, 1_625_461_887)


def decoded(*packets: bytes) -> list[dict[str, Any]]:
    """What the client makes of the broker's packets, as it comes out of its process."""
    return msgspec.json.decode(msgspec.json.encode([official(one) for one in packets], enc_hook=str))


def _as_text(ticks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Its times are printed with a space; the rest is plain JSON."""
    return [{k: v.replace(" ", "T") if isinstance(v, str) else v for k, v in one.items()} for one in ticks]


async def subscribed(served: Any, mode: str = "full") -> None:
    await served.until(lambda: {INFY: mode, NIFTY: mode} in served.modes())


@pytest.mark.parametrize(
    ("mode", "infy_bytes", "nifty_bytes"), [("ltp", 8, 8), ("quote", 44, 28), ("full", 184, 32)]
)
async def test_ticks_are_what_it_would_decode_from_the_broker(
    serve, start_child, mode: str, infy_bytes: int, nifty_bytes: int
) -> None:
    async with serve() as served, start_child(*command(served, mode, path="/kite")) as child:
        await subscribed(served, mode)
        first, second = infy(157_370), nifty(1_572_300)
        served.tick(first, second)
        ticks = (await child.next("ticks"))["ticks"]
        assert _as_text(ticks) == decoded(first[:infy_bytes], second[:nifty_bytes])
        await served.until(lambda: served.ctx.wanted == {"NSE:INFY": mode, "NSE:NIFTY 50": mode})


async def test_it_is_shown_the_newest_packets_when_it_subscribes(serve, start_child) -> None:
    async with serve() as served:
        served.tick(infy(157_370), nifty(1_572_300))
        async with start_child(*command(served)) as child:
            quotes = (await child.next("ticks"))["ticks"]
            assert [tick["mode"] for tick in quotes] == ["quote", "quote"]
            full = (await child.next("ticks"))["ticks"]
            assert _as_text(full) == decoded(infy(157_370), nifty(1_572_300))


async def test_orders_and_errors_reach_it(serve, start_child) -> None:
    async with serve() as served, start_child(*command(served)) as child:
        await subscribed(served)
        order = {
            "order_id": "220303000308932",
            "status": "COMPLETE",
            "average_price": 1470.55,
            "tag": None,
            "meta": {},
        }
        served.publish(Batch.control(Order(data=order), Notice(kind="error", data="something is wrong")))
        assert (await child.next("order"))["data"] == order
        assert (await child.next("error")) == {"event": "error", "code": 0, "reason": "something is wrong"}


async def test_it_stays_while_upstream_is_silent_and_hears_a_heartbeat_each_second(
    serve, start_child
) -> None:
    async with serve() as served, start_child(*command(served)) as child:
        await subscribed(served)
        began = trio.current_time()
        for _ in range(2):
            await child.next("heartbeat", 3)
        assert trio.current_time() - began > 0.8
        served.tick(infy(157_370))
        assert (await child.next("ticks"))["ticks"][0]["last_price"] == 1573.7
        assert len(served.server.connections) == 1


async def test_after_a_drop_it_comes_back_and_has_its_subscriptions(serve, start_child) -> None:
    async with serve() as served, start_child(*command(served)) as child:
        await subscribed(served)
        (connection,) = served.server.connections.values()
        connection.abort("test")
        assert (await child.next("close"))["code"] == 1006
        await child.next("connect")
        await subscribed(served)
        served.tick(infy(157_370))
        tick = (await child.next("ticks"))["ticks"][0]
        assert (tick["instrument_token"], tick["mode"]) == (INFY, "full")


@pytest.mark.parametrize("key", ["wrong", "useless", ""])
async def test_a_key_that_is_not_good_for_it_is_refused_before_the_upgrade(
    serve, start_child, key: str
) -> None:
    async with serve() as served, start_child(*command(served, key=key)) as child:
        assert "403" in (await child.next("close"))["reason"]
        assert served.server.connections == {}

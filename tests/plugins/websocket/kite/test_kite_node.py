"""The official JavaScript client, unmodified but for its ``root``. It leaves after five seconds without a message."""

from pathlib import Path
from typing import Any

import pytest
import trio

from tickerd.plugin import Batch, Notice, Order
from tickerd.wire.kite.layout import FULL_PACKET, INDEX_FULL_PACKET

INFY, NIFTY = 408_065, 256_265
KEY = "tkd_live_3kTMd5lGqkYh_a+b/c=d"

pytestmark = pytest.mark.full


@pytest.fixture
def client(need, checkout: Path) -> list[str]:
    """The command, without its arguments."""
    node = need("node")
    folder = checkout / "tests" / "node"
    need.that((folder / "node_modules" / "kiteconnect").is_dir(), "the npm package kiteconnect in tests/node")
    return [node, str(folder / "kite_stream.js")]


def arguments(served: Any, mode: str, *tokens: object, key: str = KEY) -> list[str]:
    return [f"{served.url}/kite", key, mode, *map(str, tokens or (INFY, NIFTY))]


def infy(last: int) -> bytes:
    head = (INFY, last, 7, 157_037, 1_192_471, 256_443, 363_009, 156_915, 157_500, 156_105, 156_780)
    book = (5, 157_340, 1, 140, 157_300, 2, 2, 157_295, 1, 219, 157_290, 7, 50, 157_285, 1) * 2
    return FULL_PACKET.pack(*head, 1_625_461_887, 10, 20, 5, 1_625_461_887, *book)


def nifty(last: int) -> bytes:
    return INDEX_FULL_PACKET.pack(NIFTY, last, 1_600_000, 1_500_000, 1_550_000, 1_560_000, -36, 1_625_461_887)


async def subscribed(served: Any, mode: str) -> None:
    await served.until(lambda: {INFY: mode, NIFTY: mode} in served.modes())


@pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
async def test_ticks_in_every_mode(serve, client: list[str], start_child, mode: str) -> None:
    async with serve() as served, start_child(*client, *arguments(served, mode)) as child:
        await subscribed(served, mode)
        served.tick(infy(157_370), nifty(1_572_300))
        first, second = (await child.next("ticks"))["ticks"]
        assert (first["instrument_token"], first["last_price"], first["mode"]) == (INFY, 1573.7, mode)
        assert (second["instrument_token"], second["last_price"], second["tradable"]) == (NIFTY, 15723, False)
        if mode != "ltp":
            assert first["ohlc"] == {"open": 1569.15, "high": 1575, "low": 1561.05, "close": 1567.8}
        if mode == "full":
            assert first["depth"]["buy"][1] == {"quantity": 140, "price": 1573, "orders": 2}
            assert first["exchange_timestamp"] == "2021-07-05T05:11:27.000Z"


async def test_tokens_sent_as_strings_are_understood(serve, client: list[str], start_child) -> None:
    async with serve() as served, start_child(*client, *arguments(served, "full", f"'{INFY}")) as child:
        await served.until(lambda: {INFY: "full"} in served.modes())
        served.tick(infy(157_370))
        assert (await child.next("ticks"))["ticks"][0]["last_price"] == 1573.7


async def test_heartbeats_keep_it_and_orders_reach_it(serve, client: list[str], start_child) -> None:
    async with serve() as served, start_child(*client, *arguments(served, "full")) as child:
        await subscribed(served, "full")
        (connection,) = served.server.connections
        await trio.sleep(7)
        served.publish(
            Batch.control(Notice(kind="error", data="no"), Order(data={"order_id": "1", "meta": {}}))
        )
        assert (await child.next("order"))["data"] == {"order_id": "1", "meta": {}}
        assert list(served.server.connections) == [connection]


async def test_it_comes_back_after_a_drop(serve, client: list[str], start_child) -> None:
    async with serve() as served, start_child(*client, *arguments(served, "full")) as child:
        await subscribed(served, "full")
        for connection in tuple(served.server.connections.values()):
            connection.abort("test")
        await child.next("disconnect")
        await child.next("connect")
        await subscribed(served, "full")
        served.tick(infy(157_370))
        await child.next("ticks")


async def test_a_wrong_key_is_refused(serve, client: list[str], start_child) -> None:
    async with serve() as served, start_child(*client, *arguments(served, "full", key="wrong")) as child:
        assert "403" in (await child.next("error"))["message"]

"""The official JavaScript clients against the simulator."""

from pathlib import Path

import pytest

from tickerd_plugins.simulator import Simulator, SimulatorOptions, open_simulator

INFY, NIFTY = 408065, 256265

pytestmark = pytest.mark.full


@pytest.fixture
def client(need, checkout: Path) -> list[str]:
    """The command, without its arguments."""
    node = need("node")
    folder = checkout / "tests" / "node"
    need.that((folder / "node_modules" / "kiteconnect").is_dir(), "the npm package kiteconnect in tests/node")
    return [node, str(folder / "kite_ticker.js")]


def arguments(sim: Simulator, mode: str) -> list[str]:
    token = sim.account.request_token()
    return [sim.ws_url, sim.rest_url, sim.api_key, "demo-secret", token, mode, str(INFY), str(NIFTY)]


async def test_the_rest_client_logs_in_and_reads(sim: Simulator, client: list[str], start_child) -> None:
    async with start_child(*client, *arguments(sim, "full")) as child:
        said = await child.next("rest")
        assert said["session"]["access_token"] == "demo-token"
        assert said["profile"]["user_id"] == said["session"]["user_id"]
        assert said["instruments"] > 30
        line = sim.line(INFY)
        assert line is not None
        assert said["ltp"]["NSE:INFY"]["last_price"] == line.price
        assert said["ltp"]["NSE:NIFTY 50"]["instrument_token"] == NIFTY
        assert len(said["quote"]["NSE:INFY"]["depth"]["buy"]) == 5
        assert (await child.next("refused"))["error_type"] == "TokenException"


@pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
async def test_ticks_in_every_mode(sim: Simulator, client: list[str], start_child, mode: str) -> None:
    async with start_child(*client, *arguments(sim, mode)) as child:
        while True:
            ticks = (await child.next("ticks"))["ticks"]
            if ticks[0]["mode"] == mode:
                break
        line = sim.line(INFY)
        assert line is not None
        assert [tick["instrument_token"] for tick in ticks] == [INFY, NIFTY]
        assert [tick["tradable"] for tick in ticks] == [True, False]
        assert ticks[0]["last_price"] == line.price
        assert ("depth" in ticks[0]) == (mode == "full")


async def test_it_gets_orders_and_comes_back_after_a_drop(client: list[str], start_child) -> None:
    async with open_simulator(SimulatorOptions(instruments=100, rate=10)) as sim:
        async with start_child(*client, *arguments(sim, "full")) as child:
            await child.next("ticks")
            form = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "1",
                    "product": "MIS", "order_type": "MARKET"}  # fmt: skip
            order = sim.place_order("regular", form)
            assert (await child.next("order"))["data"]["order_id"] == order["order_id"]
            sim.inject("drop")
            await child.next("disconnect")
            await child.next("connect")
            await child.next("ticks")


async def test_silence_makes_it_reconnect(sim: Simulator, client: list[str], start_child) -> None:
    async with start_child(*client, *arguments(sim, "full")) as child:
        await child.next("ticks")
        sim.inject("half-open")
        await child.next("disconnect")
        await child.next("connect")
        sim.clear()

"""Opening and closing a simulator, its pace, and its timed faults."""

import socket
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tickerd_plugins.simulator import Simulator, SimulatorOptions, open_simulator, server
from tickerd_plugins.simulator.faults import parse_timed

INFY = 408065


@pytest.mark.parametrize("face", ["ws", "rest"])
async def test_a_port_that_is_taken_is_named(face: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = SimulatorOptions(instruments=10, **{face: ("127.0.0.1", port)})
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: ") as caught:
            async with open_simulator(options):
                pass
        assert caught.value.errno is not None


async def test_the_ports_are_free_again_afterwards() -> None:
    async with open_simulator(SimulatorOptions(instruments=10)) as sim:
        port = int(sim.ws_url.rpartition(":")[2])
    async with open_simulator(SimulatorOptions(instruments=10, ws=("127.0.0.1", port))) as sim:
        assert sim.ws_url == f"ws://127.0.0.1:{port}"


async def test_a_host_name_gets_one_listener() -> None:
    async with open_simulator(SimulatorOptions(instruments=10, ws=("localhost", 0))) as sim:
        assert sim.ws_url.startswith(("ws://127.0.0.1:", "ws://[::1]:"))


async def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async with open_simulator(SimulatorOptions(numbered=tmp_path / "no" / "log")):
            pass


async def test_leaving_the_block_ends_every_connection(connect_raw) -> None:
    async with open_simulator(SimulatorOptions(instruments=100)) as sim:
        async with connect_raw(sim) as stream:
            sim.inject("half-open")
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
    assert not sim.connections


@pytest.fixture
async def market() -> Simulator:
    """A simulator in virtual time, with one instrument watched by nobody in particular."""
    sim = Simulator(SimulatorOptions(rate=1_234, seed=1, instruments=100))
    line = sim.line(INFY)
    assert line is not None

    class Watcher:
        def __init__(self) -> None:
            self.pending: list[bytes] = []

    sim.shared.market.watch(line, Watcher(), "full")
    return sim


async def test_the_pace_does_not_drift(market: Simulator, autojump_clock: MockClock) -> None:
    with trio.move_on_after(100.005):
        await server._market(market)
    assert market.counters["ticks"] == 123_400


async def test_a_late_turn_is_made_up_for(market: Simulator, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server._market, market)
        await trio.sleep_until(start + 1.005)
        autojump_clock.jump(0.3)
        await trio.sleep_until(start + 2.005)
        nursery.cancel_scope.cancel()
    assert market.counters["ticks"] == 1_234 * 2
    assert market.counters["ticks_left_out"] == 0


async def test_ticks_that_are_long_overdue_are_left_out_and_counted(
    market: Simulator, autojump_clock: MockClock
) -> None:
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server._market, market)
        await trio.sleep_until(start + 1.005)
        autojump_clock.jump(60)
        await trio.sleep_until(start + 62.005)
        nursery.cancel_scope.cancel()
    assert market.counters["ticks"] + market.counters["ticks_left_out"] == 1_234 * 62
    assert market.counters["ticks"] == pytest.approx(1_234 * 2, abs=30)


async def test_a_timed_fault_happens_at_its_time(autojump_clock: MockClock) -> None:
    sim = Simulator(SimulatorOptions(instruments=100))
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server._fault, sim, parse_timed("expire@5"))
        await sim.until(lambda sim: sim.account.expired)
    assert trio.current_time() - start == 5


async def test_timed_faults_are_part_of_the_options(connect) -> None:
    options = SimulatorOptions(instruments=100, faults=(parse_timed("text=message:now@0.05"),))
    async with open_simulator(options) as sim, connect(sim) as client:
        assert (await client.text())["data"] == "now"


async def test_ticks_come_at_the_rate_asked_for(connect) -> None:
    async with open_simulator(SimulatorOptions(rate=500, seed=1)) as sim, connect(sim) as client:
        await client.set_mode("full", *sim.universe.tokens[:20])
        start, count = trio.current_time(), -20
        while trio.current_time() < start + 1:
            count += len((await client.ticks()).tokens)
        assert 400 <= count <= 600


async def test_the_token_ends_each_day_at_6_in_india(autojump_clock: MockClock) -> None:
    async with open_simulator(SimulatorOptions(instruments=20, heartbeat=1e9, daily_expiry=True)) as sim:
        for _ in range(2):
            await trio.sleep(86_400)
            assert sim.account.expired
            left = sim.ist().replace(hour=6, minute=0, second=0)
            sim.account.revive()
            await trio.sleep(((left - sim.ist()).total_seconds() % 86_400) - 2)
            assert not sim.account.expired
            await trio.sleep(4)
            assert sim.account.expired

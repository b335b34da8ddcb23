"""What can be asked of a running simulator."""

import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected

import tickerd_plugins.simulator as plugin
from tickerd_plugins.simulator import Simulator, SimulatorOptions
from tickerd_plugins.simulator.faults import Mute
from tickerd_plugins.simulator.source import SimulatorSource


@pytest.fixture
async def idle() -> Simulator:
    """A simulator without listeners."""
    return Simulator(SimulatorOptions(seed=1, instruments=100))


async def test_lines_are_found_by_symbol_and_by_token(idle: Simulator) -> None:
    line = idle.line("NSE:INFY")
    assert line is not None
    assert line is idle.line(408065)
    assert line.price == pytest.approx(1573.70)
    assert idle.line("NSE:NOSUCH") is None
    assert idle.line(1) is None


async def test_an_unknown_instrument_cannot_tick(idle: Simulator) -> None:
    with pytest.raises(ValueError, match="no instrument 'NSE:NOSUCH' in the simulated market"):
        idle.tick("NSE:NOSUCH")


async def test_ticks_are_counted(idle: Simulator) -> None:
    idle.tick("NSE:INFY", 256265)
    idle.tick()
    assert idle.counters["ticks"] == 2


async def test_a_fault_of_a_connection_that_is_not_there_is_refused(idle: Simulator) -> None:
    with pytest.raises(ValueError, match="no connection 7 is open"):
        idle.inject(Mute(connection=7))
    with pytest.raises(ValueError, match="unknown fault"):
        idle.inject("explode")
    assert not [name for name in idle.counters if name.startswith("fault")]


async def test_faults_that_hold_are_shown_and_cleared(idle: Simulator) -> None:
    for fault in ("mute", "slow=5", "reject=500", "expire", "no-market-data", "mute-instrument=NSE:INFY"):
        idle.inject(fault)
    assert idle.state()["faults"] == {
        "muted": True,
        "muted_instruments": [408065],
        "bytes_per_second": 5.0,
        "reject": 500,
        "token_expired": True,
        "no_market_data": True,
    }
    idle.inject("clear")
    assert idle.state()["faults"] == {
        "muted": False,
        "muted_instruments": [],
        "bytes_per_second": None,
        "reject": None,
        "token_expired": False,
        "no_market_data": False,
    }


async def test_until_returns_at_once_or_when_something_changed(idle: Simulator) -> None:
    await idle.until(lambda _: True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(idle.until, lambda sim: sim.account.expired)
        await trio.testing.wait_all_tasks_blocked()
        idle.inject("mute")
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        idle.inject("expire")


def test_the_plugin_declares_what_it_brings() -> None:
    assert plugin.TICKERD_API == 0
    assert [command.name for command in plugin.tickerd_commands()] == ["simulate"]
    assert plugin.tickerd_sources() is SimulatorSource
    assert [codec.id for codec in plugin.tickerd_codecs()] == ["kite"]


def test_the_plugin_offers_its_parts_by_name() -> None:
    assert all(getattr(plugin, name) is not None for name in plugin.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = plugin.nothing


async def test_a_login_from_elsewhere_ends_ours(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        sim.inject("login-elsewhere")
        assert len(sim.connections) == 1
        sim.inject("login-elsewhere=cut")
        with pytest.raises(ConnectionClosed):
            await client.message()
    with pytest.raises(BaseExceptionGroup) as caught:
        async with connect(sim):
            pass
    assert caught.group_contains(ConnectionRejected)
    assert sim.counters["rejected_403"] == 1


async def test_a_plan_without_market_data_refuses_the_socket_alone(sim: Simulator, connect) -> None:
    sim.inject("no-market-data")
    assert sim.state()["faults"]["no_market_data"]
    assert sim.account.allows(sim.api_key, sim.access_token)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with connect(sim):
            pass
    assert caught.group_contains(ConnectionRejected)
    sim.clear()
    async with connect(sim):
        assert sim.counters["accepted"] == 1

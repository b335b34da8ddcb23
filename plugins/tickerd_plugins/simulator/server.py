"""Runs a simulator: opens its two listeners, serves them, and keeps the market ticking."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta

import trio

from tickerd_plugins.simulator.faults import Expire, Timed
from tickerd_plugins.simulator.http import HttpFace
from tickerd_plugins.simulator.numbered import NumberedLog
from tickerd_plugins.simulator.options import SimulatorOptions
from tickerd_plugins.simulator.rest import make_app
from tickerd_plugins.simulator.simulator import Simulator
from tickerd_plugins.simulator.websocket import WebSocketFace

TICK_S = 0.01
TOKENS_END_AT = 6
"""Hour of the day, IST."""
_BEHIND_S = 0.5
"""A market that is further behind than this (the process was stopped) leaves those ticks out."""


@asynccontextmanager
async def open_simulator(options: SimulatorOptions | None = None) -> AsyncIterator[Simulator]:
    """A simulator that accepts connections, until the block is left; it closes all that it opened.

    Raises:
        OSError: an address cannot be listened on, or the numbered log not be written.
    """
    options = options or SimulatorOptions()
    with ExitStack() as stack:
        numbered = stack.enter_context(NumberedLog(options.numbered)) if options.numbered else None
        simulator = Simulator(options, numbered)
        rest = HttpFace(make_app(simulator))
        ws_listener = await _listen(options.ws)
        async with ws_listener:
            rest_listener = await _listen(options.rest)
            async with rest_listener, trio.open_nursery() as nursery:
                simulator.ws_url = f"ws://{_address(ws_listener)}"
                simulator.rest_url = f"http://{_address(rest_listener)}"
                await nursery.start(trio.serve_listeners, WebSocketFace(simulator).handle, [ws_listener])
                await nursery.start(trio.serve_listeners, rest.handle, [rest_listener])
                nursery.start_soon(_heartbeats, simulator)
                if options.daily_expiry:
                    nursery.start_soon(_days, simulator)
                if options.rate:
                    nursery.start_soon(_market, simulator)
                for timed in options.faults:
                    nursery.start_soon(_fault, simulator, timed)
                try:
                    yield simulator
                finally:
                    rest.abort()
                    nursery.cancel_scope.cancel()


async def _listen(address: tuple[str, int]) -> trio.SocketListener:
    """One listener: of a host name with several addresses, the first."""
    host, port = address
    try:
        first, *others = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    for other in others:
        await other.aclose()
    return first


def _address(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _heartbeats(simulator: Simulator) -> None:
    while True:
        await trio.sleep(simulator.options.heartbeat)
        for connection in list(simulator.connections.values()):
            connection.heartbeat()
        simulator.shared.notify()


async def _market(simulator: Simulator) -> None:
    """Tick at the rate asked for; what is due follows from the time since the start, so it never drifts."""
    rate, start, done, step = simulator.options.rate, trio.current_time(), 0, 0
    while True:
        step += 1
        await trio.sleep_until(start + step * TICK_S)
        now = trio.current_time()
        due = int((now - start) * rate)
        if now - start - step * TICK_S > _BEHIND_S:
            step = int((now - start) / TICK_S)
            simulator.shared.counters["ticks_left_out"] += due - done
        else:
            simulator.run_market(due - done)
        done = due


async def _days(simulator: Simulator) -> None:
    """Let the access token end each day; open connections stay."""
    while True:
        now = simulator.ist()
        ends = now.replace(hour=TOKENS_END_AT, minute=0, second=0, microsecond=0)
        ends += timedelta(days=ends <= now)
        await trio.sleep((ends - now).total_seconds() + TICK_S)
        simulator.inject(Expire())


async def _fault(simulator: Simulator, timed: Timed) -> None:
    await trio.sleep(timed.at)
    simulator.inject(timed.fault)

"""Handshakes and refusals, and that no client can end the server."""

import pytest
import trio
from trio_websocket import ConnectionClosed

from tickerd_plugins.simulator import Simulator, SimulatorOptions, open_simulator

INFY = 408065


HELLO = b"GET /?api_key=demo&access_token=demo-token HTTP/1.1\r\nHost: x\r\n"
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
V13 = b"Sec-WebSocket-Version: 13\r\n"


async def open_stream(sim: Simulator) -> trio.SocketStream:
    host, port = sim.ws_url.removeprefix("ws://").split(":")
    return await trio.open_tcp_stream(host, int(port))


async def status(sim: Simulator, query: str = "api_key=demo&access_token=demo-token", path: str = "/") -> int:
    """What an upgrade is answered with."""
    async with await open_stream(sim) as stream:
        await stream.send_all(
            f"GET {path}?{query} HTTP/1.1\r\nHost: x\r\n".encode() + UPGRADE + V13 + b"\r\n"
        )
        answer = b""
        with trio.fail_after(5):
            while b"\r\n\r\n" not in answer:
                answer += await stream.receive_some()
    return int(answer.split()[1])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "api_key=demo",
        "api_key=demo&access_token=other",
        "api_key=other&access_token=demo-token",
        "&&=&a",
        "x=%ff",
    ],
)
async def test_bad_credentials_are_refused_before_the_upgrade(sim: Simulator, query: str) -> None:
    assert await status(sim, query) == 403
    assert sim.counters["rejected_403"] == 1
    assert not sim.connections


async def test_unknown_parameters_are_ignored(sim: Simulator, connect) -> None:
    async with connect(sim, "uid=1795432168910&access_token=demo-token&api_key=demo&x") as client:
        await client.subscribe(INFY)
        await client.ticks()


async def test_a_token_may_be_escaped_or_not(connect) -> None:
    async with open_simulator(SimulatorOptions(access_token="a+b/c=", instruments=100)) as sim:
        async with (
            connect(sim, "api_key=demo&access_token=a+b/c="),
            connect(sim, "api_key=demo&access_token=a%2Bb%2Fc%3D"),
        ):
            assert len(sim.connections) == 2


async def test_the_fourth_connection_is_refused(sim: Simulator, connect) -> None:
    async with connect(sim), connect(sim), connect(sim):
        assert await status(sim) == 429
    with trio.fail_after(5):
        await sim.until(lambda sim: not sim.connections)
    async with connect(sim):
        assert list(sim.connections) == [4]


async def test_there_is_only_one_path(sim: Simulator) -> None:
    assert await status(sim, path="/kite") == 404


async def test_upgrades_can_be_rejected_some_times(sim: Simulator, connect) -> None:
    sim.inject("reject=500:2")
    assert await status(sim) == 500
    assert await status(sim) == 500
    async with connect(sim):
        pass
    sim.inject("reject=429")
    for _ in range(3):
        assert await status(sim) == 429
    sim.clear()
    async with connect(sim):
        pass


async def test_an_expired_token_is_refused_and_open_connections_live_on(sim: Simulator, connect) -> None:
    async with connect(sim) as client:
        sim.inject("expire")
        assert await status(sim) == 403
        await client.subscribe(INFY)
        await client.ticks()
        sim.inject("expire=cut")
        with pytest.raises(ConnectionClosed) as caught:
            await client.message()
        assert caught.value.reason.code == 1000
    sim.clear()
    async with connect(sim):
        pass


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\0\1\2\3" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.0\r\n\r\n",
        HELLO + b"\r\n",
        HELLO + UPGRADE + b"Sec-WebSocket-Version: 8\r\n\r\n",
        HELLO + UPGRADE + V13 + b"Sec-WebSocket-Protocol: \xff\r\n\r\n",
        HELLO + UPGRADE + V13 + b"\r\n" + b"\xff" * 100,
        HELLO + UPGRADE + V13 + b"\r\n" + b"\x81\x05hello",
        HELLO + UPGRADE + V13 + b"\r\n" + b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        HELLO + UPGRADE + V13 + b"\r\n" + b"\x81\x82\0\0\0\0\xff\xff",
        HELLO + UPGRADE + V13 + b"\r\n" + b"\x88\x81\0\0\0\0\1",
        HELLO * 2000,
    ],
)
async def test_no_client_can_end_the_server(sim: Simulator, connect, sent: bytes) -> None:
    async with await open_stream(sim) as stream:
        with trio.move_on_after(0.3):
            try:
                await stream.send_all(sent)
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
    async with connect(sim) as client:
        await client.subscribe(INFY)
        assert list((await client.ticks()).tokens) == [INFY]


async def test_a_client_that_never_finishes_its_handshake_is_cut(
    sim: Simulator, autojump_clock: trio.testing.MockClock
) -> None:
    async with await open_stream(sim) as stream:
        await stream.send_all(HELLO)
        with trio.fail_after(60):
            assert await stream.receive_some() == b""


async def test_a_fault_in_our_own_code_ends_that_connection_only(
    sim: Simulator, connect, monkeypatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with connect(sim) as good:
        async with connect(sim) as client:
            with monkeypatch.context() as patch:
                patch.setattr(sim.shared.market, "line", broken)
                await client.subscribe(INFY)
                with pytest.raises(ConnectionClosed):
                    await client.message()
        assert sim.counters["connection_errors"] == 1
        await good.subscribe(INFY)
        await good.ticks()

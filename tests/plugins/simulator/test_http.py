"""That no HTTP client can end the simulator, and that connections are closed when they should be."""

import pytest
import trio

from tickerd_plugins.simulator import Simulator, SimulatorOptions, open_simulator

UPGRADE = (
    b"GET /orders HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
H2C = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"


async def open_stream(sim: Simulator) -> trio.SocketStream:
    host, port = sim.rest_url.removeprefix("http://").split(":")
    return await trio.open_tcp_stream(host, int(port))


async def everything(stream: trio.SocketStream) -> bytes:
    data = b""
    with trio.fail_after(5):
        while chunk := await stream.receive_some():
            data += chunk
    return data


@pytest.mark.parametrize(
    "sent",
    [
        UPGRADE + KEY + b"\r\nx",
        UPGRADE + KEY + b"Sec-WebSocket-Protocol: \xff\r\n\r\n",
        UPGRADE + KEY + b"Sec-WebSocket-Extensions: \xff\r\n\r\n",
        H2C + b"HTTP2-Settings: ###\r\n\r\n",
        H2C + b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAC\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\0\xa5" + b"\0" * 165,
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"\0" * 70_000,
    ],
)
async def test_no_client_can_end_the_server(sim: Simulator, request_, sent: bytes) -> None:
    async with await open_stream(sim) as stream:
        with trio.move_on_after(0.3):
            try:
                await stream.send_all(sent)
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
    assert (await request_("GET", "/simulator/state")).status == 200


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /simulator/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /simulator/state HTTP/1.0\r\n\r\n",
    ],
)
async def test_a_connection_is_closed_after_the_answer_when_the_client_says_so(
    sim: Simulator, request_line: bytes
) -> None:
    async with await open_stream(sim) as stream:
        await stream.send_all(request_line)
        answer = await everything(stream)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"}\n")
    assert b"hypercorn" not in answer


async def test_a_kept_connection_serves_again(sim: Simulator) -> None:
    async with await open_stream(sim) as stream:
        for _ in range(2):
            await stream.send_all(b"GET /simulator/state HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            with trio.fail_after(5):
                while not answer.endswith(b"}\n"):
                    answer += await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 200")


async def test_a_client_that_never_reads_does_not_hold_up_the_end() -> None:
    with trio.fail_after(10):
        async with open_simulator(SimulatorOptions(instruments=60_000)) as sim:
            stream = await open_stream(sim)
            for _ in range(10):
                await stream.send_all(b"GET /instruments HTTP/1.1\r\nHost: x\r\n\r\n")
            await trio.testing.wait_all_tasks_blocked(0.1)
    await trio.aclose_forcefully(stream)


async def test_an_idle_connection_at_the_end_is_no_hindrance() -> None:
    with trio.fail_after(2):
        async with open_simulator(SimulatorOptions(instruments=100)) as sim:
            stream = await open_stream(sim)
            await stream.send_all(b"GET /simulator/state HTTP/1.1\r\nHost: x\r\n\r\n")
            await stream.receive_some()
    await trio.aclose_forcefully(stream)

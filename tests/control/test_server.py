"""No client ends the server, holds it up, or keeps it from stopping."""

import os
import random
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from tickerd.control.limits import Limits
from tickerd.control.peer import Peer
from tickerd.control.server import Door, Server

CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

WS = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
KILLERS = {
    "bytes behind a websocket upgrade": WS + b"\r\n\x81\x85",
    "an h2c upgrade with bad base64": GET[:-2]
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: !\r\n\r\n",
    "an h2c upgrade with an invalid setting": GET[:-2]
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAIAAAAC\r\n\r\n",
    "a subprotocol that is not ASCII": WS + b"Sec-WebSocket-Protocol: \xff\r\n\r\n",
    "an extension that is not ASCII": WS + b"Sec-WebSocket-Extensions: \xff\r\n\r\n",
}
"""Each of these ends a plain hypercorn 0.18 by itself."""


@pytest.mark.parametrize("name", KILLERS)
async def test_what_ends_a_plain_hypercorn_is_refused_here(name: str, serve: Any) -> None:
    async with serve() as running:
        assert (await running.ask(KILLERS[name])).startswith(b"HTTP/1.1 400 ")
        assert await running.is_alive()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (CLOSE, 200),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x80\x2e\x01\x00\x02", 400),
        (b"\x00" * 100, 400),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n" + b"a" * 1_048_577, 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (CHUNKED + b"1\r\na\r\n" * 5000, 400),
        (CHUNKED + b"8000\r\n" + b"a" * 0x8000 + b"\r\nff000\r\n" + b"b" * 0xFF000, 413),
        (b"", None),
    ],
)  # fmt: skip
async def test_the_battery_is_answered_and_survived(data: bytes, status: int | None, serve: Any) -> None:
    async with serve() as running:
        answer = await running.ask(data, seconds=10) if data else b""
        if status is not None:
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
        assert await running.is_alive()
        expected = {} if status in (200, None) else {status: 1}
        assert running.server.figures.refused == expected


SEEDS = (
    CLOSE,
    b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    GET + CLOSE,
    WS + b"\r\n",
    *KILLERS.values(),
)
PIECES = (
    b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b" ", b"\t", b":", b"0", b"-1", b"%", b"%00", b"/../", b"HTTP/2.0",
    b"chunked", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Upgrade: h2c\r\n",
    b"ffffffffffffffff\r\n",
    b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"A: " + b"a" * 20_000, b"0\r\n\r\n", GET,
)  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """A request with a few things done to it."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at:at] = chance.choice(PIECES)
            case 1:
                del data[at : at + chance.randint(1, 20)]
            case 2 if at < len(data):
                data[at] = chance.randrange(256)
            case 3:
                data[at:at] = data[chance.randrange(len(data) + 1) :][: chance.randint(1, 60)]
            case _:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
    return bytes(data)


async def _survives(count: int, serve: Any) -> None:
    chance = random.Random(20260915)
    limits = Limits(idle_s=0.3, body_s=0.3, per_address=512)
    inputs = [mutated(chance) for _ in range(count)]
    async with serve(limits=limits) as running:

        async def send(data: bytes) -> None:
            async with room:
                await running.ask(data, seconds=20)

        room = trio.CapacityLimiter(64)
        async with trio.open_nursery() as nursery:
            for data in inputs:
                nursery.start_soon(send, data)
        assert await running.is_alive()
        with trio.fail_after(5):
            while running.server.figures.open:
                await trio.sleep(0.02)


async def test_two_hundred_mutated_requests_are_survived(serve: Any) -> None:
    await _survives(200, serve)


@pytest.mark.full
async def test_two_thousand_mutated_requests_are_survived(serve: Any) -> None:
    await _survives(2000, serve)


async def test_an_application_that_raises_ends_its_connection_alone(serve: Any) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise BaseExceptionGroup("several", [ValueError("one"), KeyError("two")])

    async with serve(broken) as running:
        assert (await running.ask(CLOSE)).startswith(b"HTTP/1.1 500 ")
        assert (await running.ask(CLOSE)).startswith(b"HTTP/1.1 500 ")


async def test_a_failure_inside_the_server_ends_one_connection_alone(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as running:
        with monkeypatch.context() as patch:

            async def fail(*_: Any) -> None:
                raise AttributeError("as in hypercorn's own handling")

            patch.setattr("tickerd.control.connection.Protocol.handle", fail)
            assert await running.ask(CLOSE) == b""
        assert await running.is_alive()


@pytest.mark.parametrize(
    ("data", "answers"),
    [(CLOSE, 1), (b"GET / HTTP/1.0\r\n\r\n", 1), (GET, 1), (GET + GET, 2), (b"", 0), (b"GET / HT", 0)],
)
async def test_connections_close_when_they_should(data: bytes, answers: int, serve: Any) -> None:
    async with serve(limits=Limits(idle_s=0.2)) as running:
        assert (await running.ask(data, seconds=2)).count(b"HTTP/1.1 200") == answers


async def read_to_end(stream: trio.SocketStream) -> bytes:
    received = b""
    with suppress(trio.BrokenResourceError):
        async for data in stream:
            received += data
    return received


async def test_a_body_that_comes_a_byte_at_a_time_is_cut_off(serve: Any) -> None:
    async with serve(limits=Limits(body_s=0.3)) as running, await running.connect() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")

        async def drip() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while True:
                    await stream.send_all(b"a")
                    await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            with trio.fail_after(3):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 408 ")
            nursery.cancel_scope.cancel()


async def test_a_head_that_comes_a_byte_at_a_time_is_cut_off(serve: Any) -> None:
    async with serve(limits=Limits(idle_s=0.3)) as running, await running.connect() as stream:

        async def drip() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                for byte in GET:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            with trio.fail_after(3):
                assert await read_to_end(stream) == b""


def endless(chunk: bytes, told: list[str]) -> Any:
    """An application that sends for ever."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            told.append("disconnect")
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await trio.lowlevel.checkpoint()

    return app


async def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.01)


async def test_a_client_that_does_not_read_is_cut_off(serve: Any) -> None:
    told: list[str] = []
    async with serve(endless(b"x" * 65536, told), Limits(write_s=0.2)) as running:
        async with await running.connect() as stream:
            await stream.send_all(GET)
            await wait_for(lambda: running.server.figures.open == 1)
            await wait_for(lambda: running.server.figures.open == 0)
    assert told == ["disconnect"]


async def test_an_application_that_goes_on_sending_to_nobody_does_not_freeze_the_loop(serve: Any) -> None:
    ended = trio.Event()

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            ended.set()

    async with serve(deaf, Limits(leave_s=0.2)) as running:
        async with await running.connect() as stream:
            await stream.send_all(GET)
            await stream.receive_some()
        with trio.fail_after(5):
            await ended.wait()
        await wait_for(lambda: running.server.figures.open == 0)


async def test_a_handler_is_told_when_its_client_leaves(serve: Any) -> None:
    told: list[str] = []
    async with serve(endless(b"x", told)) as running:
        async with await running.connect() as stream:
            await stream.send_all(GET)
            await stream.receive_some()
        await wait_for(lambda: running.server.figures.open == 0, 2)
    assert told == ["disconnect"]


async def test_a_client_that_leaves_between_requests_is_forgotten_at_once(serve: Any) -> None:
    async with serve(limits=Limits(idle_s=60, leave_s=60)) as running:
        async with await running.connect() as stream:
            await stream.send_all(GET)
            with trio.fail_after(3):
                while b"GET / 0" not in await stream.receive_some():
                    pass
            await trio.testing.wait_all_tasks_blocked(0.02)
        await wait_for(lambda: running.server.figures.open == 0, 2)


async def test_stopping_takes_no_longer_than_the_limit_whatever_clients_do(serve: Any) -> None:
    async with serve(endless(b"x" * 65536, []), Limits(drain_s=0.3, write_s=60, leave_s=60)) as running:
        streams = [await running.connect() for _ in range(20)]
        for stream in streams[:10]:
            await stream.send_all(GET)  # stalled readers of a long answer
        await wait_for(lambda: running.server.figures.open == 20)
        await trio.testing.wait_all_tasks_blocked(0.05)
        began = trio.current_time()
        running.server.stop()
    assert trio.current_time() - began < 30  # and not 60
    for stream in streams:
        await stream.aclose()


async def test_cancelling_the_server_leaves_no_connection_behind(serve: Any) -> None:
    more_than_buffers_take = b"x" * 2**25
    async with serve(endless(more_than_buffers_take, []), Limits(write_s=60)) as running:
        stream = await running.connect()
        await stream.send_all(GET)
        await wait_for(lambda: running.server.figures.open == 1)
        await trio.testing.wait_all_tasks_blocked(0.05)
        began = trio.current_time()
        running.nursery.cancel_scope.cancel()
    assert trio.current_time() - began < 30  # and not 60
    assert running.server.figures.open == 0
    await stream.aclose()


async def test_requests_in_flight_are_finished_when_the_server_stops(serve: Any) -> None:
    asked, go_on = trio.Event(), trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done", "more_body": False})

    async with serve(slow) as running, await running.connect() as stream:
        await stream.send_all(GET)
        await asked.wait()
        running.server.stop()
        go_on.set()
        with trio.fail_after(3):
            answer = b"".join([data async for data in stream])
        assert answer.endswith(b"done")


async def test_a_stopped_server_leaves_the_listener_open(serve: Any) -> None:
    async with serve() as running:
        assert await running.is_alive()
        running.server.stop()
        again = Server(running.app)
        async with trio.open_nursery() as nursery:
            await nursery.start(again.run, [Door("again", running.listener)])
            assert await running.is_alive()
            again.stop()


async def test_one_address_cannot_take_all_connections(serve: Any) -> None:
    async with serve(limits=Limits(connections=10, per_address=3)) as running:
        streams = [await running.connect() for _ in range(3)]
        await wait_for(lambda: running.server.figures.open == 3)
        assert await running.ask(CLOSE) == b""
        assert running.server.figures.turned_away == {"per_address": 1}
        for stream in streams:
            await stream.aclose()
        await wait_for(lambda: running.server.figures.open == 0)
        assert await running.is_alive()


async def test_tcp_and_unix_connections_have_limits_of_their_own(serve: Any) -> None:
    limits = Limits(connections=2, per_address=2)
    for unix in (False, True):
        async with serve(limits=limits, unix=unix) as running:
            streams = [await running.connect() for _ in range(2)]
            await wait_for(lambda: running.server.figures.open == 2)
            assert await running.ask(CLOSE) == b""
            assert running.server.figures.turned_away == {"connections": 1}
            for stream in streams:
                await stream.aclose()


async def test_the_accept_loop_survives_running_out_of_descriptors(serve: Any) -> None:
    async with serve() as running:
        accept = running.listener.accept
        failures = iter([OSError(24, "Too many open files"), OSError(12, "Cannot allocate memory")])

        async def failing() -> trio.SocketStream:
            for error in failures:
                raise error
            return await accept()

        running.listener.accept = failing
        assert await running.is_alive()  # accepted by the call that was already waiting
        assert await running.is_alive()


def remember(seen: list[Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def test_the_application_learns_who_is_at_the_other_end(serve: Any) -> None:
    seen: list[Any] = []
    async with serve(remember(seen)) as running:
        await running.ask(CLOSE)
    peer: Peer = seen[0]["state"]["peer"]
    assert (peer.transport, peer.address, peer.door, peer.uid) == ("tcp", "127.0.0.1", "127.0.0.1:0", None)


async def test_the_credentials_of_a_unix_peer_come_from_the_kernel_and_stay_with_its_connection(
    serve: Any,
) -> None:
    seen: list[Any] = []
    async with serve(remember(seen), unix=True) as running:
        await running.ask(CLOSE)
        await running.ask(CLOSE)
    peer: Peer = seen[0]["state"]["peer"]
    assert (peer.transport, peer.uid, peer.gid, peer.pid) == ("unix", os.getuid(), os.getgid(), os.getpid())
    assert seen[0]["state"] is not seen[1]["state"]
    seen[0]["state"]["peer"] = None
    assert seen[1]["state"]["peer"] is not None


async def test_bytes_that_a_refused_client_still_sends_do_not_cost_it_the_answer(serve: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"
    async with serve() as running, await running.connect() as stream:
        await stream.send_all(head + b"a" * 500_000)
        with trio.fail_after(3):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 413 ")


@pytest.fixture
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server and of a client that trusts it."""
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def test_tls_is_spoken_where_it_is_configured(serve: Any, tls: Any) -> None:
    seen: list[Any] = []
    async with serve(remember(seen), tls=tls[0]) as running:
        plain = await running.connect()
        async with trio.SSLStream(
            plain, tls[1], server_hostname="localhost", https_compatible=True
        ) as stream:
            await stream.send_all(CLOSE)
            with trio.fail_after(5):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 204 ")
                assert await stream.receive_some() == b""
        assert seen[0]["scheme"] == "https"
        assert seen[0]["state"]["peer"].tls


async def test_who_does_not_finish_a_handshake_is_dropped(
    serve: Any, tls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd.control.connection.HANDSHAKE_S", 0.2)
    async with serve(tls=tls[0]) as running:
        assert await running.ask(CLOSE) != b"HTTP/1.1 200"
        async with await running.connect() as stream:
            with trio.fail_after(3):
                assert await stream.receive_some() == b""


async def test_a_client_that_resets_at_once_is_nothing_special(serve: Any) -> None:
    async with serve() as running:
        for _ in range(20):
            stream = await running.connect()
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            await stream.send_all(GET[:10])
            await stream.aclose()
        assert await running.is_alive()


@pytest.mark.full
async def test_ten_thousand_idle_connections_are_bounded_and_go_away(serve: Any) -> None:
    async with serve(limits=Limits(connections=300, per_address=300, idle_s=0.5)) as running:
        room = trio.CapacityLimiter(600)

        async def idle() -> None:
            async with room, await running.connect() as stream:
                with trio.move_on_after(1.5):
                    with suppress(trio.BrokenResourceError):
                        await stream.receive_some()

        async with trio.open_nursery() as nursery:
            for _ in range(10_000):
                nursery.start_soon(idle)
        assert running.server.figures.open <= 300
        await wait_for(lambda: running.server.figures.open == 0)
        assert await running.is_alive()

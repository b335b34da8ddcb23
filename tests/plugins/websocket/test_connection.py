"""One connection as bytes: framing, fragments, UTF-8, closing, pings, and limits in time and size."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tickerd_plugins.websocket.connection import MAX_FRAGMENTS, Timing

Serve = Callable[..., AbstractAsyncContextManager[Any]]
Frame = Callable[..., bytes]

FIN, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 1, 2, 8, 9, 10
ASK = b'{"op":"ping","id":1,"t":"x"}'


async def pong_of(raw: Any) -> Any:
    while (message := json.loads(await raw.until(TEXT)))["t"] != "pong":
        pass
    return message


# -- messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 2, 5, len(ASK)])
async def test_a_message_may_come_in_fragments(serve: Serve, frame_of: Frame, pieces: int) -> None:
    step = -(-len(ASK) // pieces)
    parts = [ASK[n : n + step] for n in range(0, len(ASK), step)]
    opcodes = [TEXT if n == 0 else 0 for n in range(len(parts))]
    opcodes[-1] |= FIN
    async with serve() as served, served.raw() as raw:
        await raw.send(*map(frame_of, opcodes, parts))
        assert (await pong_of(raw))["echo"] == "x"


async def test_control_frames_may_stand_between_fragments(serve: Serve, frame_of: Frame) -> None:
    async with serve() as served, served.raw() as raw:
        await raw.send(
            frame_of(TEXT, ASK[:5]),
            frame_of(FIN | PING, b"hello"),
            frame_of(FIN | PONG, b"unasked"),
            frame_of(FIN, ASK[5:]),
        )
        assert await raw.until(PONG) == b"hello"
        assert (await pong_of(raw))["echo"] == "x"


async def test_a_message_may_come_byte_by_byte(serve: Serve, frame_of: Frame) -> None:
    async with serve() as served, served.raw() as raw:
        for byte in frame_of(FIN | TEXT, ASK):
            await raw.send(bytes((byte,)))
        assert (await pong_of(raw))["echo"] == "x"


async def test_text_may_be_cut_within_a_character(serve: Serve, frame_of: Frame) -> None:
    text = '{"op":"ping","t":"κόσμε"}'.encode()
    async with serve() as served, served.raw() as raw:
        place = text.index(b"\xcf\x83") + 1
        await raw.send(frame_of(TEXT, text[:place]), frame_of(FIN, text[place:]))
        assert (await pong_of(raw))["echo"] == "κόσμε"


@pytest.mark.parametrize(
    ("first", "payload", "code"),
    [
        (FIN | 0x40 | TEXT, ASK, 1002),  # reserved bits
        (FIN | 0x20 | TEXT, ASK, 1002),
        (FIN | 0x10 | PING, b"", 1002),
        (FIN | 3, b"", 1002),  # reserved opcodes
        (FIN | 7, b"x", 1002),
        (FIN | 11, b"", 1002),
        (FIN | 15, b"x", 1002),
        (FIN, b"x", 1002),  # a continuation of nothing
        (0, b"x", 1002),
        (PING, b"", 1002),  # control frames in fragments, or too long
        (CLOSE, b"", 1002),
        (FIN | PING, b"x" * 126, 1002),
        (FIN | CLOSE, b"\x03\xe8" + b"x" * 124, 1002),
        (FIN | CLOSE, b"x", 1002),  # close frames that are none
        (FIN | CLOSE, (1005).to_bytes(2), 1002),
        (FIN | CLOSE, (1006).to_bytes(2), 1002),
        (FIN | CLOSE, (999).to_bytes(2), 1002),
        (FIN | CLOSE, (5000).to_bytes(2), 1002),
        (FIN | CLOSE, (65535).to_bytes(2), 1002),
        (FIN | CLOSE, (1000).to_bytes(2) + b"\xff", 1007),
        (FIN | TEXT, b"\xff", 1007),  # no UTF-8
        (FIN | TEXT, b"\xed\xa0\x80", 1007),
        (FIN | TEXT, b"\xc0\xaf", 1007),
        (FIN | TEXT, b"\xf4\x90\x80\x80", 1007),
        (FIN | TEXT, b"\xce", 1007),
        (FIN | BINARY, b"", 1003),
        (FIN | TEXT, b"x" * 65_537, 1009),
    ],
)
async def test_what_the_protocol_does_not_allow_closes(
    serve: Serve, frame_of: Frame, first: int, payload: bytes, code: int
) -> None:
    async with serve() as served:
        served.server._timing = Timing(close=0.2)
        async with served.raw() as raw:
            await raw.send(frame_of(first, payload))
            assert await raw.close_code() == code
            assert await raw.is_over()
        await served.alone()


async def test_an_unmasked_frame_closes(serve: Serve) -> None:
    async with serve() as served, served.raw() as raw:
        await raw.send(b"\x81\x02{}")
        assert await raw.close_code() == 1002


@pytest.mark.parametrize("length", [65_537, 2**32, 2**62])
async def test_a_length_beyond_the_limit_closes_before_anything_of_it_has_come(
    serve: Serve, frame_of: Frame, length: int
) -> None:
    async with serve() as served, served.raw() as raw:
        await raw.send(frame_of(FIN | TEXT, length=length))
        assert await raw.close_code() == 1009


async def test_fragments_together_may_not_be_longer_than_a_message(serve: Serve, frame_of: Frame) -> None:
    async with serve() as served, served.raw() as raw:
        await raw.send(frame_of(TEXT, b"x" * 60_000), frame_of(0, b"x" * 5_000), frame_of(FIN, b"x" * 5_000))
        assert await raw.close_code() == 1009


async def test_endless_empty_fragments_close(serve: Serve, frame_of: Frame) -> None:
    async with serve() as served, served.raw() as raw:
        await raw.send(frame_of(TEXT), *[frame_of(0)] * (MAX_FRAGMENTS + 10))
        assert await raw.close_code() == 1009


async def test_a_message_that_never_ends_closes(serve: Serve, frame_of: Frame) -> None:
    async with serve() as served:
        served.server._timing = Timing(message=0.2)
        async with served.raw() as raw, served.raw() as other:
            await raw.send(frame_of(FIN | TEXT, b"{", length=20))
            await other.send(frame_of(TEXT, b"{"), frame_of(FIN | PING))
            assert await raw.close_code() == 1002
            assert await other.close_code() == 1002


async def test_a_flood_of_frames_is_read_slowly_and_leaves_nothing(serve: Serve, frame_of: Frame) -> None:
    async with serve() as served:
        async with served.raw() as raw:
            await raw.send(*[frame_of(FIN | PONG)] * 2000)
            (connection,) = served.server.connections.values()
            with trio.fail_after(5):
                while connection._budget > 0:
                    await trio.sleep(0.001)
            began = trio.current_time()
            await raw.send(frame_of(FIN | TEXT, ASK))
            await pong_of(raw)
            assert trio.current_time() - began > 1
        await served.alone()  # within 5 s


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw_bytes=st.binary(min_size=1, max_size=200), first=st.integers(0, 255), length=st.integers(0, 300))
async def test_hostile_bytes_never_end_the_server(
    serve: Serve, frame_of: Frame, raw_bytes: bytes, first: int, length: int
) -> None:
    async with serve() as served:
        for frames in (raw_bytes, frame_of(first, raw_bytes, length=length)):
            async with served.raw() as raw:
                await raw.send(frames)
                await raw.stream.send_eof()
                assert await raw.is_over()
        await served.alone()
        assert served.ctx.counts["failed_connections"] == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_hostile_messages_never_end_the_server(
    serve: Serve, frame_of: Frame, data: st.DataObject
) -> None:
    messages = [
        b'{"op":"sub","id":1,"tokens":[408065,2953217],"symbols":["NSE:INFY","NSE:*"],"mode":"ltp"}',
        b'{"op":"resume","id":"a","epoch":1,"seq":0,"symbols":["NSE:INFY"],"interval_ms":0}',
        b'{"op":"unsub","all":true}',
        b'{"op":"list","id":null}',
        b'{"op":"auth","key":"\\ud83d\\ude00","ticket":null}',
    ]
    async with serve(limits={"control_rate": 100_000}) as served, served.raw() as raw:
        for _ in range(5):
            message = bytearray(data.draw(st.sampled_from(messages)))
            for _ in range(data.draw(st.integers(0, 3))):
                place = data.draw(st.integers(0, len(message) - 1))
                message[place : place + data.draw(st.integers(0, 4))] = data.draw(
                    st.sampled_from([b"", b"[", b"{", b'"', b"1e400", b"-", b"\\ud800", b"null", b"9" * 5000])
                )
            await raw.send(frame_of(FIN | TEXT, bytes(message)))
        await raw.send(frame_of(FIN | CLOSE, (1000).to_bytes(2)))
        assert await raw.is_over()
        assert served.ctx.counts["failed_connections"] == 0


# -- pings and the end -------------------------------------------------------------------------------------


async def test_a_client_that_answers_pings_stays_and_one_that_does_not_goes(
    serve: Serve, frame_of: Frame
) -> None:
    async with serve() as served:
        served.server._timing = Timing(ping=0.5)
        async with served.raw() as good, served.raw() as bad:

            async def answer() -> None:
                while True:
                    await good.send(frame_of(FIN | PONG, await good.until(PING)))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer)
                assert await bad.close_code() in (4009, 0)
                await trio.sleep(1)
                assert served.ctx.counts["ended_heartbeat_timeout"] == 1
                assert len(served.server.connections) == 1
                nursery.cancel_scope.cancel()


async def test_the_server_never_sends_a_pong_that_nobody_asked_for(serve: Serve, frame_of: Frame) -> None:
    async with serve(heartbeat="1s") as served:
        served.server._timing = Timing(ping=0.5)
        async with served.raw() as raw:
            with trio.move_on_after(1.2):
                while True:
                    opcode, payload = await raw.frame()
                    assert opcode != PONG
                    if opcode == PING:
                        await raw.send(frame_of(FIN | PONG, payload))


@pytest.mark.parametrize("payload", [b"", (1000).to_bytes(2), (4321).to_bytes(2) + b"why"])
async def test_a_close_frame_is_answered_and_the_connection_ends(
    serve: Serve, frame_of: Frame, payload: bytes
) -> None:
    async with serve() as served:
        async with served.raw() as raw:
            await raw.send(frame_of(FIN | CLOSE, payload))
            assert await raw.until(CLOSE) == payload
            assert await raw.is_over()
        await served.alone()
        assert served.ctx.counts["ended_closed"] == 1


async def test_a_client_that_does_not_let_go_after_closing_is_let_go(serve: Serve, frame_of: Frame) -> None:
    async with serve() as served:
        served.server._timing = Timing(close=0.2)
        async with served.raw() as raw, served.raw() as other:
            await raw.send(frame_of(FIN | CLOSE))  # and keeps its socket open
            for connection in list(served.server.connections.values()):
                connection.close(1000)  # which the other never answers
            await served.alone()
            assert await raw.is_over()
            assert await other.is_over()


async def test_a_client_that_vanishes_leaves_nothing(serve: Serve) -> None:
    async with serve() as served:
        async with served.raw(), served.raw():
            assert len(served.server.connections) == 2
        await served.alone()


async def test_what_is_sent_to_one_that_has_gone_ends_it(serve: Serve) -> None:
    async with serve() as served, served.raw() as raw:
        (connection,) = served.server.connections.values()
        connection._transport.close()
        connection.send(b"\x81\x00")
        assert not connection.is_open
        assert not connection.offer(b"\x81\x00")
        connection.send(b"\x81\x00")
        connection.close(1000)
        assert await raw.is_over()
        await served.alone()

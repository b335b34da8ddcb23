"""Upgrade requests, right and wrong, as bytes on a socket."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Serve = Callable[..., AbstractAsyncContextManager[Any]]

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
GOOD = (
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    KEY,
)


def request(*lines: str, first: str = "GET /v1/stream HTTP/1.1", end: bytes = b"") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1") + end


def without(name: str, *more: str) -> tuple[str, ...]:
    return (*(line for line in GOOD if not line.startswith(name)), *more)


async def test_a_good_request_is_upgraded(serve: Serve) -> None:
    async with serve() as served:
        status, answer = await served.knock(raw=request(*GOOD))
        assert status == 101
        assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
        assert "Sec-WebSocket-Protocol" not in answer


@pytest.mark.parametrize("offered", ["tickerd.v1.msgpack", "other, tickerd.v1.msgpack, tickerd.v1.json"])
async def test_the_first_subprotocol_that_is_known_is_taken(serve: Serve, offered: str) -> None:
    async with serve() as served:
        status, answer = await served.knock(raw=request(*GOOD, f"Sec-WebSocket-Protocol: {offered}"))
        assert status == 101
        assert "Sec-WebSocket-Protocol: tickerd.v1.msgpack\r\n" in answer


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request(*GOOD, "Sec-WebSocket-Protocol: tickerd.v9"), 400),
        (request(*GOOD, "Sec-WebSocket-Protocol: \xff\xfe"), 400),
        (
            request(*GOOD, "Sec-WebSocket-Extensions: \xff\xfe"),
            101,
        ),  # nothing is offered, so nothing is looked at
        (request(*without("Host")), 403),
        (request(*without("Host", "Host: a", "Host: localhost")), 403),
        (request(*without("Host", "Host: evil.example")), 403),
        (request(*without("Host", "Host: \xff")), 403),
        (request(*GOOD, "Origin: https://evil.example"), 403),
        (request(*GOOD, "Origin: null"), 403),
        (request(*GOOD, "Origin: \xff"), 403),
        (request(*without("Upgrade")), 426),
        (request(*without("Connection")), 426),
        (request(*without("Sec-WebSocket-Key")), 400),
        (request(*without("Sec-WebSocket-Key", "Sec-WebSocket-Key: short")), 400),
        (request(*without("Sec-WebSocket-Key", "Sec-WebSocket-Key: \xe9\xe9\xe9")), 400),
        (request(*without("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8")), 400),
        (request(*GOOD, first="POST /v1/stream HTTP/1.1"), 405),
        (request(*GOOD, first="GET /v1/stream HTTP/1.0"), 505),
        (request(*GOOD, first="GET /v1/stream HTTP/2.0"), 400),
        (request(*GOOD, first="GET /other HTTP/1.1"), 404),
        (request(*GOOD, first="GET / HTTP/1.1"), 404),
        (request(*GOOD, first="GET /v1/stream"), 400),
        (request(*GOOD, "Content-Length: 3", end=b"abc"), 400),
        (request(*GOOD, "Transfer-Encoding: chunked"), 400),
        (request(*GOOD, end=b"x"), 400),
        (request(*GOOD, end=b"\x81\x80\0\0\0\0"), 400),
        (request(*GOOD, end=b"\x88\x80\0\0\0\0"), 400),
        (request(*GOOD, "no colon"), 400),
        (request(*GOOD, first="GET /" + "x" * 9000 + " HTTP/1.1"), 414),
        (request(*GOOD, "X: " + "x" * 9000), 431),
        (request(*GOOD, *(f"X{n}: 1" for n in range(200))), 431),
        (request(*GOOD, *(f"X{n}: " + "x" * 1000 for n in range(60))), 431),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\0" * 100 + b"\r\n\r\n", 400),
    ],
)
async def test_a_bad_request_is_refused_and_the_next_one_is_served(
    serve: Serve, raw: bytes, status: int
) -> None:
    async with serve() as served:
        assert (await served.knock(raw=raw))[0] == status
        assert (await served.knock(raw=request(*GOOD)))[0] == 101


async def test_pages_and_names_on_the_lists_may_connect(serve: Serve) -> None:
    options = {"origins": ["https://ticks.example.com"], "hosts": ["*.example.com", "box:7800"]}
    async with serve(**options) as served:
        for host, origin, status in [
            ("ticks.example.com", "https://ticks.example.com", 101),
            ("TICKS.example.com:7800", "HTTPS://Ticks.Example.com", 101),
            ("box:7800", None, 101),
            ("box:7801", None, 403),
            ("example.com", None, 403),
            ("[::1]:7800", None, 101),
            ("ticks.example.com", "https://ticks.example.com:8443", 403),
        ]:
            lines = without("Host", f"Host: {host}", *([f"Origin: {origin}"] if origin else []))
            assert (await served.knock(raw=request(*lines)))[0] == status, (host, origin)


async def test_an_empty_line_is_no_request(serve: Serve) -> None:
    async with serve() as served:
        assert (await served.knock(raw=b"\r\n"))[0] == 400


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_mutated_requests_never_end_the_server(serve: Serve, data: st.DataObject) -> None:
    raw = bytearray(
        request(*GOOD, "Origin: https://a", "Sec-WebSocket-Protocol: tickerd.v1.json", end=b"\x81\x82abcd")
    )
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    async with serve() as served:
        await served.send_and_hang_up(bytes(raw))
        assert (await served.knock(raw=request(*GOOD)))[0] == 101
        assert served.ctx.counts["failed_connections"] == 0

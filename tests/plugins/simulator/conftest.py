"""Clients for the simulator's tests: a WebSocket that speaks Kite, and plain HTTP requests in a thread."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from tickerd.plugin import Split
from tickerd.wire.kite import KITE, text
from tickerd_plugins.simulator import Simulator, SimulatorOptions, open_simulator


class KiteClient:
    """A WebSocket client that asks and reads as Kite's do; every wait has a deadline."""

    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws

    async def subscribe(self, *tokens: int) -> None:
        await self.ws.send_message(text.subscribe(tokens))

    async def unsubscribe(self, *tokens: int) -> None:
        await self.ws.send_message(text.unsubscribe(tokens))

    async def set_mode(self, mode: str, *tokens: int) -> None:
        await self.ws.send_message(text.set_mode(mode, tokens))

    async def message(self) -> bytes | str:
        with trio.fail_after(5):
            return await self.ws.get_message()

    async def ticks(self) -> Split:
        """The next binary frame, taken apart."""
        message = await self.message()
        assert isinstance(message, bytes)
        return KITE.split(message)

    async def text(self) -> dict[str, Any]:
        """The next text frame."""
        message = await self.message()
        assert isinstance(message, str)
        return json.loads(message)


Connect = Callable[..., AbstractAsyncContextManager[KiteClient]]


@pytest.fixture
def connect() -> Connect:
    """``async with connect(simulator) as client``."""

    @asynccontextmanager
    async def connect(
        sim: Simulator, query: str = "api_key=demo&access_token=demo-token", path: str = "/", **options: Any
    ) -> AsyncIterator[KiteClient]:
        address = sim.ws_url.removeprefix("ws://")
        host, port = address.split(":")
        # the stream is ours to close: trio-websocket's own client leaves it open when the server closes first
        async with await trio.open_tcp_stream(host, int(port)) as stream, trio.open_nursery() as nursery:
            with trio.fail_after(5):
                ws = await wrap_client_stream(
                    nursery, stream, address, f"{path}?{query}", max_message_size=2**23, **options
                )
            yield KiteClient(ws)
            with trio.move_on_after(1):
                await ws.aclose()
            nursery.cancel_scope.cancel()

    return connect


HANDSHAKE = (
    b"GET /?api_key=demo&access_token=demo-token HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def connect_raw() -> Callable[[Simulator], AbstractAsyncContextManager[trio.SocketStream]]:
    """A bare socket after the upgrade: it shows half a frame, and reads only when the test does."""

    @asynccontextmanager
    async def connect_raw(sim: Simulator) -> AsyncIterator[trio.SocketStream]:
        host, port = sim.ws_url.removeprefix("ws://").split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(HANDSHAKE)
            with trio.fail_after(5):
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += await stream.receive_some(1)
                assert answer.startswith(b"HTTP/1.1 101 ")
                await sim.until(lambda sim: bool(sim.connections))
            yield stream

    return connect_raw


def masked(text: str) -> bytes:
    """A short text frame as a client sends it, with a mask of zeros."""
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text.encode()


@pytest.fixture(name="masked")
def masked_fixture() -> Callable[[str], bytes]:
    """See `masked`."""
    return masked


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A small simulator that ticks only when it is told to."""
    async with open_simulator(SimulatorOptions(seed=1, instruments=500, heartbeat=3600)) as simulator:
        yield simulator


class Answer:
    """An HTTP answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


Request = Callable[..., Awaitable[Answer]]


@pytest.fixture
def request_(sim: Simulator) -> Request:
    """``await request_("GET", "/orders", login=True)``; a dict as form is sent as one, as body as JSON."""

    def send(method: str, path: str, form: Any = None, body: Any = None, login: bool = True) -> Answer:
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"token {sim.api_key}:{sim.access_token}"} if login else {}
        request = urllib.request.Request(sim.rest_url + path, data=data, headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
        try:
            with opener.open(request, timeout=5) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    async def request_(method: str, path: str, **options: Any) -> Answer:
        return await trio.to_thread.run_sync(lambda: send(method, path, **options))

    return request_

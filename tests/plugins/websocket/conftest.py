"""A WebSocket sink that runs over a stream that the test makes, and clients of its protocol."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio_websocket

from tickerd.plugin import Batch, Clock, Instrument, Principal, Row
from tickerd.testing import FakeServingContext, running
from tickerd_plugins.websocket import WebsocketSink
from tickerd_plugins.websocket.options import WebsocketOptions

ADDRESS = "127.0.0.1:7800"
KEY = "key-of-alice"
UPGRADE = (
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
NOW_NS = 1_700_000_000_000_000_000

INFY = Instrument("kite", 408065, "NSE", "INFY")
TCS = Instrument("kite", 2953217, "NSE", "TCS")
NIFTY = Instrument("kite", 256265, "NSE", "NIFTY 50", segment="INDICES")
GOLD = Instrument("kite", 53556743, "MCX", "GOLD24DECFUT")
INSTRUMENTS = [INFY, TCS, NIFTY, GOLD]


def principal(
    name: str = "key alice", *, instruments: frozenset[str] | None = None, **more: Any
) -> Principal:
    scopes = more.pop("scopes", frozenset({"ticks:read", "history:read"}))
    return Principal(id=name, scopes=scopes, instruments=instruments, **more)


def rows(*tokens: int, price: float = 100.0) -> Batch:
    """One tick of each."""
    return Batch.of([Row(token, mode="full", last_price=price) for token in tokens], ts_recv=NOW_NS)


class Client:
    """A plain client: sends objects, receives objects."""

    def __init__(self, ws: trio_websocket.WebSocketConnection, *, binary: bool = False) -> None:
        self.ws = ws
        self.binary = binary
        self.seen: list[dict[str, Any]] = []

    async def send(self, op: str, **members: Any) -> None:
        message = {"op": op, **members}
        await self.ws.send_message(msgspec.msgpack.encode(message) if self.binary else json.dumps(message))

    async def next(self) -> dict[str, Any]:
        message = await self.ws.get_message()
        assert isinstance(message, bytes) == self.binary
        decoded = msgspec.msgpack.decode(message) if self.binary else json.loads(message)
        self.seen.append(decoded)
        return dict(decoded)

    async def until(self, t: str, **members: Any) -> dict[str, Any]:
        """The next message of a type, with these members; others are skipped."""
        with trio.fail_after(10):
            while True:
                message = await self.next()
                if message["t"] == t and members.items() <= message.items():
                    return message

    async def login(self, key: str = KEY) -> dict[str, Any]:
        await self.until("welcome")
        await self.send("auth", id=0, key=key)
        return await self.until("auth_ok")

    async def subscribe(self, *symbols: str, **members: Any) -> dict[str, Any]:
        await self.send("sub", id=1, symbols=list(symbols), **members)
        ack = await self.until("ack", op="sub")
        while members.get("snapshot", True) and not (await self.until("snapshot"))["last"]:
            pass
        return ack

    async def closed(self) -> tuple[int, str | None]:
        """Read to the end; code and reason."""
        with trio.fail_after(10):
            while True:
                try:
                    await self.next()
                except trio_websocket.ConnectionClosed as error:
                    why = error.reason
                    return (0, None) if why is None else (why.code, why.reason)


def masked(first: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """A client's frame: ``first`` is the first byte, FIN and opcode."""
    said = len(payload) if length is None else length
    if said < 126:
        head = bytes((first, 0x80 | said))
    elif said < 65_536:
        head = bytes((first, 0x80 | 126)) + said.to_bytes(2)
    else:
        head = bytes((first, 0x80 | 127)) + said.to_bytes(8)
    return head + b"\0\0\0\0" + payload


class Raw:
    """A client that writes bytes, right or wrong, and takes apart what it is sent."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._data = b""

    async def send(self, *frames: bytes) -> None:
        await self.stream.send_all(b"".join(frames))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; (-1, b"") at the end."""
        head = await self._take(2)
        if len(head) < 2:
            return -1, b""
        assert head[0] & 0x70 == 0
        assert head[1] < 128, "a server masks nothing"
        more = {126: 2, 127: 8}.get(head[1], 0)
        length = int.from_bytes(await self._take(more)) if more else head[1]
        return head[0] & 15, await self._take(length)

    async def until(self, opcode: int) -> bytes:
        """The payload of the next frame with that opcode."""
        with trio.fail_after(10):
            while True:
                found, payload = await self.frame()
                if found == opcode:
                    return payload
                assert found != -1, "the connection has ended"

    async def close_code(self) -> int:
        """Of the close frame that comes; 0 when the connection ends without one."""
        with trio.fail_after(10):
            while True:
                try:
                    opcode, payload = await self.frame()
                except trio.BrokenResourceError:
                    return 0
                if opcode in (8, -1):
                    return int.from_bytes(payload[:2])

    async def is_over(self) -> bool:
        """Read to the end; whether it came."""
        with trio.fail_after(10):
            try:
                while await self.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
            return True

    async def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            data = await self.stream.receive_some()
            if not data:
                return b""
            self._data += data
        taken, self._data = self._data[:count], self._data[count:]
        return taken


class Served:
    """A sink that runs."""

    upgrade = UPGRADE

    def __init__(self, ctx: FakeServingContext, sink: WebsocketSink) -> None:
        self.ctx = ctx
        self.sink = sink

    @property
    def port(self) -> int:
        return int(self.ctx.listening[ADDRESS].socket.getsockname()[1])

    @property
    def server(self) -> Any:
        return self.sink._server

    async def knock(
        self, path: str = "/v1/stream", *headers: str, raw: bytes | None = None
    ) -> tuple[int, str]:
        """Ask for an upgrade by hand; the status and the whole answer. (A refused trio-websocket leaks its socket.)"""
        lines = [f"GET {path} HTTP/1.1", *UPGRADE, *headers, "", ""]
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            await stream.send_all("\r\n".join(lines).encode("latin-1") if raw is None else raw)
            answer = b""
            with trio.fail_after(5):
                while b"\r\n\r\n" not in answer and (data := await stream.receive_some()):
                    answer += data
        text = answer.decode("latin-1")
        return int(text[9:12] or 0), text

    async def send_and_hang_up(self, raw: bytes) -> bytes:
        """Send bytes and no more; everything that is answered."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        answer = b""
        with suppress(trio.BrokenResourceError), trio.fail_after(5):
            async with stream:
                await stream.send_all(raw)
                await stream.send_eof()
                while data := await stream.receive_some():
                    answer += data
        return answer

    async def settled(self) -> None:
        """Everything published has been handed on."""
        seq = self.ctx.seq
        face = self.server._faces[0]
        with trio.fail_after(5):
            while face.groups.position < seq:
                await trio.sleep(0.001)

    @asynccontextmanager
    async def connect(
        self,
        path: str = "/v1/stream",
        *,
        binary: bool = False,
        stream: trio.abc.Stream | None = None,
        protocols: tuple[str, ...] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> AsyncIterator[Client]:
        """A client that is connected; the test reads from it. (trio-websocket itself may leave its socket open.)"""
        wanted = ("tickerd.v1.msgpack" if binary else "tickerd.v1.json",) if protocols is None else protocols
        stream = stream or await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream, trio.open_nursery() as nursery:
            ws = await trio_websocket.wrap_client_stream(
                nursery, stream, "127.0.0.1", path, subprotocols=wanted, extra_headers=list(headers)
            )
            try:
                yield Client(ws, binary=binary)
            finally:
                with trio.move_on_after(1, shield=True):
                    await ws.aclose()
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def raw(self, *headers: str, key: str | None = KEY, receive_buffer: int = 0) -> AsyncIterator[Raw]:
        """A client that is connected, and has shown who it is where a key is given."""
        sock = trio.socket.socket()
        if receive_buffer:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer)
        await sock.connect(("127.0.0.1", self.port))
        async with trio.SocketStream(sock) as stream:
            shown = () if key is None else (f"Authorization: Bearer {key}",)
            lines = ["GET /v1/stream HTTP/1.1", *UPGRADE, *shown, *headers, "", ""]
            await stream.send_all("\r\n".join(lines).encode())
            raw = Raw(stream)
            while b"\r\n\r\n" not in raw._data:
                raw._data += await stream.receive_some()
            raw._data = raw._data.partition(b"\r\n\r\n")[2]
            yield raw

    async def alone(self, connections: int = 0) -> None:
        """Until so many connections are left."""
        with trio.fail_after(5):
            while len(self.server.connections) > connections or len(self.server._census) > connections:
                await trio.sleep(0.01)

    @asynccontextmanager
    async def client(self, *, key: str = KEY, binary: bool = False) -> AsyncIterator[Client]:
        """A client that has shown who it is."""
        async with self.connect(binary=binary) as client:
            await client.login(key)
            yield client


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Runs a sink with options for the length of a block; ``at`` another one takes its place on the same socket."""
    async with AsyncExitStack() as stack:

        @asynccontextmanager
        async def run(at: Served | None = None, **options: Any) -> AsyncIterator[Served]:
            ctx = FakeServingContext(tmp_path, "stream", Clock(NOW_NS))
            if at is not None:
                (listener,) = at.ctx.listening.values()
                ctx.listening[ADDRESS] = trio.SocketListener(listener.socket.dup())
            stack.push_async_callback(ctx.aclose)
            ctx.instruments.load(INSTRUMENTS)
            ctx.principals[KEY] = principal()
            sink = WebsocketSink(WebsocketOptions.model_validate({"listen": ADDRESS, "drain": 0, **options}))
            async with running(sink, ctx):
                yield Served(ctx, sink)

        yield run


@pytest.fixture
def frame_of() -> Callable[..., bytes]:
    """Makes a client's frame."""
    return masked

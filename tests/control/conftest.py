"""Servers on loopback and on Unix sockets, and a client that sends bytes as they are."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tickerd.control.limits import Limits
from tickerd.control.server import Door, Server

App = Callable[[Any, Any, Any], Awaitable[None]]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """A small ASGI application: answers once the body has come, and says how long it was."""
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = f"{scope['method']} {scope['path']} {length}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Running:
    """A server that runs, and how to talk to it."""

    def __init__(self, server: Server, listener: trio.SocketListener, path: Path | None) -> None:
        self.server = server
        self.listener = listener
        self.path = path
        self.crashed = False

    async def connect(self) -> trio.SocketStream:
        """A raw connection."""
        if self.path is not None:
            return await trio.open_unix_socket(str(self.path))
        return await trio.open_tcp_stream(*self.listener.socket.getsockname()[:2])

    async def ask(self, data: bytes, *, seconds: float = 5.0) -> bytes:
        """Send bytes and read until the server closes."""
        async with await self.connect() as stream:
            with trio.fail_after(seconds):
                try:
                    await stream.send_all(data)
                    return await read_all(stream)
                except trio.BrokenResourceError:
                    return b""

    async def is_alive(self) -> bool:
        """Whether it still answers."""
        return (await self.ask(b"GET /alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).startswith(
            b"HTTP/1.1 200"
        )


async def read_all(stream: trio.SocketStream) -> bytes:
    """Everything up to the end; a reset is an end."""
    received = b""
    try:
        async for data in stream:
            received += data
    except trio.BrokenResourceError:
        pass
    return received


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """``async with serve(app, limits, unix=True) as running``."""

    @asynccontextmanager
    async def serving(
        app: App = hello, limits: Limits | None = None, *, unix: bool = False
    ) -> AsyncIterator[Running]:
        path = tmp_path / "api.sock" if unix else None
        if path is not None:
            listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
            await listening.bind(str(path))
            listening.listen(1024)
            listener = trio.SocketListener(listening)
        else:
            listener = (await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024))[0]
        server = Server(app, limits)
        async with listener, trio.open_nursery() as nursery:
            await nursery.start(server.run, [Door("unix:api" if unix else "127.0.0.1:0", listener)])
            yield Running(server, listener, path)
            server.stop()

    return serving

"""Serves the REST face: hypercorn's connection handler, with the guards it lacks."""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app
from quart_trio import QuartTrio

log = structlog.get_logger("tickerd.simulator")

READ_S = 10.0
LONGEST_HEAD = 64 * 1024


def _shielded(app: QuartTrio) -> Callable[..., Awaitable[None]]:
    """Let a response be sent to its end.

    hypercorn closes or recycles the connection inside the application's last ``send``, first of all reporting
    that the client has gone, whereupon quart-trio cancels the very task that is sending.
    """

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return

        async def shielded_send(message: Any) -> None:
            with trio.CancelScope(shield=True):
                await send(message)

        await app(scope, receive, shielded_send)

    return wrapped


class HttpFace:
    """Handles the streams that the listener accepts."""

    def __init__(self, app: QuartTrio) -> None:
        self._app = wrap_app(_shielded(app), 0, "asgi")
        self._config = Config()
        self._config.accesslog = self._config.errorlog = None
        self._config.include_server_header = False
        self._config.read_timeout = int(READ_S)
        # a thousand symbols in one address
        self._config.h11_max_incomplete_size = LONGEST_HEAD
        self._context = WorkerContext(None)
        self._streams: set[trio.SocketStream] = set()

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one stream to its end. Raises nothing but cancellation, unlike hypercorn itself."""
        self._streams.add(stream)
        try:
            await TCPServer(self._app, self._config, self._context, ConnectionState({}), stream).run()  # type: ignore[arg-type]
        except* Exception:  # whatever it was, the others go on
            log.exception("simulator request failed")
        finally:
            self._streams.discard(stream)
            await trio.aclose_forcefully(stream)

    def abort(self) -> None:
        """Cut every connection: hypercorn shields its writes, so cancelling alone could wait for ever."""
        for stream in self._streams:
            with suppress(OSError):
                stream.socket.shutdown(socket.SHUT_RDWR)

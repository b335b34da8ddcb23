"""One connection of the control API: hypercorn's handling of HTTP/1.1, with the guards that it lacks.

hypercorn 0.18 lets an exception of one connection end the whole server, waits without limit for a client that
does not read, has no limit for a slow body, and leaves the last bytes of an early answer to chance. All of that
is mended here and nowhere else.
"""

import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import h11
import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import wrap_app

from tickerd.control.gate import GatedConnection
from tickerd.control.limits import Limits
from tickerd.control.peer import Peer, peer_of
from tickerd.control.problem import Problem
from tickerd.control.turns import Turns

READ_BYTES = 16 * 1024
"""Small, so that parsing what one read brought takes little of the loop's time."""
WRITE_BYTES = 64 * 1024
LINGER_S = 1.0
"""How long what a client still sends is read and thrown away, so that it sees the answer before a reset."""
HANDSHAKE_S = 5.0

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: throw away what has not been sent, and tell the other side so."""

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
App = Callable[[Any, Any, Any], Awaitable[None]]


def shielded(app: App) -> AppWrapper:
    """Let an answer be sent to its end, so that connections close and are used again as HTTP says.

    hypercorn does that work inside the application's last ``send``, first of all reporting that the client
    has gone, whereupon quart-trio cancels the very task that is sending. Each write has a limit of its own.
    """

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def shielded_send(message: Any) -> None:
            with trio.CancelScope(shield=True):
                await send(message)
            # once the client has gone, hypercorn returns at once: an application that goes on sending must not
            # freeze the loop, and must hear of its cancellation
            await trio.lowlevel.checkpoint()

        await app(scope, receive, shielded_send)

    return wrap_app(wrapped, 0, "asgi")


class Tasks(TaskGroup):
    """The tasks of one connection, which can be told to come to an end."""

    def leave_within(self, seconds: float) -> None:
        """Cancel whatever still runs after that time."""
        assert self._nursery is not None
        self._nursery.cancel_scope.deadline = trio.current_time() + seconds


class Protocol(H11Protocol):
    """Requests of one connection, behind the gate, with a time limit for bodies and answers that say why."""

    def __init__(self, *, limits: Limits, refused: Callable[[int], None], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.connection: Any = GatedConnection(limits)
        self._limits = limits
        self._refused = refused
        self.body_until = float("inf")
        """When the body that is being read must be complete."""

    @property
    def reads_body(self) -> bool:
        """Whether a body is still to come."""
        return self.connection.their_state is h11.SEND_BODY

    async def body_late(self) -> None:
        """Answer a client whose body did not come in time."""
        if self.connection.our_state is h11.SEND_RESPONSE:
            await self._send_error_response(408)

    async def _create_stream(self, request: h11.Request) -> None:
        self.body_until = trio.current_time() + self._limits.body_s
        await super()._create_stream(request)

    async def _send_error_response(self, status_code: int) -> None:
        """As problem+json; the connection is closed after it."""
        self._refused(status_code)
        refused = self.connection.refused
        body = Problem(status_code, refused.detail if refused else None).json()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class Connection(TCPServer):
    """Serves one stream to its end, whatever the client does, and closes it.

    Args:
        app: made by `shielded`.
        stream: closed when `run` ends.
        door: the address of the listener that it came in by.
        turns: shared by all connections that wait for each other.
        refused: told the status of each answer that the application had no part in.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: Stream,
        *,
        door: str,
        limits: Limits,
        stopping: trio.Event,
        turns: Turns,
        refused: Callable[[int], None],
    ) -> None:
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type]
        self._limits = limits
        self._door = door
        self._stopping = stopping
        self._turns = turns
        self._refused = refused
        self._is_closing = self._is_dead = self._is_read = False
        self._reading = trio.CancelScope()
        self._log = structlog.get_logger()
        self.peer: Peer | None = None

    async def run(self) -> None:
        """Nothing but cancellation comes out of it."""
        try:
            await self._serve()
        except* Exception:  # noqa: BLE001 - whatever it was: the other connections and the server go on
            self._log.exception("control connection failed", peer=self.peer and self.peer.name)
        finally:
            await trio.aclose_forcefully(self.stream)

    def abort(self) -> None:
        """Cut the connection without waiting for anything; a client that still listens sees a reset."""
        self._is_dead = True
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    @property
    def _socket(self) -> trio.socket.SocketType:
        stream: Any = self.stream
        plain: trio.SocketStream = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        return plain.socket

    async def _serve(self) -> None:
        is_tls = isinstance(self.stream, trio.SSLStream)
        try:
            if is_tls:
                with trio.fail_after(HANDSHAKE_S):
                    await self.stream.do_handshake()
            self.peer = peer_of(self._socket, self._door, tls=is_tls)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError):
            return
        tasks = Tasks()
        async with tasks:
            self._task_group = tasks
            self.protocol: Any = self._protocol(self.peer, tasks)
            await self.idle_task.restart(tasks, self._idle_timeout)
            await self._read_data()
            self._is_read = True
            await self.idle_task.stop()
            tasks.leave_within(self._limits.leave_s)

    def _protocol(self, peer: Peer, tasks: Tasks) -> Protocol:
        client = (peer.address, peer.port) if peer.transport == "tcp" else None
        # a dict for this connection alone: hypercorn's own is shared by all connections of a server
        state = ConnectionState({"peer": peer, "stopping": self._stopping})
        return Protocol(
            limits=self._limits,
            refused=self._refused,
            app=self.app,
            config=self.config,
            context=self.context,
            task_group=tasks,
            connection_state=state,
            ssl=peer.tls,
            client=client,
            server=None,
            send=self.protocol_send,
        )

    async def protocol_send(self, event: Event) -> None:
        """Hand bytes to the client, within limits; called by hypercorn."""
        if isinstance(event, RawData):
            async with self.send_lock:
                sent = await self._write(event.data)
            if not sent:
                await self.protocol.handle(Closed())
        elif isinstance(event, Closed):
            await self._close()
            await self.protocol.handle(Closed())
        elif not self._is_read:  # nothing more comes: no need for an idle timer
            await super().protocol_send(event)

    async def _write(self, data: bytes) -> bool:
        """Shielded, since half a message is worse than none, and so bounded."""
        for piece in _pieces(data):
            if self._is_dead:
                return False
            with trio.move_on_after(self._limits.write_s, shield=True) as limit:
                try:
                    await self.stream.send_all(piece)
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                    self._is_dead = True
            if limit.cancelled_caught:
                self._log.info("control client does not read, cut off", peer=self.peer and self.peer.name)
                self.abort()
        return not self._is_dead

    async def _read_data(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._read_until()) as self._reading:
                try:
                    data = await self.stream.receive_some(READ_BYTES)
                except (trio.ClosedResourceError, trio.BrokenResourceError):
                    break
            if self._reading.cancelled_caught:
                if not self._is_closing:
                    await self.protocol.body_late()
                break
            if data:
                await self._turns.take()
            if not self._is_closing:
                await self.protocol.handle(RawData(bytes(data)))
            if not data:
                break
        await self.protocol.handle(Closed())

    def _read_until(self) -> float:
        """When the reader gives up: while nothing is to be read, only the idle timer does."""
        if self._is_closing:
            return self._reading.deadline
        return self.protocol.body_until if self.protocol.reads_body else float("inf")

    async def _close(self) -> None:
        """Nothing more will be sent; the reader goes on for a moment."""
        if self._is_closing:
            return
        self._is_closing = True
        with trio.move_on_after(LINGER_S, shield=True):
            with suppress(
                trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError, OSError
            ):
                if isinstance(self.stream, trio.SSLStream):
                    await self.stream.aclose()
                else:
                    await self.stream.send_eof()
        self._reading.deadline = trio.current_time() + LINGER_S

    async def _initiate_server_close(self) -> None:
        """The idle timer is up, or the server stops."""
        await self.protocol.handle(Closed())
        await self._close()
        self._reading.cancel()


def _pieces(data: bytes) -> Iterator[bytes]:
    if len(data) <= WRITE_BYTES:
        yield data
        return
    view = memoryview(data)
    yield from (bytes(view[start : start + WRITE_BYTES]) for start in range(0, len(data), WRITE_BYTES))

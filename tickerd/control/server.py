"""The server of the control API: accepts, counts, hands each stream to a guarded connection, and stops in time."""

import errno
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from tickerd.control.connection import App, Connection, Stream, shielded
from tickerd.control.limits import Limits
from tickerd.control.peer import network
from tickerd.control.turns import Turns

ACCEPT_PAUSE_S = 0.1
"""When there are no file descriptors left."""
TELL_EVERY_S = 10.0
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


@dataclass(frozen=True)
class Door:
    """A listener that the host has opened and will close, and how the YAML calls it."""

    name: str
    listener: trio.SocketListener
    tls: ssl.SSLContext | None = None

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.listener.socket.family == trio.socket.AF_UNIX


class Figures:
    """What the server has done, for metrics."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        """Connections by door."""
        self.turned_away: Counter[str] = Counter()
        """Connections by the limit that was reached."""
        self.refused: Counter[int] = Counter()
        """Requests by status that the application never saw."""
        self.open = 0


class Server:
    """Serves one ASGI application on any number of doors; used once.

    No client can end it or hold it up: what goes wrong in a connection ends that connection alone.
    """

    def __init__(self, app: App, limits: Limits | None = None, figures: Figures | None = None) -> None:
        self._app = shielded(app)
        self._limits = limits or Limits()
        self._config = _config(self._limits)
        self._context = WorkerContext(None)
        self._connections: set[Connection] = set()
        self._by_bucket: Counter[str] = Counter()
        self._turns = {is_unix: Turns() for is_unix in (False, True)}
        self._stop = trio.Event()
        self._empty = trio.Event()
        self._told_at = -TELL_EVERY_S
        self._log = structlog.get_logger()
        self.figures = figures or Figures()

    def stop(self) -> None:
        """Accept no more, let requests in flight finish within the limit, and have `run` return."""
        self._stop.set()

    async def run(
        self, doors: Sequence[Door], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until `stop`, or until cancelled; then no connection is left. The listeners stay open."""
        async with trio.open_nursery() as serving:
            try:
                async with trio.open_nursery() as accepting:
                    for door in doors:
                        accepting.start_soon(self._accept, door, serving)
                    task_status.started()
                    await self._stop.wait()
                    accepting.cancel_scope.cancel()
                await self._drain()
            finally:  # inside: the nursery would wait for writes, which are shielded, to reach their limit
                self._stop.set()
                self._abort_all()
                serving.cancel_scope.cancel()

    async def _drain(self) -> None:
        await self._context.terminated.set()  # idle connections close by themselves
        with trio.move_on_after(self._limits.drain_s):
            while self._connections:
                self._empty = trio.Event()
                await self._empty.wait()

    def _abort_all(self) -> None:
        """Writes are shielded: only cutting the sockets ends those at once."""
        for connection in list(self._connections):
            connection.abort()

    async def _accept(self, door: Door, serving: trio.Nursery) -> None:
        while True:
            try:
                stream = await door.listener.accept()
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._tell("control API cannot accept connections", reason=str(error))
                await trio.sleep(ACCEPT_PAUSE_S)
            else:
                self._admit(door, stream, serving)

    def _admit(self, door: Door, stream: trio.SocketStream, serving: trio.Nursery) -> None:
        self.figures.accepted[door.name] += 1
        bucket = "unix" if door.is_unix else _bucket(stream)
        limit = self._limit_reached(bucket)
        if limit is not None:
            self.figures.turned_away[limit] += 1
            self._tell("control API turns connections away", limit=limit, door=door.name)
            stream.socket.close()
            return
        self._by_bucket[bucket] += 1
        serving.start_soon(self._serve, door, stream, bucket)

    def _limit_reached(self, bucket: str) -> str | None:
        limits = self._limits
        unix = self._by_bucket["unix"]
        if bucket == "unix":
            return "connections" if unix >= limits.connections else None
        if self._by_bucket.total() - unix >= limits.connections:
            return "connections"
        return "per_address" if self._by_bucket[bucket] >= limits.per_address else None

    async def _serve(self, door: Door, plain: trio.SocketStream, bucket: str) -> None:
        stream: Stream = plain
        if door.tls is not None:
            stream = trio.SSLStream(plain, door.tls, server_side=True, https_compatible=True)
        connection = Connection(
            self._app,
            self._config,
            self._context,
            stream,
            door=door.name,
            limits=self._limits,
            stopping=self._stop,
            turns=self._turns[door.is_unix],
            refused=self._count_refused,
        )
        self._connections.add(connection)
        self.figures.open += 1
        try:
            await connection.run()
        finally:
            self.figures.open -= 1
            self._connections.discard(connection)
            self._by_bucket[bucket] -= 1
            if not self._by_bucket[bucket]:
                del self._by_bucket[bucket]
            self._empty.set()

    def _count_refused(self, status: int) -> None:
        self.figures.refused[status] += 1

    def _tell(self, event: str, **fields: Any) -> None:
        """A flood of connections is no flood of log lines."""
        now = trio.current_time()
        if now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            self._log.warning(event, **fields)


def _bucket(stream: trio.SocketStream) -> str:
    try:
        return network(stream.socket.getpeername()[0])
    except OSError:
        return "gone"


class Log:
    """What hypercorn would log, to where everything else is logged; requests are logged by the application."""

    def __init__(self, _config: Config) -> None:
        self._log = structlog.get_logger()

    async def access(self, *_: Any) -> None:
        """Nothing."""

    async def exception(self, message: str, *_: Any, **__: Any) -> None:
        """What an application let out."""
        self._log.exception("control request failed", reason=message)

    async def warning(self, message: str, *_: Any, **__: Any) -> None:
        """See `exception`."""
        self._log.warning("control API", reason=message)

    error = info = debug = critical = log = warning


def _config(limits: Limits) -> Config:
    config = Config()
    config.accesslog = config.errorlog = None
    config.logger_class = Log  # type: ignore[assignment]
    config.include_server_header = False
    config.alpn_protocols = ["http/1.1"]
    config.keep_alive_timeout = limits.idle_s
    config.h11_max_incomplete_size = limits.head_bytes
    return config

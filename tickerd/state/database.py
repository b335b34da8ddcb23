"""The state file for the daemon: functions of a connection, each a transaction, in one thread of its own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import trio

from tickerd.state.connection import FILE, Begin
from tickerd.state.store import Store
from tickerd.state.worker import Worker

WAITING = 256
"""Transactions that are queued at most; whoever comes then waits to be."""
CLOSE_S = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """An async context manager that holds the state file open.

    What is run are functions whose first argument is the connection, such as those of `tickerd.state.cursors`;
    several become one transaction inside a function of one's own::

        async with Database(state.path) as db:
            await db.run(cursors.put, "sink.archive", position, now_ns=clock.now_ns())
            cursor = await db.read(cursors.get, "sink.archive")

    They run in another thread: they return plain values, and neither wait nor commit. Cancelling takes effect
    while a transaction is queued; one that has begun is finished first. A crash of the process never loses
    what `run` has returned from. A power cut may, which `run_synced` and `sync` prevent: SQLite syncs its log
    (1 to 10 ms) at each commit of the former. Losing the last commits leaves an older state that is whole,
    and for cursors that only means to deliver again. So cursors go through `run`, with `sync` before the
    journal behind them is deleted; what a person decided (audit, keys) goes through `run_synced`.

    Raises on entering:
        StateError: ``newer`` when a newer tickerd wrote the file; ``full``, ``read_only`` or ``unreachable``.
            A damaged file is no error: it is moved aside (``tickerd.db.corrupt-…``), which is logged as an
            error and told by `moved_aside`, and begun anew.
        OSError: the directory cannot be made or written.

    Args:
        directory: where the file is or shall be; its lock is the caller's to hold.
    """

    def __init__(self, directory: Path) -> None:
        self._store = Store(directory / FILE)
        self._worker: Worker | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._store.path

    @property
    def moved_aside(self) -> tuple[Path, ...]:
        """Where damaged files of this run are now."""
        return self._store.moved_aside

    @property
    def queued(self) -> int:
        """Transactions that wait for their turn."""
        return 0 if self._worker is None else self._worker.queued

    async def __aenter__(self) -> Self:
        self._worker = Worker("tickerd-state", WAITING)
        try:
            await self._worker.run(self._store.open)
        except BaseException:
            with trio.move_on_after(CLOSE_S, shield=True):
                await self._worker.aclose(self._store.close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A stuck disk keeps the thread and not us: the file needs no closing to be whole
        with trio.move_on_after(CLOSE_S, shield=True):
            await self._held().aclose(self._store.close)

    async def run(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Write in one transaction that outlives a crash of the process.

        Raises:
            StateError: it was not done, because of the file.
            trio.ClosedResourceError: outside of ``async with``.
        """
        return await self._call("fast", lambda connection: work(connection, *args, **kwargs))

    async def run_synced(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `run`, and it outlives a power cut, together with everything that was committed before."""
        return await self._call("sync", lambda connection: work(connection, *args, **kwargs))

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read at one moment; writing is refused. Works on a full disk, and while a tool writes."""
        return await self._call("read", lambda connection: work(connection, *args, **kwargs))

    async def sync(self) -> None:
        """Return when everything that was committed would outlive a power cut."""
        await self._held().run(self._store.sync)

    async def changes(self) -> int:
        """A number that differs from the one before when another process (a tool) has written meanwhile."""
        return await self._call("read", _data_version)

    async def _call(self, how: Begin, work: Callable[[Connection], T]) -> T:
        return await self._held().run(partial(self._store.call, how, work))

    def _held(self) -> Worker:
        if self._worker is None:
            raise trio.ClosedResourceError("the state file is not open")
        return self._worker


def _data_version(connection: Connection) -> int:
    (number,) = connection.execute("PRAGMA data_version").fetchone()
    return int(number)

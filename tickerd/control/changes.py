"""Changes that were begun are finished: each runs in a task that its caller's leaving does not end."""

from collections.abc import Awaitable, Callable
from typing import Generic, NoReturn, TypeVar

import structlog
import trio

from tickerd.control.problem import Problem

MOST = 512
"""Changes under way, or waiting for their turn; callers beyond that are told to come again."""

T = TypeVar("T")


class Changes:
    """Owns the tasks of all changes. `run` it before anything is changed."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._log = structlog.get_logger()
        self._under_way = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Until cancelled; changes that are under way then are cancelled with it."""
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
        raise AssertionError

    async def make(self, work: Callable[[], Awaitable[T]], seconds: float) -> T:
        """What the work returns or raises. When this is cancelled, the work goes on.

        Raises:
            Problem: it took longer than that and was cancelled, or there is too much to do.
        """
        if self._nursery is None or self._under_way >= MOST:
            text = f"{MOST} changes are under way" if self._nursery else "the API is starting or stopping"
            raise Problem(503, f"{text}; try again", headers={"Retry-After": "2"})
        change = _Change(work, seconds)
        self._under_way += 1
        self._nursery.start_soon(self._carry_out, change)
        try:
            await change.done.wait()
        except trio.Cancelled:
            change.is_alone = True
            raise
        return change.result()

    async def _carry_out(self, change: "_Change[T]") -> None:
        try:
            await change.run()
        finally:
            self._under_way -= 1
            change.done.set()
        if change.is_alone and change.error is not None:
            self._log.warning("change failed after its caller had left", exc_info=change.error)


class _Change(Generic[T]):
    """One change, and what came of it."""

    def __init__(self, work: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._value: list[T] = []
        self.error: Exception | None = None
        self.done = trio.Event()
        self.is_alone = False
        """Whoever asked for it has left."""

    async def run(self) -> None:
        with trio.move_on_after(self._seconds):
            try:
                self._value.append(await self._work())
            except Exception as error:  # noqa: BLE001 - it is the caller's, who raises it
                self.error = error

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        if not self._value:
            raise Problem(
                503, f"not done within {self._seconds:g} s, given up; look what it came to", code="too-slow"
            )
        return self._value[0]

"""One thread that runs functions for a trio program, one after the other, in the order in which they were queued."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import trio

T = TypeVar("T")


class _Job:
    def __init__(self, call: Callable[[], Any], task: trio.lowlevel.Task) -> None:
        self.call = call
        self.task = task
        self.value: Any = None
        self.error: BaseException | None = None

    def do(self) -> None:
        try:
            self.value = self.call()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - in a thread; the caller's to handle, whatever it is
            self.error = error


class Worker:
    """Made inside ``trio.run``; the thread lives until `aclose`.

    A dedicated thread rather than trio's pool: what it owns (an SQLite connection) stays in one thread, and a
    dump of stacks shows it by its name.

    Args:
        name: of the thread.
        waiting: most functions that are queued; further callers wait before they are.
    """

    def __init__(self, name: str, waiting: int) -> None:
        self._room = trio.Semaphore(waiting)
        self._turn = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._closing = False
        self._last: Callable[[], object] = lambda: None
        self._ended = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Functions that wait for their turn."""
        return len(self._jobs)

    async def run(self, call: Callable[[], T]) -> T:
        """The function's result. Cancelled while queued, it is never begun; once begun, it is waited for.

        Raises:
            trio.ClosedResourceError: the worker was closed.
        """
        async with self._room:
            job = _Job(call, trio.lowlevel.current_task())
            with self._turn:
                if self._closing:
                    raise trio.ClosedResourceError("the thread was closed")
                self._jobs.append(job)
                self._turn.notify()
            await trio.lowlevel.wait_task_rescheduled(lambda _: self._withdraw(job))
            if job.error is not None:
                try:
                    raise job.error
                finally:
                    del job  # the error's traceback holds this frame: no ring of the two
            return cast("T", job.value)

    async def aclose(self, last: Callable[[], object]) -> None:
        """Let what is queued finish, call ``last``, and end the thread; it does so even if this is cancelled."""
        with self._turn:
            self._last = last
            self._closing = True
            self._turn.notify()
        await self._ended.wait()

    def _withdraw(self, job: _Job) -> trio.lowlevel.Abort:
        with self._turn:
            try:
                self._jobs.remove(job)
            except ValueError:  # begun
                return trio.lowlevel.Abort.FAILED
        return trio.lowlevel.Abort.SUCCEEDED

    def _work(self) -> None:
        # RunFinishedError: the loop has ended before us, there is nobody left to tell
        with suppress(trio.RunFinishedError):
            while (job := self._next()) is not None:
                job.do()
                self._token.run_sync_soon(trio.lowlevel.reschedule, job.task)
                del job
        try:
            self._last()
        finally:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._ended.set)

    def _next(self) -> _Job | None:
        with self._turn:
            self._turn.wait_for(lambda: self._jobs or self._closing)
            return self._jobs.popleft() if self._jobs else None

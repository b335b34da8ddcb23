"""A server that starts again by itself, whatever ended it: what the control API and the hooks listener are."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog
import trio
from quart_trio import QuartTrio

from tickerd.control.limits import Limits
from tickerd.control.server import Door, Figures, Server
from tickerd.plugin.backoff import backoff

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
HEALTHY_AFTER_S = 60.0


class Beside(Protocol):
    """A task that runs as long as the server does, over its restarts."""

    def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[None]:
        """Run until cancelled."""
        ...


class KeptServer:
    """Nothing that happens in here reaches whoever runs it.

    Args:
        name: of what it serves, for the log.
        quart: the application.
        limits: of the server.
        figures: what it counts.
        beside: runs as long as it does.
        draw: for the waits between restarts.
    """

    def __init__(
        self,
        name: str,
        quart: QuartTrio,
        limits: Limits,
        figures: Figures,
        beside: Beside,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._quart = quart
        self._limits = limits
        self._figures = figures
        self._beside = beside
        self._draw = draw
        self._stopped = False
        self._server: Server | None = None
        self._log = structlog.get_logger()
        self.restarts = 0

    def stop(self) -> None:
        """Let requests in flight finish within the limit, and have `run` return."""
        self._stopped = True
        if self._server is not None:
            self._server.stop()

    async def run(  # noqa: ASYNC128 - the server that it runs says when it has started
        self, doors: Sequence[Door], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve on these listeners, which stay open, until `stop`. Nothing but cancellation comes out of it."""
        failures = 0
        first = _FirstStart(task_status)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._beside)
            while not self._stopped:
                began = trio.current_time()
                self._server = Server(self._quart, self._limits, self._figures)
                try:
                    await self._server.run(doors, task_status=first)
                except* Exception as error:  # noqa: BLE001 - whatever it was, the feed goes on and so shall this
                    failures = 0 if trio.current_time() - began > HEALTHY_AFTER_S else failures + 1
                    self.restarts += 1
                    wait = backoff(failures, initial=FIRST_WAIT_S, cap=LONGEST_WAIT_S, random=self._draw)
                    self._log.error(f"{self._name} failed, will be restarted", wait_s=wait, exc_info=error)
                    await trio.sleep(wait)
            nursery.cancel_scope.cancel()


class _FirstStart(trio.TaskStatus[None]):
    """Passes on the first of several servers that came up."""

    def __init__(self, told: trio.TaskStatus[None]) -> None:
        self._told: trio.TaskStatus[None] | None = told

    def started(self, value: None = None) -> None:
        """See `trio.TaskStatus`."""
        if self._told is not None:
            self._told.started(value)
            self._told = None

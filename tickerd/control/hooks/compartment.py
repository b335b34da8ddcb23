"""The hooks listener as the daemon runs it: a compartment that starts again by itself, whatever ended it."""

import random
from collections.abc import Callable, Sequence

import structlog
import trio

from tickerd.control.changes import Changes
from tickerd.control.compartment import FIRST_WAIT_S, HEALTHY_AFTER_S, LONGEST_WAIT_S, FirstStart
from tickerd.control.hooks.app import Doorway, HooksApplication, HooksFigures, HooksReach
from tickerd.control.limits import Limits
from tickerd.control.server import Door, Figures, Server
from tickerd.plugin.backoff import backoff
from tickerd.plugin.inbound import MAX_BODY

LIMITS = Limits(connections=128, per_address=8, body_bytes=MAX_BODY, handler_s=30.0)
"""Fewer than the control API's: strangers reach it."""


class HooksCompartment:
    """Nothing that happens in here reaches the feed or the control API."""

    def __init__(
        self,
        doorway: Doorway,
        reach: HooksReach,
        *,
        limits: Limits = LIMITS,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._limits = limits
        self._draw = draw
        self._stopped = False
        self._server: Server | None = None
        self._changes = Changes()
        self._application = HooksApplication(doorway, reach, self._changes)
        self._log = structlog.get_logger()
        self.server_figures = Figures()
        self.restarts = 0

    @property
    def figures(self) -> HooksFigures:
        """What was answered."""
        return self._application.figures

    def renew(self, reach: HooksReach) -> None:
        """Go by these from now on, also for connections that are open."""
        self._application.renew(reach)

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
        first = FirstStart(task_status)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._changes.run)
            while not self._stopped:
                began = trio.current_time()
                self._server = Server(self._application.quart, self._limits, self.server_figures)
                try:
                    await self._server.run(doors, task_status=first)
                except* Exception as error:  # noqa: BLE001 - whatever it was, the feed goes on and so shall this
                    failures = 0 if trio.current_time() - began > HEALTHY_AFTER_S else failures + 1
                    self.restarts += 1
                    wait = backoff(failures, initial=FIRST_WAIT_S, cap=LONGEST_WAIT_S, random=self._draw)
                    self._log.error("hooks listener failed, will be restarted", wait_s=wait, exc_info=error)
                    await trio.sleep(wait)
            nursery.cancel_scope.cancel()

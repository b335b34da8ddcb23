"""The control API as the daemon runs it: a compartment that starts again by itself, whatever ended it."""

import random
from collections.abc import Callable, Sequence

import structlog
import trio

from tickerd.control.access_protocol import Access
from tickerd.control.app import Application
from tickerd.control.desk import Desk
from tickerd.control.facade import Facade
from tickerd.control.figures import ApiFigures
from tickerd.control.limits import Limits
from tickerd.control.reception import Reach
from tickerd.control.route import Route
from tickerd.control.routes import ROUTES
from tickerd.control.server import Door, Figures, Server
from tickerd.plugin.backoff import backoff

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
HEALTHY_AFTER_S = 60.0


class Compartment:
    """Nothing that happens in here reaches the feed.

    Args:
        facade: the daemon.
        access: who may do what.
        reach: listeners, names, pages and proxies.
        desk: what routes change the daemon with.
        routes: all that there are.
    """

    def __init__(
        self,
        facade: Facade,
        access: Access,
        reach: Reach,
        *,
        desk: Desk,
        limits: Limits | None = None,
        routes: Sequence[Route] = ROUTES,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._facade = facade
        self._limits = limits or Limits()
        self._figures = Figures()
        self._draw = draw
        self._stopped = False
        self._server: Server | None = None
        self._log = structlog.get_logger()
        figures = ApiFigures(self._figures)
        self.application = Application(routes, facade, access, reach, figures, self._limits, desk=desk)
        self.restarts = 0

    def renew(self, reach: Reach) -> None:
        """Go by these from now on, also for connections that are open."""
        self.application.renew(reach)

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
            await nursery.start(self.application.run)
            while not self._stopped:
                began = trio.current_time()
                self._server = Server(self.application.quart, self._limits, self._figures)
                try:
                    await self._server.run(doors, task_status=first)
                except* Exception as error:  # noqa: BLE001 - whatever it was, the feed goes on and so shall this
                    failures = 0 if trio.current_time() - began > HEALTHY_AFTER_S else failures + 1
                    self.restarts += 1
                    wait = backoff(failures, initial=FIRST_WAIT_S, cap=LONGEST_WAIT_S, random=self._draw)
                    self._log.error("control API failed, will be restarted", wait_s=wait, exc_info=error)
                    await trio.sleep(wait)
            nursery.cancel_scope.cancel()


class FirstStart(trio.TaskStatus[None]):
    """Passes on the first of several servers that came up."""

    def __init__(self, told: trio.TaskStatus[None]) -> None:
        self._told: trio.TaskStatus[None] | None = told

    def started(self, value: None = None) -> None:
        """See `trio.TaskStatus`."""
        if self._told is not None:
            self._told.started(value)
            self._told = None

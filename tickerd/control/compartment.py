"""The control API as the daemon runs it: a compartment of its own."""

import random
from collections.abc import Callable, Sequence

from tickerd.control.access_protocol import Access
from tickerd.control.app import Application
from tickerd.control.desk import Desk
from tickerd.control.facade import Facade
from tickerd.control.figures import ApiFigures
from tickerd.control.kept_server import KeptServer
from tickerd.control.limits import Limits
from tickerd.control.reception import Reach
from tickerd.control.route import Route
from tickerd.control.routes import ROUTES
from tickerd.control.server import Figures


class Compartment(KeptServer):
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
        limits, figures = limits or Limits(), Figures()
        api = ApiFigures(figures)
        self.application = Application(routes, facade, access, reach, api, limits, desk=desk)
        super().__init__("control API", self.application.quart, limits, figures, self.application.run, draw)

    def renew(self, reach: Reach) -> None:
        """Go by these from now on, also for connections that are open."""
        self.application.renew(reach)

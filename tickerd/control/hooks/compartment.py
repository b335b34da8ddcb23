"""The hooks listener as the daemon runs it: a compartment of its own."""

import random
from collections.abc import Callable

from tickerd.control.changes import Changes
from tickerd.control.hooks.app import Doorway, HooksApplication, HooksFigures, HooksReach
from tickerd.control.kept_server import KeptServer
from tickerd.control.limits import Limits
from tickerd.control.server import Figures
from tickerd.plugin.inbound import MAX_BODY

LIMITS = Limits(connections=128, per_address=8, body_bytes=MAX_BODY, handler_s=30.0)
"""Fewer than the control API's: strangers reach it."""


class HooksCompartment(KeptServer):
    """Nothing that happens in here reaches the feed or the control API."""

    def __init__(
        self,
        doorway: Doorway,
        reach: HooksReach,
        *,
        limits: Limits = LIMITS,
        draw: Callable[[], float] = random.random,
    ) -> None:
        changes = Changes()
        self._application = HooksApplication(doorway, reach, changes)
        self.server_figures = Figures()
        super().__init__(
            "hooks listener", self._application.quart, limits, self.server_figures, changes.run, draw
        )

    @property
    def figures(self) -> HooksFigures:
        """What was answered."""
        return self._application.figures

    def renew(self, reach: HooksReach) -> None:
        """Go by these from now on, also for connections that are open."""
        self._application.renew(reach)

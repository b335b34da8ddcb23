"""What the control API can have changed: implements `tickerd.control.steering.Steering`."""

from functools import partial
from typing import Any

import structlog
import trio

from tickerd.config import ConfigError
from tickerd.config.posted import compile_posted, plugin_names
from tickerd.control.steering import Examined, Reloaded
from tickerd.daemon.feed import Feed
from tickerd.state import StateError, audit
from tickerd.state.keys import By


class DaemonSteering:
    """Changes the running feed, and writes each change into the audit trail.

    Args:
        feed: what is changed.
    """

    webhooks = None

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._log = structlog.get_logger()

    # -- the configuration -----------------------------------------------------------------------------

    async def validate(self, document: bytes) -> Examined:
        """See `tickerd.control.steering.Steering`."""
        settings = self._feed.fleet.settings
        work = partial(
            compile_posted,
            document,
            self._feed.program.registry,
            plugin_names(settings),
            calendar=settings.calendar,
        )
        try:
            compiled = await trio.to_thread.run_sync(work)
        except ConfigError as error:
            return Examined(problems=tuple(error.problems))
        return Examined(warnings=compiled.warnings, plan=self._feed.plan(compiled).data())

    async def reload(self, by: By, *, dry_run: bool = False) -> Reloaded:
        """See `tickerd.control.steering.Steering`."""
        feed = self._feed
        before = feed.fleet.generation
        reload = await (feed.rehearse() if dry_run else feed.reload())
        if reload.verdict is not None:
            await self._write(by, "config.reload", {"generation": before}, reload.verdict.data())
        return Reloaded(
            problems=reload.problems,
            warnings=reload.warnings,
            plan=None if reload.plan is None else reload.plan.data(),
            verdict=reload.verdict,
            generation=feed.fleet.generation,
        )

    async def _write(self, by: By, what: str, before: Any, after: Any) -> None:
        """A line of the trail for a change that has been made already."""
        change = audit.Change(
            when_ns=self._feed.house.clock.now_ns(),
            who=by.who,
            what=what,
            origin=by.origin,
            before=before,
            after=after,
        )
        try:
            await self._feed.house.db.run(audit.append, change)
        except StateError as error:
            self._log.error("the audit trail cannot be written", what=what, who=by.who, reason=str(error))

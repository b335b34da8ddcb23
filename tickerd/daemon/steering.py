"""What the control API can have changed: implements `tickerd.control.steering.Steering`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog
import trio

from tickerd.config import ConfigError
from tickerd.config.posted import compile_posted, plugin_names
from tickerd.control.steering import Examined, Refused, Reloaded, SubscriptionsChanged
from tickerd.daemon.endpoints import Endpoints
from tickerd.daemon.feed import Feed
from tickerd.daemon.registered import WEBHOOK
from tickerd.dataflow.subscription import Filter, Subscription
from tickerd.plugin import Mode, Principal
from tickerd.runtime.refresh import NoSuchSource, refresh
from tickerd.runtime.units import SinkUnit
from tickerd.state import StateError, audit
from tickerd.state.keys import By

FLUSH_S = 50.0
"""How long a sink has to take what waits for it."""
MOST_ERRORS = 20
"""Of a reload that was refused, in the audit trail."""


class DaemonSteering:
    """Changes the running feed, and writes each change into the audit trail.

    Args:
        feed: what is changed.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._endpoints = Endpoints(feed)
        self._log = structlog.get_logger()

    @property
    def webhooks(self) -> Endpoints | None:
        """See `tickerd.control.steering.Steering`."""
        return self._endpoints if WEBHOOK in self._feed.program.registry.names("sink") else None

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
            compiled = self._feed.complete(await trio.to_thread.run_sync(work))
        except ConfigError as error:
            return Examined(problems=tuple(error.problems))
        return Examined(warnings=compiled.warnings, plan=self._feed.plan(compiled).data())

    async def reload(self, by: By, *, dry_run: bool = False) -> Reloaded:
        """See `tickerd.control.steering.Steering`."""
        feed = self._feed
        before = feed.fleet.generation
        reload = await (feed.rehearse() if dry_run else feed.reload())
        if not dry_run:
            assert reload.verdict is not None
            told = reload.verdict.data()
            told["errors"] = told["errors"][:MOST_ERRORS]
            await self._write(by, "config.reload", {"generation": before}, told)
        return Reloaded(
            problems=reload.problems,
            warnings=reload.warnings,
            plan=None if reload.plan is None else reload.plan.data(),
            verdict=reload.verdict,
            generation=feed.fleet.generation,
        )

    async def refresh_instruments(self, source: str | None, by: By) -> tuple[str, ...]:
        """See `tickerd.control.steering.Steering`."""
        try:
            asked = refresh(self._feed.fleet.sources, source)
        except NoSuchSource as error:
            raise Refused("unknown", str(error)) from None
        await self._write(by, "instruments.refresh", None, list(asked))
        return asked

    # -- subscriptions ---------------------------------------------------------------------------------

    async def subscribe(
        self, owner: str, wants: Mapping[str, Mode], by: By, *, caller: Principal, source: str | None = None
    ) -> SubscriptionsChanged:
        """See `tickerd.control.steering.Steering`."""
        await self._feed.started.wait()  # what is kept would be written over before it is read
        return await self._feed.subscriptions.add(owner, wants, by, caller=caller, source=source)

    async def unsubscribe(
        self, owner: str, instruments: Sequence[str] | None, by: By, *, source: str | None = None
    ) -> SubscriptionsChanged:
        """See `tickerd.control.steering.Steering`."""
        await self._feed.started.wait()
        return await self._feed.subscriptions.remove(owner, instruments, by, source=source)

    # -- sinks -----------------------------------------------------------------------------------------

    async def pause(self, sink: str, by: By) -> None:
        """See `tickerd.control.steering.Steering`."""
        self._pushing(sink)
        await self._feed.pauses.pause(sink, by)

    async def resume(self, sink: str, by: By) -> None:
        """See `tickerd.control.steering.Steering`."""
        await self._feed.pauses.resume(sink, by)

    async def flush(self, sink: str, by: By) -> None:
        """See `tickerd.control.steering.Steering`."""
        unit = self._pushing(sink)
        if unit.paused or unit.state != "running":
            state = "is paused: resume it first" if unit.paused else f"is {unit.state}: {unit.detail}"
            raise Refused("conflict", f"sink {sink!r} {state}")
        with trio.move_on_after(FLUSH_S) as limit:
            await self._feed.house.valves.of(sink).flush()
        if limit.cancelled_caught:
            why = unit.meter.retrying or unit.detail or "it is slow"
            raise Refused(
                "unavailable", f"sink {sink!r} has not taken everything within {FLUSH_S:g} s: {why}"
            )
        await self._write(by, "sinks.flush", None, {"sink": sink})

    async def reset_breaker(self, sink: str, by: By) -> None:
        """See `tickerd.control.steering.Steering`."""
        guard = self._pushing(sink).guard
        before = guard.breaker
        if before is None:
            raise Refused("conflict", f"sink {sink!r} has no breaker")
        guard.reset()
        await self._write(by, "sinks.reset_breaker", {"sink": sink, **before._asdict()}, {"state": "closed"})

    def _pushing(self, sink: str) -> SinkUnit:
        """A sink that is handed batches.

        Raises:
            Refused: there is none of that name, or it serves clients.
        """
        unit = self._feed.fleet.unit(f"sink.{sink}")
        if unit is None:
            raise Refused("unknown", f"there is no sink {sink!r}")
        if not isinstance(unit, SinkUnit):
            raise Refused("conflict", f"sink {sink!r} serves clients: each of them goes at its own pace")
        return unit

    # -- the stream ------------------------------------------------------------------------------------

    @contextmanager
    def tap(self, name: str, wanted: Filter, buffer: int) -> Iterator[Subscription]:
        """See `tickerd.control.steering.Steering`."""
        _, subscription = self._feed.house.hub.subscribe(f"tap {name}", "drop_oldest", buffer, wanted)
        try:
            yield subscription
        finally:
            subscription.close()

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

"""A pushing sink that is fed from a subscription."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from tickerd.config.settings import SinkSettings
from tickerd.dataflow.delivery import Commit, Feed, NoCommit
from tickerd.plugin import (
    Sink,
)
from tickerd.runtime.configured import ConfiguredUnit
from tickerd.runtime.house import House
from tickerd.runtime.plan import UnitSettings
from tickerd.runtime.sink_unit import SinkUnit, sink_filter
from tickerd.runtime.unit import Unit
from tickerd.state import StateError, cursors


class LiveSinkUnit(SinkUnit):
    """Fed by a subscription, which outlives restarts of the sink."""

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        wanted = sink_filter(settings, house.wants)
        _, self.subscription = house.hub.subscribe(self.name, settings.overflow, settings.buffer, wanted)
        self._bequeathed = False

    @asynccontextmanager
    async def open_feed(self, sink: Sink) -> AsyncIterator[tuple[Feed, Commit]]:
        """See `SinkUnit.open_feed`."""
        del sink
        # where an earlier durable delivery got to means nothing once the sink has been written to without it
        try:
            await self._house.db.run(cursors.remove, self.name)
        except StateError as error:
            structlog.get_logger().error(
                "old position cannot be forgotten", unit=self.name, reason=str(error)
            )
        yield self.subscription, NoCommit()

    @property
    def dropped(self) -> int:
        """See `SinkUnit.dropped`."""
        lost = self.meter.lost + self.meter.rejected + self.meter.given_up
        return self.subscription.dropped + self.subscription.expired + lost

    @property
    def queued_bytes(self) -> int:
        """See `SinkUnit.queued_bytes`."""
        return self.subscription.queued_bytes

    def inherit(self, old: ConfiguredUnit) -> None:
        """What waits for the old one waits for the new one."""
        if isinstance(old, LiveSinkUnit) and not old._bequeathed:
            self.subscription.close()
            self.subscription, old._bequeathed = old.subscription, True
            self._follow(old.settings)

    def _follow(self, old: UnitSettings) -> None:
        settings = self.settings
        wanted = sink_filter(settings, self._house.wants)
        self.subscription.alter(settings.overflow, settings.buffer, wanted)

    def finish(self) -> None:
        """See `Unit.finish`."""
        if self._bequeathed:
            return
        if self.paused:
            self.meter.lost += self.subscription.queued_ticks
        self.subscription.end()
        self._end_valve()

    def close(self) -> None:
        """See `Unit.close`."""
        if not self._bequeathed:
            self.subscription.close()

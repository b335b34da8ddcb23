"""The feed in figures for the status line: few, and cheap enough to be taken each second."""

from collections.abc import Sequence

import trio

from tickerd.dataflow.hub import Hub
from tickerd.observe.status import FeedSnapshot, SinkFigures
from tickerd.plugin import Clock
from tickerd.runtime.unit import Unit
from tickerd.runtime.units import SinkUnit, SourceUnit


class Rate:
    """Ticks in a second, over the time between two samples."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._before, self._then = hub.totals.ticks, trio.current_time()
        self.per_s = 0.0

    def sample(self) -> None:
        """Count what came since the last time."""
        ticks, now = self._hub.totals.ticks, trio.current_time()
        if now > self._then:
            self.per_s = (ticks - self._before) / (now - self._then)
        self._before, self._then = ticks, now


def snapshot(hub: Hub, clock: Clock, units: Sequence[Unit], rate: float, uptime_s: float) -> FeedSnapshot:
    """The feed at this moment."""
    last = hub.totals.last_tick_ns
    sources = [unit for unit in units if isinstance(unit, SourceUnit)]
    return FeedSnapshot(
        uptime_s=uptime_s,
        ticks_total=hub.totals.ticks,
        ticks_per_s=rate,
        instruments_ticking=hub.ticking(),
        instruments_wanted=sum(len(unit.demand.wanted()) for unit in sources),
        last_tick_age_s=None if last is None else (clock.now_ns() - last) / 1e9,
        sources={unit.settings.name: word(unit) for unit in sources},
        sinks={unit.settings.name: _sink(unit) for unit in units if isinstance(unit, SinkUnit)},
        gaps=hub.totals.gaps,
    )


def word(unit: Unit) -> str:
    """A unit's state in a word or two."""
    return unit.report.state or unit.state if unit.state == "running" else unit.state


def _sink(unit: SinkUnit) -> SinkFigures:
    meter = unit.meter
    return SinkFigures(
        state="retrying" if meter.retrying else word(unit),
        written=meter.written,
        dropped=unit.dropped,
        queued_bytes=unit.queued_bytes,
    )

"""The daemon: one root nursery that holds signals, the supervisor with its units, and the way out."""

import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog
import trio

from tickerd.config.settings import Settings
from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.observe.status import FeedSnapshot, SinkFigures
from tickerd.observe.watchdog import Watchdog
from tickerd.plugin import Clock
from tickerd.runtime.house import House
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.supervisor import Supervisor
from tickerd.runtime.unit import Unit
from tickerd.runtime.units import SinkUnit, SourceUnit, sink_unit
from tickerd.state import StateDirectory

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter while the loop waits for it."""
STATUS_EVERY_S = 1.0


@dataclass(frozen=True)
class Hooks:
    """What the daemon calls outside itself; none of them may raise or wait."""

    leave: Callable[[int], None]
    """Ends the process at once with an exit code: for a second signal, stuck units, a frozen loop."""
    tell: Callable[[FeedSnapshot], None] = lambda _: None
    """Each second, with a snapshot of the feed."""
    changed: Callable[[str, str, str], None] = lambda *_: None
    """With (unit, state, detail) when a unit changes."""
    hide: Callable[[str], None] = lambda _: None
    """With a secret that must not show in the log."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    snapshot: FeedSnapshot
    exit_code: int


class Daemon:
    """One run. Made and used inside one ``trio.run``.

    Args:
        settings: compiled; the daemon does no reading of YAML.
        state: held by the caller for as long as the daemon runs.
        hooks: what it calls outside itself.
    """

    def __init__(self, settings: Settings, state: StateDirectory, hooks: Hooks) -> None:
        self._settings = settings
        self._tell = hooks.tell
        self._changed = hooks.changed
        self._leave = hooks.leave
        self._log = structlog.get_logger()
        self._stop = trio.Event()
        self._clock = Clock()
        self._began = trio.current_time()
        self._rate = 0.0
        self._exit_code = 0
        self._required = {f"source.{name}" for name, source in settings.sources.items() if source.required}
        self._required |= {f"sink.{name}" for name, sink in settings.sinks.items() if sink.required}
        self._house = House(
            Hub(state.next_epoch()), InstrumentTable(), self._clock, state, Listeners(), hooks.hide
        )

    async def run(self, *, for_s: float | None = None) -> Outcome:
        """Run until a signal, or for so many seconds; returns when everything has been drained and stopped."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        limits = self._settings.limits
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as parking, trio.open_nursery() as keepers:
                keepers.start_soon(self._follow_signals, signals)
                keepers.start_soon(self._sample)
                keepers.start_soon(Watchdog(leave=self._leave, raw=sys.stderr).run)
                supervisor = Supervisor(
                    parking,
                    keepers,
                    self._clock,
                    start_deadline=limits.start_deadline,
                    stop_deadline=limits.stop_deadline,
                )
                units = self._units = self._make_units()
                await supervisor.start(units)
                if down := self._required_but_down():
                    self._log.error("required units did not come up", units=down)
                    self._exit_code = 1
                else:
                    self._log.info("ready", epoch=self._house.hub.epoch, units=[unit.name for unit in units])
                    with trio.move_on_after(float("inf") if for_s is None else for_s):
                        await self._stop.wait()
                await self._drain(supervisor)
                snapshot = self.snapshot()
                if supervisor.stuck:
                    self._log.error("leaving stuck units behind", units=supervisor.stuck)
                    self._tell(snapshot)
                    self._leave(self._exit_code)
                keepers.cancel_scope.cancel()
                parking.cancel_scope.cancel()
        await self._house.listeners.aclose()
        return Outcome(snapshot, self._exit_code)

    def snapshot(self) -> FeedSnapshot:
        """The feed in figures."""
        hub, now = self._house.hub, self._clock.now_ns()
        last = hub.totals.last_tick_ns
        sources = [unit for unit in self._units if isinstance(unit, SourceUnit)]
        return FeedSnapshot(
            uptime_s=trio.current_time() - self._began,
            ticks_total=hub.totals.ticks,
            ticks_per_s=self._rate,
            instruments_ticking=hub.ticking(),
            instruments_wanted=sum(len(unit.demand.wanted()) for unit in sources),
            last_tick_age_s=None if last is None else (now - last) / 1e9,
            sources={unit.settings.name: _words(unit) for unit in sources},
            sinks={unit.settings.name: _figures(unit) for unit in self._units if isinstance(unit, SinkUnit)},
            gaps=hub.totals.gaps,
        )

    def _make_units(self) -> list[Unit]:
        """Sinks first: they join the stream when they are made, before any source publishes."""
        units: list[Unit] = [
            sink_unit(sink, self._house, self._unit_changed) for sink in self._settings.sinks.values()
        ]
        units += [
            SourceUnit(source, self._house, self._unit_changed) for source in self._settings.sources.values()
        ]
        return units

    def _unit_changed(self, unit: Unit) -> None:
        self._log.debug("unit changed", unit=unit.name, state=unit.state, detail=unit.detail)
        self._changed(unit.name, unit.state, unit.detail)
        if unit.state == "failed" and unit.name in self._required and not self._stop.is_set():
            self._log.error("a required unit has failed, stopping", unit=unit.name, reason=unit.detail)
            self._exit_code = 1
            self._stop.set()

    def _required_but_down(self) -> list[str]:
        up = ("running", "finished")
        return [unit.name for unit in self._units if unit.name in self._required and unit.state not in up]

    async def _drain(self, supervisor: Supervisor) -> None:
        """Stop what brings ticks in, then let what hands them on finish, within the limit."""
        self._log.info("stopping")
        await supervisor.stop([unit for unit in self._units if unit.kind == "source"])
        self._house.hub.close()
        await supervisor.stop(
            [unit for unit in self._units if unit.kind == "sink"], grace=self._settings.limits.drain
        )

    async def _follow_signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                self._log.warning("SIGHUP does nothing; restart to apply a changed configuration")
            elif self._stop.is_set():
                self._log.error("second signal, ending at once", signal=name)
                self._leave(128 + number)
            else:
                self._log.info("signal received", signal=name)
                self._stop.set()

    async def _sample(self) -> None:
        before, then = self._house.hub.totals.ticks, trio.current_time()
        while True:
            await trio.sleep(STATUS_EVERY_S)
            ticks, now = self._house.hub.totals.ticks, trio.current_time()
            self._rate = (ticks - before) / (now - then)
            before, then = ticks, now
            self._tell(self.snapshot())


def _words(unit: Unit) -> str:
    """A unit's state in a word or two, as the status line shows it."""
    return unit.report.state or unit.state if unit.state == "running" else unit.state


def _figures(unit: SinkUnit) -> SinkFigures:
    meter, subscription = unit.meter, unit.subscription
    return SinkFigures(
        state="retrying" if meter.retrying else _words(unit),
        written=meter.written,
        dropped=subscription.dropped + meter.lost + meter.rejected,
        queued_bytes=subscription.queued_bytes,
    )

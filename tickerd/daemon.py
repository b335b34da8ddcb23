"""The daemon: one root nursery that holds signals, the supervisor with its units, and the way out."""

import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import structlog
import trio

from tickerd.calendar import Calendar
from tickerd.config.settings import Settings
from tickerd.dataflow.hub import Hub
from tickerd.dataflow.market import announce
from tickerd.instruments import InstrumentTable
from tickerd.observe.status import FeedSnapshot, SinkFigures
from tickerd.observe.watchdog import Watchdog
from tickerd.plugin import Clock, Codec
from tickerd.runtime.house import House
from tickerd.runtime.kept import kept
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.supervisor import Supervisor
from tickerd.runtime.unit import Unit
from tickerd.runtime.units import SinkUnit, SourceUnit, sink_unit
from tickerd.state import Database, StateDirectory

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter while the loop waits for it."""
STATUS_EVERY_S = 1.0
NO_CODECS: Mapping[str, Codec] = MappingProxyType({})


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
        codecs: of the loaded plugins, by id, for reading the journal.
    """

    def __init__(
        self, settings: Settings, state: StateDirectory, hooks: Hooks, codecs: Mapping[str, Codec] = NO_CODECS
    ) -> None:
        self._settings = settings
        self._state = state
        self._hooks = hooks
        self._codecs = codecs
        self._log = structlog.get_logger()
        self._stop = trio.Event()
        self._clock = Clock()
        self._began = trio.current_time()
        self._hub = Hub(state.next_epoch())
        self._units: list[Unit] = []
        self._rate = 0.0
        self._exit_code = 0
        self._required = {f"source.{name}" for name, source in settings.sources.items() if source.required}
        self._required |= {f"sink.{name}" for name, sink in settings.sinks.items() if sink.required}

    async def run(self, *, for_s: float | None = None) -> Outcome:
        """Run until a signal, or for so many seconds; returns when everything has been drained and stopped."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as parking:
                async with trio.open_nursery() as core:
                    core.start_soon(self._follow_signals, signals)
                    core.start_soon(kept, "status", self._sample)
                    core.start_soon(Watchdog(leave=self._hooks.leave, raw=sys.stderr).run)
                    async with Database(self._state.path) as db:
                        await self._run_units(parking, core, db, for_s)
                    core.cancel_scope.cancel()
                stuck = [unit.name for unit in self._units if unit.state == "stuck"]
                if stuck:
                    self._log.error("leaving stuck units behind", units=stuck)
                    self._hooks.tell(self.snapshot())
                    self._hooks.leave(self._exit_code)
                parking.cancel_scope.cancel()
        return Outcome(self.snapshot(), self._exit_code)

    async def _run_units(
        self, parking: trio.Nursery, core: trio.Nursery, db: Database, for_s: float | None
    ) -> None:
        """Everything between an open state file and a drained feed."""
        listeners = Listeners()
        async with trio.open_nursery() as journal:
            recorder = await self._open_journal(journal, db)
            house = House(
                self._hub,
                InstrumentTable(),
                self._clock,
                self._state,
                listeners,
                db,
                recorder,
                self._hooks.hide,
            )
            limits = self._settings.limits
            supervisor = Supervisor(
                parking,
                core,
                self._clock,
                start_deadline=limits.start_deadline,
                stop_deadline=limits.stop_deadline,
            )
            self._units = self._make_units(house)
            core.start_soon(kept, "calendar", self._announce)
            await supervisor.start(self._units)
            await self._until_stop(for_s)
            await self._drain(supervisor)
            await listeners.aclose()
            journal.cancel_scope.cancel()

    async def _open_journal(self, nursery: trio.Nursery, db: Database) -> Recorder | None:
        settings = self._settings.journal
        if settings is None:
            return None
        directory = self._state.path / "journal"
        recorder = Recorder(settings, directory, self._hub, self._clock, db, self._codecs)
        sinks = self._settings.sinks.values()
        recorder.durable = frozenset(f"sink.{sink.name}" for sink in sinks if sink.delivery == "durable")
        await recorder.open()
        await nursery.start(recorder.run)
        return recorder

    async def _until_stop(self, for_s: float | None) -> None:
        if down := self._required_but_down():
            self._log.error("required units did not come up", units=down)
            self._exit_code = 1
            return
        self._log.info("ready", epoch=self._hub.epoch, units=[unit.name for unit in self._units])
        with trio.move_on_after(float("inf") if for_s is None else for_s):
            await self._stop.wait()

    async def _announce(self) -> None:
        """Tell opens and closes of the exchanges that are wanted."""
        calendar = Calendar.load(self._settings.calendar.entries)
        await announce(
            calendar, self._clock, lambda batch: self._hub.publish(batch, "calendar"), self._exchanges
        )

    def _exchanges(self) -> set[str]:
        sources = [unit for unit in self._units if isinstance(unit, SourceUnit)]
        return {instrument.exchange for unit in sources for instrument in unit.demand.wanted()} - {""}

    def snapshot(self) -> FeedSnapshot:
        """The feed in figures."""
        hub, now = self._hub, self._clock.now_ns()
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

    def _make_units(self, house: House) -> list[Unit]:
        """Sinks first: they join the stream when they are made, before any source publishes."""
        units: list[Unit] = [
            sink_unit(sink, house, self._unit_changed) for sink in self._settings.sinks.values()
        ]
        units += [SourceUnit(source, house, self._unit_changed) for source in self._settings.sources.values()]
        return units

    def _unit_changed(self, unit: Unit) -> None:
        self._log.debug("unit changed", unit=unit.name, state=unit.state, detail=unit.detail)
        self._hooks.changed(unit.name, unit.state, unit.detail)
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
        self._hub.close()
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
                self._hooks.leave(128 + number)
            else:
                self._log.info("signal received", signal=name)
                self._stop.set()

    async def _sample(self) -> None:
        before, then = self._hub.totals.ticks, trio.current_time()
        while True:
            await trio.sleep(STATUS_EVERY_S)
            ticks, now = self._hub.totals.ticks, trio.current_time()
            self._rate = (ticks - before) / (now - then)
            before, then = ticks, now
            self._hooks.tell(self.snapshot())


def _words(unit: Unit) -> str:
    """A unit's state in a word or two, as the status line shows it."""
    return unit.report.state or unit.state if unit.state == "running" else unit.state


def _figures(unit: SinkUnit) -> SinkFigures:
    meter = unit.meter
    return SinkFigures(
        state="retrying" if meter.retrying else _words(unit),
        written=meter.written,
        dropped=unit.dropped,
        queued_bytes=unit.queued_bytes,
    )

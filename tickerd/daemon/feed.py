"""Everything that runs between an open state file and a drained feed, and how the configuration changes under it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
import trio

from tickerd.calendar import Calendar
from tickerd.config import Compiled, ConfigError
from tickerd.config.problem import Problem
from tickerd.config.settings import Settings
from tickerd.daemon.figures import Rate
from tickerd.daemon.pauses import Pauses
from tickerd.daemon.program import Hooks, Program
from tickerd.daemon.registered import Registered, Sinks
from tickerd.daemon.silences import Silences
from tickerd.daemon.subscriptions import Subscriptions
from tickerd.dataflow.market import announce
from tickerd.observe.watchdog import Watchdog
from tickerd.runtime.fleet import Fleet
from tickerd.runtime.house import House
from tickerd.runtime.logins import Logins, can_log_in
from tickerd.runtime.plan import Plan
from tickerd.runtime.plan import plan as planned
from tickerd.runtime.supervisor import Supervisor
from tickerd.runtime.unit import Unit
from tickerd.runtime.verdict import Verdict, refused
from tickerd.state import StateError, deadletters
from tickerd.systemd import Systemd

COUNT_S = 5.0
"""Between two counts of the dead letters."""


class Feed:
    """The units, what they share, and the configuration in force.

    Args:
        program: the configuration, and how to get the next one.
        hooks: what is called outside.
        house: what units share.
        supervisor: runs the units.
        watchdog: knows how late the loop is.
        systemd: is told of reloads.
        registered: webhooks that run beside what the file has.
    """

    def __init__(
        self,
        program: Program,
        hooks: Hooks,
        house: House,
        supervisor: Supervisor,
        watchdog: Watchdog,
        systemd: Systemd,
        registered: Registered,
    ) -> None:
        self.program = program
        self.registered = registered
        self.written = program.compiled
        """The file in force, alone."""
        self.compiled = self.complete(self.written)
        """The configuration in force: the file, and the webhooks that were registered at run time."""
        self.house = house
        self.watchdog = watchdog
        self.subscriptions = Subscriptions(house)
        self.pauses = Pauses(house)
        self.fleet = Fleet(house, supervisor, self._unit_changed)
        self.calendar = Calendar.load(self.settings.calendar.entries)
        self.rate = Rate(house.hub)
        self.silences = Silences(lambda: self.fleet.sources, house.hub, lambda: self.calendar, house.clock)
        self.logins = Logins(self.running_source, self._that_log_in, house.clock, house.db)
        self.started = trio.Event()
        """Nothing is changed before all units have been brought up, as they were steered before the restart."""
        self.ready = False
        self.applied_ns = house.clock.now_ns()
        self.last_verdict: Verdict | None = None
        self.dead_letters: Mapping[str, int] = {}
        """By sink, as of a moment ago."""
        self.failed = trio.Event()
        """A unit that is required has failed for good."""
        self.listeners: list[Callable[[Unit], None]] = []
        """Told of every change of a unit's state, beside the hooks."""
        self.reloaded: list[Callable[[Verdict], None]] = []
        """Told of the verdict of every reload."""
        self.renewals: list[Callable[[Compiled], None]] = []
        """Told of every configuration that a reload has put in force."""
        self._systemd = systemd
        self._hooks = hooks
        self._supervisor = supervisor
        self._began = trio.current_time()
        self._reloading = trio.Lock()
        self._announcing = trio.CancelScope()
        self._log = structlog.get_logger()

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self.compiled.settings

    @property
    def uptime_s(self) -> float:
        """Since the start."""
        return trio.current_time() - self._began

    async def start(self) -> None:
        """Bring up all units, as they were steered before the restart."""
        self._hide(self.compiled)
        self.registered.warn_of_shadowed(self.written.settings)
        await self._restored(self.pauses.restore)
        await self.fleet.start(self.settings)
        await self._restored(self.subscriptions.restore)
        self.started.set()

    async def _restored(self, restore: Callable[[], Awaitable[None]]) -> None:
        """A state file that cannot be read is no reason not to run."""
        try:
            await restore()
        except StateError as error:
            self._log.error("what was steered before the restart cannot be restored", reason=str(error))

    async def announce(self) -> None:
        """Tell opens and closes of the exchanges that are wanted; runs until cancelled."""
        hub = self.house.hub
        while True:
            with trio.CancelScope() as self._announcing:
                await announce(
                    self.calendar,
                    self.house.clock,
                    lambda batch: hub.publish(batch, "calendar"),
                    self._exchanges,
                )

    async def count_letters(self) -> None:
        """Keep the number of dead letters at hand; runs until cancelled."""
        while True:
            try:
                found = await self.house.db.read(deadletters.totals)
                self.dead_letters = {one.sink: one.letters for one in found}
            except StateError as error:
                self._log.error("dead letters cannot be counted", reason=str(error))
            await trio.sleep(COUNT_S)

    def _exchanges(self) -> set[str]:
        wanted = (instrument for unit in self.fleet.sources for instrument in unit.demand.wanted())
        return {instrument.exchange for instrument in wanted} - {""}

    # -- logins ----------------------------------------------------------------------------------------

    def running_source(self, name: str) -> object | None:
        """What runs under this name, for the optional protocols that it may implement."""
        unit = self.fleet.unit(f"source.{name}")
        return None if unit is None else unit.plugin

    def _that_log_in(self) -> list[str]:
        return [name for name, source in self.fleet.settings.sources.items() if can_log_in(source.type)]

    # -- units -----------------------------------------------------------------------------------------

    def required_but_down(self) -> list[str]:
        """Units without which the daemon shall not run, and which did not come up."""
        up = ("running", "finished")
        return [unit.name for unit in self.fleet.units if unit.settings.required and unit.state not in up]

    def _unit_changed(self, unit: Unit) -> None:
        self._log.debug("unit changed", unit=unit.name, state=unit.state, detail=unit.detail)
        self._hooks.changed(unit.name, unit.state, unit.detail)
        for listener in self.listeners:
            listener(unit)
        if not self.fleet.is_changing:
            self._look_for_failed()

    def _look_for_failed(self) -> None:
        for unit in self.fleet.units:
            if unit.state == "failed" and unit.settings.required:
                self._log.error("a required unit has failed, stopping", unit=unit.name, reason=unit.detail)
                self.failed.set()

    # -- the next configuration ------------------------------------------------------------------------

    def complete(self, written: Compiled) -> Compiled:
        """A file's configuration, and the webhooks that were registered at run time with it.

        Raises:
            ConfigError: the file has taken the name of one of them.
        """
        return self.registered.merged(written, before=self.written.settings)

    async def recompile(self) -> Compiled:
        """Read the file again; what it has alone.

        Raises:
            ConfigError: it cannot be used.
        """
        return await trio.to_thread.run_sync(self.program.again)

    def plan(self, compiled: Compiled) -> Plan:
        """What a reload to it would do."""
        secret = self.compiled.secret | compiled.secret
        return planned(self.fleet.settings, compiled.settings, secret)

    async def rehearse(self) -> "Reload":
        """Read the file again, and say what a reload to it would do."""
        try:
            compiled = self.complete(await self.recompile())
        except ConfigError as error:
            return Reload(problems=tuple(error.problems))
        return Reload(warnings=compiled.warnings, plan=self.plan(compiled))

    async def reload(self) -> "Reload":
        """Read the file again and go over to it, or leave everything as it is.

        One at a time. The verdict is logged and shown in the status, whatever it is.
        """
        await self.started.wait()
        async with self._reloading, self._telling():
            try:
                written = await self.recompile()
                compiled = self.complete(written)
            except ConfigError as error:
                verdict = refused(self.fleet.generation, *map(_line, error.problems))
                done = Reload(problems=tuple(error.problems), verdict=verdict)
            else:
                plan = self.plan(compiled)
                verdict = await self._go_over_to(compiled, plan)
                if verdict.applied:
                    self.written = written
                    self.applied_ns = self.house.clock.now_ns()
                    self._apply_settings(compiled)
                done = Reload(warnings=compiled.warnings, plan=plan, verdict=verdict)
            self._look_for_failed()
            self.last_verdict = verdict
            tell = self._log.info if verdict.applied else self._log.error
            tell("reload", verdict=verdict.text(), generation=verdict.generation, applied=verdict.applied)
            for listener in self.reloaded:
                listener(verdict)
            return done

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """systemd waits for the end of what it was told has begun."""
        self._systemd.reloading()
        try:
            yield
        finally:
            verdict = self.last_verdict
            self._systemd.ready("" if verdict is None else f"reload: {verdict.text()}")

    async def register(self, sinks: Sinks) -> Verdict:
        """Go over to these registered webhooks, or leave everything as it is; takes its turn with reloads."""
        await self.started.wait()
        async with self._reloading:
            before, self.registered.sinks = self.registered.sinks, sinks
            applied = False
            try:
                compiled = self.complete(self.written)
                verdict = await self._go_over_to(compiled, self.plan(compiled))
                applied = verdict.applied
            finally:
                if not applied:
                    self.registered.sinks = before
            self._look_for_failed()
            return verdict

    async def _go_over_to(self, compiled: Compiled, plan: Plan) -> Verdict:
        self._hide(compiled)
        if self.house.recorder is not None:
            self.house.recorder.codecs = self.program.registry.codecs()
        verdict = await self.fleet.apply(compiled.settings, plan)
        if verdict.applied:
            self.compiled = compiled
            if self.house.recorder is not None:
                self.house.recorder.durable = durable_units(compiled.settings)
        return verdict

    def _hide(self, compiled: Compiled) -> None:
        for text in compiled.secret_texts:
            self._hooks.hide(text)

    def _apply_settings(self, compiled: Compiled) -> None:
        """What stands outside of units and can change while running."""
        settings = compiled.settings
        self._supervisor.renew(settings.limits.start_deadline, settings.limits.stop_deadline)
        self.calendar = Calendar.load(settings.calendar.entries)
        self._announcing.cancel()
        if self.house.recorder is not None and settings.journal is not None:
            self.house.recorder.renew(settings.journal, durable_units(settings))
        self._hooks.applied(compiled)
        for renewed in self.renewals:
            renewed(compiled)


@dataclass(frozen=True, kw_only=True)
class Reload:
    """What came of reading the file again."""

    problems: tuple[Problem, ...] = ()
    """Why it cannot be used."""
    warnings: tuple[Problem, ...] = ()
    plan: Plan | None = None
    """None when it cannot be used."""
    verdict: Verdict | None = None
    """None where nothing was tried."""


def _line(problem: Problem) -> str:
    """A problem without the excerpt of the file."""
    return problem.text().partition("\n")[0]


def durable_units(settings: Settings) -> frozenset[str]:
    """Whose cursors hold journal segments back."""
    return frozenset(f"sink.{sink.name}" for sink in settings.sinks.values() if sink.delivery == "durable")

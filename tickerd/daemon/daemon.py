"""One run: from an open state directory through signals and reloads to a drained feed."""

import signal
import sys
from collections.abc import AsyncIterator
from functools import partial

import structlog
import trio

from tickerd.config.settings import Settings
from tickerd.daemon import admission, figures
from tickerd.daemon.admission import Admission
from tickerd.daemon.feed import Feed, durable_units
from tickerd.daemon.program import Hooks, Outcome, Program
from tickerd.daemon.registered import Registered
from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.observe.status import FeedSnapshot, status_line
from tickerd.observe.watchdog import Watchdog
from tickerd.plugin import Clock
from tickerd.runtime.house import House
from tickerd.runtime.kept import kept
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.refresh import follow_requests
from tickerd.runtime.supervisor import Supervisor
from tickerd.state import Database, StateDirectory
from tickerd.systemd import Systemd

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter while the loop waits for it."""
STATUS_EVERY_S = 1.0
EXTEND_EVERY_S = 5.0
"""Between two requests for more time to stop."""


class Daemon:
    """Made and used once, inside one ``trio.run``.

    Args:
        program: the configuration, and how to get the next one.
        state: held by the caller for as long as the daemon runs.
        hooks: what it calls outside itself.
        systemd: who may have started us.
    """

    def __init__(self, program: Program, state: StateDirectory, hooks: Hooks, systemd: Systemd) -> None:
        self._program = program
        self._state = state
        self._hooks = hooks
        self._log = structlog.get_logger()
        self._stop = trio.Event()
        self._clock = Clock()
        self._hub = Hub(state.next_epoch())
        self._systemd = systemd
        self._listeners = Listeners(systemd.sockets)
        self._watchdog = Watchdog(feed=systemd.alive, leave=hooks.leave)
        self._exit_code = 0
        self._admission: Admission | None = None
        self._reload_asked = trio.Event()

    async def run(self, *, for_s: float | None = None) -> Outcome:
        """Run until a signal, or for so many seconds; returns when everything has been drained and stopped."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        snapshot: FeedSnapshot | None = None
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as parking:
                async with trio.open_nursery() as core:
                    core.start_soon(self._follow_signals, signals)
                    core.start_soon(self._watchdog.run)
                    async with Database(self._state.path) as db, trio.open_nursery() as journal:
                        feed = await self._make_feed(parking, core, journal, db)
                        await self._live(feed, core, for_s)
                        snapshot = self._snapshot(feed)
                        await self._listeners.aclose()
                        journal.cancel_scope.cancel()
                    core.cancel_scope.cancel()
                self._leave_the_stuck_behind(feed)
                parking.cancel_scope.cancel()
        return Outcome(snapshot, self._exit_code)

    async def _make_feed(
        self, parking: trio.Nursery, core: trio.Nursery, journal: trio.Nursery, db: Database
    ) -> Feed:
        settings = self._program.compiled.settings
        self._admission = await self._admit(settings, journal, db)  # the key ring writes when it leaves
        registered = Registered(self._program.registry, self._clock, self._program.file)
        await registered.restore(db)
        whole = registered.merged(self._program.compiled, before=settings).settings
        house = House(
            self._hub,
            InstrumentTable(),
            self._clock,
            self._state,
            self._listeners,
            db,
            await self._open_journal(whole, journal, db),
            self._hooks.hide,
            None if self._admission is None else self._admission.access,
        )
        supervisor = Supervisor(
            parking,
            core,
            self._clock,
            start_deadline=settings.limits.start_deadline,
            stop_deadline=settings.limits.stop_deadline,
        )
        return Feed(self._program, self._hooks, house, supervisor, self._watchdog, self._systemd, registered)

    async def _admit(self, settings: Settings, nursery: trio.Nursery, db: Database) -> Admission | None:
        if not admission.is_needed(settings):
            return None
        registry, state = self._program.registry, self._state.path
        return await admission.open_access(nursery, settings, registry, db, self._clock, state)

    async def _open_journal(self, settings: Settings, nursery: trio.Nursery, db: Database) -> Recorder | None:
        if settings.journal is None:
            return None
        codecs = self._program.registry.codecs()
        directory = self._state.path / "journal"
        recorder = Recorder(settings.journal, directory, self._hub, self._clock, db, codecs)
        recorder.durable = durable_units(settings)
        await recorder.open()
        await nursery.start(recorder.run)
        return recorder

    async def _live(self, feed: Feed, core: trio.Nursery, for_s: float | None) -> None:
        """Everything between the first unit that starts and the last one that stops."""
        control = feed.settings.control
        if control is not None:
            from tickerd.daemon.control_room import ControlRoom  # noqa: PLC0415 - costs 15 MB of imports

            assert self._admission is not None
            room = ControlRoom(feed, control, *self._admission)
            await core.start(room.run)
        hooks = feed.settings.hooks
        if hooks is not None:
            from tickerd.daemon.hooks_room import HooksRoom  # noqa: PLC0415 - as above

            outside = HooksRoom(feed, hooks)
            await core.start(outside.run)
        core.start_soon(kept, "status", partial(self._sample, feed))
        core.start_soon(kept, "logins", partial(feed.logins.answer, self._state.path))
        core.start_soon(kept, "calendar", feed.announce)
        core.start_soon(kept, "instruments", feed.house.wants.run)
        core.start_soon(kept, "silence", feed.silences.run)
        core.start_soon(
            kept, "refreshes", partial(follow_requests, self._state.path, lambda: feed.fleet.sources)
        )
        core.start_soon(kept, "dead letters", feed.count_letters)
        core.start_soon(kept, "reload", partial(self._follow_reloads, feed))
        await feed.start()
        await self._until_stop(feed, for_s)
        feed.ready = False
        await self._drain(feed)
        if hooks is not None:
            await outside.stop()
        if control is not None:
            await room.stop()

    async def _until_stop(self, feed: Feed, for_s: float | None) -> None:
        if down := feed.required_but_down():
            self._log.error("required units did not come up", units=down)
            self._exit_code = 1
            return
        feed.ready = True
        if unused := self._listeners.unused():
            self._log.warning("sockets that systemd has opened are not used", addresses=unused)
        self._systemd.ready(self._sentence(feed))
        self._log.info("ready", epoch=self._hub.epoch, units=[unit.name for unit in feed.fleet.units])
        with trio.move_on_after(float("inf") if for_s is None else for_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_failed, feed)
                await self._stop.wait()
                nursery.cancel_scope.cancel()

    async def _until_failed(self, feed: Feed) -> None:
        await feed.failed.wait()
        self._exit_code = 1
        self._stop.set()

    async def _drain(self, feed: Feed) -> None:
        """Stop what brings ticks in, then let what hands them on finish, within the limit."""
        self._log.info("stopping")
        self._systemd.stopping("draining")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask_for_time)
            await feed.fleet.stop("source")
            self._hub.close()
            await feed.fleet.stop("sink", grace=feed.settings.limits.drain)
            nursery.cancel_scope.cancel()

    async def _ask_for_time(self) -> None:
        """While it drains, which has a limit of its own."""
        while True:
            self._systemd.extend(2 * EXTEND_EVERY_S)
            await trio.sleep(EXTEND_EVERY_S)

    def _leave_the_stuck_behind(self, feed: Feed) -> None:
        stuck = [unit.name for unit in feed.fleet.units if unit.state == "stuck"]
        if stuck:
            self._log.error("leaving stuck units behind", units=stuck)
            self._hooks.tell(self._snapshot(feed))
            self._hooks.leave(self._exit_code)

    async def _follow_signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                self._reload_asked.set()
            elif self._stop.is_set():
                self._log.error("second signal, ending at once", signal=name)
                self._hooks.leave(128 + number)
            else:
                self._log.info("signal received", signal=name)
                self._stop.set()

    async def _follow_reloads(self, feed: Feed) -> None:
        """A SIGHUP asks for a reload; those that come while one is under way are answered by one more."""
        while True:
            await self._reload_asked.wait()
            self._reload_asked = trio.Event()
            await feed.reload()

    def _snapshot(self, feed: Feed) -> FeedSnapshot:
        return figures.snapshot(self._hub, self._clock, feed.fleet.units, feed.rate.per_s, feed.uptime_s)

    async def _sample(self, feed: Feed) -> None:
        while True:
            await trio.sleep(STATUS_EVERY_S)
            feed.rate.sample()
            self._hooks.tell(self._snapshot(feed))
            if feed.ready and self._systemd.is_there:
                self._systemd.status(self._sentence(feed))

    def _sentence(self, feed: Feed) -> str:
        return status_line(self._snapshot(feed))

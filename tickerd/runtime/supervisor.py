"""The one starter of units: starts, watches, restarts with back-off, stops, drains, and leaves the stuck behind."""

import random
from collections.abc import Callable, Iterable, Sequence

import structlog
import trio

from tickerd.plugin import Clock, Rejected
from tickerd.plugin.backoff import backoff
from tickerd.plugin.errors import may_pass
from tickerd.runtime.unit import Attempt, Unit, UnitSnapshot

BUGS_IN_A_ROW = 5
"""Failures that are bugs, one after the other, after which a unit is not started again."""
HEALTHY_AFTER_S = 60.0
"""Running this long forgets earlier failures."""
INITIAL_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0


class Supervisor:
    """Runs units in tasks of its own, so that nothing one of them does reaches another.

    A unit's body runs in the ``parking`` nursery, its keeper in the ``keepers`` nursery; both belong to the
    daemon's root. An error never leaves a unit. A body that swallows its cancellation stays in the parking
    nursery as `stuck`; whoever ends the daemon must then not wait for that nursery.

    Args:
        parking: where bodies run.
        keepers: where the supervisor's own tasks run.
        start_deadline: seconds for a unit to call ``started()``.
        stop_deadline: seconds for a cancelled unit to end.
    """

    def __init__(
        self,
        parking: trio.Nursery,
        keepers: trio.Nursery,
        clock: Clock,
        *,
        start_deadline: float,
        stop_deadline: float,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._parking = parking
        self._keepers = keepers
        self._clock = clock
        self._start_deadline = start_deadline
        self._stop_deadline = stop_deadline
        self._draw = draw
        self._log = structlog.get_logger()
        self.units: dict[str, Unit] = {}

    def renew(self, start_deadline: float, stop_deadline: float) -> None:
        """Go by these from now on."""
        self._start_deadline, self._stop_deadline = start_deadline, stop_deadline

    def snapshots(self) -> list[UnitSnapshot]:
        """How every unit stands."""
        return [unit.snapshot() for unit in self.units.values()]

    @property
    def stuck(self) -> list[str]:
        """Units that did not stop when they were told to."""
        return [unit.name for unit in self.units.values() if unit.state == "stuck"]

    async def start(self, units: Iterable[Unit]) -> None:
        """Start these units side by side; returns when each has come up or failed to for the first time."""
        units = list(units)
        for unit in units:
            self.units[unit.name] = unit
            self._keepers.start_soon(self._keep, unit)
        for unit in units:
            await unit.first_settled.wait()

    async def stop(self, units: Sequence[Unit], *, grace: float = 0.0) -> None:
        """Stop these units side by side: ask, wait up to ``grace`` seconds, cancel, and give up on the stuck."""
        async with trio.open_nursery() as nursery:
            for unit in units:
                nursery.start_soon(self._stop, unit, grace)

    async def _stop(self, unit: Unit, grace: float) -> None:
        unit.stop_asked.set()
        unit.finish()
        attempt = unit.attempt
        if attempt is not None and not attempt.over.is_set():
            unit.enter("stopping")
            if grace:
                with trio.move_on_after(grace):
                    await attempt.over.wait()
            await self._end(unit, attempt)
        if unit.state != "stuck":
            unit.enter("stopped")
        unit.close()

    async def _end(self, unit: Unit, attempt: Attempt) -> None:
        """Cancel a body and wait for its end; past the deadline it is abandoned and refused everything."""
        attempt.scope.cancel()
        with trio.move_on_after(self._stop_deadline):
            await attempt.over.wait()
        if not attempt.ended:
            unit.revoke()
            unit.enter(
                "stuck", f"did not end within {self._stop_deadline:g} s of being cancelled; left behind"
            )
            self._log.error("unit is stuck", unit=unit.name)
            attempt.abandon()

    async def _keep(self, unit: Unit) -> None:
        failures = bugs = 0
        while not unit.stop_asked.is_set():
            began = trio.current_time()
            attempt = unit.attempt = Attempt()
            error = await self._try(unit, attempt)
            if unit.stop_asked.is_set() or unit.state == "stuck":
                return
            if error is None:
                unit.enter("finished")
                return
            if attempt.is_started and trio.current_time() - began >= HEALTHY_AFTER_S:
                failures = bugs = 0
            failures += 1
            bugs = 0 if may_pass(error) else bugs + 1
            text = describe(error)
            if isinstance(error, Rejected) or bugs >= BUGS_IN_A_ROW:
                unit.enter("failed", text)
                self._log.error("unit failed and stays down until a reload", unit=unit.name, reason=text)
                return
            wait = backoff(failures, initial=INITIAL_WAIT_S, cap=LONGEST_WAIT_S, random=self._draw)
            unit.restarts += 1
            unit.enter("waiting", f"{text}; next try in {wait:.1f} s")
            self._log.warning(
                "unit ended, will be restarted",
                unit=unit.name,
                reason=text,
                wait_s=round(wait, 3),
                exc_info=None if may_pass(error) else error,
            )
            with trio.move_on_after(wait):
                await unit.stop_asked.wait()

    async def _try(self, unit: Unit, attempt: Attempt) -> BaseException | None:
        """One attempt from start to end; what went wrong, or None."""
        unit.enter("starting")
        self._parking.start_soon(attempt.run, unit)
        with trio.move_on_after(self._start_deadline):
            await attempt.settled.wait()
        if not attempt.settled.is_set():
            await self._end(unit, attempt)
            return trio.TooSlowError(f"did not start within {self._start_deadline:g} s")
        if not attempt.over.is_set():
            unit.enter("running")
            await attempt.over.wait()
        return attempt.error


def describe(error: BaseException) -> str:
    """An error in a few words: the first real one of a group, with its type where the text alone says little."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error).strip()
    kind = type(error).__name__
    if not text:
        return kind
    return text if isinstance(error, OSError | Rejected | trio.TooSlowError) else f"{kind}: {text}"

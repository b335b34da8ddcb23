"""All units of the configuration in force, and how they become those of the next one.

A plan is carried out in this order, so that until the last step everything can be taken back:

1. what is added, and what is replaced ``beside``, comes up while the old units run on;
2. what is replaced ``after`` is stopped and started with its new value;
3. units that can take new options while they run are given them;
4. the old units of the first step hand over and stop, and so do those that are removed.
"""

from collections.abc import Callable, Iterable, Sequence

import structlog
import trio

from tickerd.config.settings import Settings, SourceSettings
from tickerd.runtime.house import House
from tickerd.runtime.plan import Plan, Step, UnitSettings
from tickerd.runtime.supervisor import Supervisor, describe
from tickerd.runtime.unit import Unit
from tickerd.runtime.units import ConfiguredUnit, SourceUnit, sink_unit
from tickerd.runtime.verdict import Verdict, applied, refused

UP = ("running", "finished")


class _DidNotComeUp(Exception):
    """A unit of the new configuration; the text says which and why."""


class Fleet:
    """Made by the daemon; one at a time changes it.

    Args:
        house: what units share.
        supervisor: runs them.
        changed: told of every change of a unit's state.
    """

    def __init__(self, house: House, supervisor: Supervisor, changed: Callable[[Unit], None]) -> None:
        self._house = house
        self._supervisor = supervisor
        self._changed = changed
        self._units: dict[str, ConfiguredUnit] = {}
        self._turn = trio.Lock()
        self._closed = False
        self.settings = Settings.model_construct(sources={}, sinks={})
        """The configuration in force."""
        self.generation = 0

    @property
    def units(self) -> list[ConfiguredUnit]:
        """Sinks before sources, each kind in the order of the file."""
        order = [f"sink.{name}" for name in self.settings.sinks]
        order += [f"source.{name}" for name in self.settings.sources]
        known = [self._units[name] for name in order if name in self._units]
        return known + [unit for name, unit in self._units.items() if name not in order]

    @property
    def sources(self) -> list[SourceUnit]:
        """The sources among the units."""
        return [unit for unit in self.units if isinstance(unit, SourceUnit)]

    @property
    def is_changing(self) -> bool:
        """Whether a plan is being carried out: a unit that fails then may be taken back."""
        return self._turn.locked()

    def unit(self, name: str) -> ConfiguredUnit | None:
        """The unit of that name, such as ``sink.archive``."""
        return self._units.get(name)

    async def start(self, settings: Settings) -> None:
        """Bring up the first configuration; what does not come up stays and is tried again.

        Sinks are made first: they join the stream when they are made, before any source publishes.
        """
        self.settings, self.generation = settings, 1
        wanted: list[UnitSettings] = [*settings.sinks.values(), *settings.sources.values()]
        made = [self._make(one) for one in wanted]
        self._units = {unit.name: unit for unit in made}
        await self._supervisor.start(made)

    async def stop(self, kind: str, grace: float = 0.0) -> None:
        """Stop all sources or all sinks for good. No plan is carried out after the first call."""
        self._closed = True
        async with self._turn:
            await self._supervisor.stop([unit for unit in self.units if unit.kind == kind], grace=grace)

    async def apply(self, settings: Settings, plan: Plan) -> Verdict:
        """Go over to another configuration, or leave everything as it is. One at a time.

        Args:
            settings: compiled.
            plan: what leads to it from the configuration in force.
        """
        began = trio.current_time()
        async with self._turn:
            if self._closed:
                return refused(self.generation, "tickerd is stopping")
            change = _Change(self, plan)
            # each step has a deadline of its own, in either direction: nothing must be left half in force
            try:
                await change.prepare()
            except _DidNotComeUp as error:
                with trio.CancelScope(shield=True):
                    await change.undo()
                return refused(self.generation, str(error), seconds=trio.current_time() - began)
            except BaseException:
                with trio.CancelScope(shield=True):
                    await change.undo()  # noqa: ASYNC102 - as above
                raise
            with trio.CancelScope(shield=True):
                await change.finish()
                self.settings = settings
                self.generation += 1
                await self._house.listeners.keep(self._addresses())
            return applied(
                plan,
                self.generation,
                restarted=tuple(change.restarted),
                changed=tuple(change.changed),
                seconds=trio.current_time() - began,
            )

    def _addresses(self) -> set[str]:
        """Where any unit listens."""
        return {address for unit in self._units.values() for address in unit.addresses}

    # -- what a change is made of ----------------------------------------------------------------------

    def _make(self, settings: UnitSettings) -> ConfiguredUnit:
        if isinstance(settings, SourceSettings):
            return SourceUnit(settings, self._house, self._changed)
        return sink_unit(settings, self._house, self._changed)

    async def come_up(self, units: Iterable[ConfiguredUnit]) -> None:
        """Start these side by side.

        Raises:
            _DidNotComeUp: not all of them did; they are left as they are.
        """
        units = list(units)
        await self._supervisor.start(units)
        failed = [f"{unit.name} does not come up: {_why(unit)}" for unit in units if unit.state not in UP]
        if failed:
            raise _DidNotComeUp("; ".join(failed))

    def build(self, settings: UnitSettings) -> ConfiguredUnit:
        """A unit that is not started yet.

        Raises:
            _DidNotComeUp: it cannot be made.
        """
        try:
            return self._make(settings)
        except Exception as error:
            kind = "source" if isinstance(settings, SourceSettings) else "sink"
            raise _DidNotComeUp(f"{kind}.{settings.name} cannot be made: {type(error).__name__}") from error

    async def put_down(self, units: Sequence[ConfiguredUnit], *, grace: float = 0.0) -> None:
        """Stop units that are no longer wanted."""
        await self._supervisor.stop(units, grace=grace)

    def enlist(self, unit: ConfiguredUnit) -> None:
        """From now on this is the unit of its name."""
        self._units[unit.name] = unit
        self._supervisor.units[unit.name] = unit

    def forget(self, name: str) -> None:
        """There is no unit of this name any more; whoever says so stops it."""
        self._supervisor.units.pop(name, None)
        self._units.pop(name, None)

    @property
    def grace(self) -> float:
        """Seconds in which a unit that goes may finish what it has in hand."""
        return self.settings.limits.stop_deadline


def _why(unit: Unit) -> str:
    error = None if unit.attempt is None else unit.attempt.error
    return unit.detail if error is None else describe(error)


class _Change:
    """One plan on its way."""

    def __init__(self, fleet: Fleet, plan: Plan) -> None:
        self._fleet = fleet
        self._plan = plan
        self._beside: list[tuple[ConfiguredUnit | None, ConfiguredUnit]] = []
        """(old, new), the old one None where it is added."""
        self._after: list[Step] = []
        self._live: list[Step] = []
        self._log = structlog.get_logger()
        self.restarted: list[str] = []
        self.changed: list[str] = []

    async def prepare(self) -> None:
        """Everything that may fail."""
        steps = self._plan.steps
        restarts = [step for step in steps if step.verb == "restart"]
        await self._raise_beside([step for step in restarts if step.replace == "beside"])
        for step in restarts:
            if step.replace == "after":
                await self._swap_after(step)
        for step in steps:
            if step.verb == "change":
                await self._change(step)
        self.restarted = [step.unit for step in steps if step.unit in self.restarted]

    async def _raise_beside(self, restarts: Sequence[Step]) -> None:
        fleet = self._fleet
        for step in [*restarts, *self._plan.of("add")]:
            assert step.new is not None
            old = fleet.unit(step.unit)
            new = fleet.build(step.new)
            if old is not None:
                new.wait_for_predecessor()
                self.restarted.append(step.unit)
            self._beside.append((old, new))
        try:
            await fleet.come_up(new for _, new in self._beside)
        finally:
            for (
                old,
                _,
            ) in self._beside:  # the supervisor knows a unit by its name, and that is still the old one's
                if old is not None:
                    fleet.enlist(old)

    async def _swap_after(self, step: Step) -> None:
        assert step.new is not None
        new = self._fleet.build(step.new)
        self._after.append(step)  # from here on there is something to undo
        self.restarted.append(step.unit)
        await self._replace(step.unit, new)

    async def _replace(self, name: str, new: ConfiguredUnit) -> None:
        """Stop the unit of that name, then start this one in its place."""
        fleet = self._fleet
        old = fleet.unit(name)
        assert old is not None
        new.inherit(old)
        old.release()
        await fleet.put_down([old], grace=fleet.grace)
        fleet.enlist(new)
        await fleet.come_up([new])

    async def _change(self, step: Step) -> None:
        assert step.new is not None
        if await self._goes_by(step.unit, step.new):
            self._live.append(step)
            self.changed.append(step.unit)
        else:
            await self._swap_after(step)

    async def _goes_by(self, name: str, settings: UnitSettings) -> bool:
        """Whether a unit has taken these while it runs. It has not where it fails, or needs longer than to start."""
        unit = self._fleet.unit(name)
        assert unit is not None
        try:
            with trio.fail_after(self._fleet.settings.limits.start_deadline):
                return await unit.apply(settings)
        except Exception as error:  # noqa: BLE001 - a plugin's method is foreign code
            self._log.error(
                "unit cannot change while it runs", unit=name, reason=describe(error), exc_info=error
            )
            return False

    async def undo(self) -> None:
        """Back to what was; a unit of the old configuration that does not come up again is tried on."""
        fleet = self._fleet
        await fleet.put_down([new for _, new in self._beside])
        for old, new in self._beside:
            if old is None:
                fleet.forget(new.name)
            else:
                fleet.enlist(old)
        for step in reversed(self._live):
            assert step.old is not None
            if not await self._goes_by(step.unit, step.old):
                self._after.append(step)
        for step in reversed(self._after):
            assert step.old is not None
            try:
                await self._replace(step.unit, fleet.build(step.old))
            except _DidNotComeUp as error:
                self._log.error("the old configuration does not come up again", reason=str(error))

    async def finish(self) -> None:
        """Let the old ones go. Nothing in here can fail: it is the new ones that count now."""
        fleet = self._fleet
        async with trio.open_nursery() as nursery:
            for old, new in self._beside:
                if old is not None:
                    nursery.start_soon(self._hand_over, old, new)
                else:
                    fleet.enlist(new)
        for kind in ("source", "sink"):
            names = [step.unit for step in self._plan.of("remove") if step.kind == kind]
            gone = [unit for name in names if (unit := fleet.unit(name)) is not None]
            for name in names:
                fleet.forget(name)
            await fleet.put_down(gone, grace=fleet.grace)

    async def _hand_over(self, old: ConfiguredUnit, new: ConfiguredUnit) -> None:
        fleet = self._fleet
        new.inherit(old)
        old.release()
        await fleet.put_down([old], grace=fleet.grace)
        fleet.enlist(new)
        new.predecessor_is_gone()

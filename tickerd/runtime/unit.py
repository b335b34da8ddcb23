"""One supervised unit: a source or sink of the YAML, its state, and one attempt at running it."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import trio

from tickerd.observe.unit import CURRENT_UNIT
from tickerd.plugin import Clock

State = Literal["new", "starting", "running", "waiting", "failed", "stuck", "stopping", "stopped", "finished"]
"""``waiting``: failed, and will be tried again. ``failed``: will not. ``stuck``: did not stop when told to."""


@dataclass(frozen=True)
class UnitSnapshot:
    """A unit as status, health and the API show it."""

    name: str
    kind: str
    state: State
    detail: str
    since_ns: int
    restarts: int
    reported: str
    """What the plugin says of itself, in a word."""
    reported_detail: str
    facts: Mapping[str, Any]
    counts: Mapping[str, int]


@dataclass
class Report:
    """What the plugin last said of itself."""

    state: str = ""
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Attempt:
    """One run of a unit's body, in a task that the supervisor can leave behind."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.settled = trio.Event()
        """It has started or is over."""
        self.over = trio.Event()
        """It has ended or was abandoned."""
        self.is_started = False
        self.ended = False
        self.error: BaseException | None = None

    def started(self, value: None = None) -> None:
        """The ``task_status`` that the plugin is handed."""
        del value
        self.is_started = True
        self.settled.set()

    async def run(self, unit: "Unit") -> None:
        """Run the body and keep what it raised. Nothing passes but the cancellation of the whole daemon."""
        CURRENT_UNIT.set(unit.name)
        try:
            with self.scope:
                await unit.body(self)
        except BaseException as error:  # noqa: ASYNC103 - what holds a cancellation is raised again
            if _holds_cancelled(error):
                raise
            self.error = error
        finally:
            self.ended = True
            self.abandon()

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self.settled.set()
        self.over.set()


def _holds_cancelled(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_holds_cancelled, error.exceptions))
    return isinstance(error, trio.Cancelled)


class Unit(ABC):
    """What the supervisor keeps running. Subclasses say what running means."""

    kind: str

    def __init__(self, name: str, clock: Clock, changed: Callable[["Unit"], None]) -> None:
        self.name = f"{self.kind}.{name}"
        self.clock = clock
        self.state: State = "new"
        self.detail = ""
        self.since_ns = clock.now_ns()
        self.restarts = 0
        self.report = Report()
        self.counts: Counter[str] = Counter()
        self.attempt: Attempt | None = None
        self.stop_asked = trio.Event()
        self.first_settled = trio.Event()
        """It has come up, or failed to, for the first time."""
        self._changed = changed

    @abstractmethod
    async def body(self, attempt: Attempt) -> None:
        """Run until cancelled; ``attempt.started()`` when up."""

    def finish(self) -> None:
        """Ask for a graceful end, where there is one; the body then returns by itself."""

    def close(self) -> None:
        """Release what outlives attempts; called once, when the unit is gone for good."""

    def revoke(self) -> None:
        """Refuse everything that the running attempt still asks for."""

    def enter(self, state: State, detail: str = "") -> None:
        """Change the state and tell."""
        self.state, self.detail, self.since_ns = state, detail, self.clock.now_ns()
        if state not in ("new", "starting"):
            self.first_settled.set()
        self._changed(self)

    def snapshot(self) -> UnitSnapshot:
        """How it stands."""
        return UnitSnapshot(
            name=self.name,
            kind=self.kind,
            state=self.state,
            detail=self.detail,
            since_ns=self.since_ns,
            restarts=self.restarts,
            reported=self.report.state,
            reported_detail=self.report.detail,
            facts=dict(self.report.facts),
            counts=dict(self.counts),
        )

"""Holds a sink back after too many failures, and lets one attempt through now and then. Pure: time is handed in."""

from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

State = Literal["closed", "open", "half_open"]

HALF = 0.5


class BreakerPolicy(Protocol):
    """When it opens and for how long; the ``retry.breaker`` option. Durations in seconds."""

    @property
    def failures(self) -> int:
        """So many in a row open it."""
        ...

    @property
    def window(self) -> int:
        """Half of so many attempts, all within `window_time`, open it too."""
        ...

    @property
    def window_time(self) -> float:
        """How old those attempts may be."""
        ...

    @property
    def open(self) -> float:
        """How long it stays open the first time; twice as long each time after that."""
        ...

    @property
    def cap(self) -> float:
        """How long it stays open at most."""
        ...


class BreakerSnapshot(NamedTuple):
    """A breaker as status shows it."""

    state: State
    failures: int
    """In a row."""
    opened: int
    """How often it has opened, since the start."""
    retry_in_s: float | None
    """Until one attempt is let through; None when it is closed."""


class Breaker:
    """Closed: everything passes. Open: nothing does for a while. Half open: one attempt decides.

    Ask `wait` before an attempt, and call `begin`, and then exactly one of `succeeded`, `failed` and
    `told_nothing`.

    Args:
        draw: a float in [0, 1), so that breakers of many daemons do not move in step.
    """

    def __init__(self, policy: BreakerPolicy, draw: Callable[[], float]) -> None:
        self._policy = policy
        self._draw = draw
        self._row = 0
        self._past: deque[tuple[float, bool]] = deque(maxlen=policy.window)
        self._until: float | None = None
        self._in_turn = 0
        self._probing = False
        self.opened = 0

    def state(self, now: float) -> State:
        """What it is at this time."""
        if self._until is None:
            return "closed"
        return "half_open" if self._probing or now >= self._until else "open"

    def wait(self, now: float) -> float | None:
        """Seconds until an attempt may be made; None: when the one that is being made has told how it went."""
        if self._until is None:
            return 0.0
        return None if self._probing else max(0.0, self._until - now)

    def begin(self) -> None:
        """An attempt is made."""
        if self._until is not None:
            self._probing = True

    def succeeded(self, now: float) -> None:
        """It went well: what was before counts no more."""
        self._past.append((now, True))
        if self._until is None or self._probing:
            self.reset()

    def failed(self, now: float, weight: int = 1) -> None:
        """It did not; ``weight`` 0 says that the other side was not to blame."""
        if weight == 0:
            self.told_nothing()
            return
        self._row += weight
        self._past.extend([(now, False)] * weight)
        if self._probing or (self._until is None and self._too_many(now)):
            self._open(now)

    def told_nothing(self) -> None:
        """It ended without a verdict, for example because it was cancelled."""
        self._probing = False

    def reset(self) -> None:
        """Close it."""
        self._until, self._probing = None, False
        self._row = self._in_turn = 0

    def snapshot(self, now: float) -> BreakerSnapshot:
        """How it stands."""
        left = None if self._until is None else max(0.0, self._until - now)
        return BreakerSnapshot(self.state(now), self._row, self.opened, left)

    def _too_many(self, now: float) -> bool:
        if self._row >= self._policy.failures:
            return True
        recent = [ok for at, ok in self._past if now - at <= self._policy.window_time]
        return len(recent) >= self._policy.window and recent.count(False) >= HALF * len(recent)

    def _open(self, now: float) -> None:
        """Each opening in turn doubles the time; the jitter of a fifth is taken off, so the cap holds."""
        longest = min(self._policy.cap, self._policy.open * 2.0 ** min(self._in_turn, 62))
        self._until = now + longest * (0.8 + 0.2 * self._draw())
        self._probing = False
        self._in_turn += 1
        self.opened += 1
        self._past.clear()

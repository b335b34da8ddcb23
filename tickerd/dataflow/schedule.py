"""When a delivery that failed is tried again, and when it is given up. Pure."""

from collections.abc import Callable, Sequence
from typing import Protocol

from tickerd.plugin.backoff import backoff

LONGEST_ASKED_S = 3600.0
"""Longest wait that the other side can ask for."""


class Steps(Protocol):
    """What the ``retry`` option says of waits; durations in seconds."""

    @property
    def initial(self) -> float:
        """Without a schedule: longest first wait."""
        ...

    @property
    def cap(self) -> float:
        """Without a schedule: longest wait."""
        ...

    @property
    def schedule(self) -> Sequence[float] | None:
        """Waits before each attempt, the first one's included; None: for ever, with waits that double."""
        ...

    @property
    def jitter(self) -> float:
        """How far a wait of the schedule may be from what it says, as a share."""
        ...


def next_wait(steps: Steps, failures: int, asked: float | None, draw: Callable[[], float]) -> float | None:
    """Seconds until the next attempt after so many failed ones; None: there is none.

    Args:
        failures: so far, at least 1.
        asked: what the other side wants at least.
        draw: a float in [0, 1).
    """
    least = min(max(asked or 0.0, 0.0), LONGEST_ASKED_S)
    if steps.schedule is None:
        return max(least, backoff(failures, initial=steps.initial, cap=steps.cap, random=draw))
    if failures >= len(steps.schedule):
        return None
    return max(least, steps.schedule[failures] * (1 + steps.jitter * (2 * draw() - 1)))

"""What stands between a sink and its attempts: the breaker, and what others are told when it keeps failing."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import trio

from tickerd.dataflow.breaker import Breaker, BreakerPolicy, BreakerSnapshot

FAILING_AFTER = 4
"""Failures in a row after which others are told."""
HOPELESS_AFTER_NS = 5 * 86_400 * 10**9
"""A sink that fails for so long without a break is given up."""
HOPELESS_ATTEMPTS = 20
"""It must have been tried so often in that time."""

Verdict = Literal["failing", "recovered", "disabled"]
Admission = Literal["at_once", "waited", "left"]
Tell = Callable[[Verdict, str], None]
"""Told of each change of a sink's standing, with why."""


@dataclass
class Standing:
    """How long a sink has been failing without a break; kept over restarts where there is an outbox."""

    since_ns: int | None = None
    failures: int = 0

    def failed(self, now_ns: int) -> Verdict | None:
        """One more failure; what has changed with it."""
        if self.since_ns is None:
            self.since_ns = now_ns
        self.failures += 1
        if self.failures >= HOPELESS_ATTEMPTS and now_ns - self.since_ns >= HOPELESS_AFTER_NS:
            return "disabled"
        return "failing" if self.failures == FAILING_AFTER else None

    def succeeded(self) -> Verdict | None:
        """An attempt went well; what has changed with it."""
        told = self.failures >= FAILING_AFTER
        self.since_ns, self.failures = None, 0
        return "recovered" if told else None


class Guard:
    """One for each sink; outlives restarts of it.

    Args:
        policy: of the breaker; None: there is none, and nobody is told anything.
        now_ns: wall-clock nanoseconds since 1970 UTC.
        tell: see `Tell`.
    """

    def __init__(
        self,
        policy: BreakerPolicy | None,
        now_ns: Callable[[], int],
        tell: Tell,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._breaker = None if policy is None else Breaker(policy, draw)
        self._now_ns = now_ns
        self._tell = tell
        self._changed = trio.Event()
        self.standing = Standing()

    @property
    def breaker(self) -> BreakerSnapshot | None:
        """How the breaker stands; None where there is none."""
        return None if self._breaker is None else self._breaker.snapshot(trio.current_time())

    async def admitted(self, leave: Callable[[], bool] = lambda: False) -> Admission:
        """Wait until an attempt may be made; then say how it went with one of those below.

        Args:
            leave: asked after each `wake`; True ends the wait, and there is no attempt.
        """
        await trio.lowlevel.checkpoint()
        if self._breaker is None:
            return "at_once"
        waited: Admission = "at_once"
        while (wait := self._breaker.wait(trio.current_time())) != 0:
            if leave():
                return "left"
            waited = "waited"
            with trio.move_on_after(math.inf if wait is None else wait):
                await self._changed.wait()
        self._breaker.begin()
        return waited

    def succeeded(self) -> None:
        """The attempt went well."""
        verdict = self.standing.succeeded()
        if self._breaker is not None:
            self._breaker.succeeded(trio.current_time())
            if verdict is not None:
                self._tell(verdict, "")
        self.wake()

    def failed(self, reason: str, weight: int = 1) -> Verdict | None:
        """The attempt failed; ``disabled`` when there shall be no more."""
        verdict = self.standing.failed(self._now_ns()) if weight else None
        if self._breaker is None:
            return None
        self._breaker.failed(trio.current_time(), weight)
        if verdict is not None:
            self._tell(verdict, reason)
        if verdict == "disabled":
            self.standing = Standing()  # whoever enables it again begins anew
        self.wake()
        return verdict

    def disabled(self, reason: str) -> None:
        """There will be no more attempts until a person acts."""
        if self._breaker is not None:
            self._breaker.told_nothing()
            self._tell("disabled", reason)
            self.wake()

    def told_nothing(self) -> None:
        """The attempt was not made, or ended without a verdict."""
        if self._breaker is not None:
            self._breaker.told_nothing()
            self.wake()

    def reset(self) -> None:
        """Close the breaker; whoever waits for it goes on."""
        if self._breaker is not None:
            self._breaker.reset()
            self.wake()

    def wake(self) -> None:
        """Have those who wait look again."""
        self._changed.set()
        self._changed = trio.Event()

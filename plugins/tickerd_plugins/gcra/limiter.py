"""The generic cell rate algorithm: for each key the time at which its calls so far would be spread out evenly."""

import math
from collections import OrderedDict
from typing import Annotated, ClassVar

from tickerd.plugin import Decision, NotSecret, Options, Rate, RateLimiter, option

_SLACK_S = 1e-6
"""Sums of floats may be off by less; whoever waits exactly as long as he was told is let through."""


class GcraOptions(Options):
    """How calls may be bunched, and how many callers are remembered."""

    burst: int | None = option(
        None, doc="Calls that may come at once; by default as many as the rate's number.", reload="live", ge=1
    )
    keys: Annotated[int, NotSecret()] = option(
        100_000,
        doc="Callers that are remembered; beyond it those longest silent are forgotten.",
        reload="live",
        ge=1,
    )


class Gcra(RateLimiter):
    """`tickerd.plugin.RateLimiter`."""

    Options: ClassVar[type[Options]] = GcraOptions

    def __init__(self, options: GcraOptions) -> None:
        self._burst = options.burst
        self._most = options.keys
        self._due: OrderedDict[str, float] = OrderedDict()
        """Key → when all is allowed again; the longest silent first."""

    def __len__(self) -> int:
        """Keys that are remembered."""
        return len(self._due)

    def hit(self, key: str, rate: Rate, cost: int, now: float) -> Decision:
        """See `tickerd.plugin.RateLimiter`."""
        burst = self._burst or rate.count
        interval, full = rate.interval_s, burst * rate.interval_s
        # never more than full: a rate that was made shorter, or a clock set back, locks nobody out for long
        used = min(max(0.0, self._due.get(key, now) - now), full)
        after = used + min(cost, burst) * interval
        wait = after - full
        allowed = wait <= _SLACK_S
        if allowed and cost:
            used = after
            self._due[key] = now + after
        self._remember(key)
        remaining = max(0, math.floor((full - used + _SLACK_S) / interval))
        return Decision(allowed, remaining, used, 0.0 if allowed else wait)

    def _remember(self, key: str) -> None:
        if key in self._due:
            self._due.move_to_end(key)
        while len(self._due) > self._most:
            self._due.popitem(last=False)

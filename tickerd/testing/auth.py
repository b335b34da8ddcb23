"""For the tests of authenticators and rate limiters: a context with keys, and a check of what a limiter owes."""

from collections.abc import Callable
from typing import Any

import structlog

from tickerd.plugin import Clock, Decision, Principal, Rate, RateLimiter

_RATES = (Rate(1, 1), Rate(10, 60), Rate(5, 3600), Rate(7, 1))
_SHORT_S = 1e-3
_MOST_AT_ONCE = 10_000


class FakeKeys:
    """Keys that a test makes: ``keys.known["text"] = Principal(…)``."""

    def __init__(self) -> None:
        self.known: dict[str, Principal] = {}
        self.asked: list[tuple[str, str | None]] = []
        """Texts and addresses that were verified, in order."""

    def verify(self, text: str, peer: str | None = None) -> Principal | None:
        """See `tickerd.plugin.Keys`."""
        self.asked.append((text, peer))
        return self.known.get(text)


class FakeAuthContext:
    """Stands in for an authenticator's context. Must be made inside ``trio.run``, as a clock must.

    Args:
        name: of the section.
        clock: the host's by default.
    """

    def __init__(self, name: str = "auth", clock: Clock | None = None) -> None:
        self.name = name
        self.log: Any = structlog.get_logger()
        self.clock = clock or Clock()
        self.keys = FakeKeys()
        self.hidden: list[str] = []

    def hide(self, secret: str) -> None:
        """See `tickerd.plugin.AuthContext`."""
        self.hidden.append(secret)


def check_rate_limiter(make: Callable[[], RateLimiter]) -> None:
    """What every limiter owes: it charges what it allows and nothing else, tells exact waits, and forgets with time.

    Args:
        make: a new limiter with its default options.
    """
    for rate in _RATES:
        for start in (0.0, 1e6):
            _check(make(), rate, start)


def _check(limiter: RateLimiter, rate: Rate, now: float) -> None:
    fresh = _sound(limiter.hit("a", rate, 0, now), rate)
    assert fresh.allowed, "a cost of 0 is refused"
    assert fresh.remaining > 0, "a new key has nothing left"
    assert limiter.hit("a", rate, 0, now) == fresh, "asking with a cost of 0 charges something"
    allowed = 0
    while (said := _sound(limiter.hit("a", rate, 1, now), rate)).allowed:
        allowed += 1
        assert allowed <= _MOST_AT_ONCE, f"{allowed} calls at the same moment are allowed by {rate}"
    assert allowed == fresh.remaining, f"{fresh.remaining} were said to remain, {allowed} were allowed"
    assert limiter.hit("b", rate, 1, now).allowed, "what one key has used up is missing for another"
    again = now + said.retry_after_s
    assert limiter.hit("a", rate, 1, now) == said, "a call that was refused was charged"
    early = again - min(_SHORT_S, said.retry_after_s / 2)
    assert not limiter.hit("a", rate, 1, early).allowed, "a call is allowed before the wait that was told"
    assert limiter.hit("a", rate, 1, again).allowed, "a call is refused after the wait that was told"
    later = again + 2 * rate.period_s + said.reset_s
    assert limiter.hit("a", rate, 0, later) == fresh, "after a long silence not everything is allowed again"
    assert limiter.hit("c", rate, 10**9, now).allowed, "a cost that is too high can never be met"


def _sound(said: Decision, rate: Rate) -> Decision:
    assert said.remaining >= 0
    assert said.reset_s >= 0
    assert (said.retry_after_s == 0) == said.allowed, f"{rate}: refused without a wait, or allowed with one"
    return said

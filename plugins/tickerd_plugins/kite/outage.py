"""Why there is no connection: one exception with a reason for counters and words for people."""

from collections.abc import Iterator
from typing import Literal

Reason = Literal[
    "auth",
    "closed",
    "dns",
    "http",
    "login",
    "malformed",
    "oversized",
    "protocol",
    "rate_limited",
    "reset",
    "silent",
    "timeout",
    "tls",
    "unneeded",
    "unreachable",
    "write_stalled",
]
"""``login``: made anew with a new access token. ``unneeded``: nothing is left for the connection to carry."""
State = Literal["idle", "connecting", "connected", "stale", "reconnecting", "auth_required", "rate_limited"]
"""``idle``: no socket, since nothing is assigned to the connection."""

REFUSED_WAIT = 60.0
"""Seconds between two attempts with an access token that was refused."""
_LEAST_WAIT: dict[Reason, float] = {"auth": REFUSED_WAIT, "rate_limited": 5.0, "tls": 10.0}
_LONGEST_RETRY_AFTER = 300.0


class Outage(Exception):
    """A connection ended, or could not be made.

    Args:
        reason: a constant for counters and gap records.
        detail: what a person reads; never holds a URL's query or a credential.
        retry_after: seconds that the server asked us to wait, 0 if it did not.
        at_least: seconds to wait in any case; None is what is usual for the reason.
    """

    def __init__(
        self, reason: Reason, detail: str, retry_after: float = 0.0, *, at_least: float | None = None
    ) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self._at_least = _LEAST_WAIT.get(reason, 0.0) if at_least is None else at_least

    @property
    def state(self) -> State:
        """The state that the connection is in because of it."""
        if self.reason == "auth":
            return "auth_required"
        if self.reason == "rate_limited":
            return "rate_limited"
        if self.reason == "unneeded":
            return "idle"
        return "reconnecting"

    def wait(self, backoff: float) -> float:
        """Seconds until the next attempt, when the back-off alone would say ``backoff``."""
        return max(backoff, self._at_least, min(self.retry_after, _LONGEST_RETRY_AFTER))


def outages(error: BaseException) -> Iterator[Outage]:
    """Every outage in an exception or a tree of exception groups, in order."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from outages(inner)
    elif isinstance(error, Outage):
        yield error

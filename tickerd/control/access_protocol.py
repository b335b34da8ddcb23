"""What the control API needs to know who calls and how often: one object answers it."""

from typing import NamedTuple, Protocol

from tickerd.plugin.auth import Principal, Request
from tickerd.plugin.ratelimit import Decision, Rate


class Charge(NamedTuple):
    """What a limiter said, and the rate that it went by."""

    rate: Rate
    decision: Decision


class Access(Protocol):
    """Implemented by `tickerd.control.access.Access`."""

    def blocked(self, request: Request) -> Charge | None:
        """What refuses a caller whose address has used up its limit; None: he may go on. Costs nothing."""
        ...

    async def authenticate(self, request: Request) -> Principal | None:
        """Who calls, or None when it cannot be told: nothing was shown, or what was shown is wrong.

        It charges the address for that, logs and counts it, and raises nothing but cancellation.
        """
        ...

    def authorize(self, principal: Principal, scope: str) -> bool:
        """Whether this scope was granted, and the credential still holds."""
        ...

    def hit(
        self, rate_class: str, request: Request, principal: Principal | None = None, cost: int = 1
    ) -> Charge:
        """Charge a call to its caller: the principal, or the address where there is none.

        Local callers of a Unix socket are counted, and always allowed.
        """
        ...

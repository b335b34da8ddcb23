"""Who may do what: asks the authenticators of a listener, keeps every caller to his rate, and gives out tickets.

The order: the address's own limit, the credential, the scope, the caller's limit. Whatever is wrong with a credential,
the caller hears the same.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
import trio

from tickerd.config.access import AuthSettings, RateLimitSettings
from tickerd.control.access_protocol import Charge
from tickerd.control.peer import network
from tickerd.control.tickets import Tickets
from tickerd.plugin import (
    Authenticator,
    Clock,
    Decision,
    Keys,
    Principal,
    RateLimiter,
    Rejected,
    Request,
)

CHECK_S = 5.0
"""How long the authenticators of a listener have, together."""
FAILED_COST = 10
"""What a wrong credential costs the address that it came from."""
ADDRESSES = "addresses"
"""The class that is charged before it is known who calls."""
_NO_ADDRESS = ""
"""A key that is never charged: what is left to it is all that there is."""


@dataclass(frozen=True)
class _Context:
    """`tickerd.plugin.AuthContext`."""

    name: str
    log: Any
    clock: Clock
    keys: Keys
    hide: Callable[[str], None]


@dataclass(frozen=True)
class _Limit:
    settings: RateLimitSettings
    limiter: RateLimiter


class Access:
    """Implements `tickerd.control.access_protocol.Access`.

    Args:
        clock: the daemon's.
        keys: its API keys.
        local: the authenticator that is asked on every Unix socket, after those that the listener names.
        hide: keeps a secret out of the log.
    """

    def __init__(
        self,
        clock: Clock,
        keys: Keys,
        local: type[Authenticator],
        hide: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._keys = keys
        self._hide = hide
        self._log = structlog.get_logger()
        self._local = local(local.Options(), self._context("unix"))
        self._auth: dict[str, tuple[AuthSettings, Authenticator]] = {}
        self._limits: dict[str, _Limit] = {}
        self.tickets = Tickets(clock)
        self.outcomes: Counter[str] = Counter()
        """Credentials by what became of them: ``admitted``, ``anonymous``, ``refused``, ``blocked``, ``broken``."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """By route class, and ``allowed``, ``limited`` or ``local``."""

    def configure(self, auth: Mapping[str, AuthSettings], limits: Mapping[str, RateLimitSettings]) -> None:
        """Go by these from now on. What is as before keeps its state.

        Args:
            auth: by name.
            limits: for every route class; see `tickerd.config.access.complete_limits`.
        """
        self._auth = {name: (one, self._authenticator(name, one)) for name, one in auth.items()}
        self._limits = {name: _Limit(one, self._limiter(name, one)) for name, one in limits.items()}

    # -- who calls --------------------------------------------------------------------------------------

    async def authenticate(self, request: Request) -> Principal | None:
        """See `tickerd.control.access_protocol.Access`. Nobody is judged whose address is over its limit."""
        if self.blocked(request) is not None:
            self.outcomes["blocked"] += 1
            return None
        shown = request.credential is not None
        try:
            principal = await self._identify(request)
        except Rejected:
            principal, shown = None, True
        if principal is not None and principal.validity.holds(self._clock.now_ns()):
            self.outcomes["admitted"] += 1
            return principal
        self._failed(request, shown=shown or principal is not None)
        return None

    def blocked(self, request: Request) -> Charge | None:
        """What refuses a caller whose address cannot afford another wrong credential; None: he may go on.

        Asking costs nothing, and so does a call that is anonymous or of somebody known: `authenticate` charges
        the address for what is wrong.
        """
        if request.is_local:
            return None
        rate, said = self._charge(ADDRESSES, request, None, 0)
        limiter = self._limits[ADDRESSES].limiter
        whole = limiter.hit(_NO_ADDRESS, rate, 0, trio.current_time()).remaining
        if said.remaining >= min(FAILED_COST, whole):
            return None
        charge = self._charge(ADDRESSES, request, None, FAILED_COST)
        if charge.decision.allowed:
            return None
        self.calls[ADDRESSES, "limited"] += 1
        return charge

    def authorize(self, principal: Principal, scope: str) -> bool:
        """See `tickerd.control.access_protocol.Access`."""
        return principal.may(scope) and principal.validity.holds(self._clock.now_ns())

    async def _identify(self, request: Request) -> Principal | None:
        credential = request.credential
        if credential is not None and credential.origin == "ticket":
            return self.tickets.redeem(credential.text)
        with trio.move_on_after(CHECK_S):
            return await self._ask(request)
        self.outcomes["broken"] += 1
        self._log.error("authenticators took too long", limit_s=CHECK_S, listener=request.listener.address)
        return None

    async def _ask(self, request: Request) -> Principal | None:
        """The first that knows him; one that fails lets nobody in, and does not keep the others from it."""
        for name in request.listener.auth:
            known = self._auth.get(name)  # a reload may have taken it away under an open listener
            if known is not None and (found := await self._asked(name, known[1], request)) is not None:
                return found
        if request.listener.is_unix:
            return await self._asked("unix", self._local, request)
        return None

    async def _asked(self, name: str, authenticator: Authenticator, request: Request) -> Principal | None:
        try:
            return await authenticator.check(request)
        except Rejected:
            raise
        except Exception as error:  # noqa: BLE001 - a plugin's; its text may quote what the caller sent
            self.outcomes["broken"] += 1
            self._log.error("authenticator failed", auth=name, error=type(error).__name__)
            return None

    def _failed(self, request: Request, *, shown: bool) -> None:
        self.outcomes["refused" if shown else "anonymous"] += 1
        if not shown:
            return
        # as much of it as is left: others of this address may have failed while this one was asked about
        left = self._charge(ADDRESSES, request, None, 0).decision.remaining
        self._charge(ADDRESSES, request, None, min(FAILED_COST, left))
        self._log.warning(
            "authentication failed",
            listener=request.listener.address,
            peer=request.peer,
            uid=request.uid,
            shown_in=None if request.credential is None else request.credential.origin,
        )

    # -- how often --------------------------------------------------------------------------------------

    def hit(
        self, rate_class: str, request: Request, principal: Principal | None = None, cost: int = 1
    ) -> Charge:
        """See `tickerd.control.access_protocol.Access`."""
        charge = self._charge(rate_class, request, principal, cost)
        how = "local" if request.is_local else "allowed" if charge.decision.allowed else "limited"
        self.calls[rate_class, how] += 1
        return charge

    def _charge(self, rate_class: str, request: Request, principal: Principal | None, cost: int) -> Charge:
        limit = self._limits[rate_class]
        rate = limit.settings.rate
        if principal is not None:
            rate = principal.limits.rates.get(rate_class, rate)
        if request.is_local:
            return Charge(rate, Decision(allowed=True, remaining=rate.count, reset_s=0, retry_after_s=0))
        who = network(request.peer or "?") if principal is None else principal.id
        return Charge(rate, limit.limiter.hit(who, rate, cost, trio.current_time()))

    # -- the configuration ------------------------------------------------------------------------------

    def _authenticator(self, name: str, settings: AuthSettings) -> Authenticator:
        before = self._auth.get(name)
        if before is not None and before[0] == settings:
            return before[1]
        return settings.type(settings.options, self._context(name))

    def _limiter(self, name: str, settings: RateLimitSettings) -> RateLimiter:
        """A new rate is no reason to forget who has used up how much."""
        before = self._limits.get(name)
        if before is not None and (before.settings.type, before.settings.options) == (
            settings.type,
            settings.options,
        ):
            return before.limiter
        return settings.type(settings.options)

    def _context(self, name: str) -> _Context:
        return _Context(name, self._log.bind(auth=name), self._clock, self._keys, self._hide)

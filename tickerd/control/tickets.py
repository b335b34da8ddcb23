"""Tickets: what a browser shows in place of a key, where it can send no header. Each opens one stream, once."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from tickerd.plugin import Clock, Principal, exceeding
from tickerd.state.keytext import new_key, parse_key

LIFE_S = 30.0
MOST = 10_000
"""Tickets that nobody has used yet."""
STREAM_SCOPES = frozenset({"ticks:read", "history:read", "status:read", "subs:write"})
"""All that a ticket can be good for."""


class Ticket(NamedTuple):
    """Given out once; its text is kept nowhere."""

    text: str
    expires_at: int
    """Wall-clock nanoseconds since 1970 UTC."""
    scopes: frozenset[str]

    def __repr__(self) -> str:
        return f"Ticket(expires_at={self.expires_at})"


class TicketsFull(RuntimeError):
    """There are as many unused tickets as there may be; in half a minute there will be room."""


@dataclass(frozen=True, slots=True)
class _Open:
    digest: bytes
    expires_at: int
    principal: Principal


class Tickets:
    """In memory only: after a restart nobody holds any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._salt = secrets.token_bytes(32)
        self._open: OrderedDict[str, _Open] = OrderedDict()
        """By public id, the oldest first, which is also the order in which they expire."""

    def __len__(self) -> int:
        """Tickets that nobody has used, and that have not expired."""
        self._forget(self._clock.now_ns())
        return len(self._open)

    def mint(self, principal: Principal, scopes: Iterable[str] | None = None) -> Ticket:
        """A ticket for one stream of this caller; it ends with the credential that he showed.

        Args:
            principal: who asked for it.
            scopes: what it shall be good for; by default whatever he may do on a stream.

        Raises:
            PermissionError: he may not do that himself, or a ticket cannot be good for it.
            TicketsFull: try again later.
        """
        wanted = principal.scopes & STREAM_SCOPES if scopes is None else frozenset(scopes)
        if beyond := exceeding(wanted, principal.scopes & STREAM_SCOPES):
            raise PermissionError(f"a ticket of yours cannot be good for {', '.join(beyond)}")
        if not wanted:
            raise PermissionError(f"a ticket is good for some of {', '.join(sorted(STREAM_SCOPES))}")
        now_ns = self._clock.now_ns()
        self._forget(now_ns)
        if len(self._open) >= MOST:
            raise TicketsFull(f"{MOST} tickets wait for their use; try again in {LIFE_S:g} s")
        text, expires_at = new_key("tick"), now_ns + round(LIFE_S * 1e9)
        granted = principal.narrowed(wanted)
        self._open[text.id] = _Open(self._digest(text.text), expires_at, granted)
        return Ticket(text.text, expires_at, granted.scopes)

    def redeem(self, text: str) -> Principal | None:
        """Whose ticket it is, once; None if it is none, was used, or is too old."""
        given, now_ns = parse_key(text), self._clock.now_ns()
        self._forget(now_ns)
        if given is None or given.kind != "tick":
            return None
        found = self._open.get(given.id)
        right = hmac.compare_digest(self._digest(text), bytes(_DIGEST) if found is None else found.digest)
        if found is None or not right:
            return None  # a wrong secret does not use it up: knowing an id must not be enough to spoil it
        del self._open[given.id]
        return found.principal if found.principal.validity.holds(now_ns) else None

    def _forget(self, now_ns: int) -> None:
        while self._open and next(iter(self._open.values())).expires_at <= now_ns:
            self._open.popitem(last=False)

    def _digest(self, text: str) -> bytes:
        return blake2b(text.encode(), key=self._salt, digest_size=_DIGEST).digest()


_DIGEST = 32

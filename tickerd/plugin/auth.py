"""What an authenticator is: the contract of plugins that say who a caller is and what it may do."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, get_args

import trio
from structlog.typing import FilteringBoundLogger

from tickerd.plugin.clock import Clock
from tickerd.plugin.instrument import Instrument
from tickerd.plugin.options import Options
from tickerd.plugin.ratelimit import Rate
from tickerd.plugin.scopes import ALL_SCOPES, split_scopes

CredentialOrigin = Literal["header", "message", "ticket", "query"]
"""Where a credential stood: ``Authorization``, a stream's first message, its ticket, or the address's query."""
ORIGINS: tuple[CredentialOrigin, ...] = get_args(CredentialOrigin)
Transport = Literal["http", "websocket"]
Ending = Literal["revoked", "expired"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A text that shall prove who somebody is. It does not print."""

    text: str = field(repr=False)
    origin: CredentialOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """The socket that was connected to, as far as it decides who may do what."""

    address: str
    """As configured: ``HOST:PORT`` or ``unix:/PATH``."""
    auth: tuple[str, ...] = ()
    """Names of the authenticators that are asked, in this order."""
    scopes: frozenset[str] = ALL_SCOPES
    """Of a Unix socket: what those may do who can open it and show no credential."""

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.address.startswith("unix:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is known of a caller before it is known who it is."""

    listener: Listener
    transport: Transport = "http"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""
    credential: Credential | None = None
    """What stood in the place that is meant for it; a scheme of your own may be in the headers."""
    peer: str | None = None
    """The caller's IP address, that behind trusted proxies; None for a local caller of a Unix socket."""
    uid: int | None = None
    """The user id behind a Unix socket; 65534 for users that the daemon's user namespace does not map."""

    @property
    def is_local(self) -> bool:
        """Whether somebody on this host opened a Unix socket, and no proxy did so for a caller elsewhere."""
        return self.listener.is_unix and self.peer is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What differs for one caller from what holds for all."""

    rates: Mapping[str, Rate] = field(default_factory=dict)
    """By route class."""
    connections: int | None = None
    """Streams at the same time; None: what the listener says."""


class Validity:
    """Until when somebody is who he is; shared by everything that was granted on the strength of one credential.

    Args:
        expires_at: wall-clock nanoseconds since 1970 UTC, None for no end. It may be moved while it is in use;
            whoever moves it nearer calls `end` himself at that time.
    """

    def __init__(self, expires_at: int | None = None) -> None:
        self.expires_at = expires_at
        self.revoked = trio.Event()
        self.ended: Ending | None = None

    def end(self, how: Ending) -> None:
        """It holds no longer. The first word counts."""
        if self.ended is None:
            self.ended = how
            self.revoked.set()

    def holds(self, now_ns: int) -> bool:
        """Whether it does at this moment."""
        return self.ended is None and (self.expires_at is None or now_ns < self.expires_at)


@dataclass(frozen=True, kw_only=True, eq=False)
class Principal:
    """Somebody who is known, and what he may do. A value to hold as long as he is served.

    Args:
        id: who it is, short and fit for logs and the audit trail: ``key 3kTMd5lGqkYh``, ``uid 1000``. No secret.
        scopes: what he may do. ``ticks:read:NSE`` becomes ``ticks:read`` with ``instruments`` of ``{"NSE"}``.
        instruments: exchanges (``NSE``) and symbols (``NSE:INFY``) that he may see; None for all.
        limits: his own limits.
        validity: his credential's; shared, not copied.

    Raises:
        ValueError: ``instruments`` and a scope that is narrowed to an exchange are both given.
    """

    id: str
    scopes: frozenset[str]
    instruments: frozenset[str] | None = None
    limits: Limits = Limits()
    validity: Validity = field(default_factory=Validity, repr=False)

    def __post_init__(self) -> None:
        scopes, exchanges = split_scopes(self.scopes)
        if exchanges is not None and self.instruments is not None:
            raise ValueError("give either instruments or scopes that are narrowed to an exchange")
        object.__setattr__(self, "scopes", scopes)
        object.__setattr__(self, "instruments", self.instruments if exchanges is None else exchanges)

    @property
    def expires_at(self) -> int | None:
        """When it ends, in wall-clock nanoseconds since 1970 UTC; may move."""
        return self.validity.expires_at

    @property
    def revoked(self) -> trio.Event:
        """Set within a second of being revoked or expired: close what was opened for him."""
        return self.validity.revoked

    def may(self, scope: str) -> bool:
        """Whether he was granted it."""
        return scope in self.scopes

    def may_see(self, instrument: Instrument) -> bool:
        """Whether ticks of it may be shown to him; asks for no scope."""
        return self.instruments is None or not self.instruments.isdisjoint(
            (instrument.exchange, instrument.symbol)
        )

    def narrowed(self, scopes: Iterable[str]) -> "Principal":
        """The same with no more than these scopes; it ends when this one does."""
        plain, exchanges = split_scopes(scopes)
        seen = (
            exchanges
            if self.instruments is None
            else self.instruments
            if exchanges is None
            else frozenset(
                name for name in self.instruments if name in exchanges or name.partition(":")[0] in exchanges
            )
        )
        return Principal(
            id=self.id,
            scopes=self.scopes & plain,
            instruments=seen,
            limits=self.limits,
            validity=self.validity,
        )

    async def until_ended(self, clock: Clock) -> Ending:
        """Wait until his credential no longer holds; how it ended. A stream runs this beside its other tasks."""
        while not self.revoked.is_set():
            left_s = math.inf if self.expires_at is None else (self.expires_at - clock.now_ns()) / 1e9
            if left_s <= 0:
                self.validity.end("expired")
            with trio.move_on_after(max(0, left_s)):
                await self.revoked.wait()
        assert self.validity.ended is not None
        return self.validity.ended


class Keys(Protocol):
    """tickerd's own API keys, as far as an authenticator needs them."""

    def verify(self, text: str, peer: str | None = None) -> Principal | None:
        """Whose key it is, or None; takes the same time whether or not there is such a key. Never waits.

        Args:
            text: the key.
            peer: the caller's address, for keys that hold in some networks only.
        """
        ...


class AuthContext(Protocol):
    """What an authenticator works with."""

    @property
    def name(self) -> str:
        """As written in the YAML."""
        ...

    @property
    def log(self) -> FilteringBoundLogger:
        """Carries the name. The host logs failures; never log a credential."""
        ...

    @property
    def clock(self) -> Clock:
        """The daemon's clock."""
        ...

    @property
    def keys(self) -> Keys:
        """The daemon's API keys."""
        ...

    def hide(self, secret: str) -> None:
        """Never let this text show in a log."""
        ...


class Authenticator(ABC):
    """Says who a caller is. One class per plugin, from ``tickerd_authenticators``.

    The life of an authenticator:

    1. ``__init__(options, ctx)`` when the configuration is applied; it must not wait or do I/O.
    2. ``check(request)`` for each call, and once for each stream; several at the same time. It has 5 s.
    3. It is dropped when the configuration no longer has it; there is nothing to close.

    The host asks the authenticators of a listener one after the other until one answers, limits by address,
    counts and logs, and gives the same answer whatever was wrong.
    """

    Options: ClassVar[type[Options]]

    @abstractmethod
    def __init__(self, options: Any, ctx: AuthContext) -> None: ...

    @abstractmethod
    async def check(self, request: Request) -> Principal | None:
        """Who it is, or None when this authenticator cannot tell: the next one is asked then.

        Compare secrets with ``hmac.compare_digest``.

        Raises:
            Rejected: the caller showed something of this authenticator's kind that is wrong; no other is asked.
                A wrong text in ``request.credential`` needs no exception: the host knows that it is there.
        """

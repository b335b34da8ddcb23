"""What all units of a daemon share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.plugin import Clock, Decision, Principal, Request
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.recorder import Recorder
from tickerd.state import Database, StateDirectory


class Charge(Protocol):
    """What a limiter said."""

    @property
    def decision(self) -> Decision:
        """Whether the call may pass, and when it may be tried again."""
        ...


class Access(Protocol):
    """Who may do what and how often; one object for all that listens."""

    async def authenticate(self, request: Request) -> Principal | None:
        """Who calls, or None when it cannot be told."""
        ...

    def blocked(self, request: Request) -> Charge | None:
        """What refuses a caller whose address has used up its limit."""
        ...

    def authorize(self, principal: Principal, scope: str) -> bool:
        """Whether this scope was granted, and the credential still holds."""
        ...

    def hit(
        self, rate_class: str, request: Request, principal: Principal | None = None, cost: int = 1
    ) -> Charge:
        """Charge a call to its caller."""
        ...


@dataclass(frozen=True)
class House:
    """Made by the daemon, handed down."""

    hub: Hub
    table: InstrumentTable
    clock: Clock
    state: StateDirectory
    listeners: Listeners
    db: Database
    recorder: Recorder | None = None
    """None: the journal is off, and all delivery is live."""
    hide: Callable[[str], None] = lambda _: None
    """Keeps a secret out of the log."""
    access: Access | None = None
    """None: nobody can be told from anybody, so that no sink lets anyone in."""

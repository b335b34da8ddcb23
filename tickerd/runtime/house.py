"""What all units of a daemon share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import trio

from tickerd.dataflow.hub import Hub
from tickerd.dataflow.valve import Valves
from tickerd.dataflow.wants import Wants
from tickerd.instruments import InstrumentTable, SelectorBook
from tickerd.plugin import Clock, Decision, Principal, Request
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.recorder import Recorder
from tickerd.state import Database, StateDirectory
from tickerd.wire.day import day_of


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


SENDING = 64
"""Messages that all outboxes together send at the same time, at most."""


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
    sending: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(SENDING))
    """Shared by all outboxes."""
    valves: Valves = field(default_factory=Valves)
    """By which sinks are paused and flushed."""
    wants: Wants = field(init=False)
    """Who wants which instruments; runs as a task of the daemon."""

    def __post_init__(self) -> None:
        """Wants go by the day of the market, and by the prices that have passed through the hub."""
        book = SelectorBook(lambda: day_of(self.clock.now_ns()).isoformat(), self.hub.price)
        wants = Wants(
            self.table, book, lambda records: self.hub.publish_records(*records), self.hub.forget_renamed
        )
        object.__setattr__(self, "wants", wants)

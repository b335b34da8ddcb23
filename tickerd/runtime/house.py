"""What all units of a daemon share."""

from collections.abc import Callable
from dataclasses import dataclass

from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.plugin import Clock
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.recorder import Recorder
from tickerd.state import Database, StateDirectory


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

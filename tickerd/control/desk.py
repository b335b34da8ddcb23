"""What routes change things with: made by the daemon, handed to every request."""

from dataclasses import dataclass

from tickerd.control.steering import Steering
from tickerd.control.tickets import Tickets
from tickerd.state import Database
from tickerd.state.keyring import Keyring


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Each of them is in use before the API is."""

    steering: Steering
    """The running daemon."""
    db: Database
    """The state file, for the audit trail and dead letters."""
    keys: Keyring
    tickets: Tickets
    """Those of `tickerd.control.access.Access`."""

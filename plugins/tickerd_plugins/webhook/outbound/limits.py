"""How much time and memory one request may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes. Each phase has a limit, and all of them together have ``total``."""

    dns: float = 3.0
    connect: float = 5.0
    tls: float = 5.0
    total: float = 15.0
    """From the call to the last byte of the answer; it also ends a server that sends a byte at a time."""
    answers: int = 16
    """Addresses that a name may have; more is an attack or a mistake."""
    head: int = 32 * 1024
    """Status line and headers, with all interim (1xx) answers before them."""
    headers: int = 64
    body: int = 16 * 1024
    """A successful answer with a longer body is a failure; of others the rest is not read."""
    kept_body: int = 1024
    """What of the body goes into the log."""
    idle_connections: int = 4
    idle: float = 5.0
    """How long an unused connection is kept for the next request."""
    age: float = 60.0
    """After this a connection takes no more requests, so that a busy one also notices that the name has moved."""

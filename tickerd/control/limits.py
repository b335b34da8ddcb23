"""What one client of the control API may cost: bytes, connections, seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every one is finite. Times are seconds."""

    connections: int = 512
    """Open at a time over TCP; Unix sockets have as many of their own, so that a flood locks no operator out."""
    per_address: int = 64
    """Open at a time from one IPv4 address or IPv6 /64."""
    head_bytes: int = 16 * 1024
    """Request line and headers."""
    target_bytes: int = 8 * 1024
    headers: int = 64
    body_bytes: int = 1024 * 1024
    chunks: int = 4096
    """Pieces that a chunked body may come in: each costs the parser time, however small it is."""
    idle_s: float = 5.0
    """From connecting, or from the last answer, to a complete head."""
    body_s: float = 10.0
    """From a complete head to a complete body."""
    handler_s: float = 30.0
    """For a route to answer."""
    write_s: float = 5.0
    """For the client to take 64 KiB."""
    leave_s: float = 2.0
    """For a handler to end after its client has left."""
    drain_s: float = 3.0
    """For requests in flight when the server stops."""

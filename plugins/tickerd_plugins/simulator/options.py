"""What a simulator is started with."""

from dataclasses import dataclass
from pathlib import Path

from tickerd_plugins.simulator.faults import Timed

MAX_CONNECTIONS = 3
MAX_TOKENS = 3_000


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """Options of `open_simulator`; the defaults suit a test: free ports and no ticks but those asked for."""

    ws: tuple[str, int] = ("127.0.0.1", 0)
    """Host and port of the WebSocket; port 0 takes a free one."""
    rest: tuple[str, int] = ("127.0.0.1", 0)
    """Host and port of the REST API."""
    rate: int = 0
    """Ticks a second over all watched instruments; 0 leaves ticking to `Simulator.tick`."""
    frame: int = 200
    """Most packets in a frame."""
    seed: int | None = None
    """Makes names, prices and moves the same each time."""
    instruments: int = 12_000
    """Rows in the instrument dump."""
    numbered: Path | None = None
    """Where to log running numbers, see `tickerd_plugins.simulator.numbered`."""
    api_key: str = "demo"
    api_secret: str = "demo-secret"  # noqa: S105 - of a simulator
    access_token: str = "demo-token"  # noqa: S105
    user_id: str = "SIM001"
    """Who logs in."""
    daily_expiry: bool = False
    """Whether the access token ends at 6 AM IST, as the broker's do."""
    redirect_url: str | None = None
    """Where the login page sends the browser; without it, it shows the request token."""
    faults: tuple[Timed, ...] = ()
    heartbeat: float = 1.0
    """Seconds between heartbeats while there is nothing else to send."""
    max_connections: int = MAX_CONNECTIONS
    """For one API key."""
    max_tokens: int = MAX_TOKENS
    """For one connection."""
    send_buffer: int = 16 * 2**20
    """Bytes that may wait for a client before it is dropped."""

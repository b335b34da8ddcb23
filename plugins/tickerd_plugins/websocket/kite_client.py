"""One Kite client: its connection, what it wants, and what could not be handed to it yet."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from tickerd.plugin import Instrument, Principal
from tickerd_plugins.websocket.frames import binary
from tickerd_plugins.websocket.kite_fan import Part, by_token, frames, token_bytes
from tickerd_plugins.websocket.kite_wants import Wants


class Link(Protocol):
    """What of a connection is used here; see `tickerd_plugins.websocket.connection.Connection`."""

    @property
    def id(self) -> str:
        """Unique while the sink runs."""
        ...

    @property
    def is_open(self) -> bool:
        """False once it is closing or gone."""
        ...

    @property
    def last_sent(self) -> float:
        """When a frame was last handed to the socket, on trio's clock."""
        ...

    def offer(self, *parts: bytes) -> bool:
        """Write one finished frame if it can be taken now."""
        ...

    def send(self, *parts: bytes) -> None:
        """Write one finished frame, or queue it."""
        ...


class KiteClient:
    """Bounded by its limit of instruments: of what waits for a slow one, the newest of each instrument is kept."""

    __slots__ = ("_waiting", "held", "link", "merged", "principal", "wants")

    def __init__(self, link: Link, principal: Principal, limit: int) -> None:
        self.link = link
        self.principal = principal
        self.wants = Wants(limit)
        self.held: dict[int, Instrument] = {}
        """Token → what it is; those of its wants that are known and may be seen, which are being sent."""
        self.merged = 0
        """Packets that a newer one replaced while they waited."""
        self._waiting: dict[bytes, Part] = {}

    def deliver(self, ready: Iterable[bytes], parts: Sequence[Part]) -> None:
        """Hand over finished frames; if it cannot take one, keep the packets, the newest of each instrument.

        Args:
            ready: WebSocket frames, which other clients may be given too.
            parts: what is in them.
        """
        for frame in ready:
            if not self.link.offer(frame):
                self._keep(parts)
                return

    def show(self, parts: Sequence[Part]) -> None:
        """Hand over packets for this client alone."""
        self.deliver(map(binary, frames(parts)), parts)

    def forget(self, tokens: Iterable[int]) -> None:
        """Of these nothing shall come any more."""
        for token in tokens:
            self._waiting.pop(token_bytes(token), None)

    def catch_up(self) -> None:
        """The connection can take more: hand over what waits."""
        parts = list(self._waiting.values())
        self._waiting = {}
        self.show(parts)

    def _keep(self, parts: Sequence[Part]) -> None:
        if self.link.is_open:
            newest = by_token(parts)
            before = len(self._waiting) + len(parts)
            self._waiting |= newest
            self.merged += before - len(self._waiting)

"""What a protocol on top of the server has to be: a face. The server does the sockets, the face does the talking."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tickerd.plugin import Batch, Principal, Request
from tickerd_plugins.websocket.connection import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """An upgrade request that has passed everything but the face."""

    path: str
    """Percent-decoded, without the query."""
    query: str = field(repr=False)
    """As it was sent; it may hold credentials, so it is never logged."""
    subprotocols: tuple[str, ...] = ()
    """Those that were offered."""
    request: Request
    """Without a credential: where one may stand is the face's business."""
    tls: bool = False


class Refused(Exception):
    """Raised by `Face.admit`: answered over HTTP, and nothing is upgraded."""

    def __init__(self, status: int, text: str, *, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Admitted:
    """An upgrade request that is granted."""

    principal: Principal | None = None
    """Who it is, when that is known already."""
    subprotocol: str | None = None
    told_later: bool = False
    """A page, say, cannot see why an upgrade is refused: too many connections of his are told by a close code."""
    extra: Any = None
    """The face's own, handed back to it in `Face.serve`."""


class Face(Protocol):
    """One protocol that clients may speak."""

    name: str
    """For counters and logs."""
    max_message: int
    """Bytes of the largest message that a client may send at first; `Connection.allow` changes it."""
    drain_code: int
    """Closes connections when the server stops."""

    def answers(self, path: str) -> bool:
        """Whether it is spoken there."""
        ...

    async def admit(self, asking: Asking) -> Admitted:
        """Let somebody in, or raise `Refused`; the server sets a limit."""
        ...

    async def serve(self, connection: Connection, admitted: Admitted) -> None:
        """Talk with one client until it is gone; returning closes normally.

        It is cancelled when the connection has ended. What it raises ends this connection alone.
        """
        ...

    async def distribute(self, batches: Sequence[Batch]) -> None:
        """Hand what was published to whoever wants it; called by one task, in order.

        It waits for no client (`Connection.offer`), and makes a checkpoint at least every 16 writes.
        """
        ...

    async def drain(self, connection: Connection) -> None:
        """The server stops: say goodbye."""
        ...

    async def run(self) -> None:
        """What is done for all clients together. Never returns."""
        ...

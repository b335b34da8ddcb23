"""What a sink may offer to people who set it up: one message that means nothing, sent now."""

from typing import NamedTuple, Protocol, runtime_checkable


class Pinged(NamedTuple):
    """What came back."""

    ok: bool
    status: int | None
    """In the terms of its protocol, such as HTTP's 200; None when there was no answer."""
    detail: str
    """In words, for those who run the daemon; holds no secrets."""
    public: str
    """The same for those who must not learn from it what this host can reach."""
    took_s: float
    answer: bytes = b""
    """The first bytes of it."""


@runtime_checkable
class Ping(Protocol):
    """An optional protocol of an open sink."""

    async def ping(self) -> Pinged:
        """Send it, once, and wait for the answer; never raises because of the other side."""
        ...

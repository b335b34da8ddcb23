"""Options of the WebSocket sink."""

from typing import Annotated, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from tickerd.plugin import (
    Duration,
    HostNames,
    Listen,
    Names,
    Networks,
    NotSecret,
    Options,
    Size,
    WebOrigins,
    option,
)
from tickerd_plugins.websocket.kite_options import KiteOptions, refusal


class LimitOptions(Options):
    """What clients may cost."""

    connections: int = option(
        2000, doc="Open at a time over TCP; Unix sockets have as many of their own.", ge=1
    )
    per_address: int = option(200, doc="Open at a time from one IPv4 address or IPv6 /64.", ge=1)
    unknown_per_address: int = option(20, doc="Of those, that have not shown yet who they are.", ge=1)
    per_key: Annotated[int, NotSecret()] = option(
        50, doc="Open at a time with one key that has no limit of its own.", ge=1
    )
    new_per_second: float = option(
        20, doc="New connections from one address; ten times as many at once.", gt=0
    )
    items: int = option(9000, doc="Instruments of one client.", ge=1, le=100_000)
    control_rate: float = option(
        20, doc="Requests of one client a second; two and a half times as many at once.", gt=0
    )


class StreamOptions(Options):
    """What a client gets that wants every tick."""

    buffer: Size = option("8MiB", doc="What may wait for one client.", ge=2**16)
    age: Duration = option("60s", doc="How old the oldest of it may be.", gt=0)
    overflow: Literal["disconnect", "drop_oldest"] = option(
        "disconnect",
        doc="When more waits: `disconnect` lets the client resume, `drop_oldest` tells it what it misses.",
    )
    resume_buffer: Size = option(
        "8MiB",
        doc="Of the newest ticks, kept in memory so that those who come back soon need no journal; 0 is none.",
    )


class WebsocketOptions(Options):
    """Options of the WebSocket sink."""

    listen: Listen = option(
        doc="Where it listens: addresses, with TLS where others can reach them.", min_length=1
    )
    auth: Names = option((), doc="Names under `auth`, asked in this order; needed for any TCP address.")
    hosts: HostNames = option(
        (), doc="Values of the `Host` header to accept besides the addresses listened on and `localhost`."
    )
    origins: WebOrigins = option((), doc="Web pages that may connect, by their `Origin`; none by default.")
    trusted_proxies: Networks = option((), doc="Proxies whose word about the caller's address is taken.")
    path: str = option(
        "/v1/stream", doc="Path of the protocol `tickerd.v1`.", pattern=r"^/[A-Za-z0-9._~/-]*$"
    )
    heartbeat: Duration = option("5s", doc="A client hears something at least so often.", ge=1, le=60)
    auth_deadline: Duration = option("5s", doc="For a client to show who it is.", gt=0, le=60)
    stall: Duration = option(
        "5s", doc="A client whose socket takes nothing for so long is cut off.", gt=0, le=60
    )
    release_after: Duration = option(
        "30s", doc="What no client wants any more is wanted upstream for so much longer.", ge=0, le=3600
    )
    drain: Duration = option("10s", doc="Over which clients are sent away when the sink stops.", ge=0, le=60)
    compress: bool = option(False, doc="Compress frames of 1 KiB and more for clients that can.")
    limits: LimitOptions = option(LimitOptions(), doc="What clients may cost.")
    stream: StreamOptions = option(StreamOptions(), doc="What clients get that want every tick.")
    kite_compatible: KiteOptions | None = option(
        None, doc="Serve programs on the broker's own clients as well; see below."
    )

    @model_validator(mode="after")
    def _kite_is_private(self) -> Self:
        if self.kite_compatible is not None and (why := refusal(self.listen)) is not None:
            raise PydanticCustomError("kite_compatible", why)
        return self


__all__ = ["KiteOptions", "LimitOptions", "StreamOptions", "WebsocketOptions"]

"""The options of ``use: kite``."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from tickerd.plugin import Duration, Options, Secret, Size, option

CAPACITY = 3000
"""Instruments that the broker allows on one connection."""
CONNECTIONS = 3
"""Connections that the broker allows for one ``api_key``."""


def _url(*schemes: str) -> AfterValidator:
    """A check for an absolute URL without credentials in it; the message never repeats the input."""
    expected = " or ".join(f"{scheme}://HOST" for scheme in schemes)

    def check(value: str) -> str:
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise PydanticCustomError("url", f"not a URL; expected {expected}") from None
        if parts.scheme not in schemes or not parts.hostname:
            raise PydanticCustomError("url", f"expected {expected}")
        if parts.username is not None or parts.query or parts.fragment:
            raise PydanticCustomError("url", f"expected {expected} without user, query or fragment")
        return value

    return AfterValidator(check)


class KiteOptions(Options):
    """Options of the kite source."""

    api_key: str = option(doc="The key of your Kite Connect app.", min_length=1, pattern=r"^[!-~]+$")
    api_secret: Secret | None = option(
        None,
        doc="The secret of your Kite Connect app; `tickerd login` needs it, reading ticks does not.",
    )
    user_id: str | None = option(
        None,
        doc="The Zerodha user who may log in. Default: whoever does so first.",
        pattern=r"^[A-Za-z0-9]{1,32}$",
    )
    access_token: Secret | None = option(
        None, doc="The access token of today's login. Tokens end at 6 AM IST: prefer access_token_file."
    )
    access_token_file: Path | None = option(
        None, doc="A file that holds the access token; read again at each attempt to connect."
    )
    connections: int = option(
        CONNECTIONS,
        doc="Most connections at a time; one is opened when those before it are full.",
        ge=1,
        le=CONNECTIONS,
    )
    per_connection: int = option(CAPACITY, doc="Most instruments on one connection.", ge=1, le=CAPACITY)
    ws_url: Annotated[str, _url("wss", "ws")] = option(
        "wss://ws.kite.trade", doc="Where the ticks come from."
    )
    rest_url: Annotated[str, _url("https", "http")] = option(
        "https://api.kite.trade", doc="Where logins are exchanged and the instrument dump comes from."
    )
    login_url: Annotated[str, _url("https", "http")] = option(
        "https://kite.zerodha.com/connect/login", doc="Where a person logs in."
    )
    login_warning: Duration = option(
        "1h", doc="How long before its end at 6 AM IST a login is told to be expiring.", ge=0
    )
    ca_file: Path | None = option(
        None, doc="Certificates (PEM) to trust besides the system's, for a proxy or a simulator with TLS."
    )
    stale_after: Duration = option("5s", doc="No frame for so long: the feed is reported as stale.", gt=0)
    reconnect_after: Duration = option(
        "10s", doc="No frame for so long: the connection is dropped and made anew.", gt=0
    )
    connect_timeout: Duration = option(
        "10s", doc="Limit for looking up the name, TLS and the upgrade together.", gt=0
    )
    max_frame_bytes: Size = option(
        "16MiB",
        doc="A larger frame ends the connection; the largest that the format can express has 12 MB.",
        ge=1024,
    )
    malformed_limit: int = option(
        20, doc="So many frames in a row that are cut off or hold nothing usable end the connection.", ge=1
    )
    subscribe_batch: int = option(500, doc="Most instruments in one subscription message.", ge=1, le=CAPACITY)
    subscribe_pause: Duration = option("50ms", doc="Pause after each subscription message.", ge=0)
    backoff_initial: Duration = option(
        "100ms", doc="Shortest wait before the next attempt to connect.", ge=0.01
    )
    backoff_cap: Duration = option("60s", doc="Longest wait before the next attempt to connect.", gt=0)
    fill_quotes: bool = option(
        False,
        doc="After a reconnect, ask REST for quotes of the instruments that sent nothing within 5 seconds.",
    )
    instruments_at: str = option(
        "08:30",
        doc="Time of day, IST, to fetch the instrument dump again; the broker makes it once a day.",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
    )
    instruments_timeout: Duration = option("60s", doc="Limit for one download of the instrument dump.", gt=0)
    instruments_max_bytes: Size = option("64MiB", doc="A larger instrument dump is refused.", ge=1024)

    @property
    def capacity(self) -> int:
        """Most instruments of the whole source."""
        return self.connections * self.per_connection

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.access_token is not None and self.access_token_file is not None:
            raise PydanticCustomError("token", "give access_token or access_token_file, not both")
        if self.reconnect_after < self.stale_after:
            raise PydanticCustomError("order", "reconnect_after must not be shorter than stale_after")
        if self.backoff_cap < self.backoff_initial:
            raise PydanticCustomError("order", "backoff_cap must not be shorter than backoff_initial")
        return self

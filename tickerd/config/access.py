"""Who may connect where: the sections ``auth``, ``rate_limits`` and ``control``, and the rules between them."""

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, SerializeAsAny, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from tickerd.plugin import RATE_CLASSES, Authenticator, Options, Rate, RateLimiter, Scope, option

LOCAL_AUTHENTICATOR = "unix_peer"
"""The plugin that Unix sockets use besides whatever their ``auth`` lists."""
DEFAULT_LIMITER = "gcra"
"""The plugin for route classes that the file does not mention."""

_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
TCP = rf"{_HOST}:{_PORT}"
"""``HOST:PORT``; an IPv6 address stands in brackets."""
UNIX = r"unix:/[^\x00-\x1f\x7f]{1,106}"
"""``unix:/PATH``; the kernel takes 107 bytes of path."""

_TCP = re.compile(TCP)
_UNIX = re.compile(UNIX)
_NETWORK_TEXT = r"^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?$"
_HOST_NAME = re.compile(rf"(?:\*\.)?{_HOST}(?::{_PORT})?")
_ORIGIN = re.compile(rf"https?://{_HOST}(?::{_PORT})?")


def _address(value: Any) -> str:
    if isinstance(value, str) and (_TCP.fullmatch(value) or _UNIX.fullmatch(value)):
        return value
    text = "expected an address: HOST:PORT such as '127.0.0.1:7801', or 'unix:/PATH'"
    raise PydanticCustomError("address", text)


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        text = "expected a network such as '10.0.0.0/8' or 'fd00::/8', or one address"
        raise PydanticCustomError("network", text) from None


def _host_name(value: str) -> str:
    if _HOST_NAME.fullmatch(value):
        return value.lower()
    raise PydanticCustomError("host", "expected a host as clients write it, such as 'ticks.example.com:7801'")


def _origin(value: str) -> str:
    if _ORIGIN.fullmatch(value):
        return value.lower()
    raise PydanticCustomError("origin", "expected an origin such as 'https://ticks.example.com'")


def _distinct(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(value))


Address = Annotated[
    str,
    BeforeValidator(_address),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({UNIX}|{TCP})$",
            "examples": ["127.0.0.1:7801", "unix:/run/tickerd.sock"],
        }
    ),
]
"""Where to listen."""

Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(_network),
    WithJsonSchema({"type": "string", "pattern": _NETWORK_TEXT, "examples": ["10.0.0.0/8"]}),
]
"""An IP network, or one address."""

Names = Annotated[tuple[str, ...], AfterValidator(_distinct)]
AuthenticatorType = type[Authenticator]
RateLimiterType = type[RateLimiter]


class AuthOptions(Options):
    """What every authenticator has beside its plugin's own options."""

    use: str = option(doc="Name of the plugin.", min_length=1, reload="live")


class AuthSettings(AuthOptions):
    """One section under ``auth``."""

    name: str = option(doc="Key of the section.", reload="live")
    type: AuthenticatorType = option(doc="The plugin's authenticator type.", reload="live")
    options: SerializeAsAny[Options] = option(doc="The plugin's own options, of its type.", reload="live")


class RateLimitOptions(Options):
    """What every rate limit has beside its plugin's own options."""

    use: str = option(DEFAULT_LIMITER, doc="Name of the plugin.", min_length=1, reload="live")
    rate: Rate | None = option(
        None, doc="How often, such as `10/minute`. Default: that of its class.", reload="live"
    )


class RateLimitSettings(RateLimitOptions):
    """One section under ``rate_limits``, or a class that the file leaves out."""

    rate: Rate = option(doc="The rate that is in force.", reload="live")
    name: str = option(doc="Key of the section: the route class.", reload="live")
    type: RateLimiterType = option(doc="The plugin's rate limiter type.", reload="live")
    options: SerializeAsAny[Options] = option(doc="The plugin's own options, of its type.", reload="live")


AUTH_RESERVED = tuple(AuthOptions.model_fields)
"""Options that every authenticator has; no plugin may use their names."""
LIMIT_RESERVED = tuple(RateLimitOptions.model_fields)
"""Options that every rate limit has; no plugin may use their names."""


class TlsSettings(Options):
    """The certificate of a listener."""

    cert: Path = option(doc="PEM file with the certificate and those between it and the root.")
    key: Path = option(doc="PEM file with its private key.")


class ListenSettings(Options):
    """One address to listen on; an address alone stands for one without further options."""

    address: Address = option(doc="`HOST:PORT` or `unix:/PATH`.")
    auth: Names | None = option(
        None, doc="Names under `auth`, asked in this order. Default: those of the whole section."
    )
    scopes: Annotated[tuple[Scope, ...], AfterValidator(_distinct)] | None = option(
        None,
        doc="Of a Unix socket: what may be done without a credential by those who can open it; all by default.",
    )
    tls: TlsSettings | None = option(None, doc="Certificate and key; without them it is plain HTTP.")
    allow_plaintext: bool = option(
        False, doc="Accept that keys travel unencrypted, on an address that others can reach."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"address": value} if isinstance(value, str) else value

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.address.startswith("unix:")


class ControlSettings(Options):
    """The control API."""

    listen: tuple[ListenSettings, ...] = option(
        (ListenSettings(address="unix:/run/tickerd.sock"),), doc="Where it listens.", min_length=1
    )
    auth: Names = option((), doc="Names under `auth`, asked in this order; needed for any TCP address.")
    hosts: Annotated[tuple[Annotated[str, AfterValidator(_host_name)], ...], AfterValidator(_distinct)] = (
        option(
            (),
            doc="Values of the `Host` header to accept besides the addresses listened on and `localhost`.",
            reload="live",
        )
    )
    origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], AfterValidator(_distinct)] = (
        option((), doc="Web pages that may call it, by their `Origin`; none by default.", reload="live")
    )
    trusted_proxies: Annotated[tuple[Network, ...], AfterValidator(_distinct)] = option(
        (), doc="Proxies whose word about the caller's address is taken.", reload="live"
    )


def complete_limits(
    given: Mapping[str, RateLimitSettings], limiter: RateLimiterType
) -> dict[str, RateLimitSettings]:
    """Every route class: as the file says, and by its default where it says nothing.

    Args:
        given: the section ``rate_limits``.
        limiter: the type of `DEFAULT_LIMITER`.
    """
    return {
        name: given.get(name)
        or RateLimitSettings(rate=default.rate, name=name, type=limiter, options=limiter.Options())
        for name, default in RATE_CLASSES.items()
    }


class Fault(NamedTuple):
    """A rule that is broken: where below the section, what is wrong, and what to do."""

    path: tuple[str | int, ...]
    text: str
    hint: str


def access_faults(control: ControlSettings, authenticators: Collection[str]) -> Iterator[Fault]:
    """What is wrong with the section as a whole.

    Args:
        control: the section, each option of which is right in itself.
        authenticators: names under ``auth``.
    """
    yield from _unknown(control.auth, ("auth",), authenticators)
    seen: set[str] = set()
    for index, entry in enumerate(control.listen):
        path = ("listen", index)
        if entry.address in seen:
            yield Fault(path, "this address is listed twice", "remove one of them")
        seen.add(entry.address)
        yield from _unknown(entry.auth or (), (*path, "auth"), authenticators)
        yield from listener_faults(entry, control.auth, path)


def listener_faults(
    entry: ListenSettings, auth: Sequence[str], path: tuple[str | int, ...] = ()
) -> Iterator[Fault]:
    """What is wrong with one listener, of the control API or of a serving sink.

    Args:
        entry: the listener.
        auth: authenticators that hold where it names none of its own.
        path: where it stands.
    """
    if entry.is_unix:
        if entry.tls is not None:
            yield Fault((*path, "tls"), "a Unix socket has no TLS", "remove it")
        return
    if not (auth if entry.auth is None else entry.auth):
        text = "everybody who reaches this address could use it: a TCP listener needs 'auth'"
        yield Fault(
            path, text, "name an authenticator, such as auth: [keys] with auth: {keys: {use: api_key}}"
        )
    if entry.scopes is not None:
        text = "scopes of a listener are for Unix sockets; on TCP they hang on the credential"
        yield Fault((*path, "scopes"), text, "remove it")
    if entry.tls is None and not entry.allow_plaintext and not is_loopback(entry.address):
        text = "others can reach this address, and without TLS they can read the keys that pass"
        yield Fault(path, text, "give it tls: {cert: …, key: …}, or accept it with allow_plaintext: true")


def is_loopback(address: str) -> bool:
    """Whether only this host can reach ``HOST:PORT``. A name is not looked up; but for ``localhost`` it may be any."""
    host = address.rpartition(":")[0].strip("[]").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unknown(names: Sequence[str], path: tuple[str | int, ...], known: Collection[str]) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name not in known:
            have = ", ".join(sorted(known)) or "nothing"
            yield Fault((*path, index), "no such authenticator", f"the section 'auth' has {have}")

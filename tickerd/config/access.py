"""Who may connect where: the sections ``auth``, ``rate_limits``, ``control`` and ``hooks``, and their rules."""

import ipaddress
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, SerializeAsAny

from tickerd.plugin import RATE_CLASSES, Authenticator, Options, Rate, RateLimiter, option
from tickerd.plugin.listening import (
    Address,
    HostNames,
    Listen,
    ListenSettings,
    Names,
    Networks,
    TlsSettings,
    WebOrigins,
    is_loopback,
)

LOCAL_AUTHENTICATOR = "unix_peer"
"""The plugin that Unix sockets use besides whatever their ``auth`` lists."""
DEFAULT_LIMITER = "gcra"
"""The plugin for route classes that the file does not mention."""

AuthenticatorType = type[Authenticator]
RateLimiterType = type[RateLimiter]
Place = tuple[str | int, ...]


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


class ControlSettings(Options):
    """The control API."""

    listen: Listen = option(
        (ListenSettings(address="unix:/run/tickerd.sock"),),
        doc="Where it listens.",
        reload="daemon",
        min_length=1,
    )
    auth: Names = option(
        (), doc="Names under `auth`, asked in this order; needed for any TCP address.", reload="live"
    )
    hosts: HostNames = option(
        (),
        doc="Values of the `Host` header to accept besides the addresses listened on and `localhost`.",
        reload="live",
    )
    origins: WebOrigins = option(
        (), doc="Web pages that may call it, by their `Origin`; none by default.", reload="live"
    )
    trusted_proxies: Networks = option(
        (), doc="Proxies whose word about the caller's address is taken.", reload="live"
    )


class HooksSettings(Options):
    """The listener for the outside world: ``/login/<source>/callback`` and ``/hooks/<unit>/…``, nothing else."""

    listen: Address = option(doc="Where it listens: `HOST:PORT` or `unix:/PATH`.", reload="daemon")
    tls: TlsSettings | None = option(
        None, doc="Certificate and key; without them it is plain HTTP.", reload="daemon"
    )
    allow_plaintext: bool = option(
        False,
        doc="Accept that logins travel unencrypted, on an address that others can reach.",
        reload="daemon",
    )
    hosts: HostNames = option(
        (),
        doc="Values of the `Host` header to accept besides the address listened on and `localhost`.",
        reload="live",
    )
    trusted_proxies: Networks = option(
        (), doc="Proxies whose word about the caller's address is taken.", reload="live"
    )

    @property
    def listener(self) -> ListenSettings:
        """The same as one listener, on which nobody is let do anything without a credential."""
        return ListenSettings(
            address=self.listen,
            auth=(),
            scopes=() if self.listen.startswith("unix:") else None,
            tls=self.tls,
            allow_plaintext=self.allow_plaintext,
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

    path: Place
    text: str
    hint: str


def access_faults(control: ControlSettings, authenticators: Collection[str]) -> Iterator[Fault]:
    """What is wrong with the section as a whole.

    Args:
        control: the section, each option of which is right in itself.
        authenticators: names under ``auth``.
    """
    yield from serving_faults(control, authenticators)


def hooks_faults(hooks: HooksSettings) -> Iterator[Fault]:
    """What is wrong with the section as a whole. It needs no ``auth``: what it serves proves itself otherwise."""
    return _transport_faults(hooks.listener, ())


def serving_faults(options: Options, authenticators: Collection[str]) -> Iterator[Fault]:
    """What is wrong with the listeners among some options, and with the ``auth`` beside them.

    Args:
        options: of the control API, or of a plugin; those without a listener have no faults here.
        authenticators: names under ``auth``.
    """
    listeners = list(listeners_in(options))
    if not listeners:
        return
    auth = _names(getattr(options, "auth", ()))
    yield from _unknown(auth, ("auth",), authenticators)
    for path, entry in listeners:
        yield from _unknown(entry.auth or (), (*path, "auth"), authenticators)
        yield from listener_faults(entry, auth, path)


def listeners_in(value: Any, path: Place = ()) -> Iterator[tuple[Place, ListenSettings]]:
    """Every listener in some options, with its place below them."""
    if isinstance(value, ListenSettings):
        yield path, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from listeners_in(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from listeners_in(inner, (*path, key))
    elif isinstance(value, tuple | list):
        for index, inner in enumerate(value):
            yield from listeners_in(inner, (*path, index))


def listener_faults(entry: ListenSettings, auth: Sequence[str], path: Place = ()) -> Iterator[Fault]:
    """What is wrong with one listener, of the control API or of a serving sink.

    Args:
        entry: the listener.
        auth: authenticators that hold where it names none of its own.
        path: where it stands.
    """
    if not entry.is_unix and not (auth if entry.auth is None else entry.auth):
        text = "everybody who reaches this address could use it: a TCP listener needs 'auth'"
        yield Fault(
            path, text, "name an authenticator, such as auth: [keys] with auth: {keys: {use: api_key}}"
        )
    if not entry.is_unix and entry.scopes is not None:
        text = "scopes of a listener are for Unix sockets; on TCP they hang on the credential"
        yield Fault((*path, "scopes"), text, "remove it")
    yield from _transport_faults(entry, path)


def _transport_faults(entry: ListenSettings, path: Place) -> Iterator[Fault]:
    """Who else could read along."""
    if entry.is_unix:
        if entry.tls is not None:
            yield Fault((*path, "tls"), "a Unix socket has no TLS", "remove it")
    elif entry.tls is None and not entry.allow_plaintext and not is_loopback(entry.address):
        text = "others can reach this address, and without TLS they can read the keys and logins that pass"
        yield Fault(path, text, "give it tls: {cert: …, key: …}, or accept it with allow_plaintext: true")


def collisions(listeners: Sequence[tuple[Place, str]]) -> Iterator[tuple[Place, Place]]:
    """Listeners that cannot have their address because an earlier one has it.

    Args:
        listeners: (place, address) in the order in which they are written.

    Yields:
        The place of the later one, and of the earlier.
    """
    for index, (path, address) in enumerate(listeners):
        before = next((place for place, other in listeners[:index] if _collide(address, other)), None)
        if before is not None:
            yield path, before


def _collide(one: str, two: str) -> bool:
    if one.startswith("unix:") or two.startswith("unix:"):
        return posixpath.normpath(one) == posixpath.normpath(two)
    (host, port), (other, its_port) = _host_and_port(one), _host_and_port(two)
    if port != its_port:
        return False
    return host == other or any(_covers(*pair) for pair in ((host, other), (other, host)))


def _covers(wide: object, narrow: object) -> bool:
    """Whether the first is every address of its family, and the second one of them (which a name may be)."""
    if not isinstance(wide, ipaddress.IPv4Address | ipaddress.IPv6Address) or not wide.is_unspecified:
        return False
    return isinstance(narrow, str) or getattr(narrow, "version", None) == wide.version


def _host_and_port(address: str) -> tuple[object, str]:
    host, _, port = address.rpartition(":")
    host = "127.0.0.1" if host.lower() == "localhost" else host.strip("[]").lower()
    try:
        return ipaddress.ip_address(host), port
    except ValueError:
        return host, port


def _names(value: object) -> tuple[str, ...]:
    """A plugin may have an option ``auth`` of its own that means something else."""
    if isinstance(value, tuple) and all(isinstance(name, str) for name in value):
        return value
    return ()


def _unknown(names: Sequence[str], path: Place, known: Collection[str]) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name not in known:
            have = ", ".join(sorted(known)) or "nothing"
            yield Fault((*path, index), "no such authenticator", f"the section 'auth' has {have}")

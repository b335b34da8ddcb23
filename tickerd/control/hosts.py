"""Which names the API answers to, and which web pages may call it. Pure.

A browser can be made to resolve somebody else's name to this machine (DNS rebinding); the Host header then
still holds that name. And it sends Origin with every request that a page makes across sites.
"""

from collections.abc import Iterable
from ipaddress import ip_address

_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class Hosts:
    """The names to answer to.

    Args:
        listening: addresses listened on, ``HOST:PORT`` or ``unix:/PATH``.
        named: from the YAML: ``NAME`` for any port, ``NAME:PORT``, ``*.NAME``.
    """

    def __init__(self, listening: Iterable[str], named: Iterable[str] = ()) -> None:
        own = {_split(address)[0] for address in listening if not address.startswith("unix:")}
        self._names = {*_LOCAL, *(name for name in own if not _is_any(name))}
        self._named = tuple(name.lower() for name in named)

    def accept(self, host: str) -> bool:
        """Whether a request with this Host header is meant for us."""
        host = host.lower().rstrip(".")
        name, _ = _split(host)
        return name in self._names or any(_matches(name, host, pattern) for pattern in self._named)


class Origins:
    """The web pages that may call.

    Args:
        named: from the YAML: ``https://NAME[:PORT]``.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._named = frozenset(name.lower().rstrip("/") for name in named)

    def names(self, origin: str) -> bool:
        """Whether the YAML lists it: such a page is given what browsers ask for across sites."""
        return origin.lower() in self._named

    def accept(self, origin: str, scheme: str, host: str | None) -> bool:
        """Whether a request with this Origin header may pass.

        Args:
            scheme: of the request, ``http`` or ``https``.
            host: the Host header where it was accepted: our own pages may call us.
        """
        return self.names(origin) or (host is not None and origin.lower() == f"{scheme}://{host.lower()}")


def _matches(name: str, host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        wanted, port = _split(pattern[1:])
        return name.endswith(wanted) and name != wanted and (not port or _split(host)[1] == port)
    return pattern in (name, host)


def _split(host: str) -> tuple[str, str]:
    """Name and port, the latter perhaps empty."""
    if host.endswith("]") or ":" not in host:
        return host, ""
    name, _, port = host.rpartition(":")
    return name, port


def _is_any(name: str) -> bool:
    try:
        return ip_address(name.strip("[]")).is_unspecified
    except ValueError:
        return False

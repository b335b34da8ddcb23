"""Which names the server answers to, and which web pages may connect. Pure.

A browser can be made to resolve somebody else's name to this machine (DNS rebinding); the Host header then still
holds that name. And it says with each connection which page asked for it.
"""

from collections.abc import Iterable
from ipaddress import ip_address

_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class Hosts:
    """The names to answer to.

    Args:
        listening: addresses listened on, ``HOST:PORT`` or ``unix:/PATH``.
        named: ``NAME`` for any port, ``NAME:PORT``, ``*.NAME``, in lower case.
    """

    def __init__(self, listening: Iterable[str], named: Iterable[str] = ()) -> None:
        own = {_split(address)[0].lower() for address in listening if not address.startswith("unix:")}
        self._names = {*_LOCAL, *(name for name in own if not _is_any(name))}
        self._named = tuple(named)

    def accept(self, host: str) -> bool:
        """Whether a request with this Host header is meant for us."""
        host = host.lower()
        name = _split(host)[0].rstrip(".")
        return name in self._names or any(_matches(name, host, pattern) for pattern in self._named)


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

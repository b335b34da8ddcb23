"""Which names a listener answers to. Pure.

A browser can be made to resolve somebody else's name to this machine (DNS rebinding); the Host header then still
holds that name.
"""

from collections.abc import Iterable
from ipaddress import ip_address

_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class Hosts:
    """The names to answer to: those of this machine, those that are listened on, and those that are written.

    Example:
        ``Hosts(["192.0.2.7:7800"], ["*.example.com"]).accept("ticks.example.com:7800")``

    Args:
        listening: addresses listened on, ``HOST:PORT`` or ``unix:/PATH``; ``0.0.0.0`` and ``[::]`` name nothing.
        named: see `HostNames`: ``NAME`` for any port, ``NAME:PORT``, ``*.NAME``.
    """

    def __init__(self, listening: Iterable[str], named: Iterable[str] = ()) -> None:
        own = {_split(address.lower())[0] for address in listening if not address.startswith("unix:")}
        self._names = {*_LOCAL, *(name for name in own if not _is_any(name))}
        self._named = tuple(_split(name.lower()) for name in named)

    def accept(self, host: str) -> bool:
        """Whether a request with this Host header is meant for us."""
        name, port = _split(host.lower())
        name = name.rstrip(".")  # how DNS writes a name in full
        return name in self._names or any(
            wanted_port in ("", port) and _fits(name, wanted) for wanted, wanted_port in self._named
        )


def _fits(name: str, wanted: str) -> bool:
    return name == wanted or (wanted.startswith("*.") and name.endswith(wanted[1:]) and name != wanted[1:])


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

"""Looks a name up, once for each connection, in a thread and within a limit."""

import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import trio

from tickerd_plugins.webhook.outbound.address import Address
from tickerd_plugins.webhook.outbound.errors import Unreachable
from tickerd_plugins.webhook.outbound.target import Target

Resolver = Callable[[str], Awaitable[list[Address]]]
"""The addresses of a name, in the order in which they should be tried; raises `OSError`."""

_THREADS = 2


class SystemResolver:
    """The resolver of the C library. One for each endpoint: names that hang hold up no other endpoint's."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(_THREADS)

    async def __call__(self, name: str) -> list[Address]:
        """See `Resolver`."""
        return await trio.to_thread.run_sync(_look_up, name, abandon_on_cancel=True, limiter=self._limiter)


def _look_up(name: str) -> list[Address]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]


async def addresses_of(target: Target, resolver: Resolver, *, within: float, most: int) -> list[Address]:
    """The addresses that a target may be at; no look-up when its host is one.

    Raises:
        Unreachable: ``dns``.
    """
    if address := target.address:
        return [address]
    found: list[Address] | None = None
    with trio.move_on_after(within):
        try:
            found = await resolver(target.host)
        except (OSError, UnicodeError, ValueError) as error:
            raise Unreachable("dns", f"{target.host!r} cannot be resolved: {_why(error)}") from error
    if found is None:
        raise Unreachable("dns", f"{target.host!r} was not resolved within {within:g} s")
    unique = list(dict.fromkeys(found))
    if not unique:
        raise Unreachable("dns", f"{target.host!r} has no address")
    if len(unique) > most:
        raise Unreachable(
            "dns", f"{target.host!r} has {len(unique)} addresses; more than {most} are suspicious"
        )
    return unique


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)

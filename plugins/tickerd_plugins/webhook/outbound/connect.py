"""Opens a connection to an address that was checked, and to no other; the name is looked up once."""

import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import trio

from tickerd_plugins.webhook.outbound.address import Address
from tickerd_plugins.webhook.outbound.errors import Unreachable
from tickerd_plugins.webhook.outbound.limits import Limits
from tickerd_plugins.webhook.outbound.own import Kernel
from tickerd_plugins.webhook.outbound.policy import Own, Policy
from tickerd_plugins.webhook.outbound.resolve import Resolver, SystemResolver, addresses_of
from tickerd_plugins.webhook.outbound.target import Target

_TRIED = 4
"""Addresses of a name that are tried one after the other."""


class Link(NamedTuple):
    """A TCP connection and where the kernel says it goes."""

    stream: trio.abc.Stream
    peer: tuple[str, int]
    readable: Callable[[], bool]
    """Whether something has come, or the other side has hung up."""


Dialer = Callable[[Address, int], Awaitable[Link]]
"""Connects to exactly this address; raises `OSError`. Whoever calls closes the stream."""


async def dial(address: Address, port: int) -> Link:
    """The `Dialer` that really connects."""
    family = trio.socket.AF_INET if address.version == 4 else trio.socket.AF_INET6
    opened = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        await opened.connect((str(address), port))
        name = opened.getpeername()
    except BaseException:
        opened.close()
        raise
    return Link(trio.SocketStream(opened), (name[0], name[1]), opened.is_readable)


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Verification by the machine's certificate authorities, or by those in a file instead.

    Raises:
        OSError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


@cache
def _machines_authorities() -> ssl.SSLContext:
    """One for all endpoints: reading the authorities takes 25 ms, and each context a megabyte."""
    return tls_context()


class Connector:
    """Look up, check, connect, check again, encrypt.

    Args:
        resolver: how names are looked up.
        dialer: how connections are made; the only place from which a packet leaves.
        own: what belongs to this machine.
        tls: how the other side proves who it is.
    """

    def __init__(
        self,
        policy: Policy,
        limits: Limits,
        *,
        resolver: Resolver | None = None,
        dialer: Dialer | None = None,
        own: Own | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._resolver = resolver or SystemResolver()
        self._dialer = dialer or dial
        self._own = own or Kernel()
        self._tls = tls or _machines_authorities()

    async def admitted(self, target: Target) -> list[Address]:
        """The addresses of a target, all of which may be connected to.

        Raises:
            Unreachable: ``dns`` or ``refused_by_policy``.
        """
        found = await addresses_of(target, self._resolver, within=self._limits.dns, most=self._limits.answers)
        # in a thread: it may go through all open sockets of the process
        await trio.to_thread.run_sync(self._policy.admit, target, found, self._own)
        return found

    async def connect(self, target: Target) -> Link:
        """A connection to one of the target's addresses, encrypted unless the target is plain; the caller closes it.

        Raises:
            Unreachable: ``dns``, ``refused_by_policy``, ``connect`` or ``tls``.
        """
        link = await self._reach(target, await self.admitted(target))
        return link if target.http else await self._encrypt(target, link)

    async def _reach(self, target: Target, addresses: list[Address]) -> Link:
        last = Unreachable("connect", "there is no address to connect to")
        due = trio.current_time() + self._limits.connect
        tried = addresses[:_TRIED]
        for number, address in enumerate(tried):
            share = max(0.0, due - trio.current_time()) / (len(tried) - number)
            try:
                return await self._dial(address, target.port, share)
            except Unreachable as error:
                last = error
        raise last

    async def _dial(self, address: Address, port: int, within: float) -> Link:
        link: Link | None = None
        with trio.move_on_after(within):
            try:
                link = await self._dialer(address, port)
            except OSError as error:
                raise Unreachable("connect", f"{_place(address, port)}: {error.strerror or error}") from error
        if link is None:
            raise Unreachable("connect", f"{_place(address, port)} did not answer within {within:g} s")
        if (ip_address(link.peer[0]), link.peer[1]) != (address, port):
            await trio.aclose_forcefully(link.stream)
            raise Unreachable(
                "refused_by_policy", f"{_place(address, port)} was asked for, another address answered"
            )
        return link

    async def _encrypt(self, target: Target, link: Link) -> Link:
        stream = trio.SSLStream(link.stream, self._tls, server_hostname=target.host, https_compatible=True)
        done = False
        try:
            with trio.move_on_after(self._limits.tls):
                await stream.do_handshake()
                done = True
        except trio.BrokenResourceError as error:
            raise Unreachable("tls", f"{target.origin}: {_tls_trouble(error)}") from error
        finally:
            if not done:
                await trio.aclose_forcefully(stream)
        if not done:
            raise Unreachable("tls", f"{target.origin}: no TLS handshake within {self._limits.tls:g} s")
        return Link(stream, link.peer, link.readable)


def _place(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _tls_trouble(error: trio.BrokenResourceError) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return f"TLS failed: {cause.reason or 'the other side speaks something else'}"
    return "the connection ended during the TLS handshake"

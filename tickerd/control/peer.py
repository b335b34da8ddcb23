"""Who is at the other end of a connection, and by which listener it came in."""

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Literal

import trio

Transport = Literal["tcp", "unix"]

_UCRED = struct.Struct("iII")
"""``struct ucred``: pid, uid, gid."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Made anew for each connection; nothing in it comes from what the client says of itself."""

    transport: Transport
    door: str
    """The listener's address as the YAML writes it: scopes may hang on it."""
    address: str = ""
    """IP address; empty on a Unix socket."""
    port: int = 0
    pid: int | None = None
    """Of the process that connected, like ``uid`` and ``gid``; None over TCP.

    Inside a user namespace that maps no other users, a foreign uid shows as 65534.
    """
    uid: int | None = None
    gid: int | None = None
    tls: bool = False

    @property
    def name(self) -> str:
        """For logs and the audit trail."""
        if self.transport == "unix":
            return f"{self.door} uid {self.uid}"
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def bucket(self) -> str:
        """What connections and unauthenticated requests are counted by."""
        return f"uid {self.uid}" if self.transport == "unix" else network(self.address)


def network(address: str) -> str:
    """An IPv4 address itself, an IPv6 address as its /64: one customer has at least that much."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)


def peer_of(sock: trio.socket.SocketType, door: str, *, tls: bool = False) -> Peer:
    """Ask the kernel.

    Raises:
        OSError: the client has gone already.
    """
    if sock.family == socket.AF_UNIX:
        ucred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, gid = _UCRED.unpack(ucred)
        return Peer(transport="unix", door=door, pid=pid, uid=uid, gid=gid, tls=tls)
    address, port = sock.getpeername()[:2]
    return Peer(transport="tcp", door=door, address=address, port=port, tls=tls)

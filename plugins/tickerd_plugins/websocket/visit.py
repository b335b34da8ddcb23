"""One connection from the moment that it is accepted: where it comes from, and what it counts as."""

import socket
import struct
from contextlib import suppress

import trio

from tickerd.plugin import Listener, Principal, Request
from tickerd_plugins.websocket.face import Refused
from tickerd_plugins.websocket.limits import LOCAL, PROXY, Census, Networks, Verdict, is_trusted, network

UNSENT_BYTES = 2**18
"""What the kernel holds for a client beyond what is on its way; then its socket is full."""
_UCRED = struct.Struct("iII")


class Visit:
    """One connection in the census."""

    def __init__(self, census: Census, request: Request, proxies: Networks) -> None:
        self._census = census
        self._address = PROXY if is_trusted(request.peer, proxies) else _address(request)
        self._known = False
        self._key: str | None = None
        self._inside = False
        self.name = _name(request)
        """For logs."""

    def enter(self) -> Verdict | None:
        """Be counted; or what it is turned away for."""
        verdict = self._census.enter(self._address, trio.current_time())
        self._inside = verdict is None
        return verdict

    def moved(self, request: Request) -> None:
        """It was a proxy that connected, and now it is known for whom.

        Raises:
            Refused: there are too many from that address.
        """
        if self._address != PROXY:
            return
        self.leave()
        self._address, self.name = _address(request), _name(request)
        verdict = self.enter()
        if verdict is not None:
            raise refusal(verdict)

    def claim(self, principal: Principal, per_key: int) -> bool:
        """It has shown who it is; False: he has as many connections as he may.

        Args:
            principal: who.
            per_key: his connections, where he has no limit of his own.
        """
        if self._key is not None:
            return True
        if not self._census.claim(principal.id, principal.limits.connections or per_key):
            return False
        self._key = principal.id
        self._known = True
        self._census.known(self._address)
        return True

    def leave(self) -> None:
        """It is gone."""
        if self._key is not None:
            self._census.release(self._key)
            self._key = None
        if self._inside:
            self._inside = False
            self._census.leave(self._address, known=self._known)


def refusal(verdict: Verdict) -> Refused:
    """What is answered to one that is turned away."""
    return Refused(verdict.status, f"limit: {verdict.limit}", retry_after=verdict.retry_after)


def _address(request: Request) -> str:
    """What it is counted as."""
    return LOCAL if request.peer is None else network(request.peer)


def _name(request: Request) -> str:
    return f"unix uid {request.uid}" if request.peer is None else request.peer


def caller(listener: Listener, stream: trio.SocketStream) -> Request:
    """What is known of who connected."""
    sock = stream.socket
    if listener.is_unix:
        _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return Request(listener=listener, transport="websocket", uid=uid)
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return Request(listener=listener, transport="websocket", peer=str(sock.getpeername()[0]))

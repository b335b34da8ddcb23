"""What belongs to this machine and this process, asked of the kernel at the moment it matters."""

import os
import socket
from pathlib import Path

from tickerd_plugins.webhook.outbound.address import Address

_DISCARD = 9


class Kernel:
    """`policy.Own`, from the routing table and the open sockets of this process."""

    def address(self, address: Address) -> bool:
        """See `policy.Own`."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                # of UDP this sends nothing: it looks up the route, and to oneself one comes from oneself
                probe.connect((str(address), _DISCARD))
                return bool(probe.getsockname()[0] == str(address))
            except OSError:
                return False

    def port(self, port: int) -> bool:
        """See `policy.Own`."""
        return port in listening_ports()


def listening_ports() -> frozenset[int]:
    """The TCP ports on which this process listens, also by sockets that systemd handed over."""
    return frozenset(filter(None, map(_listening_port, map(int, _descriptors()))))


def _descriptors() -> list[str]:
    return [entry.name for entry in Path("/proc/self/fd").iterdir()]


def _listening_port(descriptor: int) -> int | None:
    try:
        copy = os.dup(descriptor)
    except OSError:  # closed since it was listed
        return None
    try:
        with socket.socket(fileno=copy) as opened:
            inet = opened.family in (socket.AF_INET, socket.AF_INET6) and opened.type == socket.SOCK_STREAM
            if inet and opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return int(opened.getsockname()[1])
            return None
    except OSError:  # no socket
        os.close(copy)
        return None

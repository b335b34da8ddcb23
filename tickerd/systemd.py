"""The one reader of what systemd hands to a service: where to report to, how often, and which sockets are open.

The protocols are those of sd_notify(3) and sd_listen_fds(3). Outside of systemd everything here does nothing.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Self

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""
LONGEST_STATUS = 500
_VARIABLES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
)


class Systemd:
    """Made once at start: takes its variables out of the environment, so that no child of ours speaks in our name.

    Reports never wait and never fail: a manager that does not read them must not hold the daemon.

    Args:
        environ: the process's environment; changed.
        pid: of this process.
    """

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        given = {name: environ.pop(name, "") for name in _VARIABLES}
        self._address = _address(given["NOTIFY_SOCKET"])
        self._socket = None if self._address is None else _datagrams()
        self.watchdog_s = _watchdog_s(given["WATCHDOG_USEC"], given["WATCHDOG_PID"], pid)
        """A sign of life is due in this time; None when nobody waits for it."""
        self.sockets = _inherited(given["LISTEN_PID"], given["LISTEN_FDS"], pid)
        """Listening sockets that systemd holds open over restarts; whoever takes one closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is told any more."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    @property
    def is_there(self) -> bool:
        """Whether a manager reads our reports."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """Start-up, or a reload whatever it came to, is complete."""
        self._tell(READY="1", STATUS=status)

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._tell(RELOADING="1", MONOTONIC_USEC=str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))

    def stopping(self, status: str) -> None:
        """The way out has begun."""
        self._tell(STOPPING="1", STATUS=status)

    def status(self, text: str) -> None:
        """A sentence for ``systemctl status``."""
        self._tell(STATUS=text)

    def alive(self) -> None:
        """The watchdog's sign of life."""
        self._tell(WATCHDOG="1")

    def extend(self, seconds: float) -> None:
        """Starting or stopping takes that much longer, from now."""
        self._tell(EXTEND_TIMEOUT_USEC=str(round(seconds * 1e6)))

    def turn_away(self) -> None:
        """Close what waits on the inherited sockets, before an end that only a person can mend.

        What still waits there would have systemd start us again at once, and again.
        """
        for listening in self.sockets:
            listening.setblocking(False)
            try:
                while True:
                    listening.accept()[0].close()
            except OSError:
                continue  # nobody waits any more

    def _tell(self, **fields: str) -> None:
        if self._socket is None or self._address is None:
            return
        lines = (f"{name}={' '.join(text.split())[:LONGEST_STATUS]}" for name, text in fields.items())
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return  # its queue is full, or it is gone: the next report comes soon


def _address(text: str) -> str | None:
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _datagrams() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    return made


def _watchdog_s(usec: str, owner: str, pid: int) -> float | None:
    if not usec.isdigit() or (owner and owner != str(pid)):
        return None
    return int(usec) / 1e6 or None


def _inherited(owner: str, count: str, pid: int) -> list[socket.socket]:
    """The listening stream sockets; a descriptor that is none is left alone."""
    if owner != str(pid) or not count.isdigit():
        return []
    found = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        try:
            made = socket.socket(fileno=descriptor)
        except OSError:
            continue
        if made.type == socket.SOCK_STREAM and made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            os.set_inheritable(descriptor, False)
            found.append(made)
        else:
            made.detach()
    return found

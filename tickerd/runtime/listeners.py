"""Listening sockets: the host's, keyed by address and lent to units, so that no restart of a unit rebinds."""

import trio

BACKLOG = 1024


class Listeners:
    """All sockets that the daemon listens on."""

    def __init__(self) -> None:
        self._listeners: dict[str, trio.SocketListener] = {}

    async def lend(self, address: str) -> trio.SocketListener:
        """The listener of ``HOST:PORT`` or ``unix:/PATH``, opened at its first use; only the host closes it.

        Raises:
            OSError: the address cannot be bound.
            ValueError: it is not an address.
        """
        if address not in self._listeners:
            self._listeners[address] = await _open(address)
        return self._listeners[address]

    async def aclose(self) -> None:
        """Close them all."""
        for listener in self._listeners.values():
            await listener.aclose()
        self._listeners.clear()


async def _open(address: str) -> trio.SocketListener:
    if address.startswith("unix:"):
        return await _open_unix(trio.Path(address.removeprefix("unix:")))
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()):
        raise ValueError(f"{address!r} is no address: write HOST:PORT or unix:/PATH")
    return (await trio.open_tcp_listeners(int(port), host=host.strip("[]"), backlog=BACKLOG))[0]


async def _open_unix(path: trio.Path) -> trio.SocketListener:
    """A socket file that nobody answers on is a left-over and is replaced; a live one is an error."""
    if await path.is_socket():
        try:
            probe = await trio.open_unix_socket(str(path))
        except OSError:
            await path.unlink()
        else:
            await probe.aclose()
            raise OSError(f"{path} is in use by another process")
    listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        await listening.bind(str(path))
        await path.chmod(0o660)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return trio.SocketListener(listening)

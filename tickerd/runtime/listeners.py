"""Listening sockets: the host's, keyed by address and lent to units, so that no restart of a unit rebinds."""

from collections.abc import Collection

import trio

BACKLOG = 1024


class Listeners:
    """All sockets that the daemon listens on.

    Each loan is a descriptor of its own on the same socket: for a moment a unit and its successor both accept, and
    what nobody accepts at the moment waits in the socket's queue.
    """

    def __init__(self) -> None:
        self._sockets: dict[str, trio.SocketListener] = {}
        self._permanent: set[str] = set()
        self._loans: set[trio.SocketListener] = set()

    async def lend(self, address: str, *, permanent: bool = False) -> trio.SocketListener:
        """A listener of ``HOST:PORT`` or ``unix:/PATH``, which is bound at its first use; `give_back` it.

        Args:
            address: where to listen.
            permanent: `keep` spares it.

        Raises:
            OSError: the address cannot be bound.
            ValueError: it is not an address.
        """
        if address not in self._sockets:
            self._sockets[address] = await _open(address)
        if permanent:
            self._permanent.add(address)
        loan = trio.SocketListener(self._sockets[address].socket.dup())
        self._loans.add(loan)
        return loan

    def give_back(self, loan: trio.SocketListener) -> None:
        """The borrower does not accept any more; who tries nevertheless gets ``trio.ClosedResourceError``."""
        self._loans.discard(loan)
        loan.socket.close()

    async def keep(self, addresses: Collection[str]) -> None:
        """Stop listening where nobody does any more: everywhere but on these and the permanent ones."""
        for address in self._sockets.keys() - self._permanent - set(addresses):
            await self._sockets.pop(address).aclose()

    async def aclose(self) -> None:
        """Close everything."""
        for loan in list(self._loans):
            self.give_back(loan)
        for listener in self._sockets.values():
            await listener.aclose()
        self._sockets.clear()


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

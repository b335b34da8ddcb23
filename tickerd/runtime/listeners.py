"""Listening sockets: the host's, keyed by address and lent to units, so that no restart of a unit rebinds."""

import socket
from collections.abc import Collection, Iterable

import trio

BACKLOG = 1024


class Listeners:
    """All sockets that the daemon listens on.

    Each loan is a descriptor of its own on the same socket: for a moment a unit and its successor both accept, and
    what nobody accepts at the moment waits in the socket's queue.
    """

    def __init__(self, inherited: Iterable[socket.socket] = ()) -> None:
        self._inherited = list(inherited)
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
            self._sockets[address] = self._take_inherited(address) or await _open(address)
        if permanent:
            self._permanent.add(address)
        loan = trio.SocketListener(self._sockets[address].socket.dup())
        self._loans.add(loan)
        return loan

    def _take_inherited(self, address: str) -> trio.SocketListener | None:
        """A socket that was open before we began, and that is bound to this address."""
        for one in self._inherited:
            if _is_bound_to(one, address):
                return trio.SocketListener(trio.socket.from_stdlib_socket(one.dup()))
        return None

    def unused(self) -> list[str]:
        """Where sockets that were open before we began are bound that nobody has been lent."""
        bound = [_written(one) for one in self._inherited]
        return [address for address in bound if not any(_same(address, used) for used in self._sockets)]

    def give_back(self, loan: trio.SocketListener) -> None:
        """The borrower does not accept any more; who tries nevertheless gets ``trio.ClosedResourceError``."""
        self._loans.discard(loan)
        loan.socket.close()

    async def keep(self, addresses: Collection[str]) -> None:
        """Stop listening where nobody does any more: everywhere but on these and the permanent ones."""
        for address in self._sockets.keys() - self._permanent - set(addresses):
            await self._sockets.pop(address).aclose()

    async def aclose(self) -> None:
        """Close everything. Sockets that were open before we began stay open in whoever opened them."""
        for loan in list(self._loans):
            self.give_back(loan)
        for listener in self._sockets.values():
            await listener.aclose()
        self._sockets.clear()
        for one in self._inherited:
            one.close()


async def _open(address: str) -> trio.SocketListener:
    try:
        return await _bind(address)
    except OSError as error:
        raise OSError(f"cannot listen on {address}: {error.strerror or error}") from error


async def _bind(address: str) -> trio.SocketListener:
    if address.startswith("unix:"):
        return await _open_unix(trio.Path(address.removeprefix("unix:")))
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()):
        raise ValueError(f"{address!r} is no address: write HOST:PORT or unix:/PATH")
    return (await trio.open_tcp_listeners(int(port), host=host.strip("[]"), backlog=BACKLOG))[0]


def _is_bound_to(one: socket.socket, address: str) -> bool:
    return _same(_written(one), address)


def _written(one: socket.socket) -> str:
    """A bound address, as the YAML writes it."""
    name = one.getsockname()
    if one.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if one.family == socket.AF_INET6 else f"{host}:{port}"


def _same(bound: str, address: str) -> bool:
    return bound == address or bound == address.replace("localhost:", "127.0.0.1:")


async def _open_unix(path: trio.Path) -> trio.SocketListener:
    """A socket file that nobody answers on is a left-over and is replaced; a live one is an error."""
    if await path.is_socket():
        try:
            probe = await trio.open_unix_socket(str(path))
        except OSError:
            await path.unlink()
        else:
            await probe.aclose()
            raise OSError("in use by another process")
    listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        await listening.bind(str(path))
        await path.chmod(0o660)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return trio.SocketListener(listening)

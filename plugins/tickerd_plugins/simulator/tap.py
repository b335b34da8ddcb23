"""The TCP stream under one WebSocket, with a tap on it: it can be slowed, parked for ever, or reset."""

import socket
from struct import Struct

import trio

_LINGER = Struct("ii")
_SLICES_PER_SECOND = 20


class Tap(trio.abc.HalfCloseableStream):
    """Passes everything through until it is told otherwise. Closes the stream that it wraps."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._open = trio.Event()
        self._open.set()
        self.rate: float | None = None
        """Bytes a second it may send; None is no limit."""
        self._changed = trio.Event()

    @property
    def parked(self) -> bool:
        """Whether it reads and writes no more."""
        return not self._open.is_set()

    def park(self) -> None:
        """Read and write no more, until `release`."""
        if self._open.is_set():
            self._open = trio.Event()

    def release(self) -> None:
        """Go on where `park` stopped, and at full speed."""
        self.limit(None)
        self._open.set()

    def limit(self, rate: float | None) -> None:
        """Send so many bytes a second from now on."""
        self.rate = rate
        self._changed.set()
        self._changed = trio.Event()

    def reset(self) -> None:
        """Send a TCP reset and close; whoever waits on the stream gets ``trio.ClosedResourceError``."""
        sock = self._stream.socket
        if sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.pack(1, 0))
            sock.close()
        self._open.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, as slowly as asked."""
        await self._open.wait()
        view = memoryview(data)
        # the event is taken together with the rate: a change between sending and waiting must not be missed
        while (rate := self.rate) is not None and view:
            changed = self._changed
            size = max(1, round(rate / _SLICES_PER_SECOND))
            await self._stream.send_all(view[:size])
            with trio.move_on_after(min(len(view), size) / rate):
                await changed.wait()
            view = view[size:]
            await self._open.wait()
        await self._stream.send_all(view)

    async def wait_send_all_might_not_block(self) -> None:
        """See trio."""
        await self._open.wait()
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; what arrives while it is parked is kept back."""
        await self._open.wait()
        data = await self._stream.receive_some(max_bytes)
        await self._open.wait()
        return data

    async def send_eof(self) -> None:
        """See trio."""
        await self._open.wait()
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the stream below."""
        await self._stream.aclose()

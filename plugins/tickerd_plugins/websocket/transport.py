"""One client's socket: read by waiting, written without waiting. Plain, or with TLS over a pair of memory buffers."""

import os
import socket
import ssl
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

READ_BYTES = 16_384
_RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER`` with no time: closing sends a reset and throws away what was not sent."""

Parts = Sequence[bytes | memoryview]


class Transport(ABC):
    """What a connection reads from and writes to. The socket is non-blocking; whoever made this closes it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._socket = stream.socket
        self._fd = stream.socket.fileno()
        self.emit: Callable[[Parts], object] = self.push
        """Where sealed bytes go that have to be written because of what was read."""

    @abstractmethod
    def seal(self, parts: Parts) -> Parts:
        """The bytes that stand for these on the wire, in the order in which this is called."""

    @abstractmethod
    async def read(self) -> bytes:
        """Some bytes; none at the end of the stream.

        Raises:
            OSError: the connection is broken.
        """

    async def shake_hands(self) -> None:
        """Do what has to be done before the first byte can be read; the caller sets a limit."""
        await trio.lowlevel.checkpoint()

    def push(self, sealed: Parts) -> list[memoryview]:
        """Write as much as the socket takes now, never waiting; what it did not take.

        Raises:
            OSError: the connection is broken.
        """
        try:
            taken = os.writev(self._fd, sealed)
        except BlockingIOError:
            taken = 0
        rest: list[memoryview] = []
        for part in sealed:
            if taken >= len(part):
                taken -= len(part)
            else:
                rest.append(memoryview(part)[taken:])
                taken = 0
        return rest

    async def writable(self) -> None:
        """Wait until the socket takes something again.

        Raises:
            trio.ClosedResourceError: it was closed meanwhile.
        """
        await trio.lowlevel.wait_writable(self._socket)

    def shut(self) -> None:
        """Nothing more will be written: the client reads to the end of what was."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close it; what the kernel still holds is sent."""
        self._fd = -1
        self._socket.close()

    def reset(self) -> None:
        """Cut it at once."""
        if self._fd >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()


class PlainTransport(Transport):
    """The bytes as they are."""

    def seal(self, parts: Parts) -> Parts:
        """See `Transport.seal`."""
        return parts

    async def read(self) -> bytes:
        """See `Transport.read`."""
        return await self._socket.recv(READ_BYTES)


class TlsTransport(Transport):
    """TLS by a pair of memory buffers, so that writing never waits here either.

    Args:
        stream: of the socket.
        context: for servers.
    """

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        super().__init__(stream)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    def seal(self, parts: Parts) -> Parts:
        """See `Transport.seal`."""
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        if whole:
            self._tls.write(whole)
        return (self._out.read(),)

    def shut(self) -> None:
        """See `Transport.shut`; says so inside of TLS too."""
        with suppress(OSError, ValueError):
            self._tls.unwrap()
        with suppress(OSError):
            self.push((self._out.read(),))
        super().shut()

    async def shake_hands(self) -> None:
        """See `Transport.shake_hands`."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._write_all()
                await self._more()
            else:
                await self._write_all()
                return

    async def read(self) -> bytes:
        """See `Transport.read`."""
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                if self._out.pending:  # what TLS itself has to say, such as new keys
                    self.emit((self._out.read(),))
                await self._more()
            except ssl.SSLZeroReturnError:
                return b""

    async def _more(self) -> None:
        data = await self._socket.recv(READ_BYTES)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    async def _write_all(self) -> None:
        rest = self.push((self._out.read(),))
        while rest:
            await self.writable()
            rest = self.push(rest)

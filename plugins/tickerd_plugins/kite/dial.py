"""Opens verified WebSockets to the broker, and says in words why one could not be opened.

The one place that knows trio-websocket. Guarded here: it waits for ever when the server hangs up before the
upgrade is complete, it collects a refusal's body without a limit, its reader's exceptions come out of the
nursery, and its own debug log shows the URL's query (so the URL never reaches it by that way).
"""

import math
import os
import re
import socket as sockets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import h11
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import ProtocolError

from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.outage import Outage
from tickerd_plugins.kite.session import Socket

READ_BYTES = 256 * 1024
_LARGEST_HEAD = 64 * 1024
_CLOSE_WITHIN = 0.2
"""Enough to send a close frame; the answer is not waited for."""
_HEADERS = [(b"X-Kite-Version", b"3"), (b"User-Agent", f"tickerd/{version('tickerd')}".encode())]
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*(\d{1,6})[ \t]*\r\n", re.IGNORECASE)
_BROKEN_PROTOCOL = "the server broke the WebSocket protocol"
_TOO_LARGE = "Exceeded maximum message size"


class Place(NamedTuple):
    """Where to connect to."""

    host: str
    port: int
    path: str
    secure: bool

    @property
    def header(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def place(url: str) -> Place:
    """Take apart a ``ws://`` or ``wss://`` URL that the options have checked."""
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    assert parts.hostname is not None
    return Place(parts.hostname, parts.port or (443 if secure else 80), parts.path or "/", secure)


def resource(path: str, api_key: str, token: str) -> str:
    """The request target, with every parameter percent-encoded."""
    return f"{path}?{urlencode({'api_key': api_key, 'access_token': token}, quote_via=quote, safe='')}"


class Wire(trio.abc.Stream):
    """The byte stream below the WebSocket; remembers the head of the answer and notices its end."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._head: bytes | None = b""
        self.ended = trio.Event()
        self.was_reset = False

    def opened(self) -> None:
        """The upgrade is complete: the head is of no more interest."""
        self._head = None

    @property
    def opening(self) -> bool:
        """The upgrade is not complete."""
        return self._head is not None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.was_reset = True
            self.ended.set()
            raise
        if not data:
            self.ended.set()
        elif self._head is not None:
            self._head += data
            if len(self._head) > _LARGEST_HEAD and self.status != 101:
                self.ended.set()
                raise trio.BrokenResourceError("the answer to the upgrade is too large")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        self.ended.set()
        await self._stream.aclose()

    @property
    def status(self) -> int | None:
        """The HTTP status of the answer to the upgrade, when one has come."""
        found = _STATUS.match(self._head or b"")
        return int(found[1]) if found else None

    def refusal(self) -> Outage:
        """Why the upgrade failed, from what the server has sent so far."""
        status = self.status
        if status is None or status == 101:
            if self._head:
                return Outage("protocol", "the server's answer is not that of a WebSocket server")
            return Outage("reset", "the server hung up without an answer")
        after = _RETRY_AFTER.search(self._head or b"")
        seconds = float(after[1]) if after else 0.0
        if status == 403:
            words = (
                "the broker refused the access token (HTTP 403): log in again and put today's token "
                "in place; apps of the free Personal plan get no market data"
            )
            return Outage("auth", words, seconds)
        if status == 429:
            words = "too many connections (HTTP 429): the broker allows three for one api_key"
            return Outage("rate_limited", words, seconds)
        return Outage("http", f"the server answered the upgrade with HTTP {status}", seconds)


class UpstreamSocket:
    """An open WebSocket that knows only messages and `Outage`."""

    def __init__(self, connection: WebSocketConnection, wire: Wire) -> None:
        self._connection = connection
        self._wire = wire

    async def receive(self) -> str | bytes:
        """See `session.Socket`."""
        try:
            message: str | bytes = await self._connection.get_message()
        except ConnectionClosed as error:
            raise ending(error, self._wire) from None
        return message

    async def send(self, message: str) -> None:
        """See `session.Socket`."""
        try:
            await self._connection.send_message(message)
        except ConnectionClosed as error:
            raise ending(error, self._wire) from None


def ending(error: ConnectionClosed, wire: Wire) -> Outage:
    """Why an open WebSocket ended."""
    reason = error.reason
    if reason is None or reason.code == 1002:
        return Outage("protocol", _BROKEN_PROTOCOL)
    if reason.code == 1009 and (reason.reason or "").startswith(_TOO_LARGE):
        return Outage("oversized", "the server sent a frame larger than max_frame_bytes")
    if reason.code != 1006:
        return Outage("closed", f"the server closed the connection (code {reason.code})")
    if wire.was_reset:
        return Outage("reset", "the connection was reset")
    return Outage("reset", "the server hung up without a close frame")


class Dialler:
    """Called with an access token, opens a socket; an async context manager that closes it again.

    Raises `Outage`, or exception groups of them.
    """

    def __init__(self, options: KiteOptions) -> None:
        self._place = place(options.ws_url)
        self._api_key = options.api_key
        self._ca_file = options.ca_file
        self._limit = options.connect_timeout
        self._max_frame_bytes = options.max_frame_bytes
        self._context: ssl.SSLContext | None = None

    @asynccontextmanager
    async def __call__(self, token: str) -> AsyncIterator[Socket]:
        """Connect, verify, upgrade; on the way out hang up."""
        stream: trio.abc.Stream | None = None
        try:
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(self._limit) as limit:
                    stream = await self._connect()
                if stream is None:
                    raise Outage("timeout", f"no connection to {self._place.host} within {self._limit:g} s")
                wire = stream = Wire(stream)
                connection = await self._upgrade(nursery, wire, token, limit.deadline)
                try:
                    yield UpstreamSocket(connection, wire)
                finally:
                    # stopped by the host: say so, and the broker frees the place at once; else just go
                    polite = trio.current_effective_deadline() == -math.inf and not wire.ended.is_set()
                    with trio.move_on_after(_CLOSE_WITHIN if polite else 0, shield=True):
                        await connection.aclose()
                nursery.cancel_scope.cancel()
        except* HandshakeError as errors:
            raise self._refused(stream) from errors
        except* ConnectionClosed as errors:
            # the library's reader fails so when the stream breaks while it answers something
            raise Outage("reset", "the connection was reset") from errors
        except* (ProtocolError, h11.ProtocolError) as errors:
            raise self._broken(stream) from errors
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    @staticmethod
    def _broken(stream: trio.abc.Stream | None) -> Outage:
        assert isinstance(stream, Wire)
        return stream.refusal() if stream.opening else Outage("protocol", _BROKEN_PROTOCOL)

    @staticmethod
    def _refused(stream: trio.abc.Stream | None) -> Outage:
        assert isinstance(stream, Wire)
        return stream.refusal()

    async def _connect(self) -> trio.abc.Stream:
        """TCP and TLS. The certificate is verified before a single byte of ours follows."""
        try:
            stream = await trio.open_tcp_stream(self._place.host, self._place.port)
        except OSError as error:
            raise unreachable(error, self._place) from error
        if not self._place.secure:
            return stream
        try:
            secured = trio.SSLStream(
                stream, await self._trust(), server_hostname=self._place.host, https_compatible=True
            )
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            raise Outage("tls", f"tls: {tls_words(error.__cause__)}") from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured

    async def _trust(self) -> ssl.SSLContext:
        """The certificates to trust, read once."""
        if self._context is None:
            self._context = await trio.to_thread.run_sync(trust, self._ca_file)
        return self._context

    async def _upgrade(
        self, nursery: trio.Nursery, wire: Wire, token: str, deadline: float
    ) -> WebSocketConnection:
        """The HTTP upgrade, given up when the stream ends, which the library does not notice."""
        connection: WebSocketConnection | None = None
        with trio.CancelScope(deadline=deadline) as limit:
            async with trio.open_nursery() as race:
                race.start_soon(_cancel_when, wire.ended, race.cancel_scope)
                connection = await wrap_client_stream(
                    nursery,
                    wire,  # type: ignore[arg-type,unused-ignore] # any stream will do
                    self._place.header,
                    resource(self._place.path, self._api_key, token),
                    extra_headers=list(_HEADERS),
                    max_message_size=self._max_frame_bytes,
                    receive_buffer_size=READ_BYTES,
                )
                race.cancel_scope.cancel()
        if connection is None:
            if limit.cancelled_caught and wire.status is None:
                raise Outage("timeout", f"no answer to the upgrade within {self._limit:g} s")
            raise wire.refusal()
        wire.opened()
        return connection


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def trust(ca_file: "object | None") -> ssl.SSLContext:
    """The system's certificates and those of ``ca_file``; certificates and host names are checked.

    Raises:
        Outage: the file cannot be used.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(str(ca_file))
        except OSError as error:
            words = (error.strerror or "it holds no certificate in PEM").lower()
            if isinstance(error, ssl.SSLError):
                words = "it holds no certificate in PEM"
            raise Outage("tls", f"tls: cannot use ca_file {str(ca_file)!r}: {words}") from None
    return context


def tls_words(error: BaseException | None) -> str:
    """What went wrong in a TLS handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message.lower().rstrip('.')}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return "the server hung up during the handshake"


def unreachable(error: OSError, where: Place) -> Outage:
    """Why no TCP connection came about."""
    causes: list[BaseException] = [error]
    while causes:
        cause = causes.pop(0)
        if isinstance(cause, sockets.gaierror):
            return Outage(
                "dns", f"dns: cannot look up {where.host!r}: {(cause.strerror or 'unknown').lower()}"
            )
        if isinstance(cause, OSError) and cause.errno:
            words = os.strerror(cause.errno).lower()
            return Outage("unreachable", f"cannot reach {where.host} port {where.port}: {words}")
        if isinstance(cause, BaseExceptionGroup):
            causes += cause.exceptions
        if cause.__cause__ is not None:
            causes.append(cause.__cause__)
    return Outage("unreachable", f"cannot reach {where.host} port {where.port}")

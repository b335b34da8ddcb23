"""One client: messages come in by waiting, frames go out without. Its slowness is its own.

A frame is written to the socket at once. Only when the socket takes no more is the rest kept here, and a task lives
until it is written; in that time `Connection.offer` refuses data, so that a face merges what its client misses.
"""

import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import trio
from websockets.exceptions import ProtocolError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tickerd.plugin import Principal
from tickerd_plugins.websocket import frames
from tickerd_plugins.websocket.transport import Parts, Transport

CONTROL_FRAMES, CONTROL_BYTES = 256, 2**20
"""What `Connection.send` keeps for a client that takes nothing; with more it is cut off."""
MAX_FRAGMENTS = 1024
FRAMES_PER_S, FRAMES_AT_ONCE, PATIENCE_S = 200, 400, 2.0
"""Frames that are read from one client; what is more waits in its socket, though never for longer than that."""
REASON_BYTES = 123
_PING = frames.header(frames.PING, 0)
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


def _whole_window(extension: Extension) -> bool:
    """What is compressed once for all needs the whole window."""
    return isinstance(extension, PerMessageDeflate) and extension.local_max_window_bits == zlib.MAX_WBITS


class Gone(Exception):
    """The connection has ended: there is nothing more to receive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a client may take, in seconds."""

    stall: float = 5.0
    """For its socket to take something when it is full."""
    close: float = 2.0
    """To answer a close frame."""
    ping: float = 20.0
    """Between pings, and for each to be answered."""
    message: float = 10.0
    """From the first byte of a message to its last."""


class Host(Protocol):
    """What a connection needs of the server."""

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run it beside everything else."""
        ...

    def count(self, reason: str, n: int = 1) -> None:
        """Add to a counter."""
        ...

    def known(self, connection: "Connection", principal: Principal) -> bool:
        """Somebody has shown who he is; whether he may have one more connection."""
        ...


class Connection:
    """One client after its upgrade. Nothing in it waits but `receive`, `room` and `finish`."""

    def __init__(
        self,
        host: Host,
        transport: Transport,
        protocol: ServerProtocol,
        *,
        id: str,  # noqa: A002
        peer: str,
        face: str,
        timing: Timing,
    ) -> None:
        self.id = id
        self.peer = peer
        """For logs."""
        self.face = face
        self.principal: Principal | None = None
        self.is_open = True
        """False once it is closing or gone; what is offered or sent then goes nowhere."""
        self.clogged = False
        """Bytes wait here for the socket."""
        self.cleared: Callable[[], None] | None = None
        """Called each time nothing waits here any more: offer what was merged meanwhile."""
        self.opened = self.last_sent = trio.current_time()
        self.scope = trio.CancelScope()
        """Around the face's `serve`."""
        self.ended = ""
        """Why it is not open any more, in a word."""
        self.subprotocol = protocol.subprotocol
        self.deflates = any(_whole_window(one) for one in protocol.extensions)
        """Whether finished frames may be compressed."""
        self._host = host
        self._transport = transport
        self._protocol = protocol
        self._timing = timing
        self._waiting: deque[bytes | memoryview] = deque()
        self._control_frames = self._control_bytes = 0
        self._has_room = trio.Event()
        self._has_room.set()
        self._inbox: deque[str | bytes] = deque()
        self._fragments: list[Frame] = []
        self._incomplete_since: float | None = None
        self._pinged: float = self.opened
        self._unanswered: float | None = None
        self._reset = False
        self._budget, self._budget_at = float(FRAMES_AT_ONCE), self.opened
        transport.emit = self._emit

    # -- out ---------------------------------------------------------------------------------------------

    def offer(self, *parts: bytes) -> bool:
        """Send one finished frame, header included, if nothing waits; False: nothing of it was taken."""
        if self.clogged or not self.is_open:
            return False
        self.last_sent = trio.current_time()
        self._emit(self._transport.seal(parts))
        return True

    def send(self, *parts: bytes) -> None:
        """Send one finished frame, behind what waits: for what must not be lost.

        A client that lets more than `CONTROL_FRAMES` or `CONTROL_BYTES` wait is cut off.
        """
        if not self.is_open:
            return
        if self.clogged:
            self._control_frames += 1
            self._control_bytes += sum(map(len, parts))
            if self._control_frames > CONTROL_FRAMES or self._control_bytes > CONTROL_BYTES:
                self.abort("slow_client")
                return
        self.last_sent = trio.current_time()
        self._emit(self._transport.seal(parts))

    async def room(self) -> None:
        """Wait until nothing waits for the socket."""
        await trio.lowlevel.checkpoint()
        await self._has_room.wait()

    def _emit(self, sealed: Parts) -> None:
        if self._reset:
            return
        if self.clogged:
            self._waiting.extend(sealed)
            return
        try:
            rest = self._transport.push(sealed)
        except OSError:
            self.abort("gone")
            return
        if rest:
            self._waiting.extend(rest)
            self.clogged = True
            self._has_room = trio.Event()
            self._host.count("clogged")
            self._host.spawn(self._write_out)

    async def _write_out(self) -> None:
        """Lives from the first time that the socket takes no more until nothing waits."""
        while self._waiting:
            with trio.move_on_after(self._timing.stall) as limit:
                try:
                    await self._transport.writable()
                except (OSError, trio.ClosedResourceError):
                    self.abort("gone")
                    return
            if limit.cancelled_caught:
                self.abort("slow_client")
            if self._reset or not self._write_some():
                return
        self._control_frames = self._control_bytes = 0
        self.clogged = False
        if self.cleared is not None and self.is_open:
            self.cleared()
        if not self.clogged:
            self._has_room.set()

    def _write_some(self) -> bool:
        waiting, self._waiting = list(self._waiting), deque()
        try:
            while waiting:
                some = waiting[:64]  # the kernel takes a limited number of parts at once
                rest = self._transport.push(some)
                waiting[:64] = rest
                if rest:
                    break
        except OSError:
            self.abort("gone")
            return False
        self._waiting.extend(waiting)
        return True

    # -- in ----------------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        """The next message, whole.

        Raises:
            Gone: there will be none.
        """
        while not self._inbox:
            if not self.is_open:
                raise Gone
            await self._read()
        message = self._inbox.popleft()
        await trio.lowlevel.checkpoint()
        return message

    def allow(self, max_message: int) -> None:
        """Messages may have so many bytes from now on."""
        self._protocol.max_message_size = max_message

    async def _read(self) -> None:
        await self._slow_down()
        try:
            data = await self._transport.read()
        except (OSError, trio.ClosedResourceError):
            self.abort("gone")
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        protocol = self._protocol
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        events = [event for event in protocol.events_received() if isinstance(event, Frame)]
        for event in events:
            self._heard(event)
        self._answer()
        self._budget -= len(events)
        self._watch_message(completed=any(event.fin and event.opcode in _DATA for event in events))

    def _watch_message(self, *, completed: bool) -> None:
        """From the first byte of a message to its last there is a limit."""
        if self._protocol.current_size is None and not self._protocol.reader.buffer:
            self._incomplete_since = None
        elif self._incomplete_since is None or completed:
            self._incomplete_since = trio.current_time()

    def _answer(self) -> None:
        """Send what the protocol has to say: pongs, and the close frame that ends it."""
        written = [part for part in self._protocol.data_to_send() if part]
        if written and self.clogged:
            self.send(*written)
        elif written:
            self._emit(self._transport.seal(written))
        if self._protocol.state is not OPEN and self.is_open:
            received, sent = self._protocol.close_rcvd, self._protocol.close_sent
            wrong = sent is not None and received is None
            self._end(
                f"error_{sent.code}" if wrong and sent is not None else "closed" if received else "gone"
            )

    def _heard(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self._unanswered = None
        if frame.opcode not in _DATA or not self.is_open:
            return
        self._fragments.append(frame)
        if len(self._fragments) > MAX_FRAGMENTS:
            self._protocol.fail(1009, "too many fragments")
        if not frame.fin:
            return
        whole, self._fragments = self._fragments, []
        payload = bytes(whole[0].data) if len(whole) == 1 else b"".join(bytes(one.data) for one in whole)
        if whole[0].opcode is Opcode.BINARY:
            self._inbox.append(payload)
            return
        try:
            self._inbox.append(payload.decode())
        except UnicodeDecodeError:
            self._protocol.fail(1007, "invalid UTF-8")

    async def _slow_down(self) -> None:
        now = trio.current_time()
        self._budget = min(FRAMES_AT_ONCE, self._budget + (now - self._budget_at) * FRAMES_PER_S)
        self._budget_at = now
        if self._budget < 0:
            await trio.sleep(min(-self._budget / FRAMES_PER_S, PATIENCE_S))
            self._budget, self._budget_at = 0.0, trio.current_time()

    # -- who it is ---------------------------------------------------------------------------------------

    def known_as(self, principal: Principal) -> bool:
        """It has shown who it is; False: he has as many connections as he may, and this one is closed."""
        if self._host.known(self, principal):
            self.principal = principal
            return True
        self.close(4504, "connection_limit")
        return False

    # -- the end -----------------------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close; the reason is a short word first."""
        if not self.is_open:
            return
        text = reason.encode()[:REASON_BYTES].decode(errors="ignore")
        try:
            self._protocol.send_close(code, text)
        except ProtocolError:  # pragma: no cover - a code that the protocol does not allow
            self._protocol.send_close(1011)
        written = self._protocol.data_to_send()
        self.send(*written)
        self._end(reason.partition(" ")[0] or str(code))

    def abort(self, reason: str) -> None:
        """Cut the socket: nothing that waits is sent."""
        self._end(reason)
        if not self._reset:
            self._reset = True
            self._waiting.clear()
            self._transport.reset()
        self._has_room.set()

    def _end(self, why: str) -> None:
        if self.is_open:
            self.is_open = False
            self.ended = why
            self._inbox.clear()
            self.scope.cancel()

    async def finish(self) -> None:
        """After the face's `serve`: say and hear goodbye within the limit, and close the socket."""
        try:
            with trio.move_on_after(self._timing.close):
                await self.room()
                if self._protocol.eof_sent:
                    self._transport.shut()
                while not self._reset and not await self._is_over():
                    pass
        finally:
            if not self._reset:
                self._reset = True
                if self.clogged:
                    self._transport.reset()
                else:
                    self._transport.close()

    async def _is_over(self) -> bool:
        """Read on, only for the end: what was not read when a socket is closed makes the kernel cut it."""
        try:
            data = await self._transport.read()
        except (OSError, trio.ClosedResourceError):
            return True
        if not data:
            return True
        self._protocol.receive_data(data)
        self._protocol.events_received()
        self._protocol.data_to_send()
        if self._protocol.eof_sent:
            self._transport.shut()
        return False

    # -- looked after by the server ----------------------------------------------------------------------

    def tend(self, now: float) -> None:
        """Ping when it is time; end what has not answered, or does not finish its message."""
        if not self.is_open:
            return
        if self._unanswered is not None and now - self._unanswered >= self._timing.ping:
            self.close(4009, "heartbeat_timeout")
            self.abort("heartbeat_timeout")
        elif self._incomplete_since is not None and now - self._incomplete_since >= self._timing.message:
            self.close(1002, "incomplete_message")
        elif now - self._pinged >= self._timing.ping and self._unanswered is None:
            self._pinged = now
            if not self.clogged:
                self._unanswered = now
                self._emit(self._transport.seal((_PING,)))

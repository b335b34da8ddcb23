"""One open socket: reads frames, keeps the subscriptions, watches for silence."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import trio

from tickerd.plugin import SNAPSHOT, Batch, Mode, SourceContext
from tickerd.wire.kite import KITE, text
from tickerd_plugins.kite.liveness import Liveness
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.outage import Outage
from tickerd_plugins.kite.subscriptions import Tokens, applied, next_request

SNAPSHOT_WITHIN = 10.0
"""So many seconds after we asked, a token's first packet is not the broker's cached one any more."""
SEND_WITHIN = 10.0
"""A message that the broker does not take for so many seconds ends the connection."""


class Socket(Protocol):
    """An open WebSocket. Both methods raise `Outage` when it has ended."""

    async def receive(self) -> str | bytes:
        """The next message."""
        ...

    async def send(self, message: str) -> None:
        """Send a text message."""
        ...


class Wanted:
    """What one connection should carry; outlives its sockets."""

    def __init__(self) -> None:
        self.tokens: Tokens = {}
        self._changed = trio.Event()

    def set(self, tokens: Mapping[int, Mode]) -> None:
        """Replace it; whoever waits for a change wakes up."""
        if tokens != self.tokens:
            self.tokens = tokens
            self._changed.set()
            self._changed = trio.Event()

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()


class Listener(Protocol):
    """Who is told what a session sees."""

    def alive(self, ts_recv: int, *, feed: bool) -> None:
        """A frame came; ``feed`` when it is a tick frame or a heartbeat. Called before it is published."""
        ...

    def stale(self, silence: float) -> None:
        """No frame for so many seconds."""
        ...

    def publish(self, batch: Batch) -> None:
        """Hand it to the hub."""
        ...


Beside = Callable[["Session"], Awaitable[None]]


class Session:
    """One open socket. `run` ends by raising `Outage` (in an exception group) or by being cancelled."""

    def __init__(
        self,
        socket: Socket,
        *,
        number: int,
        wanted: Wanted,
        options: KiteOptions,
        ctx: SourceContext,
        listener: Listener,
    ) -> None:
        self.number = number
        self._socket = socket
        self._wanted = wanted
        self._options = options
        self._ctx = ctx
        self._listener = listener
        self._life = Liveness(options.stale_after, options.reconnect_after, trio.current_time())
        self._malformed = 0
        self._unseen: dict[int, float] = {}
        """Subscribed tokens without a packet so far, and when we asked."""
        self.have: dict[int, str] = {}
        """What this socket is subscribed to; see `next_request`."""
        self._end: Outage | None = None
        self._ending = trio.Event()
        self._settled = trio.Event()

    @property
    def synced(self) -> bool:
        """Everything that was wanted when it opened has been subscribed."""
        return self._settled.is_set()

    async def settled(self) -> None:
        """Wait until `synced`."""
        await self._settled.wait()

    @property
    def wanted(self) -> Tokens:
        """What it should be subscribed to."""
        return self._wanted.tokens

    @property
    def unconfirmed(self) -> list[int]:
        """Tokens that are subscribed but have not sent a packet on this socket."""
        return list(self._unseen)

    def is_quiet(self, token: int) -> bool:
        """Whether it is one of `unconfirmed`."""
        return token in self._unseen

    def end(self, outage: Outage) -> None:
        """Let `run` end with this, soon."""
        self._end = self._end or outage
        self._ending.set()

    async def _ended(self) -> None:
        await self._ending.wait()
        assert self._end is not None
        raise self._end

    async def run(self, beside: Beside | None = None) -> None:
        """Serve the socket until it ends, and run ``beside`` with it for as long."""
        async with trio.open_nursery() as nursery:
            if beside is not None:
                nursery.start_soon(beside, self)
            nursery.start_soon(self._ended)
            nursery.start_soon(self._subscribe)
            nursery.start_soon(self._watch)
            while True:
                self.take(await self._socket.receive())

    # -- reading: nothing here waits ---------------------------------------------------------------------

    def take(self, message: str | bytes) -> None:
        """Deal with one message.

        Raises:
            Outage: too many malformed frames in a row.
        """
        ts_recv = self._ctx.clock.now_ns()
        self._life.frame(trio.current_time())
        if isinstance(message, str):
            self._listener.alive(ts_recv, feed=False)
            self._text(message, ts_recv)
            return
        self._listener.alive(ts_recv, feed=True)
        if len(message) == 1:
            self._ctx.count("heartbeats")
        else:
            self._frame(message, ts_recv)

    def _text(self, message: str, ts_recv: int) -> None:
        record = text.record(message, connection=self.number, ts_recv=ts_recv)
        self._ctx.count("text_frames")
        self._listener.publish(Batch.control(record))

    def _frame(self, raw: bytes, ts_recv: int) -> None:
        batch = Batch.read(KITE, raw, connection=self.number, ts_recv=ts_recv)
        tokens, _, faults = batch.split
        self._ctx.count("frames")
        if tokens:
            if self._unseen and not self._unseen.keys().isdisjoint(tokens):
                batch.marks = self._snapshots(tokens)
            self._listener.publish(batch)
        if faults:
            self._malformed_frame(faults, usable=bool(tokens))
        else:
            self._malformed = 0

    def _snapshots(self, tokens: Sequence[int]) -> dict[int, int]:
        """Flags for the packets that are their token's first, when they are the broker's cached ones."""
        now = trio.current_time()
        marks: dict[int, int] = {}
        for index, token in enumerate(tokens):
            asked = self._unseen.pop(token, None)
            if asked is not None and now - asked <= SNAPSHOT_WITHIN:
                marks[index] = SNAPSHOT
        return marks

    def _malformed_frame(self, faults: Mapping[str, int], *, usable: bool) -> None:
        """Count it; a run of them means that this connection is out of step.

        Frames that are whole and of which something was usable do not add to the run: a new kind of packet
        must not end a feed that works.
        """
        for reason, n in faults.items():
            self._ctx.count(reason, n)
        if usable and "truncated" not in faults:
            return
        self._malformed += 1
        self._ctx.log.debug("malformed frame", faults=dict(faults), in_a_row=self._malformed)
        if self._malformed >= self._options.malformed_limit:
            raise Outage("malformed", f"{self._malformed} malformed frames in a row")

    # -- subscribing -------------------------------------------------------------------------------------

    async def _subscribe(self) -> None:
        """Keep the subscriptions as wanted. Looks at the newest wish before each message."""
        while True:
            request = next_request(self.have, self._wanted.tokens, self._options.subscribe_batch)
            if request is None:
                self._settled.set()
                await self._wanted.changed()
                continue
            # noted first: the answer can come before `send` returns
            applied(self.have, request)
            if request.after == "":
                self._unseen.update(dict.fromkeys(request.tokens, trio.current_time()))
            elif request.after is None:
                for token in request.tokens:
                    self._unseen.pop(token, None)
            await self._send(request.message)
            await trio.sleep(self._options.subscribe_pause)

    async def _send(self, message: str) -> None:
        with trio.move_on_after(SEND_WITHIN) as limit:
            await self._socket.send(message)
        if limit.cancelled_caught:
            raise Outage("write_stalled", f"the broker took no message for {SEND_WITHIN:g} s")

    # -- silence -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Tell of silence, and end the connection when it lasts."""
        while True:
            due = self._life.due()
            await trio.sleep_until(due)
            now = trio.current_time()
            silence = self._life.silence(now)
            verdict = self._life.check(due, now)
            if verdict == "stale":
                self._listener.stale(silence)
            elif verdict == "dead":
                raise Outage("silent", f"no frame for {silence:.3g} s")

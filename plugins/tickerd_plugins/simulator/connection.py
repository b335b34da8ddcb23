"""One WebSocket client of the simulator: what it subscribed to, and what waits to be sent to it."""

from collections import Counter, deque
from typing import Any, NamedTuple

import trio
from trio_websocket import WebSocketConnection

from tickerd.wire.kite import frame, text
from tickerd_plugins.simulator.faults import (
    Close,
    Drop,
    HalfOpen,
    Malformed,
    Mute,
    Slow,
    Targeted,
    Text,
    malformed_frame,
    text_frame,
)
from tickerd_plugins.simulator.shared import Shared
from tickerd_plugins.simulator.tap import Tap

DEFAULT_MODE = "quote"
HEARTBEAT = b"\0"
INFY = 408065
CLOSE_S = 2.0
_TORN_HEADER = b"\x82\x7f"


class TornFrame(NamedTuple):
    """The first half of a frame with this packet, then a reset."""

    packet: bytes


Frame = list[bytes] | bytes | str
"""The packets of one frame, or a ready binary or text frame."""
Item = Frame | Close | TornFrame
"""What waits for the socket."""


class Connection:
    """Speaks Kite's protocol over an accepted WebSocket. `run` serves it; nothing else waits."""

    def __init__(self, number: int, api_key: str, ws: WebSocketConnection, tap: Tap, shared: Shared) -> None:
        self.number = number
        self.api_key = api_key
        self.modes: dict[int, str] = {}
        """Token → mode."""
        self.pending: list[bytes] = []
        """Packets in this client's modes, not yet framed; see `market.Watcher`."""
        self.muted_until = 0.0
        """On trio's clock; infinity is until cleared."""
        self.counters: Counter[str] = Counter()
        self._ws = ws
        self._tap = tap
        self._shared = shared
        self._outbox: deque[tuple[Item, int]] = deque()
        self._queued = 0
        self._wakeup = trio.Event()
        self._active = False
        self._is_dropped = False

    @property
    def parked(self) -> bool:
        """Whether it is half-open: nothing is read from it or written to it."""
        return self._tap.parked

    @property
    def muted(self) -> bool:
        """Whether it is sent nothing now."""
        return max(self.muted_until, self._shared.muted_until) > trio.current_time()

    def state(self) -> dict[str, Any]:
        """What `GET /simulator/state` shows of it."""
        return {
            "connection": self.number,
            "api_key": self.api_key,
            "subscriptions": len(self.modes),
            "modes": dict(Counter(self.modes.values())),
            "queued_bytes": self._queued,
            "muted": self.muted,
            "half_open": self.parked,
            "bytes_per_second": self._tap.rate,
            "counters": dict(self.counters),
        }

    async def run(self) -> None:
        """Serve until the client leaves, which raises ``trio_websocket.ConnectionClosed``."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                while True:
                    self.handle(await self._ws.get_message())
                    self.flush()
                    self._shared.notify()
        finally:
            self._unsubscribe(tuple(self.modes))

    # -- what the client asks ----------------------------------------------------------------------------

    def handle(self, message: str | bytes) -> None:
        """Do what a message asks; one that asks nothing is ignored, as the broker does."""
        try:
            request = text.request(message)
        except ValueError:
            self._shared.counters["bad_requests"] += 1
            return
        if request.action == "unsubscribe":
            self._unsubscribe(request.tokens)
        else:
            self._subscribe(request.tokens, request.mode)

    def _subscribe(self, tokens: tuple[int, ...], mode: str | None) -> None:
        """Add what is new, set the mode if one is given, send a snapshot of whatever that changed."""
        now, surplus = self._shared.now(), 0
        for token in tokens:
            held = self.modes.get(token)
            wanted = mode or held or DEFAULT_MODE
            if held is None and len(self.modes) >= self._shared.options.max_tokens:
                surplus += 1
            elif held != wanted:
                self.modes[token] = wanted
                line = self._shared.market.line(token, now)
                if line is not None:
                    self._shared.market.watch(line, self, wanted)
                    if token not in self._shared.muted_tokens:
                        self.pending.append(line.snapshot(wanted))
        if surplus:
            limit = self._shared.options.max_tokens
            self.put(
                text_frame("error", f"Subscription limit of {limit} instruments reached, {surplus} left out.")
            )

    def _unsubscribe(self, tokens: tuple[int, ...]) -> None:
        for token in tokens:
            line = self._shared.market.line(token, 0) if self.modes.pop(token, None) else None
            if line is not None:
                self._shared.market.unwatch(line, self)

    # -- what is sent to it ------------------------------------------------------------------------------

    def flush(self) -> None:
        """Queue the pending packets, in frames of the largest size asked for."""
        if not self.pending:
            return
        packets, most = self.pending, self._shared.options.frame
        self.pending = []
        for start in range(0, len(packets), most):
            self.put(packets[start : start + most])

    def heartbeat(self) -> None:
        """Queue a heartbeat, unless something was queued since the last call."""
        if not self._active and not self._outbox:
            self.put(HEARTBEAT)
        self._active = False

    def put(self, item: Frame) -> None:
        """Queue a frame; a muted client gets none, one that does not read is dropped at the limit."""
        if self.muted or self.parked or self._is_dropped:
            return
        size = sum(map(len, item)) if isinstance(item, list) else len(item)
        if self._queued + size > self._shared.options.send_buffer and self._outbox:
            if self._tap.rate is not None:
                self._shared.counters["frames_lost_to_slow"] += 1
            else:
                self._shared.counters["dropped_slow_clients"] += 1
                self._is_dropped = True
                self._tap.reset()
            return
        self._active = True
        self._enqueue(item, size)

    def _enqueue(self, item: Item, size: int = 0) -> None:
        self._outbox.append((item, size))
        self._queued += size
        self._wakeup.set()

    async def _write(self) -> None:
        while True:
            while self._outbox:
                item, size = self._outbox.popleft()
                await self._send(item)
                self._queued -= size
            self._wakeup = trio.Event()
            await self._wakeup.wait()

    async def _send(self, item: Item) -> None:
        if isinstance(item, list):
            await self._send_packets(item)
        elif isinstance(item, str | bytes):
            await self._ws.send_message(item)
            self._count("heartbeats" if item == HEARTBEAT else "other_frames")
        elif isinstance(item, Close):
            with trio.move_on_after(CLOSE_S):
                await self._ws.aclose(item.code, item.reason or None)
            self._tap.reset()
        else:
            body = frame.join([item.packet] * 10)
            head = _TORN_HEADER + len(body).to_bytes(8, "big")
            await self._tap.send_all(head + body[: len(body) // 2 + 1])
            self._tap.reset()

    async def _send_packets(self, packets: list[bytes]) -> None:
        numbered, line = self._shared.numbered, ""
        if numbered is not None:
            packets, line = numbered.stamp(packets)
        await self._ws.send_message(frame.join(packets))
        if numbered is not None:
            numbered.sent(self._shared.clock.now_ns(), self.number, line)
        self._count("frames")
        self._count("packets", len(packets))

    def _count(self, what: str, n: int = 1) -> None:
        self.counters[what] += n
        self._shared.counters[what] += n

    # -- what goes wrong with it -------------------------------------------------------------------------

    def inject(self, fault: Targeted) -> None:
        """Let a fault happen to this connection."""
        match fault:
            case Mute():
                self.muted_until = fault.until(trio.current_time())
            case Drop(mid_frame=True):
                self._enqueue(TornFrame(self._good_packet()))
            case Drop():
                self._tap.reset()
            case Close():
                self._enqueue(fault)
            case HalfOpen():
                self._tap.park()
            case Slow():
                self._tap.limit(fault.bytes_per_second)
            case Malformed():
                self.put(malformed_frame(fault.kind, self._good_packet()))
            case Text():
                self.put(text_frame(fault.kind, fault.data))

    def clear(self) -> None:
        """Lift every fault that lasts."""
        self.muted_until = 0.0
        self._tap.release()

    def _good_packet(self) -> bytes:
        """The packet of something it watches, in its mode, else one of INFY."""
        token, mode = next(iter(self.modes.items()), (INFY, DEFAULT_MODE))
        line = self._shared.market.line(token, self._shared.now())
        return line.snapshot(mode) if line is not None else bytes(8)

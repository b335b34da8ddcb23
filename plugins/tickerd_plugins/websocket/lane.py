"""What one client is sent with one delivery and interval, and what waits for it while it is slow."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import trio

from tickerd_plugins.websocket.encoding import Body
from tickerd_plugins.websocket.groups import IDENT, PIECE, ROWS, SEQ, Ident, Kind, Row, bodies

LAG_S, LAGGING = 1.0, 3
"""A client that is so late, so many times on end, is told how much was merged when it has caught up."""


class Outlet(Protocol):
    """The client's side."""

    @property
    def is_open(self) -> bool:
        """Whether anything can still be sent."""
        ...

    def offer(self, body: Body) -> bool:
        """Send rows if they can be taken now."""
        ...

    def tell_gap(self, **about: Any) -> None:
        """Say that something is missing, or was merged."""
        ...

    def evict(self) -> None:
        """It is too slow."""
        ...


@dataclass(frozen=True, slots=True)
class Backpressure:
    """What may wait for a client that wants every tick."""

    size: int
    age: float
    disconnect: bool


class Lane:
    """See `tickerd_plugins.websocket.groups.Member`.

    Args:
        kind: what it has in common with others.
        outlet: where rows go.
        limit: where every tick counts.
        count: adds to a counter.
    """

    __slots__ = (
        "_count", "_lagging", "_limit", "_lost", "_outlet", "_queue", "_since", "_size", "_slots", "held", "kind",
    )  # fmt: skip

    def __init__(
        self, kind: Kind, outlet: Outlet, limit: Backpressure, count: Callable[[str, int], None]
    ) -> None:
        self.kind = kind
        self.held = False
        """Everything waits: what came before is being sent."""
        self._outlet = outlet
        self._limit = limit
        self._count = count
        self._slots: dict[Ident, Row] = {}
        self._queue: deque[tuple[float, Sequence[Row]]] = deque()
        self._size = 0
        self._since = 0.0
        self._lagging = 0
        self._lost: list[int] = []
        """First and last seq of what was merged or dropped, and how many."""

    @property
    def waits(self) -> bool:
        """Whether rows wait here."""
        return bool(self._slots or self._queue)

    def deliver(self, rows: Sequence[Row], ready: Sequence[Body]) -> None:
        """See `Member.deliver`."""
        if self.held or self.waits:
            self._keep(rows)
            return
        for place, body in enumerate(ready):
            if not self._outlet.offer(body):
                self._keep(rows[place * ROWS :])
                return

    def catch_up(self) -> None:
        """More can be sent: send what waits."""
        if self.held:
            return
        done = self._send_queue() if self.kind.stream else self._send_slots()
        if done and self._lost:
            self._tell()

    def forget(self, idents: set[Ident]) -> None:
        """Of these nothing shall be sent any more."""
        for ident in idents:
            self._slots.pop(ident, None)
        if self._queue:
            kept = [(when, [row for row in rows if row[IDENT] not in idents]) for when, rows in self._queue]
            self._queue = deque(pair for pair in kept if pair[1])
            self._size = sum(len(row[PIECE]) for _, rows in self._queue for row in rows)

    # -- waiting -----------------------------------------------------------------------------------------

    def _keep(self, rows: Sequence[Row]) -> None:
        if not rows or not self._outlet.is_open:
            return
        now = trio.current_time()
        if not self.waits:
            self._since, self._lagging = now, 0
        elif now - self._since > LAG_S:
            self._lagging += 1
        if self.kind.stream:
            self._keep_all(rows, now)
        else:
            self._keep_newest(rows)

    def _keep_newest(self, rows: Sequence[Row]) -> None:
        slots = self._slots
        for row in rows:
            old = slots.pop(row[IDENT], None)
            if old is not None:
                self._lose(old, "merged")
            slots[row[IDENT]] = row

    def _keep_all(self, rows: Sequence[Row], now: float) -> None:
        self._queue.append((now, rows))
        self._size += sum(len(row[PIECE]) for row in rows)
        while self._size > self._limit.size or now - self._queue[0][0] > self._limit.age:
            if self._limit.disconnect:
                self._outlet.evict()
                self._queue.clear()
                return
            _, oldest = self._queue.popleft()
            self._size -= sum(len(row[PIECE]) for row in oldest)
            for row in oldest:
                self._lose(row, "dropped")
            if not self._queue:
                return

    def _lose(self, row: Row, how: str) -> None:
        self._count(f"rows_{how}", 1)
        if not self._lost:
            self._lost = [row[SEQ], row[SEQ], 0]
        self._lost[0] = min(self._lost[0], row[SEQ])
        self._lost[1] = max(self._lost[1], row[SEQ])
        self._lost[2] += 1

    # -- catching up -------------------------------------------------------------------------------------

    def _send_slots(self) -> bool:
        rows = list(self._slots.values())
        rest = self._offer(rows)
        self._slots = {row[IDENT]: row for row in rest}
        return not rest

    def _send_queue(self) -> bool:
        while self._queue:
            when, rows = self._queue.popleft()
            self._size -= sum(len(row[PIECE]) for row in rows)
            rest = self._offer(rows)
            if rest:
                self._queue.appendleft((when, rest))
                self._size += sum(len(row[PIECE]) for row in rest)
                return False
        return True

    def _offer(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Send them; what could not be sent."""
        if rows:
            for place, body in enumerate(bodies(self.kind.encoding, rows)):
                if not self._outlet.offer(body):
                    return rows[place * ROWS :]
        return ()

    def _tell(self) -> None:
        (since, until, many), self._lost = self._lost, []
        if self.kind.stream:
            self._outlet.tell_gap(reason="slow_client", since=since, until=until, dropped=many)
        elif self._lagging >= LAGGING:
            self._outlet.tell_gap(reason="slow_client", since=since, until=until, conflated=many)

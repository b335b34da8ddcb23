"""A bounded buffer between the hub and one consumer, with four ways of being full."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import trio

from tickerd.plugin import AnyRecord, Batch, Gap, Origin, Overflow, Position, Tick

MAX_RECORDS = 10_000
"""Control records kept for a consumer that does not read; the oldest go first, counted."""
_LAGGING = 8
"""Batches in the queue from which on a batch is kept without its decoded copies."""
_SLOT_BYTES = 400


@dataclass(frozen=True)
class Filter:
    """Which part of the stream a consumer wants."""

    ticks: bool = True
    tokens: Callable[[], Collection[int] | None] = lambda: None
    """Called for each batch, because a daily dump changes tokens; None is all."""
    records: Callable[[AnyRecord], bool] | None = None
    """None is all."""

    def __call__(self, batch: Batch) -> Batch | None:
        """The wanted part, or None when nothing of it is."""
        if not self.ticks:
            return batch.only((), self.records) if batch.records else None
        tokens = self.tokens()
        if tokens is None:
            if self.records is None or not batch.records:
                return batch
            tokens = batch.split.tokens
        return batch.only(tokens, self.records)


class Spilled(Exception):
    """The subscription overflowed; what it missed is in the journal."""


class Subscription:
    """Fed by the hub with `offer`, which never waits; read by one task with `receive`.

    ``conflate`` keeps the newest tick of each instrument. ``drop_oldest`` and ``drop_newest`` keep whole
    batches. ``disconnect`` breaks the subscription. Each drop is counted and told by a gap record among what
    is received next; a merge is counted only. ``spill`` is for consumers that can read the journal instead:
    what was queued is let go and `receive` raises `Spilled`.
    """

    def __init__(
        self,
        name: str,
        overflow: Overflow | Literal["spill"],
        buffer: int,
        filter: Filter,  # noqa: A002
        joined: Position,
        closed: Callable[["Subscription"], None],
    ) -> None:
        self.name = name
        self.overflow = overflow
        self.buffer = buffer
        self.dropped = 0
        """Ticks lost because the buffer was full."""
        self.merged = 0
        """Ticks replaced by a newer one of their instrument; only with ``conflate``."""
        self.expired = 0
        """Ticks that were too old to be offered again."""
        self.queued_bytes = 0
        self.queued_ticks = 0
        self._filter = filter
        self._closed = closed
        self._batches: deque[Batch] = deque()
        self._slots: dict[tuple[str, int], tuple[bytes, int, Origin, int]] = {}
        self._records: deque[AnyRecord] = deque()
        self._gap: Gap | None = None
        self._last_taken = joined
        self._last_offered = joined
        self._ready = trio.Event()
        self._enough = trio.Event()
        self._threshold: int | None = None
        self._ended = False
        self._broken = False
        self._spilled = False

    # -- the hub's side --------------------------------------------------------------------------------

    def offer(self, batch: Batch) -> None:
        """Take what the filter lets through, dropping by the policy when there is no room."""
        if self._ended or self._spilled:
            return
        wanted = self._filter(batch)
        if wanted is None:
            return
        if self._broken:
            self._lose(len(wanted), self._last_taken, _when(wanted))
            return
        self._keep_records(wanted)
        if wanted.origin is not None or wanted.ticks:
            if self.overflow == "conflate":
                self._conflate(wanted)
            else:
                self._enqueue(wanted)
        self._last_offered = wanted.last
        self._ready.set()
        if self._threshold is not None and self.queued_ticks >= self._threshold:
            self._enough.set()

    def end(self) -> None:
        """Nothing more will come; what is queued can still be received."""
        self._ended = True
        self._ready.set()
        self._enough.set()

    def _keep_records(self, batch: Batch) -> None:
        if not batch.records:
            return
        self._records.extend(batch.records)
        while len(self._records) > MAX_RECORDS:
            lost = self._records.popleft()
            self._lose(1, Position(lost.epoch, lost.seq - 1), lost.ts_recv)

    def _enqueue(self, batch: Batch) -> None:
        size, count = batch.nbytes, len(batch) - len(batch.records)
        if self.queued_bytes + size > self.buffer:
            if self.overflow == "spill":
                self._spilled = True
                self._clear()
                return
            if self.overflow == "disconnect":
                self._broken = True
                self._lose(count + self.queued_ticks, self._last_taken, _when(batch))
                self._batches.clear()
                self.queued_bytes = self.queued_ticks = 0
                return
            if self.overflow == "drop_newest" or size > self.buffer:
                self._lose(count, self._last_offered, _when(batch))
                return
            while self._batches and self.queued_bytes + size > self.buffer:
                self._drop_oldest()
        self._batches.append(batch if len(self._batches) < _LAGGING else batch.bare())
        self.queued_bytes += size
        self.queued_ticks += count

    def _drop_oldest(self) -> None:
        oldest = self._batches.popleft()
        count = len(oldest) - len(oldest.records)
        self.queued_bytes -= oldest.nbytes
        self.queued_ticks -= count
        self._lose(count, self._last_taken, _when(oldest))

    def _conflate(self, batch: Batch) -> None:
        for tick in batch.ticks:
            origin = tick.origin
            key = (origin.namespace, tick.instrument_token)
            if key in self._slots:
                self.merged += 1
                del self._slots[key]  # so that the order stays that of arrival
            elif (len(self._slots) + 1) * _SLOT_BYTES > self.buffer:
                self._lose(1, self._last_offered, origin.ts_recv)
                continue
            self._slots[key] = (tick.packet, tick.index, origin, tick.marks)
        self.queued_ticks = len(self._slots)
        self.queued_bytes = self.queued_ticks * _SLOT_BYTES

    def _lose(self, count: int, after: Position, when_ns: int | None, reason: str = "slow_consumer") -> None:
        """Add to the hole that is open, or open one after the given position."""
        self.dropped += count
        if self._gap is None:
            self._gap = Gap(
                source=self.name,
                ts_recv=when_ns or 0,
                epoch=after.epoch,
                seq=after.seq,
                reason=reason,
                since_ns=when_ns,
                after=(after.epoch, after.seq),
                lost=0,
            )
        self._gap.lost = (self._gap.lost or 0) + count
        self._gap.until_ns = when_ns

    # -- the consumer's side ---------------------------------------------------------------------------

    async def receive(self, max_ticks: int = 10_000, max_wait: float = 0) -> Batch:
        """What has come, as one batch; waits for something, then up to ``max_wait`` seconds for more.

        Raises:
            trio.EndOfChannel: it has ended and everything was received.
            trio.BrokenResourceError: it overflowed and the policy is ``disconnect``.
        """
        if self._empty() and not self._ended:
            await self._ready.wait()
        else:
            await trio.lowlevel.checkpoint()
        if max_wait and not self._ended and not self._broken and self.queued_ticks < max_ticks:
            self._threshold, self._enough = max_ticks, trio.Event()
            with trio.move_on_after(max_wait):
                await self._enough.wait()
            self._threshold = None
        if self._spilled:
            raise Spilled
        if self._broken:
            self._broken = False  # the consumer that comes back begins with what is published from then on
            self._ready = trio.Event()
            raise trio.BrokenResourceError(f"{self.name} fell behind by more than {self.buffer} bytes")
        if self._empty():
            raise trio.EndOfChannel
        return self._take(max_ticks)

    async def receive_batches(self, max_ticks: int = 10_000) -> list[Batch]:
        """Like `receive`, as whole batches: records in one of their own, then the ticks as they were published."""
        whole = await self._wait_for_whole()
        return self._take_whole(max_ticks) if whole else [await self.receive(max_ticks)]

    async def _wait_for_whole(self) -> bool:
        if self._empty() and not self._ended:
            await self._ready.wait()
        else:
            await trio.lowlevel.checkpoint()
        return bool(self._batches) and not (self._spilled or self._broken)

    def alter(self, overflow: Overflow, buffer: int, filter: Filter) -> None:  # noqa: A002
        """Go on by other rules; what is queued stays, and is received first."""
        self.overflow, self.buffer, self._filter = overflow, buffer, filter
        if self._slots and overflow != "conflate":
            self.put_back(Batch(ticks=self._take_slots(len(self._slots)), last=self._last_taken))

    def put_back(self, batch: Batch) -> None:
        """Return what was received and could not be handed on; it is received first the next time."""
        self._records.extendleft(reversed(batch.records))
        if batch.ticks:
            parcel = Batch(ticks=batch.ticks, last=batch.last)
            self._batches.appendleft(parcel)
            self.queued_bytes += parcel.nbytes
            self.queued_ticks += len(parcel.ticks)
        self._ready.set()

    def renew(self, batch: Batch, oldest_ns: int | None) -> Batch:
        """What to offer in place of a batch that was not taken.

        With ``conflate`` the newest tick of each instrument that is in it or has come since. Ticks received before
        ``oldest_ns`` are left out, counted as `expired`; what is left may be empty.
        """
        ticks = batch.ticks
        if oldest_ns is not None:
            ticks = [tick for tick in ticks if tick.ts_recv >= oldest_ns]
            self.expired += len(batch.ticks) - len(ticks)
        if self.overflow != "conflate" or not self._slots:
            unchanged = len(ticks) == len(batch.ticks)
            return batch if unchanged else Batch(ticks=ticks, records=batch.records, last=batch.last)
        old = [tick for tick in ticks if (tick.origin.namespace, tick.instrument_token) not in self._slots]
        self.merged += len(ticks) - len(old)
        newer = self._take(len(self._slots))
        records = [*batch.records, *newer.records]
        return Batch(ticks=[*old, *newer.ticks], records=records, last=max(batch.last, newer.last))

    def forfeit(self, batch: Batch) -> int:
        """How much is lost when the consumer is stopped with this batch in hand: it, and what is queued."""
        return len(batch) + self.queued_ticks

    def discard(self, batch: Batch, reason: str) -> None:
        """Give up what was received; it is counted and told like any other drop."""
        first = [tick.position for tick in batch.ticks[:1]]
        first += [Position(record.epoch, record.seq) for record in batch.records[:1]]
        position = min(first, default=batch.last)
        self._lose(len(batch), Position(position.epoch, position.seq - 1), None, reason)
        self._ready.set()

    def close(self) -> None:
        """Leave the hub; what is queued is gone."""
        self._ended = True
        self._clear()
        self._closed(self)

    @property
    def waits(self) -> bool:
        """Whether there is something to receive."""
        return not self._empty()

    def _empty(self) -> bool:
        return not (
            self._batches or self._slots or self._records or self._gap or self._broken or self._spilled
        )

    def _take(self, max_ticks: int) -> Batch:
        records = self._take_records()
        ticks = self._take_batches(max_ticks) if self._batches else self._take_slots(max_ticks)
        batch = Batch(ticks=ticks, records=records, last=self._last_taken)
        if not (self._batches or self._slots):
            batch.last = self._last_taken = max(self._last_taken, self._last_offered)
            if not self._ended:
                self._ready = trio.Event()
        return batch

    def _take_records(self) -> list[AnyRecord]:
        records: list[AnyRecord] = [] if self._gap is None else [self._gap]
        self._gap = None
        records += self._records
        self._records.clear()
        return records

    def _take_whole(self, max_ticks: int) -> list[Batch]:
        records = self._take_records()
        found = [Batch(ticks=(), records=records, last=self._last_taken)] if records else []
        ticks = 0
        while self._batches and (not ticks or ticks < max_ticks):
            batch = self._batches.popleft()
            self.queued_bytes -= batch.nbytes
            self._last_taken = batch.last
            ticks += len(batch) - len(batch.records)
            found.append(batch if not batch.records else Batch(ticks=batch.ticks, last=batch.last))
        self.queued_ticks -= ticks
        if not self._batches and not self._ended:
            self._ready = trio.Event()
        return found

    def _take_batches(self, max_ticks: int) -> list[Tick]:
        ticks: list[Tick] = []
        while self._batches and (not ticks or len(ticks) < max_ticks):
            batch = self._batches.popleft()
            self.queued_bytes -= batch.nbytes
            self._last_taken = batch.last
            ticks += batch.ticks
        self.queued_ticks -= len(ticks)
        return ticks

    def _take_slots(self, max_ticks: int) -> list[Tick]:
        if not self._slots:
            return []
        keys = list(islice(self._slots, max_ticks))
        taken = [(key[1], self._slots.pop(key)) for key in keys]
        self.queued_ticks = len(self._slots)
        self.queued_bytes = self.queued_ticks * _SLOT_BYTES
        ticks = [Tick(token, packet, index, origin, marks) for token, (packet, index, origin, marks) in taken]
        self._last_taken = max(self._last_taken, *(tick.position for tick in ticks))
        return ticks

    def _clear(self) -> None:
        self._batches.clear()
        self._slots.clear()
        self._records.clear()
        self.queued_bytes = self.queued_ticks = 0


def _when(batch: Batch) -> int | None:
    """When it was received; None for one that is not a single network read."""
    return None if batch.origin is None else batch.origin.ts_recv

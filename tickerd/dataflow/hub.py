"""The hub: gives everything that is published its position, keeps the last value, and never waits."""

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Literal

from tickerd.dataflow.subscription import Filter, Subscription
from tickerd.instruments import Namespace
from tickerd.plugin import AnyRecord, Batch, Gap, Instrument, Origin, Overflow, Position, Tick

Latest = dict[int, tuple[bytes, int, Origin]]
"""Token → (its newest packet, its index in that read, what that read had in common)."""

Publish = Callable[[Batch], None]


class Totals:
    """What has passed through, since the start."""

    __slots__ = ("batches", "bytes", "gaps", "last_tick_ns", "records", "ticks")

    def __init__(self) -> None:
        self.ticks = self.records = self.batches = self.bytes = self.gaps = 0
        self.last_tick_ns: int | None = None


class Hub:
    """One per daemon. Everything in it is synchronous and happens on the loop, in one step per batch."""

    def __init__(self, epoch: int, record: Publish | None = None) -> None:
        self.epoch = epoch
        self.record = record
        """The journal's `append`: called with each batch before any subscription is."""
        self._seq = 0
        self._latest: dict[str, Latest] = {}
        self._subscriptions: tuple[Subscription, ...] = ()
        self.totals = Totals()
        self.by_source: dict[str, Totals] = {}

    @property
    def position(self) -> Position:
        """Of the last tick or record that was published."""
        return Position(self.epoch, self._seq)

    def publish(self, batch: Batch, source: str, namespace: Namespace | None = None) -> None:
        """Stamp the batch, remember its ticks as the newest, and offer it to every subscription.

        Only a batch without ticks may come without the namespace of its instruments.
        """
        count = len(batch)
        if not count:
            return
        first, self._seq = self._seq + 1, self._seq + count
        batch.last = Position(self.epoch, self._seq)
        if batch.origin is not None:
            assert namespace is not None
            self._stamp_ticks(batch, batch.origin, first, source, namespace)
        self._stamp_records(batch.records, self._seq - len(batch.records), source)
        for totals in (self.totals, self.by_source.setdefault(source, Totals())):
            totals.batches += 1
            totals.ticks += count - len(batch.records)
            totals.records += len(batch.records)
            totals.bytes += len(batch.raw or b"")
            if batch.origin is not None:
                totals.last_tick_ns = batch.origin.ts_recv
        if self.record is not None:
            self.record(batch)
        for subscription in self._subscriptions:
            subscription.offer(batch)

    def publish_records(self, *records: AnyRecord) -> None:
        """Publish records of our own, which name their source themselves."""
        self.publish(Batch.control(*records), records[0].source or "")

    def subscribe(
        self,
        name: str,
        overflow: Overflow | Literal["spill"],
        buffer: int,
        filter: Filter | None = None,  # noqa: A002
    ) -> tuple[Position, Subscription]:
        """Join: the position of the last record, and everything after it, in one step. Close it when done."""
        subscription = Subscription(name, overflow, buffer, filter or Filter(), self.position, self._drop)
        self._subscriptions = (*self._subscriptions, subscription)
        return self.position, subscription

    def latest(self, namespace: str, tokens: Iterable[int]) -> list[Tick]:
        """The newest tick of each of these instruments that has one."""
        table = self._latest.get(namespace, {})
        found = ((token, table.get(token)) for token in tokens)
        return [Tick(token, entry[0], entry[1], entry[2]) for token, entry in found if entry is not None]

    def heard(self, instrument: Instrument) -> tuple[int, int | None] | None:
        """When it ticked last, in nanoseconds since 1970 UTC, and over which connection; None: never."""
        entry = self._latest.get(instrument.namespace, {}).get(instrument.token)
        return None if entry is None else (entry[2].ts_recv, entry[2].connection)

    def price(self, instrument: Instrument) -> float | None:
        """Its last price; None when there was no tick of it yet."""
        tick = next(iter(self.latest(instrument.namespace, (instrument.token,))), None)
        return None if tick is None or tick.symbol not in (None, instrument.symbol) else tick.last_price

    def forget_renamed(self, namespace: Namespace) -> None:
        """Another table: a tick whose token now names something else is nobody's newest any more."""
        latest, now = self._latest.get(namespace.name, {}), namespace.by_token
        for token, (_, _, origin) in list(latest.items()):
            before, after = origin.instruments.get(token), now.get(token)
            if before is not None and (after is None or after.symbol != before.symbol):
                del latest[token]

    def ticking(self) -> int:
        """How many instruments have had a tick."""
        return sum(map(len, self._latest.values()))

    def close(self) -> None:
        """Nothing more will come: each subscription ends when its consumer has read what is left."""
        for subscription in self._subscriptions:
            subscription.end()

    def _drop(self, subscription: Subscription) -> None:
        self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)

    def _stamp_ticks(
        self, batch: Batch, origin: Origin, first: int, source: str, namespace: Namespace
    ) -> None:
        origin.source, origin.epoch, origin.seq = source, self.epoch, first
        origin.namespace, origin.instruments = namespace.name, namespace.by_token
        latest = self._latest.setdefault(namespace.name, {})
        tokens, packets, _ = batch.split
        previous = [entry and entry[0] for entry in map(latest.get, tokens)]
        marks = origin.codec.marks(packets, previous)
        if marks or batch.marks:
            batch.marks = {i: marks.get(i, 0) | batch.marks.get(i, 0) for i in {*marks, *batch.marks}}
        latest.update(zip(tokens, zip(packets, range(len(tokens)), repeat(origin)), strict=False))

    def _stamp_records(self, records: Iterable[AnyRecord], before: int, source: str) -> None:
        for seq, record in enumerate(records, before + 1):
            record.epoch, record.seq = self.epoch, seq
            record.source = record.source or source
            if isinstance(record, Gap):
                self.totals.gaps += 1
                record.after = record.after or (self.epoch, seq - 1)

"""An ordered run of ticks or control records: what a source publishes, and what a sink is handed."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any, Self

import msgspec

from tickerd.plugin.codec import Codec, Run, Split
from tickerd.plugin.plain import PLAIN
from tickerd.plugin.position import Position
from tickerd.plugin.records import AnyRecord
from tickerd.plugin.row import Row
from tickerd.plugin.tick import Origin, Tick

_json = msgspec.json.Encoder()
AT_ONCE = 256
"""Rows that are encoded in one call, which holds the interpreter: more would delay the loop, and not fit the
processor's caches."""


class Batch:
    """An ordered run of ticks or control records; what one network read produced, or what a sink is handed.

    A source builds one with `read`, `of` or `control` and publishes it. A sink reads ``ticks``, ``records``
    and ``last``. The ticks are built when somebody asks for them.
    """

    __slots__ = ("_split", "_ticks", "last", "marks", "origin", "raw", "records")

    def __init__(
        self,
        *,
        ticks: Sequence[Tick] | None = None,
        records: Sequence[AnyRecord] = (),
        origin: Origin | None = None,
        raw: bytes | None = None,
        last: Position = Position(0, 0),  # noqa: B008 - a NamedTuple is immutable
    ) -> None:
        self._ticks = ticks
        self._split: Split | None = None
        self.records = records
        self.origin = origin
        """Set when everything in it came from one network read."""
        self.raw = raw
        """The bytes of that read, in ``origin.codec``."""
        self.marks: Mapping[int, int] = {}
        """Flags by index of the tick, sparse."""
        self.last = last
        """Position of the last tick or record in it; (0, 0) until it is published."""

    # -- built by sources ------------------------------------------------------------------------------

    @classmethod
    def read(cls, codec: Codec, raw: bytes, *, connection: int | None, ts_recv: int) -> Self:
        """What one network read produced; ``ts_recv`` in nanoseconds since 1970 UTC."""
        batch = cls(origin=Origin(codec, connection, ts_recv), raw=raw)
        batch._split = codec.split(raw)
        return batch

    @classmethod
    def of(cls, rows: Iterable[Row], *, connection: int | None = None, ts_recv: int = 0) -> Self:
        """Ticks from plain values, for a source that has no wire format of its own."""
        rows = list(rows)
        split = Split([row.instrument_token for row in rows], [PLAIN.packet(row) for row in rows])
        batch = cls(origin=Origin(PLAIN, connection, ts_recv), raw=PLAIN.join(split.tokens, split.packets))
        batch._split = split
        return batch

    @classmethod
    def control(cls, *records: AnyRecord) -> Self:
        """Control records only."""
        return cls(ticks=(), records=records)

    # -- read by sinks ---------------------------------------------------------------------------------

    @property
    def split(self) -> Split:
        """Tokens and packets of the network read; empty for a batch that is not one."""
        if self._split is None:
            if self.origin is None or self.raw is None:
                return Split((), ())
            self._split = self.origin.codec.split(self.raw)
        return self._split

    @property
    def ticks(self) -> Sequence[Tick]:
        """Its ticks, in order; the same objects for everyone who holds this batch."""
        if self._ticks is None:
            if self.origin is None:
                return ()
            tokens, packets, _ = self.split
            many = len(tokens)
            self._ticks = list(
                map(Tick, tokens, packets, range(many), repeat(self.origin), self._flags(many))
            )
        return self._ticks

    def runs(self) -> Iterator[Run]:
        """Its ticks side by side, network read by network read: for encoders that take many at once."""
        if self._ticks is not None or self.origin is None:
            yield from _runs(self.ticks)
            return
        tokens, packets, _ = self.split
        first, many = self.origin.seq, len(tokens)
        yield _run(self.origin, tokens, packets, range(first, first + many), self._flags(many))

    def _flags(self, many: int) -> Sequence[int]:
        flags = [0] * many
        for index, bits in self.marks.items():
            flags[index] = bits
        return flags

    def rows(self) -> list[Row]:
        """The row of each tick, decoded at once and not kept: faster than asking each tick."""
        return [row for run in self.runs() for row in run.rows()]

    def lines(self) -> bytes:
        """The `Tick.json` of each tick with a line feed after it: the fast way to write all of them.

        What ticks have encoded already for others is used again; what is encoded here is not kept.
        """
        if self._ticks is not None and any(tick._json is not None for tick in self._ticks):
            return b"".join([part for tick in self._ticks for part in (tick.json, b"\n")])
        return b"".join(
            [_json.encode_lines(part.rows()) for run in self.runs() for part in run.parts(AT_ONCE)]
        )

    def __len__(self) -> int:
        """Ticks and records."""
        count = len(self.split.tokens) if self._ticks is None else len(self._ticks)
        return count + len(self.records)

    @property
    def nbytes(self) -> int:
        """What it holds while it waits in a queue, in bytes (an estimate on the safe side)."""
        body = len(self.raw) if self.raw is not None else sum(len(t.packet) + 120 for t in self._ticks or ())
        return body + 256 + 512 * len(self.records)

    def bare(self) -> "Batch":
        """The same batch without what was cached in it; a queue that falls behind keeps these."""
        if self.raw is not None:
            copy = Batch(origin=self.origin, raw=self.raw, records=self.records, last=self.last)
            copy.marks = self.marks
            return copy
        return Batch(ticks=[t.bare() for t in self.ticks], records=self.records, last=self.last)

    def only(self, tokens: Collection[int], keep: Callable[[Any], bool] | None = None) -> "Batch | None":
        """The part that concerns these tokens (and the records that ``keep`` wants), or None when empty."""
        ticks = [tick for tick in self.ticks if tick.instrument_token in tokens]
        records = [r for r in self.records if keep(r)] if keep is not None else self.records
        if not ticks and not records:
            return None
        return Batch(ticks=ticks, records=records, last=self.last)

    @staticmethod
    def merged(batches: Sequence["Batch"]) -> "Batch":
        """One batch out of several consecutive ones; the batch itself when there is only one."""
        if len(batches) == 1:
            return batches[0]
        return Batch(
            ticks=[tick for batch in batches for tick in batch.ticks],
            records=[record for batch in batches for record in batch.records],
            last=max(batch.last for batch in batches),
        )


def _run(
    origin: Origin, tokens: Iterable[int], packets: Sequence[bytes], seqs: Sequence[int], flags: Sequence[int]
) -> Run:
    found = map(origin.instruments.get, tokens)
    symbols = [None if instrument is None else instrument.symbol for instrument in found]
    stamp = (origin.source, origin.connection, origin.ts_recv, origin.epoch)
    return Run(origin.codec, stamp, packets, symbols, seqs, flags)


def _runs(ticks: Iterable[Tick]) -> Iterator[Run]:
    for origin, group in groupby(ticks, attrgetter("origin")):
        part = list(group)
        yield _run(
            origin,
            [tick.instrument_token for tick in part],
            [tick.packet for tick in part],
            [origin.seq + tick.index for tick in part],
            [tick.marks for tick in part],
        )

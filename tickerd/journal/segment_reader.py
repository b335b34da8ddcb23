"""Reading one segment back: batches from a position or a time on, and what could not be read.

Synchronous, for threads. Memory is bounded by a chunk, or by one batch where that is larger.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tickerd.journal.files import Files
from tickerd.journal.format import Damage, Record, extent
from tickerd.journal.index import Point
from tickerd.journal.scan import Scanner, record_at
from tickerd.journal.segment import Decoder
from tickerd.journal.segment_file import SegmentFile
from tickerd.plugin import Batch, Codec, Position

NOWHERE = Position(0, 0)
"""Before everything."""


class Damaged(NamedTuple):
    """A part of a segment that could not be read. Everything that is intact around it is read."""

    path: Path
    offset: int
    """Where it begins in the uncompressed segment."""
    size: int
    """From there to the end of the last part of it, in bytes."""
    reason: str
    after: Position | None
    """The last position that was read before it in this segment."""
    before: Position | None = None
    """The first position that was read after it; None: nothing was, in this segment."""

    @property
    def lost(self) -> int | None:
        """How many ticks and records it held; None when there is no telling."""
        if self.after is None or self.before is None or self.after.epoch != self.before.epoch:
            return None
        return self.before.seq - self.after.seq - 1


class Span(NamedTuple):
    """What is wanted: positions after one and up to another, and of those what was received in a time."""

    after: Position = NOWHERE
    until: Position | None = None
    """The last that is wanted."""
    from_ns: int | None = None
    until_ns: int | None = None
    """The first nanosecond that is not wanted any more."""

    def timely(self, ns: int) -> bool:
        """Whether it was received in the time that is wanted."""
        return (self.from_ns is None or ns >= self.from_ns) and (self.until_ns is None or ns < self.until_ns)


EVERYTHING = Span()


class SegmentReader:
    """One segment as batches; a context manager that closes it.

    Raises:
        OSError: it cannot be opened or read.
        OtherVersion: it is in a format that is not read here.
        ValueError: its name is not that of a segment.
    """

    def __init__(
        self, path: Path, codecs: Mapping[str, Codec], span: Span = EVERYTHING, files: Files | None = None
    ) -> None:
        self.file = SegmentFile(path, files)
        try:
            start = self.file.start()
            self.finished = False
            """Something beyond ``span.until`` was met."""
            self.limit: int | None = None
            """Bytes of the segment, from its beginning, that may be read; None: all there are."""
            self._span = span
            self._codecs = codecs
            self._decoder = Decoder(codecs, self.file.header)
            self._moment = 0
            self._last: Position | None = None
            self._pending: Damaged | None = None
            self._scanner = Scanner(self._read_at, start)
            self._seek()
        except BaseException:
            self.file.close()
            raise

    def items(self, *, final: bool = True) -> Iterator[Batch | Damaged]:
        """What there is now, from where the last call ended.

        Args:
            final: the segment is complete, so that what is torn at its end is told. Otherwise it is left for
                later.
        """
        for found in self._scanner.records(final=final):
            if isinstance(found, Damage):
                self._note(found.offset, found.size, found.reason)
                continue
            batch = self._batch(found)
            if batch is None:
                continue
            if self.finished:
                return
            if self._pending is not None:
                yield self._pending._replace(before=first_position(batch))
                self._pending = None
            self._last = batch.last
            wanted = self._wanted(batch)
            if wanted is not None:
                yield wanted
        if final and self._pending is not None:
            yield self._pending
            self._pending = None

    @property
    def offset(self) -> int:
        """Where in the segment the next record begins."""
        return self._scanner.offset

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the parts of it -------------------------------------------------------------------------------

    def _read_at(self, size: int, offset: int) -> bytes:
        if self.limit is not None:
            size = min(size, self.limit - offset)
        return self.file.read_at(size, offset) if size > 0 else b""

    def _batch(self, found: Record) -> Batch | None:
        """The batch in a record; None when it holds none, is not understood, or ends before what is wanted."""
        covers = extent(found.kind, found.payload)
        if covers is not None:
            epoch = self.file.name.epoch
            self._moment = max(self._moment, covers.ts_ns)
            if (last := Position(epoch, covers.last)) <= self._span.after:
                self._last, self._pending = last, None
                return None
            until = self._span.until
            self.finished = until is not None and Position(epoch, covers.seq) > until
        try:
            return self._decoder.feed(found)
        except ValueError as error:
            self._note(found.offset, found.size, str(error))
            return None

    def _note(self, offset: int, size: int, reason: str) -> None:
        if self._pending is None:
            self._pending = Damaged(self.file.path, offset, size, reason, self._last)
        else:
            self._pending = self._pending._replace(size=offset + size - self._pending.offset)

    def _wanted(self, batch: Batch) -> Batch | None:
        """The batch or the part of it that is wanted."""
        span = self._span
        if span.from_ns is not None or span.until_ns is not None:
            moment = batch.origin.ts_recv if batch.origin else max(one.ts_recv for one in batch.records)
            if not span.timely(moment or self._moment):
                return None
        first = first_position(batch)
        if first > span.after and (span.until is None or batch.last <= span.until):
            return batch
        start = span.after.seq + 1 - first.seq if first <= span.after else 0
        last = batch.last if span.until is None else min(batch.last, span.until)
        end = last.seq + 1 - first.seq
        return Batch(ticks=batch.ticks[start:end], records=batch.records[start:end], last=last)

    def _seek(self) -> None:
        """Begin as near to what is wanted as the index knows, if that and what it needs are intact."""
        after, from_ns, name = self._span.after, self._span.from_ns, self.file.name
        inside = after.epoch == name.epoch and after.seq >= name.seq
        index = self.file.index() if inside or from_ns is not None else None
        if index is None:
            return
        if from_ns is not None and index.end is not None and index.end.newest_ns < from_ns:
            self._scanner = Scanner(self._read_at, index.end.size)
            return
        places = [
            index.seek(after.seq + 1) if inside else None,
            index.seek_ns(from_ns) if from_ns is not None else None,
        ]
        point = max((place for place in places if place is not None), default=None)
        if point is not None:
            self._jump(point, index.names_before(point.offset))

    def _jump(self, point: Point, naming: Sequence[int]) -> None:
        """Begin there; from the beginning when the index does not say the truth or a name before it is damaged."""
        decoder = Decoder(self._codecs, self.file.header)
        for offset in (*naming, point.offset):
            found = record_at(self._read_at, offset)
            covers = None if found is None else extent(found.kind, found.payload)
            if found is None or (covers and covers.seq) != (point.seq if offset == point.offset else None):
                return
            if covers is None:
                try:
                    decoder.feed(found)
                except ValueError:
                    return
        self._decoder, self._moment = decoder, point.before_ns
        self._scanner = Scanner(self._read_at, point.offset)


def first_position(batch: Batch) -> Position:
    """Of the first tick or record of a batch that was read here."""
    return Position(batch.last.epoch, batch.origin.seq if batch.origin is not None else batch.records[0].seq)

"""One segment as batches: the encoder names what a batch needs before it, the decoder gives batches back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import error as struct_error
from typing import NamedTuple

import msgspec

from tickerd.journal.format import (
    MAGIC,
    Events,
    Kind,
    Record,
    Ticks,
    pack_events,
    pack_ticks,
    record,
    unpack_events,
    unpack_ticks,
)
from tickerd.plugin import AnyRecord, Batch, Codec, Instrument, Origin, Position

SUFFIX = ".tkj"
COMPRESSED = ".tkj.zst"
MAX_ID = 2**16 - 1
"""Names are numbered with 16 bits."""

_encode = msgspec.msgpack.Encoder().encode


class Header(msgspec.Struct, frozen=True):
    """What a segment says of itself."""

    epoch: int
    seq: int
    """Of the first tick or record that it may hold."""
    created_ns: int
    day: str
    """The journal's day, an ISO date: from 06:00 IST to 06:00 IST."""


class Name(NamedTuple):
    """What a segment's file name says; names sort as positions do."""

    day: str
    epoch: int
    seq: int


def file_name(header: Header) -> str:
    """``2026-11-23-0000000007-00000000000000000001.tkj``."""
    return f"{header.day}-{header.epoch:010}-{header.seq:020}{SUFFIX}"


def parse_name(path: Path) -> Name | None:
    """What the name of a segment says, or None when it is not one."""
    stem = (
        path.name.removesuffix(COMPRESSED)
        if path.name.endswith(COMPRESSED)
        else path.name.removesuffix(SUFFIX)
    )
    day, epoch, seq = stem[:10], stem[11:21], stem[22:]
    if stem == path.name or len(stem) != 42 or not (epoch.isdigit() and seq.isdigit()):
        return None
    return Name(day, int(epoch), int(seq))


class _InstrumentRow(msgspec.Struct, array_like=True):
    namespace: int
    instrument: Instrument


_header = msgspec.msgpack.Decoder(Header).decode
_names = msgspec.msgpack.Decoder(list[tuple[int, str]]).decode
_instruments = msgspec.msgpack.Decoder(list[_InstrumentRow]).decode
_events = msgspec.msgpack.Decoder(list[AnyRecord]).decode


class _Named:
    """A namespace as the segment knows it now: its number, the table behind it, and the tokens named so far."""

    __slots__ = ("id", "table", "tokens")

    def __init__(self, id: int, table: Mapping[int, Instrument]) -> None:  # noqa: A002
        self.id = id
        self.table = table
        self.tokens: set[int] = set()


class Encoder:
    """Turns batches into the bytes of one segment; remembers what the segment has named already.

    A number once given never changes its meaning, so that losing the record which gave it makes later records
    undecodable or unnamed, but never wrong.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self._ids: dict[str, int] = {}
        self._namespaces: dict[str, _Named] = {}
        self._next = 0

    def begin(self) -> list[bytes]:
        """The first bytes of the segment."""
        return [MAGIC, *record(Kind.HEADER, _encode(self.header))]

    def batch(self, batch: Batch) -> list[bytes]:
        """A published batch, as buffers to be written one after the other.

        Raises:
            ValueError: it does not fit the format, or the segment can hold no more names. What is added later may
                then be undecodable, so the segment has to end here.
        """
        out: list[bytes] = []
        try:
            self._add(batch, out)
        except (struct_error, OverflowError, TypeError, RecursionError) as error:
            raise ValueError(f"a batch does not fit the journal: {error}") from None
        return out

    def _add(self, batch: Batch, out: list[bytes]) -> None:
        if batch.origin is not None and batch.raw is not None:
            self._ticks(batch, batch.origin, batch.raw, out)
        if batch.records:
            records = batch.records
            newest = max(one.ts_recv for one in records)
            events = Events(records[0].seq, len(records), newest, _encode(list(records)))
            out += record(Kind.EVENTS, pack_events(events))

    def _ticks(self, batch: Batch, origin: Origin, raw: bytes, out: list[bytes]) -> None:
        source = self._id(origin.source or "", out)
        codec = self._id(origin.codec.id, out)
        tokens = batch.split.tokens
        namespace = self._namespace(origin, tokens, out)
        connection = -1 if origin.connection is None else origin.connection
        marks = dict(batch.marks)
        out += record(
            Kind.TICKS,
            pack_ticks(
                Ticks(
                    origin.seq, len(tokens), origin.ts_recv, connection, source, namespace, codec, marks, raw
                )
            ),
        )

    def _id(self, text: str, out: list[bytes]) -> int:
        found = self._ids.get(text)
        if found is None:
            found = self._ids[text] = self._fresh(text, out)
        return found

    def _fresh(self, text: str, out: list[bytes]) -> int:
        number, self._next = self._next, self._next + 1
        if number > MAX_ID:
            raise ValueError(f"a segment holds at most {MAX_ID + 1} names")
        out += record(Kind.NAMES, _encode([(number, text)]))
        return number

    def _namespace(self, origin: Origin, tokens: Sequence[int], out: list[bytes]) -> int:
        """Its number, after what it needs has been named. A new dump gets a new number: tokens are reused."""
        named = self._namespaces.get(origin.namespace)
        if named is None or named.table is not origin.instruments:
            named = _Named(self._fresh(origin.namespace, out), origin.instruments)
            self._namespaces[origin.namespace] = named
        if not named.tokens.issuperset(tokens):
            fresh = set(tokens).difference(named.tokens)
            named.tokens |= fresh
            found = map(named.table.get, sorted(fresh))
            rows = [_InstrumentRow(named.id, instrument) for instrument in found if instrument is not None]
            if rows:
                out += record(Kind.INSTRUMENTS, _encode(rows))
        return named.id


class Decoder:
    """Turns the records of one segment, in their order, back into batches.

    Args:
        codecs: by id; a batch in another codec is an error of that record alone.
        header: what the segment is when its first record is lost; its file name tells as much.
    """

    def __init__(self, codecs: Mapping[str, Codec], header: Header | None = None) -> None:
        self._codecs = codecs
        self._texts: dict[int, str] = {}
        self._tables: dict[int, dict[int, Instrument]] = {}
        self.header = header

    def feed(self, found: Record) -> Batch | None:
        """The batch that this record holds, or None when it only names something.

        Raises:
            ValueError: intact but not understood: another version wrote it, what it needs was lost, or its codec
                is not installed.
        """
        try:
            match found.kind:
                case Kind.TICKS:
                    return self._ticks(unpack_ticks(found.payload))
                case Kind.EVENTS:
                    return self._batch_of(_events(unpack_events(found.payload).body))
                case Kind.NAMES:
                    self._texts.update(_names(found.payload))
                case Kind.INSTRUMENTS:
                    for row in _instruments(found.payload):
                        self._tables.setdefault(row.namespace, {})[row.instrument.token] = row.instrument
                case Kind.HEADER:
                    self.header = _header(found.payload)
                case _:
                    raise ValueError(f"a record of unknown kind {found.kind}")
        except (msgspec.MsgspecError, IndexError, RecursionError, UnicodeError) as error:
            raise ValueError(f"a record of kind {found.kind} is not understood: {error}") from None
        return None

    def _ticks(self, ticks: Ticks) -> Batch:
        if self.header is None:
            raise ValueError("the segment has lost its header")
        codec = self._codecs.get(self._text(ticks.codec))
        if codec is None:
            raise ValueError(f"codec {self._text(ticks.codec)!r} is not installed")
        origin = Origin(codec, None if ticks.connection < 0 else ticks.connection, ticks.ts_recv)
        origin.source = self._text(ticks.source)
        origin.namespace = self._text(ticks.namespace)
        origin.epoch, origin.seq = self.header.epoch, ticks.seq
        origin.instruments = self._tables.setdefault(ticks.namespace, {})
        batch = Batch(origin=origin, raw=ticks.raw)
        batch.marks = ticks.marks
        batch.last = Position(origin.epoch, ticks.seq + ticks.many - 1)
        return batch

    def _text(self, number: int) -> str:
        try:
            return self._texts[number]
        except KeyError:
            raise ValueError(f"the name of number {number} is lost") from None

    def _batch_of(self, records: list[AnyRecord]) -> Batch:
        last = records[-1]
        return Batch(ticks=(), records=records, last=Position(last.epoch, last.seq))

"""What flows through tickerd: positions, ticks, batches, and the codec that turns wire bytes into them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import compress, groupby, repeat
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import msgspec

from tickerd.plugin.instrument import Instrument
from tickerd.plugin.records import AnyRecord

SNAPSHOT = 1
"""The broker's cached packet, sent because we subscribed, not because something traded."""
DUPLICATE = 2
"""Byte for byte what came before for this instrument."""
OUT_OF_ORDER = 4
"""Its exchange timestamp is older than the one before it."""
SUSPICIOUS = 8
"""Holds a value that no market produces: a price of zero or below, the largest integer, an empty book."""

FLAG_NAMES = ("snapshot", "duplicate", "out_of_order", "suspicious")
_FLAGS = tuple(tuple(n for i, n in enumerate(FLAG_NAMES) if bits >> i & 1) for bits in range(16))


class Position(NamedTuple):
    """Where a record stands in everything this daemon ever published; compares as a tuple.

    ``epoch`` grows by one at each start of the daemon, ``seq`` begins at 1 in each epoch.
    """

    epoch: int
    seq: int


class Level(msgspec.Struct, gc=False):
    """One level of the order book."""

    quantity: int
    price: float
    orders: int


class Depth(msgspec.Struct, gc=False):
    """Best bids and offers, best first."""

    buy: tuple[Level, ...] = ()
    sell: tuple[Level, ...] = ()


class OHLC(msgspec.Struct, gc=False):
    """The day's open, high and low, and the previous day's close."""

    open: float
    high: float
    low: float
    close: float


class Row(msgspec.Struct, gc=False):
    """One tick with every column decoded, named as the official Python client names them; None is unknown.

    Prices are the shortest decimals that equal what the broker sent. ``last_trade_time`` and
    ``exchange_timestamp`` are whole seconds since 1970 UTC, ``ts_recv`` nanoseconds.
    """

    instrument_token: int
    symbol: str | None = None
    mode: str = "full"
    tradable: bool = True
    last_price: float | None = None
    last_traded_quantity: int | None = None
    average_traded_price: float | None = None
    volume_traded: int | None = None
    total_buy_quantity: int | None = None
    total_sell_quantity: int | None = None
    ohlc: OHLC | None = None
    change: float | None = None
    last_trade_time: int | None = None
    oi: int | None = None
    oi_day_high: int | None = None
    oi_day_low: int | None = None
    exchange_timestamp: int | None = None
    depth: Depth | None = None
    source: str | None = None
    connection: int | None = None
    ts_recv: int = 0
    epoch: int = 0
    seq: int = 0
    flags: tuple[str, ...] = ()


class Split(NamedTuple):
    """One network read taken apart: parallel lists of tokens and packets (owned copies), and what was wrong."""

    tokens: Sequence[int]
    packets: Sequence[bytes]
    faults: Mapping[str, int] = {}
    """Reason → how often, for parts that had to be skipped."""


class Stamp(NamedTuple):
    """What the hub knows of a tick beside its packet; a codec copies it into the row."""

    symbol: str | None
    source: str | None
    connection: int | None
    ts_recv: int
    epoch: int
    seq: int
    flags: int


class Codec(Protocol):
    """Pure functions from wire bytes to ticks; declared by a plugin through ``tickerd_codecs``.

    All methods must be pure and thread-safe, and none may raise on hostile bytes, except `row`, which may
    raise ``ValueError`` on a packet that `split` did not produce.
    """

    @property
    def id(self) -> str:
        """Stored with the raw bytes in the journal, so it never changes its meaning."""
        ...

    def split(self, raw: bytes) -> Split:
        """Take one network read apart without decoding it."""
        ...

    def join(self, tokens: Sequence[int], packets: Sequence[bytes]) -> bytes:
        """The inverse of `split`: one raw read that holds these packets."""
        ...

    def row(self, packet: bytes, stamp: Stamp) -> Row:
        """Decode every field of one packet."""
        ...

    def marks(self, packets: Sequence[bytes], previous: Sequence[bytes | None]) -> dict[int, int]:
        """Flags (`DUPLICATE`, `OUT_OF_ORDER`) by index, from each instrument's packet before; sparse."""
        ...


class Origin:
    """What the ticks of one network read have in common. Small on purpose: a tick that lives on keeps it alive."""

    __slots__ = ("codec", "connection", "epoch", "instruments", "namespace", "seq", "source", "ts_recv")

    def __init__(self, codec: Codec, connection: int | None, ts_recv: int) -> None:
        self.codec = codec
        self.connection = connection
        self.ts_recv = ts_recv
        self.source: str | None = None
        self.namespace = ""
        """Of its instruments: equal tokens of two namespaces are two instruments."""
        self.epoch = 0
        self.seq = 0
        """Of the first tick; 0 until the hub has published the batch."""
        self.instruments: Mapping[int, Instrument] = {}


class Run(NamedTuple):
    """Ticks of one network read side by side; the sequences are parallel."""

    codec: Codec
    stamp: tuple[str | None, int | None, int, int]
    """source, connection, ts_recv, epoch: what is the same for all of them."""
    packets: Sequence[bytes]
    symbols: Sequence[str | None]
    seqs: Sequence[int]
    flags: Sequence[int]

    def only(self, keep: Sequence[bool]) -> "Run":
        """The part of it where ``keep``, parallel to the others, is true."""
        return Run(
            self.codec,
            self.stamp,
            list(compress(self.packets, keep)),
            list(compress(self.symbols, keep)),
            list(compress(self.seqs, keep)),
            list(compress(self.flags, keep)),
        )

    def rows(self) -> list[Row]:
        """`Codec.row` of each."""
        if isinstance(self.codec, BulkCodec):
            return self.codec.rows(self)
        stamps = zip(self.symbols, *map(repeat, self.stamp), self.seqs, self.flags, strict=False)
        return list(map(self.codec.row, self.packets, map(_stamp, stamps)))


@runtime_checkable
class BulkCodec(Protocol):
    """What a codec may offer beside `Codec`: decoding many packets at once, faster than one by one."""

    def rows(self, run: Run) -> list[Row]:
        """`Codec.row` of each packet."""
        ...


_json = msgspec.json.Encoder()
_scratch: list[bytearray] = []
"""Buffers that are not in use. Encoding into one that has grown already saves a quarter of the time; list
methods are atomic, so no two threads ever hold the same one, and there are never more than there were threads."""


def _json_bytes(row: Row) -> bytes:
    try:
        buffer = _scratch.pop()
    except IndexError:
        buffer = bytearray(2048)
    _json.encode_into(row, buffer)
    text = bytes(buffer)
    _scratch.append(buffer)
    return text


_stamp = partial(tuple.__new__, Stamp)
"""What ``Stamp(…)`` does, without the function call that NamedTuple puts around it."""


class Tick(msgspec.Struct, gc=False, eq=False):
    """One instrument's update. Lazy: it holds the broker's packet and decodes a field when it is asked for.

    Attribute names are those of the official Python client. Obtained from a `Batch`, never built by hand:
    a plugin that has plain values builds `Row` objects and calls `Batch.of`.
    """

    instrument_token: int
    packet: bytes
    index: int
    origin: Origin
    marks: int = 0
    _row: Row | None = None
    _json: bytes | None = None

    @property
    def row(self) -> Row:
        """Every column; decoded once, at the first use."""
        row = self._row
        if row is None:
            row = self._row = self.fresh_row()
        return row

    @property
    def json(self) -> bytes:
        """The row as one JSON object in UTF-8, without a line end; encoded once for all sinks and clients."""
        text = self._json
        if text is None:
            text = self._json = _json_bytes(self._row or self.fresh_row())
        return text

    def fresh_row(self) -> Row:
        """Every column, decoded anew: for callers that keep the tick but not the columns."""
        origin = self.origin
        instrument = origin.instruments.get(self.instrument_token)
        return origin.codec.row(
            self.packet,
            _stamp(
                (
                    None if instrument is None else instrument.symbol,
                    origin.source,
                    origin.connection,
                    origin.ts_recv,
                    origin.epoch,
                    origin.seq + self.index,
                    self.marks,
                )
            ),
        )

    def bare(self) -> "Tick":
        """The same tick without what it has cached; for whatever outlives the flush."""
        return Tick(self.instrument_token, self.packet, self.index, self.origin, self.marks)

    @property
    def instrument(self) -> Instrument | None:
        """Who it is about, or None when no dump has named this token."""
        return self.origin.instruments.get(self.instrument_token)

    @property
    def symbol(self) -> str | None:
        """``EXCHANGE:TRADINGSYMBOL``."""
        instrument = self.instrument
        return None if instrument is None else instrument.symbol

    @property
    def position(self) -> Position:
        """Where it stands in the stream."""
        return Position(self.origin.epoch, self.origin.seq + self.index)

    @property
    def source(self) -> str | None:
        """Name of the source in the YAML."""
        return self.origin.source

    @property
    def connection(self) -> int | None:
        """Number of the upstream connection within its source."""
        return self.origin.connection

    @property
    def ts_recv(self) -> int:
        """When its bytes were read from the socket, nanoseconds since 1970 UTC."""
        return self.origin.ts_recv

    @property
    def flags(self) -> Sequence[str]:
        """Any of `FLAG_NAMES`."""
        return self.row.flags

    @property
    def mode(self) -> str:
        """``ltp``, ``quote`` or ``full``."""
        return self.row.mode

    @property
    def tradable(self) -> bool:
        """False for an index."""
        return self.row.tradable

    @property
    def last_price(self) -> float | None:
        """Last traded price, in the instrument's currency."""
        return self.row.last_price

    @property
    def last_traded_quantity(self) -> int | None:
        """Quantity of the last trade."""
        return self.row.last_traded_quantity

    @property
    def average_traded_price(self) -> float | None:
        """The day's volume-weighted average price."""
        return self.row.average_traded_price

    @property
    def volume_traded(self) -> int | None:
        """The day's total volume."""
        return self.row.volume_traded

    @property
    def total_buy_quantity(self) -> int | None:
        """Quantity of all open buy orders."""
        return self.row.total_buy_quantity

    @property
    def total_sell_quantity(self) -> int | None:
        """Quantity of all open sell orders."""
        return self.row.total_sell_quantity

    @property
    def ohlc(self) -> OHLC | None:
        """The day's open, high and low, and the previous day's close."""
        return self.row.ohlc

    @property
    def change(self) -> float | None:
        """Percent from the previous day's close."""
        return self.row.change

    @property
    def last_trade_time(self) -> int | None:
        """Seconds since 1970 UTC."""
        return self.row.last_trade_time

    @property
    def oi(self) -> int | None:
        """Open interest."""
        return self.row.oi

    @property
    def oi_day_high(self) -> int | None:
        """The day's highest open interest."""
        return self.row.oi_day_high

    @property
    def oi_day_low(self) -> int | None:
        """The day's lowest open interest."""
        return self.row.oi_day_low

    @property
    def exchange_timestamp(self) -> int | None:
        """Seconds since 1970 UTC."""
        return self.row.exchange_timestamp

    @property
    def depth(self) -> Depth | None:
        """Five bids and five offers, best first."""
        return self.row.depth


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


def flag_names(bits: int) -> tuple[str, ...]:
    """The names of a bit set of flags; unknown bits are ignored."""
    return _FLAGS[bits & 15]


class PlainCodec:
    """The codec of rows that never were wire bytes: each packet is a row as a msgpack map."""

    id: ClassVar[str] = "plain"

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode_row = msgspec.msgpack.Decoder(Row).decode
        self._decode_list = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode

    def packet(self, row: Row) -> bytes:
        """One row as bytes."""
        return self._encode(row)

    def split(self, raw: bytes) -> Split:
        """See `Codec.split`."""
        try:
            pairs = self._decode_list(raw)
        except (msgspec.MsgspecError, RecursionError):
            return Split((), (), {"undecodable": 1})
        good = [(token, packet) for token, packet in pairs if self._is_row_of(token, packet)]
        faults = {"undecodable": len(pairs) - len(good)} if len(good) < len(pairs) else {}
        return Split([token for token, _ in good], [packet for _, packet in good], faults)

    def _is_row_of(self, token: int, packet: bytes) -> bool:
        """Whether `row` will take it; bytes from a file may be damaged."""
        try:
            return self._decode_row(packet).instrument_token == token
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return False

    def join(self, tokens: Sequence[int], packets: Sequence[bytes]) -> bytes:
        """See `Codec.join`."""
        return self._encode(list(zip(tokens, packets, strict=True)))

    def row(self, packet: bytes, stamp: Stamp) -> Row:
        """See `Codec.row`; a symbol, source or flag that the row carries itself is kept."""
        try:
            row = self._decode_row(packet)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(f"not a plain packet: {error}") from None
        row.symbol = row.symbol or stamp.symbol
        row.source = row.source or stamp.source
        if row.connection is None:
            row.connection = stamp.connection
        row.ts_recv = row.ts_recv or stamp.ts_recv
        row.epoch, row.seq = stamp.epoch, stamp.seq
        if stamp.flags:
            row.flags = tuple(dict.fromkeys((*row.flags, *flag_names(stamp.flags))))
        return row

    def marks(self, packets: Sequence[bytes], previous: Sequence[bytes | None]) -> dict[int, int]:
        """See `Codec.marks`."""
        pairs = enumerate(zip(packets, previous, strict=True))
        return {i: DUPLICATE for i, (new, old) in pairs if new == old}


PLAIN = PlainCodec()


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
        # run by run: the rows of a large batch would fill the processor's caches before they are encoded
        return b"".join([_json.encode_lines(run.rows()) for run in self.runs()])

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

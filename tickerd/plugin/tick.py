"""One instrument's update: lazy, and shared by all who hold it."""

from collections.abc import Mapping, Sequence

import msgspec

from tickerd.plugin.codec import Codec, stamped
from tickerd.plugin.instrument import Instrument
from tickerd.plugin.position import Position
from tickerd.plugin.row import OHLC, Depth, Row

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
            stamped(
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

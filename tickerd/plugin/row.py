"""One tick with every column decoded, and the flags that a tick may have."""

import msgspec

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


def flag_names(bits: int) -> tuple[str, ...]:
    """The names of a bit set of flags; unknown bits are ignored."""
    return _FLAGS[bits & 15]

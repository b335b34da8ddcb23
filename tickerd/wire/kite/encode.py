"""Rows to packets: what Kite would have sent for a tick that came from somewhere else."""

from collections.abc import Sequence

from tickerd.plugin import OHLC, Level, Row
from tickerd.wire.kite.layout import (
    DIVISORS,
    FULL_PACKET,
    INDEX_FULL_PACKET,
    INDEX_QUOTE_PACKET,
    INDICES,
    LARGEST,
    LTP_PACKET,
    QUOTE_PACKET,
)

_MOST = 0xFFFF_FFFF
_MOST_ORDERS = 0xFFFF
_LEVELS = 5


def packet(row: Row) -> bytes:
    """The packet that decodes to this row. What the row does not know is 0, as the wire has no other word for it.

    A token whose low byte says index becomes an index packet. Quantities beyond what the wire can hold are
    the most that it can.

    Raises:
        ValueError: it has no last price, or the wire cannot hold its token or one of its prices.
    """
    token = row.instrument_token
    if not 0 <= token <= _MOST:
        raise ValueError(f"no packet can hold the token {token}")
    if row.last_price is None:
        raise ValueError(f"a tick of {token} without a last price cannot be a packet")
    divisor = DIVISORS[token & 0xFF]
    last = _price(row.last_price, divisor)
    if row.mode == "ltp":
        return LTP_PACKET.pack(token, last)
    opening, high, low, close = _day(row.ohlc, divisor)
    if token & 0xFF == INDICES:
        change = _clamped_change(last, close)
        if row.mode == "quote":
            return INDEX_QUOTE_PACKET.pack(token, last, high, low, opening, close, change)
        exchanged = _count(row.exchange_timestamp)
        return INDEX_FULL_PACKET.pack(token, last, high, low, opening, close, change, exchanged)
    quote = (
        token,
        last,
        _count(row.last_traded_quantity),
        _price(row.average_traded_price, divisor),
        *map(_count, (row.volume_traded, row.total_buy_quantity, row.total_sell_quantity)),
        opening,
        high,
        low,
        close,
    )
    if row.mode == "quote":
        return QUOTE_PACKET.pack(*quote)
    times = (row.last_trade_time, row.oi, row.oi_day_high, row.oi_day_low, row.exchange_timestamp)
    sides = ((), ()) if row.depth is None else (row.depth.buy, row.depth.sell)
    book = [number for side in sides for number in _side(side, divisor)]
    return FULL_PACKET.pack(*quote, *map(_count, times), *book)


def _price(price: float | None, divisor: int) -> int:
    if price is None:
        return 0
    wire = price * divisor
    if not -LARGEST <= wire <= LARGEST:  # which is false for what is no number, too
        raise ValueError(f"no packet can hold the price {price!r}")
    return round(wire)


def _count(number: int | None) -> int:
    return 0 if number is None else max(0, min(number, _MOST))


def _day(ohlc: OHLC | None, divisor: int) -> tuple[int, int, int, int]:
    if ohlc is None:
        return 0, 0, 0, 0
    opening, high, low, close = (
        _price(price, divisor) for price in (ohlc.open, ohlc.high, ohlc.low, ohlc.close)
    )
    return opening, high, low, close


def _clamped_change(last: int, close: int) -> int:
    """Hundredths of a percent, which is what the one public capture of this field fits; clients ignore it."""
    change = round((last - close) * 10_000 / close) if close else 0
    return max(-LARGEST, min(change, LARGEST))


def _side(levels: Sequence[Level], divisor: int) -> list[int]:
    numbers: list[int] = []
    for level in levels[:_LEVELS]:
        numbers += (
            _count(level.quantity),
            _price(level.price, divisor),
            min(_count(level.orders), _MOST_ORDERS),
        )
    return numbers + [0] * (3 * _LEVELS - len(numbers))

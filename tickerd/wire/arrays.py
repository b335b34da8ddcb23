"""Ticks as JSON arrays: the same values as the JSON objects, without the names, in a fixed order of columns.

An array ends with the last column that its mode has, so the columns of a lower mode are the first ones of a
higher mode's.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from msgspec.structs import astuple

from tickerd.plugin import Batch, Level, Row, Run, Tick
from tickerd.wire.kite import KITE
from tickerd.wire.kite.flat import flat_full
from tickerd.wire.kite.layout import full_ones

_LTP = (
    "instrument_token",
    "symbol",
    "source",
    "connection",
    "ts_recv",
    "epoch",
    "seq",
    "flags",
    "mode",
    "tradable",
    "last_price",
)
_QUOTE = (
    "last_traded_quantity",
    "average_traded_price",
    "volume_traded",
    "total_buy_quantity",
    "total_sell_quantity",
    "ohlc.open",
    "ohlc.high",
    "ohlc.low",
    "ohlc.close",
    "change",
)
_LEVELS = [
    f"depth.{side}.{level}.{name}"
    for side in ("buy", "sell")
    for level in range(5)
    for name in ("quantity", "price", "orders")
]
_FULL = ("last_trade_time", "oi", "oi_day_high", "oi_day_low", "exchange_timestamp", *_LEVELS)
COLUMNS = {"ltp": _LTP, "quote": _LTP + _QUOTE, "full": _LTP + _QUOTE + _FULL}
"""Mode → names of the columns, dotted where the row is nested; levels count from the best."""


def encode_arrays(ticks: Batch | Iterable[Tick]) -> bytes:
    """One JSON array of arrays, one for each tick, in UTF-8. See `COLUMNS`. A whole `Batch` is fastest."""
    batch = ticks if isinstance(ticks, Batch) else Batch(ticks=list(ticks))
    out: list[Sequence[Any]] = []
    for run in batch.runs():
        out += _kite(run) if run.codec is KITE else map(of_row, run.rows())
    return orjson.dumps(out)


def _kite(run: Run) -> Iterable[Sequence[Any]]:
    full = full_ones(run.packets)
    if all(full):
        return flat_full(run)
    flat, rows = iter(flat_full(run.only(full))), iter(run.only([not yes for yes in full]).rows())
    return [next(flat) if yes else of_row(next(rows)) for yes in full]


def of_row(row: Row) -> tuple[Any, ...]:
    """One row's columns; what the row does not know is None, levels beyond the fifth are left out."""
    head = (
        row.instrument_token,
        row.symbol,
        row.source,
        row.connection,
        row.ts_recv,
        row.epoch,
        row.seq,
        tuple(row.flags),
        row.mode,
        row.tradable,
        row.last_price,
    )
    if row.mode == "ltp":
        return head
    quote = (
        row.last_traded_quantity,
        row.average_traded_price,
        row.volume_traded,
        row.total_buy_quantity,
        row.total_sell_quantity,
        *(_NO_PRICES if row.ohlc is None else astuple(row.ohlc)),
        row.change,
    )
    if row.mode == "quote":
        return head + quote
    book = ((), ()) if row.depth is None else (row.depth.buy, row.depth.sell)
    return (
        *head,
        *quote,
        row.last_trade_time,
        row.oi,
        row.oi_day_high,
        row.oi_day_low,
        row.exchange_timestamp,
        *(value for side in book for level in _five(side) for value in level),
    )


_NO_PRICES = (None,) * 4
_NO_LEVEL = (None,) * 3


def _five(side: Sequence[Level]) -> list[tuple[Any, ...]]:
    levels = [astuple(level) for level in side[:5]]
    return levels + [_NO_LEVEL] * (5 - len(levels))

"""Packets in the shapes of the REST API's ``/quote`` family, whose field names are older ones."""

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from tickerd.plugin import Row

IST = timezone(timedelta(hours=5, minutes=30), "IST")
_CIRCUIT = 0.1


def ltp(row: Row) -> dict[str, Any]:
    """``/quote/ltp``."""
    return {"instrument_token": row.instrument_token, "last_price": row.last_price}


def ohlc(row: Row) -> dict[str, Any]:
    """``/quote/ohlc``."""
    return ltp(row) | {"ohlc": msgspec.to_builtins(row.ohlc)}


def quote(row: Row) -> dict[str, Any]:
    """``/quote``; an index has fewer fields."""
    assert row.ohlc is not None
    assert row.last_price is not None
    out = ohlc(row) | {
        "timestamp": _ist(row.exchange_timestamp),
        "net_change": round(row.last_price - row.ohlc.close, 4),
        "lower_circuit_limit": round(row.ohlc.close * (1 - _CIRCUIT), 2),
        "upper_circuit_limit": round(row.ohlc.close * (1 + _CIRCUIT), 2),
    }
    if row.depth is None:
        return out
    return out | {
        "last_trade_time": _ist(row.last_trade_time),
        "last_quantity": row.last_traded_quantity,
        "buy_quantity": row.total_buy_quantity,
        "sell_quantity": row.total_sell_quantity,
        "volume": row.volume_traded,
        "average_price": row.average_traded_price,
        "oi": row.oi,
        "oi_day_high": row.oi_day_high,
        "oi_day_low": row.oi_day_low,
        "depth": msgspec.to_builtins(row.depth),
    }


def _ist(seconds: int | None) -> str | None:
    """The broker writes times as 19 characters in Indian time."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, IST):%Y-%m-%d %H:%M:%S}"

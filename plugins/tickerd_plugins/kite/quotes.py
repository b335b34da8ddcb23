"""Quotes of the REST API as the packets that the WebSocket would have sent. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import msgspec

from tickerd.plugin import OHLC, Depth, Mode, Row
from tickerd.wire.kite.encode import packet
from tickerd_plugins.kite.expiry import IST

MOST: Mapping[Mode, int] = {"ltp": 1000, "quote": 500, "full": 500}
"""Instruments in one call, by what is asked for."""
LONGEST_QUERY = 20_000
"""Characters of one call's address: long symbols make it too long before there are 1,000 of them."""


class Asked(NamedTuple):
    """An instrument to ask for."""

    token: int
    symbol: str
    mode: Mode


class _Quote(msgspec.Struct):
    """What one call knows of an instrument; the names are older ones than those of the WebSocket."""

    instrument_token: int
    last_price: float
    last_quantity: int | None = None
    average_price: float | None = None
    volume: int | None = None
    buy_quantity: int | None = None
    sell_quantity: int | None = None
    ohlc: OHLC | None = None
    last_trade_time: Any = None
    oi: float | None = None
    oi_day_high: float | None = None
    oi_day_low: float | None = None
    timestamp: Any = None
    depth: Depth | None = None


def calls(wanted: Iterable[Asked]) -> Iterator[Sequence[Asked]]:
    """Split into what one call may ask for: last prices apart from everything else, few enough, not too long."""
    everything: list[Asked] = []
    prices: list[Asked] = []
    for one in wanted:
        (prices if one.mode == "ltp" else everything).append(one)
    for part in (everything, prices):
        call: list[Asked] = []
        length = 0
        for one in part:
            letters = len(quote_plus(one.symbol)) + len("&i=")
            if call and (len(call) == MOST[one.mode] or length + letters > LONGEST_QUERY):
                yield call
                call, length = [], 0
            call.append(one)
            length += letters
        if call:
            yield call


def as_packet(asked: Asked, given: Any) -> bytes | None:
    """The packet for what the broker says of an instrument; None where that cannot be used.

    What is not the instrument that was asked for is not used either: tokens go over to other symbols.
    """
    try:
        found = msgspec.convert(given, _Quote)
        return packet(_row(asked, found)) if found.instrument_token == asked.token else None
    except (msgspec.ValidationError, ValueError):
        return None


def _row(asked: Asked, found: _Quote) -> Row:
    return Row(
        instrument_token=asked.token,
        mode=asked.mode,
        last_price=found.last_price,
        last_traded_quantity=found.last_quantity,
        average_traded_price=found.average_price,
        volume_traded=found.volume,
        total_buy_quantity=found.buy_quantity,
        total_sell_quantity=found.sell_quantity,
        ohlc=found.ohlc,
        last_trade_time=_seconds(found.last_trade_time),
        oi=_whole(found.oi),
        oi_day_high=_whole(found.oi_day_high),
        oi_day_low=_whole(found.oi_day_low),
        exchange_timestamp=_seconds(found.timestamp),
        depth=found.depth,
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)


def _seconds(when: Any) -> int | None:
    """Since 1970 UTC. The official client makes naive times of what the broker writes in Indian time."""
    if isinstance(when, str) and when:
        when = datetime.fromisoformat(when)
    if not isinstance(when, datetime):
        return None
    return max(0, round((when if when.tzinfo is not None else when.replace(tzinfo=IST)).timestamp()))

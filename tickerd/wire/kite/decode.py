"""Packets to values: the raw fields as the wire has them, the design's row, and the official client's dict."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from tickerd.plugin import OHLC, SUSPICIOUS, Depth, Level, Row, Run, Stamp, flag_names
from tickerd.wire.kite.layout import (
    DIVISORS,
    FULL,
    FULL_PACKET,
    INDEX_FULL,
    INDEX_FULL_PACKET,
    INDEX_QUOTE,
    INDEX_QUOTE_PACKET,
    INDICES,
    LARGEST,
    LTP,
    LTP_PACKET,
    MODES,
    QUOTE,
    QUOTE_PACKET,
    full_ones,
    unpack_full,
)

_STRUCTS = {
    LTP: LTP_PACKET,
    INDEX_QUOTE: INDEX_QUOTE_PACKET,
    INDEX_FULL: INDEX_FULL_PACKET,
    QUOTE: QUOTE_PACKET,
    FULL: FULL_PACKET,
}
_unpack_full = FULL_PACKET.unpack


def fields(packet: bytes) -> tuple[int, ...]:
    """Every field as the wire has it, in wire order: integers, prices not yet divided.

    Raises:
        ValueError: not the length of any packet.
    """
    try:
        return _STRUCTS[len(packet)].unpack(packet)
    except KeyError:
        raise ValueError(f"no packet has {len(packet)} bytes, only {sorted(_STRUCTS)}") from None


def _change(last: int, close: int) -> float | None:
    """Percent from the previous close; unknown when there was none."""
    return (last - close) * 100 / close if close else None


def row(packet: bytes, stamp: Stamp) -> Row:
    """Decode every field. See `tickerd.plugin.Codec.row`.

    A division of two integers below 2^53 gives the double nearest to the exact decimal, whose shortest
    representation is that decimal, so prices print exactly.
    """
    if len(packet) != FULL:
        return _short_row(packet, *stamp)
    symbol, source, connection, ts_recv, epoch, seq, bits = stamp
    return _full_rows(((_unpack_full(packet), symbol, seq, bits),), source, connection, ts_recv, epoch)[0]


def rows(run: Run) -> list[Row]:
    """`row` of each packet. See `tickerd.plugin.BulkCodec`."""
    full = full_ones(run.packets)
    deep = run if all(full) else run.only(full)
    ticks = zip(unpack_full(deep.packets), deep.symbols, deep.seqs, deep.flags, strict=True)
    found = _full_rows(ticks, *run.stamp)
    if deep is run:
        return found
    rest = iter(found)
    source, connection, ts_recv, epoch = run.stamp
    stamps = zip(run.symbols, run.seqs, run.flags, strict=True)
    return [
        next(rest) if yes else _short_row(packet, symbol, source, connection, ts_recv, epoch, seq, bits)
        for yes, packet, (symbol, seq, bits) in zip(full, run.packets, stamps, strict=True)
    ]


def _full_rows(
    ticks: Iterable[tuple[tuple[int, ...], str | None, int, int]],
    source: str | None,
    connection: int | None,
    ts_recv: int,
    epoch: int,
) -> list[Row]:
    """The hot path, from unpacked packets with symbol, seq and flags: no inner loop and no call for each."""
    out: list[Row] = []
    for (
        token, last, quantity, average, volume, buy, sell, opening, high, low, close,
        traded, oi, oi_high, oi_low, exchanged,
        q0, p0, n0, q1, p1, n1, q2, p2, n2, q3, p3, n3, q4, p4, n4,
        q5, p5, n5, q6, p6, n6, q7, p7, n7, q8, p8, n8, q9, p9, n9,
    ), symbol, seq, bits in ticks:  # fmt: skip
        segment = token & 0xFF
        d = DIVISORS[segment]
        odd = SUSPICIOUS if last <= 0 or last == LARGEST or not (q0 or q5) else 0
        out.append(Row(
            token, symbol, "full", segment != INDICES,
            last / d, quantity, average / d, volume, buy, sell,
            OHLC(opening / d, high / d, low / d, close / d),
            (last - close) * 100 / close if close else None,
            traded or None, oi, oi_high, oi_low, exchanged or None,
            Depth(
                (
                    Level(q0, p0 / d, n0), Level(q1, p1 / d, n1), Level(q2, p2 / d, n2), Level(q3, p3 / d, n3),
                    Level(q4, p4 / d, n4),
                ),
                (
                    Level(q5, p5 / d, n5), Level(q6, p6 / d, n6), Level(q7, p7 / d, n7), Level(q8, p8 / d, n8),
                    Level(q9, p9 / d, n9),
                ),
            ),
            source, connection, ts_recv, epoch, seq, flag_names(bits | odd) if bits or odd else (),
        ))  # fmt: skip
    return out


def _short_row(
    packet: bytes,
    symbol: str | None,
    source: str | None,
    connection: int | None,
    ts_recv: int,
    epoch: int,
    seq: int,
    bits: int,
) -> Row:
    values = fields(packet)
    token, last = values[0], values[1]
    d = DIVISORS[token & 0xFF]
    out = Row(token, symbol, MODES[len(packet)], token & 0xFF != INDICES, last / d)
    out.source, out.connection, out.ts_recv, out.epoch, out.seq = source, connection, ts_recv, epoch, seq
    if not 0 < last < LARGEST:
        bits |= SUSPICIOUS
    out.flags = flag_names(bits)
    if len(packet) == LTP:
        return out
    if len(packet) == QUOTE:
        _, _, quantity, average, volume, buy, sell, opening, high, low, close = values
        out.last_traded_quantity, out.average_traded_price, out.volume_traded = quantity, average / d, volume
        out.total_buy_quantity, out.total_sell_quantity = buy, sell
    else:
        high, low, opening, close = values[2:6]
        if len(packet) == INDEX_FULL:
            out.exchange_timestamp = values[7] or None
    out.ohlc = OHLC(opening / d, high / d, low / d, close / d)
    out.change = _change(last, close)
    return out


@lru_cache(maxsize=256)
def _local(seconds: int) -> datetime:
    """What the official client makes of a timestamp: naive, in the host's zone. Ticks share few seconds."""
    return datetime.fromtimestamp(seconds)  # noqa: DTZ006 - naive on purpose


def official(packet: bytes) -> dict[str, Any]:
    """The dict that the official Python client's parser gives for this packet, equal by ``==``.

    It differs where that parser is wrong about signed prices (it reads them unsigned).

    Raises:
        ValueError: not the length of any packet.
    """
    if len(packet) == FULL:
        return _official_full(packet)
    values = fields(packet)
    token, last = values[0], values[1]
    d = DIVISORS[token & 0xFF]
    out: dict[str, Any] = {
        "tradable": token & 0xFF != INDICES,
        "mode": MODES[len(packet)],
        "instrument_token": token,
        "last_price": last / d,
    }
    if len(packet) == QUOTE:
        _, _, quantity, average, volume, buy, sell, opening, high, low, close = values
        out |= {
            "last_traded_quantity": quantity,
            "average_traded_price": average / d,
            "volume_traded": volume,
            "total_buy_quantity": buy,
            "total_sell_quantity": sell,
            "ohlc": {"open": opening / d, "high": high / d, "low": low / d, "close": close / d},
            "change": _official_change(last / d, close / d),
        }
    elif len(packet) in (INDEX_QUOTE, INDEX_FULL):
        high, low, opening, close = values[2:6]
        out["ohlc"] = {"high": high / d, "low": low / d, "open": opening / d, "close": close / d}
        out["change"] = _official_change(last / d, close / d)
        if len(packet) == INDEX_FULL:
            out["exchange_timestamp"] = _local(values[7])
    return out


def _official_change(last: float, close: float) -> float:
    return (last - close) * 100 / close if close else 0


def _official_full(packet: bytes) -> dict[str, Any]:
    (
        token, last, quantity, average, volume, buy, sell, opening, high, low, close,
        traded, oi, oi_high, oi_low, exchanged,
        q0, p0, n0, q1, p1, n1, q2, p2, n2, q3, p3, n3, q4, p4, n4,
        q5, p5, n5, q6, p6, n6, q7, p7, n7, q8, p8, n8, q9, p9, n9,
    ) = _unpack_full(packet)  # fmt: skip
    d = DIVISORS[token & 0xFF]
    price = last / d
    previous = close / d
    return {
        "tradable": token & 0xFF != INDICES,
        "mode": "full",
        "instrument_token": token,
        "last_price": price,
        "last_traded_quantity": quantity,
        "average_traded_price": average / d,
        "volume_traded": volume,
        "total_buy_quantity": buy,
        "total_sell_quantity": sell,
        "ohlc": {"open": opening / d, "high": high / d, "low": low / d, "close": previous},
        "change": (price - previous) * 100 / previous if previous else 0,
        "last_trade_time": _local(traded),
        "oi": oi,
        "oi_day_high": oi_high,
        "oi_day_low": oi_low,
        "exchange_timestamp": _local(exchanged),
        "depth": {
            "buy": [
                {"quantity": q0, "price": p0 / d, "orders": n0},
                {"quantity": q1, "price": p1 / d, "orders": n1},
                {"quantity": q2, "price": p2 / d, "orders": n2},
                {"quantity": q3, "price": p3 / d, "orders": n3},
                {"quantity": q4, "price": p4 / d, "orders": n4},
            ],
            "sell": [
                {"quantity": q5, "price": p5 / d, "orders": n5},
                {"quantity": q6, "price": p6 / d, "orders": n6},
                {"quantity": q7, "price": p7 / d, "orders": n7},
                {"quantity": q8, "price": p8 / d, "orders": n8},
                {"quantity": q9, "price": p9 / d, "orders": n9},
            ],
        },
    }

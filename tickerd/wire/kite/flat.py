"""Packets to flat tuples, in the order of `tickerd.wire.arrays.COLUMNS`; the values are those of `decode.row`."""

from collections.abc import Iterable
from typing import Any

from tickerd.plugin import SUSPICIOUS, Origin, Tick, flag_names
from tickerd.wire.kite.layout import DIVISORS, FULL, FULL_PACKET, INDICES, LARGEST

_unpack_full = FULL_PACKET.unpack


def flat_full(origin: Origin, ticks: Iterable[Tick]) -> list[tuple[Any, ...] | None]:
    """The columns of ticks of one network read; None in place of each that is not a full packet."""
    out: list[tuple[Any, ...] | None] = []
    instrument = origin.instruments.get
    source, connection, ts_recv, epoch, first = (
        origin.source, origin.connection, origin.ts_recv, origin.epoch, origin.seq,
    )  # fmt: skip
    for tick in ticks:
        packet = tick.packet
        if len(packet) != FULL:
            out.append(None)
            continue
        (
            token, last, quantity, average, volume, buy, sell, opening, high, low, close,
            traded, oi, oi_high, oi_low, exchanged,
            q0, p0, n0, q1, p1, n1, q2, p2, n2, q3, p3, n3, q4, p4, n4,
            q5, p5, n5, q6, p6, n6, q7, p7, n7, q8, p8, n8, q9, p9, n9,
        ) = _unpack_full(packet)  # fmt: skip
        d = DIVISORS[token & 0xFF]
        bits = tick.marks
        if last <= 0 or last == LARGEST or not (q0 or q5):
            bits |= SUSPICIOUS
        known = instrument(token)
        out.append((
            token, None if known is None else known.symbol, source, connection, ts_recv, epoch, first + tick.index,
            flag_names(bits) if bits else (), "full", token & 0xFF != INDICES, last / d,
            quantity, average / d, volume, buy, sell, opening / d, high / d, low / d, close / d,
            (last - close) * 100 / close if close else None,
            traded or None, oi, oi_high, oi_low, exchanged or None,
            q0, p0 / d, n0, q1, p1 / d, n1, q2, p2 / d, n2, q3, p3 / d, n3, q4, p4 / d, n4,
            q5, p5 / d, n5, q6, p6 / d, n6, q7, p7 / d, n7, q8, p8 / d, n8, q9, p9 / d, n9,
        ))  # fmt: skip
    return out

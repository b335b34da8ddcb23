"""Ticks as rows of the stream protocol: flat lists in a fixed order of columns, and their text in either encoding.

The columns of a lower mode are the first ones of a higher mode's, so that a row is cut to a lower mode by its length.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import orjson

from tickerd.plugin import SUSPICIOUS, Batch, Mode, Origin, Run, flag_names
from tickerd.wire.arrays import COLUMNS as ALL
from tickerd.wire.arrays import of_row
from tickerd.wire.kite import KITE
from tickerd.wire.kite.layout import DIVISORS, LARGEST, full_ones, unpack_full

_HEAD = ("instrument_token", "seq", "exchange_timestamp", "ts_recv", "flags")
_LEFT_OUT = ("symbol", "source", "connection", "epoch", "mode", "tradable")
"""The same for all rows of an instrument or a connection."""


def _columns(mode: Mode) -> tuple[str, ...]:
    return _HEAD + tuple(name for name in ALL[mode] if name not in _HEAD + _LEFT_OUT)


COLUMNS: dict[Mode, tuple[str, ...]] = {mode: _columns(mode) for mode in ("ltp", "quote", "full")}
"""Mode → names of the columns, dotted where the row is nested."""
WIDTH: dict[Mode, int] = {mode: len(names) for mode, names in COLUMNS.items()}

_full = itemgetter(*map(ALL["full"].index, COLUMNS["full"]))
_NO_TIME = (None,)
_before_time = itemgetter(*map(ALL["ltp"].index, _HEAD[:2]))
_after_time = {mode: itemgetter(*map(ALL[mode].index, COLUMNS[mode][3:])) for mode in ("ltp", "quote")}

Flat = Sequence[Any]


class Reads(NamedTuple):
    """What of one network read is in a batch; the sequences are parallel."""

    origin: Origin
    tokens: Sequence[int]
    packets: Sequence[bytes]
    seqs: Sequence[int]
    flags: Sequence[int]

    def run(self, places: Sequence[int]) -> Run:
        """Those at these places."""
        origin = self.origin
        return Run(
            origin.codec,
            (origin.source, origin.connection, origin.ts_recv, origin.epoch),
            [self.packets[i] for i in places],
            [None] * len(places),
            [self.seqs[i] for i in places],
            [self.flags[i] for i in places],
        )


def reads(batch: Batch) -> Iterator[Reads]:
    """The network reads of a batch."""
    if batch.raw is not None and batch.origin is not None:
        tokens, packets, _ = batch.split
        flags = [0] * len(tokens)
        for place, bits in batch.marks.items():
            flags[place] = bits
        first = batch.origin.seq
        yield Reads(batch.origin, tokens, packets, range(first, first + len(tokens)), flags)
        return
    by_origin: dict[int, Reads] = {}
    for tick in batch.ticks:
        found = by_origin.setdefault(id(tick.origin), Reads(tick.origin, [], [], [], []))
        for column, value in zip(
            found[1:], (tick.instrument_token, tick.packet, tick.position.seq, tick.marks), strict=True
        ):
            column.append(value)  # type: ignore[attr-defined]
    yield from by_origin.values()


def flat(run: Run) -> list[Flat]:
    """Every column of each tick of a run."""
    if run.codec is not KITE:
        return [*map(_flat_row, map(of_row, run.rows()))]
    full = full_ones(run.packets)
    if all(full):
        return _full_packets(run)
    deep = iter(_full_packets(run.only(full)))
    rest = iter(run.only([not yes for yes in full]).rows())
    return [next(deep) if yes else _flat_row(of_row(next(rest))) for yes in full]


def _full_packets(run: Run) -> list[Flat]:
    """The hot path: the values of `tickerd.wire.kite.flat`, put in this order at once."""
    ts_recv = run.stamp[2]
    out: list[Flat] = []
    for (
        token, last, quantity, average, volume, buy, sell, opening, high, low, close,
        traded, oi, oi_high, oi_low, exchanged,
        q0, p0, n0, q1, p1, n1, q2, p2, n2, q3, p3, n3, q4, p4, n4,
        q5, p5, n5, q6, p6, n6, q7, p7, n7, q8, p8, n8, q9, p9, n9,
    ), seq, bits in zip(unpack_full(run.packets), run.seqs, run.flags, strict=False):  # fmt: skip
        d = DIVISORS[token & 0xFF]
        odd = SUSPICIOUS if last <= 0 or last == LARGEST or not (q0 or q5) else 0
        out.append([
            token, seq, exchanged or None, ts_recv, flag_names(bits | odd) if bits or odd else (), last / d,
            quantity, average / d, volume, buy, sell, opening / d, high / d, low / d, close / d,
            (last - close) * 100 / close if close else None,
            traded or None, oi, oi_high, oi_low,
            q0, p0 / d, n0, q1, p1 / d, n1, q2, p2 / d, n2, q3, p3 / d, n3, q4, p4 / d, n4,
            q5, p5 / d, n5, q6, p6 / d, n6, q7, p7 / d, n7, q8, p8 / d, n8, q9, p9 / d, n9,
        ])  # fmt: skip
    return out


def _flat_row(columns: Sequence[Any]) -> Flat:
    if len(columns) == len(ALL["full"]):
        return _full(columns)  # type: ignore[no-any-return]
    mode = "ltp" if len(columns) == len(ALL["ltp"]) else "quote"
    return (*_before_time(columns), *_NO_TIME, *_after_time[mode](columns))


def cut(rows: Iterable[Flat], mode: Mode) -> list[Flat]:
    """The same in that mode, where they are in a higher one."""
    width = WIDTH[mode]
    return [row if len(row) <= width else row[:width] for row in rows]


def json_pieces(rows: Sequence[Flat]) -> list[bytes]:
    """Each row as JSON, without its outer brackets: one call for all of them, taken apart between the rows.

    No row holds a text or ends with a list, so nothing else looks like that place.
    """
    return orjson.dumps(rows)[2:-2].split(b"],[") if rows else []


_pack = msgspec.msgpack.Encoder().encode


def msgpack_pieces(rows: Sequence[Flat]) -> list[bytes]:
    """Each row as msgpack."""
    return [*map(_pack, rows)]

"""Ticks as rows of the stream protocol: flat lists in a fixed order of columns, and their text in either encoding.

The columns of a lower mode are the first ones of a higher mode's, so that a row is cut to a lower mode by its length.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import orjson

from tickerd.plugin import Batch, Mode, Origin, Run
from tickerd.wire.arrays import COLUMNS as ALL
from tickerd.wire.arrays import of_row
from tickerd.wire.kite import KITE
from tickerd.wire.kite.flat import flat_full
from tickerd.wire.kite.layout import full_ones

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
        return [*map(_full, flat_full(run))]
    deep = iter(map(_full, flat_full(run.only(full))))
    rest = iter(run.only([not yes for yes in full]).rows())
    return [next(deep) if yes else _flat_row(of_row(next(rest))) for yes in full]


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

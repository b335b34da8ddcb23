"""Ticks and control records as lines of text: JSON lines and CSV, there and back.

A JSON line is one `Row`, with the names and the order of its fields, or one control record, which begins with
``{"record":"KIND"``. A CSV file begins with a header; its columns are `CSV_COLUMNS`. No line of either format
holds a line end inside, so that a file can be cut and read anywhere between two of them.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import astuple

from tickerd.plugin import OHLC, AnyRecord, Depth, Level, Row

DEPTH_LEVELS = 5
"""Levels of each side that CSV has columns for; deeper ones are left out there."""

_LEVEL_COLUMNS = tuple(
    f"{side}{level}_{what}"
    for side in ("bid", "ask")
    for level in range(DEPTH_LEVELS)
    for what in ("quantity", "price", "orders")
)
_BEFORE_OHLC = (
    "instrument_token", "symbol", "mode", "tradable", "last_price", "last_traded_quantity",
    "average_traded_price", "volume_traded", "total_buy_quantity", "total_sell_quantity",
)  # fmt: skip
_OHLC = ("open", "high", "low", "close")
_BEFORE_DEPTH = ("change", "last_trade_time", "oi", "oi_day_high", "oi_day_low", "exchange_timestamp")
_LAST = ("source", "connection", "ts_recv", "epoch", "seq", "flags")

CSV_COLUMNS: tuple[str, ...] = (*_BEFORE_OHLC, *_OHLC, *_BEFORE_DEPTH, *_LEVEL_COLUMNS, *_LAST)
"""In this order, always. Unknown is empty; ``tradable`` is 1 or 0; ``flags`` are joined by ``|``."""
CSV_HEADER: bytes = ",".join(CSV_COLUMNS).encode() + b"\n"

_RECORD_START = b'{"record"'
_encode = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(Row).decode
_decode_record: Callable[[bytes], AnyRecord] = msgspec.json.Decoder(AnyRecord).decode


# -- JSON lines ----------------------------------------------------------------------------------------------


def json_line(item: Row | AnyRecord) -> bytes:
    """One row or control record as a line, with its line end."""
    return _encode(item) + b"\n"


def parse_json(line: bytes) -> Row | AnyRecord:
    """The inverse of `json_line`; keys that it does not know are ignored. Sequences come back as lists.

    Raises:
        ValueError: neither a row nor a record.
    """
    try:
        return _decode_record(line) if line.startswith(_RECORD_START) else _decode_row(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a row or a record: {error}") from None


# -- CSV -----------------------------------------------------------------------------------------------------

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"}
_TEXT = str.maketrans(_ESCAPES)
_FLAG = str.maketrans(_ESCAPES | {"|": "\\p"})
_UNESCAPES = {"\\": "\\", "n": "\n", "r": "\r", "0": "\0", "p": "|"}
_NO_OHLC = (None,) * len(_OHLC)
_NO_SIDE = (None,) * (3 * DEPTH_LEVELS)


def _quoted(text: str) -> bytes:
    if "," in text or '"' in text:
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()


@lru_cache(maxsize=16_384)
def _text(value: str | None) -> bytes:
    """A text as a cell that stays on its line; unknown is empty. Rows share few symbols and sources."""
    return _quoted(value.translate(_TEXT)) if value else b""


def _plain(value: str) -> str | None:
    """The inverse of `_text`; empty is unknown."""
    if "\\" not in value:
        return value or None
    parts = iter(value)
    return "".join(_UNESCAPES.get(next(parts, ""), "") if char == "\\" else char for char in parts)


def _numbers(cells: Sequence[Any]) -> bytes:
    """Numbers as cells: a JSON array without its brackets is a line of CSV, and far cheaper than one by one."""
    return _encode(cells)[1:-1].replace(b"null", b"")


def _levels(side: Sequence[Level]) -> Sequence[Any]:
    cells: list[Any] = []
    for level in side[:DEPTH_LEVELS]:
        cells += astuple(level)
    cells += _NO_SIDE[len(cells) :]
    return cells


def _line(row: Row) -> bytes:
    ohlc, depth = row.ohlc, row.depth
    first = _numbers((
        1 if row.tradable else 0, row.last_price, row.last_traded_quantity, row.average_traded_price,
        row.volume_traded, row.total_buy_quantity, row.total_sell_quantity,
        *(_NO_OHLC if ohlc is None else astuple(ohlc)),
        row.change, row.last_trade_time, row.oi, row.oi_day_high, row.oi_day_low, row.exchange_timestamp,
        *(_NO_SIDE if depth is None else _levels(depth.buy)),
        *(_NO_SIDE if depth is None else _levels(depth.sell)),
    ))  # fmt: skip
    last = _numbers((row.connection, row.ts_recv, row.epoch, row.seq))
    flags = _quoted("|".join([flag.translate(_FLAG) for flag in row.flags])) if row.flags else b""
    head = (row.instrument_token, _text(row.symbol), _text(row.mode))
    return b"%d,%b,%b,%b,%b,%b,%b\n" % (*head, first, _text(row.source), last, flags)


def csv_lines(rows: Iterable[Row]) -> bytes:
    """Rows as CSV, without the header; each line ends in ``\\n``."""
    return b"".join(map(_line, rows))


def _int(text: str) -> int | None:
    return int(text) if text else None


def _float(text: str) -> float | None:
    return float(text) if text else None


def _flags(text: str) -> tuple[str, ...]:
    return tuple(_plain(flag) or "" for flag in text.split("|")) if text else ()


_PARSERS: dict[str, Callable[[str], Any]] = {
    "instrument_token": int,
    "symbol": _plain,
    "mode": lambda text: _plain(text) or "",
    "tradable": lambda text: {"1": True, "0": False, "true": True, "false": False}[text.lower()],
    "last_price": _float,
    "average_traded_price": _float,
    "change": _float,
    "source": _plain,
    "ts_recv": lambda text: int(text or 0),
    "epoch": lambda text: int(text or 0),
    "seq": lambda text: int(text or 0),
    "flags": _flags,
}
_SIDES = {
    side: tuple((f"{side}{n}_quantity", f"{side}{n}_price", f"{side}{n}_orders") for n in range(DEPTH_LEVELS))
    for side in ("bid", "ask")
}


class CsvParser:
    """Turns the lines of one CSV file back into rows, by the names in its header.

    Columns may come in any order and may be missing, except ``instrument_token``; others are ignored.

    Raises:
        ValueError: the header names no ``instrument_token``.
    """

    def __init__(self, header: bytes) -> None:
        names = next(csv.reader([header.decode("utf-8-sig").strip("\r\n")]), [])
        if "instrument_token" not in names:
            raise ValueError("the first line of a CSV file must be a header that names instrument_token")
        self._header = header.strip()
        self._width = len(names)
        self._places = {name: place for place, name in enumerate(names)}
        single = (*_BEFORE_OHLC, *_BEFORE_DEPTH, *_LAST)
        self._single = [(n, self._places[n], _PARSERS.get(n, _int)) for n in single if n in self._places]
        self._ohlc = [self._places[name] for name in _OHLC] if self._places.keys() >= set(_OHLC) else None
        self._buy, self._sell = self._side("bid"), self._side("ask")

    def _side(self, side: str) -> list[tuple[int, int, int]]:
        found = [[self._places.get(name, -1) for name in names] for names in _SIDES[side]]
        return [(q, p, n) for q, p, n in found if min(q, p, n) >= 0]

    def is_header(self, line: bytes) -> bool:
        """Whether this is the header once more, as in files that were joined end to end."""
        return line.strip() == self._header

    def parse(self, line: bytes) -> Row:
        """One line as a row.

        Raises:
            ValueError: not a row of this file.
        """
        try:
            cells = next(csv.reader([line.decode().rstrip("\r\n")], strict=True))
        except (csv.Error, StopIteration) as error:
            raise ValueError(f"not a line of CSV: {error}") from None
        if len(cells) != self._width:
            raise ValueError(f"{len(cells)} columns where the header has {self._width}")
        try:
            row = Row(**{name: parse(cells[place]) for name, place, parse in self._single})
        except KeyError as error:
            raise ValueError(f"tradable is 1 or 0, not {error}") from None
        row.ohlc = self._read_ohlc(cells)
        row.depth = self._read_depth(cells)
        return row

    def _read_ohlc(self, cells: Sequence[str]) -> OHLC | None:
        if self._ohlc is None or not any(cells[place] for place in self._ohlc):
            return None
        return OHLC(*(float(cells[place]) for place in self._ohlc))

    def _read_depth(self, cells: Sequence[str]) -> Depth | None:
        buy, sell = _read_levels(cells, self._buy), _read_levels(cells, self._sell)
        return Depth(tuple(buy), tuple(sell)) if buy or sell else None


def _read_levels(cells: Sequence[str], places: Iterable[tuple[int, int, int]]) -> list[Level]:
    return [Level(int(cells[q]), float(cells[p]), int(cells[n])) for q, p, n in places if cells[q]]

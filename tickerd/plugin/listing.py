"""All instruments of one day in columns: a hundred thousand in a few megabytes, loaded in milliseconds."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import itemgetter
from sys import byteorder, intern
from types import MappingProxyType
from typing import Any
from zlib import crc32

import msgspec

from tickerd.plugin.instrument import Instrument

Fields = tuple[int, str, str, str, str, str, str, float, int, float]
"""The fields of `Instrument` in their order, without the namespace; the symbol is made of two of them."""

FILE = "instruments.listing"
"""Where in its state directory a source keeps the table, as `Listing.pack` makes it, for commands to read."""

_VERSION = 1
_SHARED = ("name", "segment", "instrument_type", "expiry", "lot_size", "tick_size")
"""Columns in which few values come again and again: each row holds the number of its value."""
_PLACES = (3, 4, 5, 6, 8, 9)
"""Where they stand in `Fields`."""


class _Packed(msgspec.Struct, array_like=True):
    """What `Listing.pack` writes. The check sum covers the columns, so that damage on a disk is noticed."""

    version: int
    byteorder: str
    namespace: str
    about: dict[str, str | int]
    check: int
    columns: bytes


class _Columns(msgspec.Struct, array_like=True):
    """The columns; numbers in the byte order of the machine."""

    symbols: bytes
    starts: bytes
    tokens: bytes
    token_index: tuple[bytes, bytes]
    symbol_index: tuple[bytes, bytes]
    strikes: bytes
    codes: list[bytes]
    values: list[list[Any]]


_encode = msgspec.msgpack.Encoder().encode
_packed = msgspec.msgpack.Decoder(_Packed).decode
_columns = msgspec.msgpack.Decoder(_Columns).decode


class Listing(Mapping[str, Instrument]):
    """Instruments by ``EXCHANGE:TRADINGSYMBOL``, in that order; never changed.

    An `Instrument` is made when it is asked for, and not kept. Rows are numbered from 0 in the order of the
    symbols, so that those with a common beginning lie side by side.
    """

    __slots__ = (
        "_codes", "_exchanges", "_starts", "_strikes", "_symbol_index", "_symbols", "_token_index", "_tokens",
        "_values", "about", "namespace",
    )  # fmt: skip

    def __init__(
        self, namespace: str, columns: _Columns, about: Mapping[str, str | int] = MappingProxyType({})
    ) -> None:
        self.namespace = namespace
        self.about = about
        """What whoever packed it noted: where it came from, and when."""
        self._symbols = columns.symbols
        """All symbols as UTF-8, each followed by a line feed."""
        self._starts = _numbers("I", columns.starts)
        self._tokens: array[int] = _numbers("I", columns.tokens)
        self._token_index = _Index(*columns.token_index)
        self._symbol_index = _Index(*columns.symbol_index)
        """By check sum, which several symbols may share."""
        self._strikes: array[float] = _numbers("d", columns.strikes)
        self._codes = [_numbers("I", codes) for codes in columns.codes]
        self._values = columns.values
        self._exchanges = list(self._find_exchanges())

    # -- making and keeping ------------------------------------------------------------------------------

    @classmethod
    def of(cls, namespace: str, instruments: Iterable[Instrument]) -> "Listing":
        """From instruments; of several with one token or one symbol the last counts."""
        taken = msgspec.structs.astuple
        return cls.of_rows(namespace, (taken(instrument)[1:11] for instrument in instruments))

    @classmethod
    def of_rows(cls, namespace: str, rows: Iterable[Fields]) -> "Listing":
        """From rows; see `of`."""
        return cls(namespace, _columns_of(rows))

    def pack(self, about: Mapping[str, str | int] = MappingProxyType({})) -> bytes:
        """As bytes, for a file or another process of the same machine."""
        columns = _encode(
            _Columns(
                self._symbols,
                self._starts.tobytes(),
                self._tokens.tobytes(),
                self._token_index.pack(),
                self._symbol_index.pack(),
                self._strikes.tobytes(),
                [codes.tobytes() for codes in self._codes],
                self._values,
            )
        )
        return _encode(_Packed(_VERSION, byteorder, self.namespace, dict(about), crc32(columns), columns))

    @classmethod
    def unpack(cls, raw: bytes) -> "Listing":
        """The inverse of `pack`; takes milliseconds.

        Raises:
            ValueError: they are not, or not any more, what `pack` made on a machine like this.
        """
        try:
            packed = _packed(raw)
            if packed.version != _VERSION or packed.byteorder != byteorder:
                raise ValueError(f"version {packed.version}, {packed.byteorder} endian")
            if crc32(packed.columns) != packed.check:
                raise ValueError("damaged")
            return cls(packed.namespace, _columns(packed.columns), packed.about)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a list of instruments: {error}") from None

    # -- one ---------------------------------------------------------------------------------------------

    def symbol(self, row: int) -> str:
        """``EXCHANGE:TRADINGSYMBOL`` of a row."""
        return self._symbols[self._starts[row] : self._starts[row + 1] - 1].decode()

    def token(self, row: int) -> int:
        """The broker's number of a row."""
        return self._tokens[row]

    def strike(self, row: int) -> float:
        """The strike of a row; 0 where there is none."""
        return self._strikes[row]

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Every exchange, in order."""
        return tuple(exchange for _, exchange in self._exchanges)

    def exchange(self, row: int) -> str:
        """The exchange of a row."""
        return self._exchanges[bisect_right(self._exchanges, row, key=_first_row) - 1][1]

    def at(self, row: int) -> Instrument:
        """The instrument of a row."""
        exchange, _, tradingsymbol = self.symbol(row).partition(":")
        name, segment, kind, expiry, lot, tick = self._values
        names, segments, kinds, expiries, lots, ticks = self._codes
        return Instrument(
            self.namespace, self._tokens[row], intern(exchange), tradingsymbol,
            name[names[row]], segment[segments[row]], kind[kinds[row]], expiry[expiries[row]],
            self._strikes[row], lot[lots[row]], tick[ticks[row]],
        )  # fmt: skip

    def row_of(self, symbol: str) -> int | None:
        """The row of a symbol."""
        wanted = symbol.encode()
        for row in self._symbol_index.find(crc32(wanted)):
            if self._bytes(row) == wanted:
                return row
        return None

    def row_of_token(self, token: int) -> int | None:
        """The row of a token."""
        rows = self._token_index.find(token)
        return rows[0] if rows else None

    def by_token(self, token: int) -> Instrument | None:
        """The instrument of a token."""
        row = self.row_of_token(token)
        return None if row is None else self.at(row)

    # -- many --------------------------------------------------------------------------------------------

    def beginning(self, text: str) -> range:
        """The rows whose symbols begin so."""
        start = text.encode()
        length = len(start)
        last = bisect_right(range(len(self)), start, key=lambda row: self._bytes(row)[:length])
        return range(self._first(start), last)

    def symbols(self, rows: range | None = None) -> list[str]:
        """The symbols of some rows that lie side by side, or of all: fast, and as large as they are."""
        rows = range(len(self)) if rows is None else rows
        if not rows:
            return []
        return self._symbols[self._starts[rows.start] : self._starts[rows.stop] - 1].decode().split("\n")

    def text(self, rows: range) -> tuple[bytes, int]:
        """The symbols of some rows as UTF-8, one a line, and where in the whole they begin."""
        start = self._starts[rows.start]
        return self._symbols[start : self._starts[rows.stop]], start

    def row_at(self, offset: int) -> int:
        """The row whose symbol begins at that place of the whole text."""
        return bisect_left(self._starts, offset)

    def having(self, column: str, wanted: Iterable[str], rows: Sequence[int]) -> Sequence[int]:
        """Those of the rows that have one of these values in a column: name, segment, instrument_type or expiry."""
        place = _SHARED.index(column)
        texts, codes = frozenset(wanted), self._codes[place]
        fitting = {code for code, value in enumerate(self._values[place]) if value in texts}
        if not fitting:
            return ()
        return [row for row in rows if codes[row] in fitting]

    def value(self, column: str, row: int) -> str:
        """What a row has in one of the columns of `having`."""
        place = _SHARED.index(column)
        text: str = self._values[place][self._codes[place][row]]
        return text

    # -- Mapping -----------------------------------------------------------------------------------------

    def __getitem__(self, symbol: str) -> Instrument:
        row = self.row_of(symbol)
        if row is None:
            raise KeyError(symbol)
        return self.at(row)

    def __contains__(self, symbol: object) -> bool:
        return isinstance(symbol, str) and self.row_of(symbol) is not None

    def __iter__(self) -> Iterator[str]:
        return map(self.symbol, range(len(self)))

    def __len__(self) -> int:
        return len(self._tokens)

    __hash__ = None  # type: ignore[assignment]

    def _bytes(self, row: int) -> bytes:
        return self._symbols[self._starts[row] : self._starts[row + 1] - 1]

    def _find_exchanges(self) -> Iterator[tuple[int, str]]:
        """Where the rows of each begin: they lie side by side."""
        row = 0
        while row < len(self):
            exchange = self.symbol(row).partition(":")[0]
            yield row, exchange
            row = self.beginning(f"{exchange}:").stop

    def _first(self, wanted: bytes) -> int:
        return bisect_left(range(len(self)), wanted, key=self._bytes)


class _Index:
    """Finds the rows of a number, whatever the order of the rows."""

    __slots__ = ("_numbers", "_rows")

    def __init__(self, numbers: bytes, rows: bytes) -> None:
        self._numbers: array[int] = _numbers("I", numbers)
        """In order."""
        self._rows: array[int] = _numbers("I", rows)

    @staticmethod
    def of(numbers: Sequence[int]) -> tuple[bytes, bytes]:
        """What `pack` gives, for rows that have these numbers."""
        rows = sorted(range(len(numbers)), key=numbers.__getitem__)
        return array("I", map(numbers.__getitem__, rows)).tobytes(), array("I", rows).tobytes()

    def pack(self) -> tuple[bytes, bytes]:
        """As bytes."""
        return self._numbers.tobytes(), self._rows.tobytes()

    def find(self, number: int) -> Sequence[int]:
        """The rows that have it."""
        first = last = bisect_left(self._numbers, number)
        while last < len(self._numbers) and self._numbers[last] == number:
            last += 1
        return self._rows[first:last]


_first_row = itemgetter(0)


def _numbers(kind: str, raw: bytes) -> "array[Any]":
    made: array[Any] = array(kind)
    made.frombytes(raw)
    return made


def _columns_of(rows: Iterable[Fields]) -> _Columns:
    """Sort and share. Takes half a second for a hundred thousand rows, which is why nothing here is a loop."""
    by_token = {row[0]: row for row in rows}
    by_symbol = {f"{row[1]}:{row[2]}".encode(): row for row in by_token.values()}
    symbols = sorted(by_symbol)
    ordered = [by_symbol[symbol] for symbol in symbols]
    text = b"".join(symbol + b"\n" for symbol in symbols)
    if text.count(b"\n") > len(symbols):
        raise ValueError("a symbol holds a line feed")
    tokens = array("I", map(itemgetter(0), ordered))
    codes, values = _shared(ordered)
    return _Columns(
        text,
        array(
            "I", accumulate(map(len, symbols), lambda start, length: start + length + 1, initial=0)
        ).tobytes(),
        tokens.tobytes(),
        _Index.of(tokens),
        _Index.of(list(map(crc32, symbols))),
        array("d", map(itemgetter(7), ordered)).tobytes(),
        codes,
        values,
    )


def _shared(rows: Sequence[Fields]) -> tuple[list[bytes], list[list[Any]]]:
    columns, vocabularies = [], []
    for place in _PLACES:
        found = list(map(itemgetter(place), rows))
        typed = list(zip(map(type, found), found, strict=True))  # 0 and 0.0 are one key
        numbers = {key: number for number, key in enumerate(dict.fromkeys(typed))}
        columns.append(array("I", map(numbers.__getitem__, typed)).tobytes())
        vocabularies.append([value for _, value in numbers])
    return columns, vocabularies

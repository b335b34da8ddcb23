"""Looks for instruments in a table by words and columns. Pure; up to a tenth of a second for a whole dump."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from tickerd.plugin import Instrument, Listing

Columns = Mapping[str, str]
"""Column of `Instrument` → what must stand there: exchange, segment, name, instrument_type, expiry."""


def search(
    table: Mapping[str, Instrument],
    words: Sequence[str],
    columns: Columns,
    *,
    limit: int,
    after: str = "",
    may_see: Callable[[Instrument], bool] = lambda _: True,
) -> list[Instrument]:
    """The first that fit, by symbol.

    Args:
        table: instruments by symbol.
        words: each must be part of the symbol or of the name, in any case.
        columns: what must hold exactly.
        limit: most of them.
        after: only symbols beyond this one.
        may_see: leaves out others.
    """
    found: Iterable[Instrument]
    if isinstance(table, Listing):
        found = _in_listing(table, words, columns, after)
    else:
        found = _in_mapping(table, words, columns, after)
    return list(islice(filter(may_see, found), limit))


def _in_listing(listing: Listing, words: Sequence[str], columns: Columns, after: str) -> Iterator[Instrument]:
    """Instruments are made of those rows only that fit."""
    exchange = columns.get("exchange")
    rows: Sequence[int] = range(len(listing)) if exchange is None else listing.beginning(f"{exchange}:")
    for column in columns.keys() - {"exchange"}:
        rows = listing.having(column, (columns[column],), rows)
    wanted = [word.upper() for word in words]
    for row in rows:
        symbol = listing.symbol(row)
        if symbol > after and _has(wanted, symbol, listing.value("name", row)):
            yield listing.at(row)


def _in_mapping(
    table: Mapping[str, Instrument], words: Sequence[str], columns: Columns, after: str
) -> Iterable[Instrument]:
    wanted = [word.upper() for word in words]
    fitting = (
        one
        for symbol, one in table.items()
        if symbol > after
        and all(getattr(one, column) == value for column, value in columns.items())
        and _has(wanted, symbol, one.name)
    )
    return sorted(fitting, key=lambda one: one.symbol)


def _has(words: Sequence[str], symbol: str, name: str) -> bool:
    text = f"{symbol} {name}".upper()
    return all(word in text for word in words)

"""Did you mean …: symbols like the one that was written."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice

from tickerd.plugin import Listing

_MOST_COMPARED = 3_000


def suggest(written: str, symbols: Iterable[str]) -> str | None:
    """The symbol most like what was written, or None when nothing is near.

    Only symbols of like length that share an exchange and a first letter, or that differ in the exchange or
    in upper and lower case alone, are compared: a dump has 100,000 of them.
    """
    exchange, _, name = written.upper().partition(":")
    if not name:
        exchange, name = "", exchange
    if isinstance(symbols, Listing):
        symbols = _candidates(symbols, exchange, name)
    elsewhere: str | None = None
    near: list[str] = []
    for symbol in symbols:
        other_exchange, _, other = symbol.partition(":")
        if other == name:
            if other_exchange == exchange:
                return symbol
            elsewhere = elsewhere or symbol
        elif other[:1] == name[:1] and abs(len(other) - len(name)) <= 2 and exchange in ("", other_exchange):
            near.append(symbol)
    if elsewhere is not None:
        return elsewhere
    full = written.upper() if exchange else name
    matches = get_close_matches(full, islice(near, _MOST_COMPARED), n=1, cutoff=0.75)
    return matches[0] if matches else None


def _candidates(listing: Listing, exchange: str, name: str) -> Iterator[str]:
    """Those that can be suggested, without a look at the whole table."""
    everywhere = listing.exchanges
    yield from (symbol for one in everywhere if (symbol := f"{one}:{name}") in listing)
    for one in (exchange,) if exchange else everywhere:
        yield from listing.symbols(listing.beginning(f"{one}:{name[:1]}"))

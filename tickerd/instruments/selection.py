"""The tokens that a list of keys stands for at present: what a consumer filters ticks by."""

from collections.abc import Iterable, Iterator, Sequence

from tickerd.instruments.book import SelectorBook
from tickerd.instruments.selectors import fits, is_selector, matches
from tickerd.instruments.table import InstrumentTable, Namespace, is_expired
from tickerd.plugin import Instrument
from tickerd.plugin.selectors import Key, Match

Scope = frozenset[str] | None
"""Exchanges and symbols that somebody may see, as `Principal.instruments` has them; None for all."""


class Selection:
    """Call it for the tokens; it looks again when a table, the day or the money has moved.

    Args:
        table: where instruments are looked up, in every namespace.
        book: what selectors mean.
        keys: symbols, tokens, patterns and matches.
        scope: what is left out without a word when it may not be seen.
    """

    def __init__(
        self, table: InstrumentTable, book: SelectorBook, keys: Iterable[Key], scope: Scope = None
    ) -> None:
        self._table = table
        self._book = book
        self._keys = tuple(keys)
        self._scope = scope
        self._seen = (-1, -1)
        self._tokens: frozenset[int] = frozenset()
        self._instruments: tuple[Instrument, ...] = ()
        self.version = 0
        """Grows when the tokens may be others."""

    def __call__(self) -> frozenset[int]:
        """The tokens; from the cache while nothing has moved."""
        seen = (self._table.version, self._book.version)
        if seen != self._seen:
            self._seen = seen
            self._instruments = tuple(self._found())
            tokens = frozenset(instrument.token for instrument in self._instruments)
            if tokens != self._tokens:
                self._tokens, self.version = tokens, self.version + 1
        return self._tokens

    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments; a token that no table has named is a nameless one of every namespace."""
        self()
        return self._instruments

    def _found(self) -> Iterator[Instrument]:
        for namespace in self._table.namespaces():
            for key in self._keys:
                for instrument in resolve(namespace, self._book, key):
                    if in_scope(instrument, self._scope):
                        yield instrument


def resolve(namespace: Namespace, book: SelectorBook, key: Key) -> Sequence[Instrument]:
    """What one key means in one namespace; nothing that has expired."""
    if is_selector(key):
        assert not isinstance(key, int)
        return book.select(namespace, key).instruments
    assert not isinstance(key, Match)
    found = namespace.find(key)
    return () if found is None or is_expired(found, book.today) else (found,)


def in_scope(instrument: Instrument, scope: Scope) -> bool:
    """Whether somebody with this scope may see it."""
    return scope is None or not scope.isdisjoint((instrument.exchange, instrument.symbol))


def means(key: Key, instrument: Instrument) -> bool:
    """Whether a key may stand for an instrument, whatever the day and the prices: for what was recorded."""
    if isinstance(key, Match):
        return fits(instrument, key)
    if isinstance(key, int):
        return key == instrument.token
    return matches(instrument.symbol, key) if is_selector(key) else key == instrument.symbol

"""What a sink wants of batches that were recorded: instruments are told by what the batch itself calls them."""

from collections.abc import Callable, Collection, Iterable, Mapping

from tickerd.instruments.selection import means
from tickerd.instruments.selectors import is_selector
from tickerd.plugin import Batch, Instrument, record_kind
from tickerd.plugin.selectors import Key, Match

Current = Callable[[], Collection[int]]
"""The tokens that a list of keys stands for at present."""


class Wanted:
    """A filter for batches out of the journal; unlike that of a live subscription it needs no instrument table.

    What a match means by ``nearest`` or ``around`` cannot be told from a recording: it is what it means at
    present, or with no ``current`` everything that it may mean on any day.

    Args:
        kinds: ``tick`` and kinds of control records.
        instruments: symbols, tokens and selectors, each collection another condition that all must meet; None
            is all.
        current: what the collections mean now, by which selectors that follow the day or a price are narrowed.
    """

    def __init__(
        self, kinds: Iterable[str], *instruments: Collection[Key] | None, current: Current | None = None
    ) -> None:
        self._kinds = frozenset(kinds)
        self._conditions = [_Condition(keys, current) for keys in instruments if keys is not None]

    def __call__(self, batch: Batch) -> Batch | None:
        """The wanted part, or None when nothing of it is."""
        tokens = self._tokens(batch) if "tick" in self._kinds else frozenset[int]()
        if tokens is None and all(record_kind(record) in self._kinds for record in batch.records):
            return batch
        if tokens is None:
            tokens = frozenset(batch.split.tokens) if batch.origin else frozenset()
        return batch.only(tokens, lambda record: record_kind(record) in self._kinds)

    def _tokens(self, batch: Batch) -> frozenset[int] | None:
        """Those that are wanted; None is all of them."""
        if not self._conditions or batch.origin is None:
            return None
        table = batch.origin.instruments
        return frozenset(
            token
            for token in frozenset(batch.split.tokens)
            if all(condition(token, table) for condition in self._conditions)
        )


class _Condition:
    """One collection of keys, of which an instrument must meet one."""

    def __init__(self, keys: Iterable[Key], current: Current | None) -> None:
        self._plain: frozenset[Key] = frozenset(key for key in keys if not is_selector(key))
        selectors = [key for key in keys if is_selector(key)]
        self._moving = [key for key in selectors if _moves(key)] if current else []
        self._fixed = [key for key in selectors if key not in self._moving]
        self._current: Current = current or frozenset[int]
        self._seen: dict[str, bool] = {}
        """Symbol → whether it fits one of the fixed selectors."""

    def __call__(self, token: int, table: Mapping[int, Instrument]) -> bool:
        if token in self._plain:
            return True
        instrument = table.get(token)
        if instrument is None:
            return False
        if instrument.symbol in self._plain or (self._fixed and self._fits(instrument)):
            return True
        return (
            bool(self._moving)
            and token in self._current()
            and any(means(key, instrument) for key in self._moving)
        )

    def _fits(self, instrument: Instrument) -> bool:
        found = self._seen.get(instrument.symbol)
        if found is None:
            found = self._seen[instrument.symbol] = any(means(key, instrument) for key in self._fixed)
        return found


def _moves(key: Key) -> bool:
    return isinstance(key, Match) and (key.follows_day or key.follows_price)

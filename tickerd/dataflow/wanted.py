"""What a sink wants of batches that were recorded: instruments are told by what the batch itself calls them."""

from collections.abc import Collection, Iterable

from tickerd.plugin import Batch, record_kind


class Wanted:
    """A filter for batches out of the journal; unlike that of a live subscription it needs no instrument table.

    Args:
        kinds: ``tick`` and kinds of control records.
        instruments: symbols and tokens, each collection another condition that all must meet; None is all.
    """

    def __init__(self, kinds: Iterable[str], *instruments: Collection[str | int] | None) -> None:
        self._kinds = frozenset(kinds)
        self._keys = [frozenset(keys) for keys in instruments if keys is not None]

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
        if not self._keys or batch.origin is None:
            return None
        table = batch.origin.instruments
        return frozenset(
            token
            for token in frozenset(batch.split.tokens)
            if all(token in keys or (token in table and table[token].symbol in keys) for keys in self._keys)
        )

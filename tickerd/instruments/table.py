"""The instrument table: per namespace, today's tokens and the symbols that people write."""

from collections.abc import Callable, Iterable, Mapping

from tickerd.plugin import Instrument


class Namespace:
    """One broker's instruments. Replaced as a whole; ticks already made keep the table they were made with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.by_token: Mapping[int, Instrument] = {}
        self.by_symbol: Mapping[str, Instrument] = {}
        self.loaded = False
        self._listeners: list[Callable[[], None]] = []

    def load(self, instruments: Iterable[Instrument]) -> None:
        """Swap the table. Listeners are called once, after the swap."""
        by_token = {instrument.token: instrument for instrument in instruments}
        self.by_symbol = {instrument.symbol: instrument for instrument in by_token.values()}
        self.by_token = by_token
        self.loaded = True
        for listener in self._listeners:
            listener()

    def on_load(self, listener: Callable[[], None]) -> None:
        """Call this after each swap."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Undo `on_load`."""
        self._listeners.remove(listener)

    def get(self, token: int) -> Instrument | None:
        """The instrument of that token."""
        return self.by_token.get(token)

    def find(self, key: str | int) -> Instrument | None:
        """By ``EXCHANGE:SYMBOL`` or token. A token that no dump has named gives a nameless instrument."""
        if isinstance(key, str):
            return self.by_symbol.get(key)
        return self.by_token.get(key) or Instrument(self.name, key, "", "")

    def __len__(self) -> int:
        return len(self.by_token)


class InstrumentTable:
    """All namespaces, each made at its first use."""

    def __init__(self) -> None:
        self._namespaces: dict[str, Namespace] = {}

    def namespace(self, name: str) -> Namespace:
        """The namespace of that name."""
        return self._namespaces.setdefault(name, Namespace(name))

    def namespaces(self) -> list[Namespace]:
        """All that exist."""
        return list(self._namespaces.values())

    def __len__(self) -> int:
        return sum(map(len, self._namespaces.values()))

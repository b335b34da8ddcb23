"""The instrument table: per namespace, today's tokens and the symbols that people write."""

from collections.abc import Callable, Iterable, Mapping

from tickerd.plugin import Instrument
from tickerd.plugin.listing import Listing


class Namespace:
    """One broker's instruments. Replaced as a whole; ticks already made keep the table they were made with.

    A table that came as a `Listing` stays one: ``by_token``, which names ticks, then has those instruments only
    that somebody wants or wanted, see `keep`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.by_token: Mapping[int, Instrument] = {}
        """Names ticks. Instruments are added to it, never changed in it: for that it is replaced."""
        self.by_symbol: Mapping[str, Instrument] = {}
        """The whole table; slow to iterate over when it is long."""
        self.loaded = False
        self.version = 0
        """Grows with each change of who is who."""
        self._listing: Listing | None = None
        self._listeners: list[Callable[[], None]] = []

    def load(self, instruments: Iterable[Instrument] | Listing) -> None:
        """Swap the table. Listeners are called once, after the swap."""
        if isinstance(instruments, Listing):
            found = map(instruments.by_token, self.by_token)
            self.by_token = {instrument.token: instrument for instrument in found if instrument is not None}
            self.by_symbol, self._listing = instruments, instruments
        else:
            by_token = {instrument.token: instrument for instrument in instruments}
            self.by_symbol = {instrument.symbol: instrument for instrument in by_token.values()}
            self.by_token, self._listing = by_token, None
        self.loaded = True
        self._changed()

    @property
    def listing(self) -> Listing:
        """The whole table in columns; made at the first use when it came otherwise."""
        if self._listing is None:
            self._listing = Listing.of(self.name, self.by_symbol.values())
        return self._listing

    def keep(self, instrument: Instrument) -> None:
        """Name ticks after this instrument of the table from now on."""
        if instrument.symbol in self.by_symbol:
            self.by_token.setdefault(instrument.token, instrument)  # type: ignore[attr-defined]

    def retire(self, today: str) -> None:
        """Name no more ticks after what expired before ``today`` (an ISO date): its tokens are given away anew."""
        left = {t: i for t, i in self.by_token.items() if not is_expired(i, today)}
        if len(left) < len(self.by_token):
            self.by_token = left
            self._changed()

    def on_load(self, listener: Callable[[], None]) -> None:
        """Call this after each swap."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Undo `on_load`."""
        self._listeners.remove(listener)

    def get(self, token: int) -> Instrument | None:
        """The instrument of that token."""
        found = self.by_token.get(token)
        return self._listing.by_token(token) if found is None and self._listing is not None else found

    def find(self, key: str | int) -> Instrument | None:
        """By ``EXCHANGE:SYMBOL`` or token. A token that no dump has named gives a nameless instrument."""
        if isinstance(key, str):
            return self.by_symbol.get(key)
        return self.get(key) or Instrument(self.name, key, "", "")

    def __len__(self) -> int:
        return len(self.by_symbol)

    def _changed(self) -> None:
        self.version += 1
        for listener in tuple(self._listeners):
            listener()


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

    @property
    def version(self) -> int:
        """Grows with each change of any of them."""
        return sum([namespace.version for namespace in self._namespaces.values()], len(self._namespaces))

    def __len__(self) -> int:
        return sum(map(len, self._namespaces.values()))


def is_expired(instrument: Instrument, today: str) -> bool:
    """Whether it expired before ``today``, an ISO date."""
    return "" < instrument.expiry < today

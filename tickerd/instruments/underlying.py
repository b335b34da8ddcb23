"""Whose price an option's strikes lie around. Pure."""

from tickerd.plugin import Instrument
from tickerd.plugin.listing import Listing

INDICES = {
    "NIFTY": "NSE:NIFTY 50",
    "BANKNIFTY": "NSE:NIFTY BANK",
    "FINNIFTY": "NSE:NIFTY FIN SERVICE",
    "MIDCPNIFTY": "NSE:NIFTY MID SELECT",
    "NIFTYNXT50": "NSE:NIFTY NEXT 50",
    "SENSEX": "BSE:SENSEX",
    "BANKEX": "BSE:BANKEX",
    "SENSEX50": "BSE:SENSEX50",
}
"""Names that derivatives use for an index → the index."""

CASH = {"NFO": "NSE", "BFO": "BSE"}
"""Exchange of derivatives → where their underlyings trade."""


class Underlyings:
    """Finds the index, the share, or the future that ends first.

    Args:
        listing: the table.
        today: ISO date.
        said: the symbol of the underlying, when somebody said it.
    """

    def __init__(self, listing: Listing, today: str, said: str | None = None) -> None:
        self._listing = listing
        self._today = today
        self._said = said
        self._futures: dict[str, dict[str, int]] = {}
        """Exchange → name → row of its first future."""

    def __call__(self, exchange: str, name: str) -> Instrument | None:
        """The underlying of the options on this exchange under this name; None when the table has none."""
        cash = f"{CASH.get(exchange, exchange)}:{name}"
        for symbol in (self._said,) if self._said else (INDICES.get(name, cash), cash):
            found = self._listing.get(symbol)
            if found is not None:
                return found
        return None if self._said else self._first_future(exchange, name)

    def _first_future(self, exchange: str, name: str) -> Instrument | None:
        if exchange not in self._futures:
            self._futures[exchange] = self._first_futures(exchange)
        row = self._futures[exchange].get(name)
        return None if row is None else self._listing.at(row)

    def _first_futures(self, exchange: str) -> dict[str, int]:
        listing = self._listing
        rows = listing.having("instrument_type", ("FUT",), listing.beginning(f"{exchange}:"))
        dated = ((listing.value("expiry", row), row) for row in rows)
        # in falling order, so that the first of each name comes last and stays
        return {
            listing.value("name", row): row
            for expiry, row in sorted(dated, reverse=True)
            if expiry >= self._today
        }

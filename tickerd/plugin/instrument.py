"""What is traded: one instrument as the broker's daily dump describes it."""

import msgspec
from msgspec.structs import force_setattr


class Instrument(msgspec.Struct, frozen=True, gc=False):
    """One tradable instrument or index; `(namespace, token)` identifies it for the current day only.

    Tokens of expired instruments are reused by the broker, so what a person writes is the ``symbol``. All
    sources of one broker share a namespace (`kite`), so that two logins see the same instrument.
    """

    namespace: str
    token: int
    exchange: str
    tradingsymbol: str
    name: str = ""
    segment: str = ""
    instrument_type: str = ""
    expiry: str = ""
    """ISO date, or empty when it does not expire."""
    strike: float = 0.0
    lot_size: int = 1
    tick_size: float = 0.0
    symbol: str = ""
    """``EXCHANGE:TRADINGSYMBOL``, for example ``NSE:INFY`` or ``NSE:NIFTY 50``. Always made from the two, once:
    each tick asks for it."""

    def __post_init__(self) -> None:
        """Make the symbol; what was given for it does not count."""
        force_setattr(self, "symbol", f"{self.exchange}:{self.tradingsymbol}")

"""A small market: an index, shares, futures and two weekly chains of options."""

import pytest

from tickerd.plugin import Instrument, Listing

EXPIRIES = ("2026-11-24", "2026-12-01", "2026-12-29")


def _market():
    token = iter(range(1, 10_000))

    def made(exchange, symbol, *rest):
        return Instrument("kite", next(token), exchange, symbol, *rest)

    yield made("NSE", "NIFTY 50", "NIFTY 50", "INDICES", "EQ")
    yield made("NSE", "NIFTY BANK", "NIFTY BANK", "INDICES", "EQ")
    yield made("NSE", "INFY", "INFOSYS", "NSE", "EQ")
    yield made("BSE", "INFY", "INFOSYS", "BSE", "EQ")
    yield made("MCX", "GOLD26DECFUT", "GOLD", "MCX", "FUT", "2026-12-04")
    yield made("MCX", "GOLD27FEBFUT", "GOLD", "MCX", "FUT", "2027-02-05")
    for expiry in EXPIRIES:
        day = expiry[2:].replace("-", "")
        for strike in range(24_000, 26_001, 100):
            for kind in ("CE", "PE"):
                yield made(
                    "NFO", f"NIFTY{day}{strike}{kind}", "NIFTY", "NFO-OPT", kind, expiry, float(strike), 75
                )
    for kind in ("CE", "PE"):
        yield made("NFO", f"INFY261229{1500}{kind}", "INFY", "NFO-OPT", kind, "2026-12-29", 1500.0, 400)
        yield made("MCX", f"GOLD26NOV120000{kind}", "GOLD", "MCX", kind, "2026-11-26", 120_000.0)
    yield made("NFO", "NIFTY26DECFUT", "NIFTY", "NFO-FUT", "FUT", "2026-12-29")


@pytest.fixture(scope="session")
def market():
    """All of it."""
    return tuple(_market())


@pytest.fixture(scope="session")
def listing(market):
    """As a table."""
    return Listing.of("kite", market)

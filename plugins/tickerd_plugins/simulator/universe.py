"""The instruments of the simulated market: a believable daily dump over every segment."""

import csv
import io
import math
import random
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from tickerd.plugin import Instrument
from tickerd_plugins.simulator.listings import (
    BCD,
    BFO,
    BSE,
    CDS,
    CURRENCIES,
    INDEX_LISTINGS,
    INDICES,
    MCX,
    MCX_LISTINGS,
    NCO,
    NFO,
    NSE,
    STOCK_LISTINGS,
)

DEFAULT_SIZE = 12_000
COLUMNS = (
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
)
"""Of the dump, in the broker's order."""

TUESDAY = 1
_FIRST_CONTRACT = 40_000
_FIRST_FILLER = 700_000

NIFTY = ("NIFTY", 24_812.05, 75)
BANKNIFTY = ("BANKNIFTY", 55_421.70, 35)
SENSEX = ("SENSEX", 81_207.15, 20)
"""Underlyings of index derivatives: name, spot, lot size."""


class Listing(NamedTuple):
    """One row of the dump and the price it starts the day with."""

    instrument: Instrument
    price: float


class Universe:
    """Every instrument of the simulated market.

    Args:
        today: the trading day; expiries lie after it.
        size: how many rows. The well-known names come first, generated shares fill up the rest.
        seed: of the generated prices.
        namespace: of the instruments.
    """

    def __init__(
        self, today: date, size: int = DEFAULT_SIZE, *, seed: int | None = None, namespace: str = "kite"
    ) -> None:
        rows = list(_Builder(today, random.Random(seed), namespace).rows(size))  # noqa: S311 - prices, not secrets
        self.listings: Mapping[int, Listing] = {row.instrument.token: row for row in rows}
        self._tokens = {row.instrument.symbol: row.instrument.token for row in rows}
        self._dumps: dict[str | None, bytes] = {}

    def __len__(self) -> int:
        return len(self.listings)

    @property
    def tokens(self) -> list[int]:
        """Every token, the well-known names first."""
        return list(self.listings)

    @property
    def instruments(self) -> list[Instrument]:
        """Every instrument, in the same order."""
        return [listing.instrument for listing in self.listings.values()]

    def token(self, symbol: str) -> int | None:
        """The token of ``EXCHANGE:TRADINGSYMBOL``."""
        return self._tokens.get(symbol)

    def dump(self, exchange: str | None = None) -> bytes:
        """The broker's CSV, of one exchange or of all; made once."""
        found = self._dumps.get(exchange)
        if found is None:
            found = self._dumps[exchange] = self._write(exchange)
        return found

    def exchanges(self) -> set[str]:
        """The names of the exchanges."""
        return {listing.instrument.exchange for listing in self.listings.values()}

    def _write(self, exchange: str | None) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(
            _columns(listing)
            for listing in self.listings.values()
            if exchange is None or listing.instrument.exchange == exchange
        )
        return out.getvalue().encode()


def _columns(listing: Listing) -> tuple[object, ...]:
    i = listing.instrument
    # the broker's dump has no price for an index
    price = 0.0 if i.segment == "INDICES" else listing.price
    return (
        i.token, i.token >> 8, i.tradingsymbol, i.name, f"{price:.10g}", i.expiry, f"{i.strike:.10g}",
        f"{i.tick_size:g}", i.lot_size, i.instrument_type, i.segment, i.exchange,
    )  # fmt: skip


def weekly_expiries(today: date, count: int) -> list[date]:
    """The next Tuesdays, on which the index options of NSE expire; today counts when it is one."""
    first = today + timedelta((TUESDAY - today.weekday()) % 7)
    return [first + timedelta(weeks=n) for n in range(count)]


def monthly_expiries(today: date, count: int) -> list[date]:
    """The last Tuesdays of this month (when it is still to come) and the next ones."""
    return [
        day for day in weekly_expiries(today, 5 * (count + 1)) if (day + timedelta(7)).month != day.month
    ][:count]


def contract_symbol(underlying: str, expiry: date, *, weekly: bool) -> str:
    """The tradingsymbol without strike and type: ``NIFTY25D02`` is weekly, ``NIFTY25DEC`` monthly."""
    if weekly:
        return f"{underlying}{expiry:%y}{'123456789OND'[expiry.month - 1]}{expiry:%d}"
    return f"{underlying}{expiry:%y%b}".upper()


def option_price(spot: float, strike: float, days: int, *, call: bool, tick: float) -> float:
    """A believable premium: what it is worth now, and a time value that is largest at the money."""
    intrinsic = max(0.0, spot - strike if call else strike - spot)
    spread = spot * 0.15 * math.sqrt(max(days, 1) / 365)
    premium = intrinsic + 0.4 * spread * math.exp(-(((spot - strike) / (1.5 * spread)) ** 2))
    return max(tick, round(premium / tick) * tick)


class _Series(NamedTuple):
    """Contracts of one underlying that expire together."""

    segment: int
    exchange: str
    underlying: str
    expiry: date
    lot: int = 1
    tick: float = 0.05
    weekly: bool = False

    def symbol(self, kind: str, strike: float) -> str:
        """``NIFTY26JANFUT``, ``NIFTY26JAN24800CE``."""
        stem = contract_symbol(self.underlying, self.expiry, weekly=self.weekly)
        return stem + kind if kind == "FUT" else f"{stem}{strike:.10g}{kind}"


class _Builder:
    def __init__(self, today: date, rng: random.Random, namespace: str) -> None:
        self._today = today
        self._rng = rng
        self._namespace = namespace
        self._next_contract = _FIRST_CONTRACT

    def rows(self, size: int) -> Iterator[Listing]:
        core = [
            *self._indices(),
            *self._stocks(),
            *self._futures(),
            *self._commodities(),
            *self._currencies(),
            *self._index_options(),
            *self._stock_options(),
        ]
        yield from core[:size]
        for n in range(size - len(core)):
            yield self._filler(n)

    def _indices(self) -> Iterator[Listing]:
        for index in INDEX_LISTINGS:
            instrument = Instrument(
                self._namespace,
                index.exchange_token << 8 | INDICES,
                index.exchange,
                index.name,
                name=index.name,
                segment="INDICES",
                instrument_type="EQ",
                lot_size=0,
            )
            yield Listing(instrument, index.price)

    def _share(self, exchange: str, exchange_token: int, symbol: str, name: str, *, price: float) -> Listing:
        instrument = Instrument(
            self._namespace,
            exchange_token << 8 | (NSE if exchange == "NSE" else BSE),
            exchange,
            symbol,
            name=name,
            segment=exchange,
            instrument_type="EQ",
            tick_size=0.05,
        )
        return Listing(instrument, price)

    def _stocks(self) -> Iterator[Listing]:
        for stock in STOCK_LISTINGS:
            yield self._share("NSE", stock.nse_token, stock.symbol, stock.name, price=stock.price)
            yield self._share("BSE", stock.bse_token, stock.symbol, stock.name, price=stock.price)

    def _filler(self, n: int) -> Listing:
        """Generated shares, in turn on NSE and BSE."""
        number, bombay = divmod(n, 2)
        price = round(self._rng.lognormvariate(5.5, 1.1) + 1, 1)
        exchange = "BSE" if bombay else "NSE"
        symbol, name = f"SIM{number:05d}", f"SIMULATED {number}"
        return self._share(exchange, _FIRST_FILLER + number, symbol, name, price=price)

    def _contract(self, series: _Series, kind: str, price: float, strike: float = 0.0) -> Listing:
        self._next_contract += 1
        instrument = Instrument(
            self._namespace,
            self._next_contract << 8 | series.segment,
            series.exchange,
            series.symbol(kind, strike),
            name=series.underlying,
            segment=f"{series.exchange}-{'FUT' if kind == 'FUT' else 'OPT'}",
            instrument_type=kind,
            expiry=series.expiry.isoformat(),
            strike=strike,
            lot_size=series.lot,
            tick_size=series.tick,
        )
        return Listing(instrument, price)

    def _chain(self, series: _Series, spot: float, step: float, reach: int) -> Iterator[Listing]:
        """Calls and puts at ``reach`` strikes either side of the money."""
        middle = round(spot / step)
        days = (series.expiry - self._today).days
        for n in range(middle - reach, middle + reach + 1):
            strike = round(n * step, 4)
            for kind in ("CE", "PE"):
                price = option_price(spot, strike, days, call=kind == "CE", tick=series.tick)
                yield self._contract(series, kind, price, strike)

    def _futures(self) -> Iterator[Listing]:
        stocks = [(stock.symbol, stock.price, stock.lot) for stock in STOCK_LISTINGS]
        for month, expiry in enumerate(monthly_expiries(self._today, 3), 1):
            for name, spot, lot in [NIFTY, BANKNIFTY, *stocks]:
                series = _Series(NFO, "NFO", name, expiry, lot)
                yield self._contract(series, "FUT", round(spot * (1 + 0.005 * month), 1))
            name, spot, lot = SENSEX
            yield self._contract(_Series(BFO, "BFO", name, expiry, lot), "FUT", spot)

    def _commodities(self) -> Iterator[Listing]:
        near, *later = monthly_expiries(self._today, 3)
        for expiry in (near, *later):
            for item in MCX_LISTINGS:
                series = _Series(MCX, "MCX", item.symbol, expiry, item.lot, item.tick)
                yield self._contract(series, "FUT", item.price)
        yield self._contract(_Series(NCO, "NCO", "GOLD1G", near, tick=0.5), "FUT", 12_214.50)
        for item in MCX_LISTINGS[:4]:
            series = _Series(MCX, "MCX", item.symbol, near, item.lot, item.tick)
            yield from self._chain(series, item.price, item.strike_step, 10)

    def _currencies(self) -> Iterator[Listing]:
        near, *later = monthly_expiries(self._today, 3)
        for expiry in (near, *later):
            for name, price in CURRENCIES:
                for segment, exchange in ((CDS, "CDS"), (BCD, "BCD")):
                    yield self._contract(_Series(segment, exchange, name, expiry, tick=0.0025), "FUT", price)
        name, price = CURRENCIES[0]
        yield from self._chain(_Series(CDS, "CDS", name, near, tick=0.0025), price, 0.25, 20)

    def _index_options(self) -> Iterator[Listing]:
        months = monthly_expiries(self._today, 3)
        for expiry in months:
            for (name, spot, lot), step in ((NIFTY, 50), (BANKNIFTY, 100)):
                yield from self._chain(_Series(NFO, "NFO", name, expiry, lot), spot, step, 60)
        name, spot, lot = NIFTY
        for expiry in weekly_expiries(self._today, 4):
            if expiry not in months:
                series = _Series(NFO, "NFO", name, expiry, lot, weekly=True)
                yield from self._chain(series, spot, 50, 60)

    def _stock_options(self) -> Iterator[Listing]:
        for expiry in monthly_expiries(self._today, 2):
            for stock in STOCK_LISTINGS:
                series = _Series(NFO, "NFO", stock.symbol, expiry, stock.lot)
                yield from self._chain(series, stock.price, stock.strike_step, 10)

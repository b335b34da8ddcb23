"""The simulated instrument dump."""

import csv
import io
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.wire.kite import segment
from tickerd_plugins.simulator.universe import (
    COLUMNS,
    Universe,
    contract_symbol,
    monthly_expiries,
    option_price,
    weekly_expiries,
)

TODAY = date(2026, 1, 14)
SEGMENTS = {"NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "BFO": 5, "BCD": 6, "MCX": 7, "NCO": 12}


@pytest.fixture(scope="module")
def universe() -> Universe:
    return Universe(TODAY, seed=1)


def test_the_names_that_everybody_knows_have_the_tokens_that_everybody_knows(universe: Universe) -> None:
    known = {"NSE:INFY": 408065, "NSE:NIFTY 50": 256265, "NSE:NIFTY BANK": 260105, "BSE:SENSEX": 265}
    assert {symbol: universe.token(symbol) for symbol in known} == known
    assert universe.token("NSE:NOSUCH") is None


def test_the_low_byte_of_every_token_is_its_segment(universe: Universe) -> None:
    for listing in universe.listings.values():
        i = listing.instrument
        assert segment(i.token) == (9 if i.segment == "INDICES" else SEGMENTS[i.exchange]), i


def test_no_two_instruments_share_a_token_or_a_symbol(universe: Universe) -> None:
    assert len(universe) == 12_000
    assert len({i.symbol for i in universe.instruments}) == 12_000
    assert max(universe.tokens) < 2**31


def test_every_exchange_has_its_kinds_of_instrument(universe: Universe) -> None:
    kinds = {(i.segment, i.instrument_type) for i in universe.instruments}
    derivatives = {f"{exchange}-FUT": ("FUT",) for exchange in ("NFO", "MCX", "CDS", "BCD", "BFO", "NCO")}
    derivatives |= {f"{exchange}-OPT": ("CE", "PE") for exchange in ("NFO", "MCX", "CDS")}
    shares = {"INDICES": ("EQ",), "NSE": ("EQ",), "BSE": ("EQ",)}
    assert kinds == {(segment, kind) for segment, kinds in (derivatives | shares).items() for kind in kinds}
    assert universe.exchanges() == {*SEGMENTS}


def test_options_expire_in_the_future_and_cost_at_least_a_tick(universe: Universe) -> None:
    options = [x for x in universe.listings.values() if x.instrument.instrument_type in ("CE", "PE")]
    assert len(options) > 3_000
    for instrument, price in options:
        assert date.fromisoformat(instrument.expiry) >= TODAY
        assert price >= instrument.tick_size > 0
        assert instrument.strike > 0
        assert instrument.tradingsymbol.endswith(f"{instrument.strike:.10g}{instrument.instrument_type}")


def test_the_dump_has_twelve_columns_and_every_row(universe: Universe) -> None:
    rows = list(csv.DictReader(io.StringIO(universe.dump().decode())))
    assert tuple(rows[0]) == COLUMNS
    assert len(COLUMNS) == 12
    assert len(rows) == 12_000
    assert [int(row["instrument_token"]) for row in rows] == universe.tokens
    assert all(int(row["instrument_token"]) >> 8 == int(row["exchange_token"]) for row in rows)
    infy = next(row for row in rows if row["tradingsymbol"] == "INFY" and row["exchange"] == "NSE")
    assert (infy["name"], infy["last_price"], infy["expiry"]) == ("INFOSYS", "1573.7", "")


def test_the_dump_of_one_exchange_is_a_part_of_the_whole(universe: Universe) -> None:
    rows = list(csv.DictReader(io.StringIO(universe.dump("CDS").decode())))
    assert {row["exchange"] for row in rows} == {"CDS"}
    assert universe.dump("CDS") is universe.dump("CDS")
    assert any(row["last_price"] == "83.2575" for row in rows)


def test_the_same_seed_makes_the_same_universe() -> None:
    assert Universe(TODAY, 9_000, seed=7).dump() == Universe(TODAY, 9_000, seed=7).dump()
    assert Universe(TODAY, 9_000, seed=7).dump() != Universe(TODAY, 9_000, seed=8).dump()


def test_a_small_universe_keeps_the_known_names() -> None:
    small = Universe(TODAY, 30)
    assert len(small) == 30
    assert small.token("NSE:INFY") == 408065


@given(st.dates(date(2025, 1, 1), date(2035, 1, 1)))
def test_expiries_are_tuesdays_not_before_today(today: date) -> None:
    weekly, monthly = weekly_expiries(today, 4), monthly_expiries(today, 3)
    assert all(day.weekday() == 1 and day >= today for day in weekly + monthly)
    assert weekly[0] - today < timedelta(7)
    assert len(monthly) == 3
    assert all((day + timedelta(7)).month != day.month for day in monthly)
    assert len({(day.year, day.month) for day in monthly}) == 3


def test_contract_symbols_are_the_brokers() -> None:
    assert contract_symbol("NIFTY", date(2026, 1, 27), weekly=False) == "NIFTY26JAN"
    assert contract_symbol("NIFTY", date(2026, 1, 20), weekly=True) == "NIFTY26120"
    assert contract_symbol("NIFTY", date(2026, 12, 1), weekly=True) == "NIFTY26D01"


def test_a_premium_is_never_below_what_the_option_is_worth() -> None:
    assert option_price(25_000, 24_000, 10, call=True, tick=0.05) >= 1_000
    assert option_price(25_000, 24_000, 10, call=False, tick=0.05) >= 0.05
    assert option_price(25_000, 90_000, 1, call=True, tick=0.05) == 0.05

"""What selectors mean: checked against a plain reading of every row, and one by one where that matters."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.instruments.selectors import (
    HYSTERESIS,
    Choice,
    choose,
    fits,
    is_selector,
    matches,
    matching,
    recentre,
    select,
    window,
)
from tickerd.plugin import Instrument, Listing, Match

TODAY = "2026-11-20"


def symbols(selected):
    return [one.symbol for one in selected.instruments]


def at(price):
    return lambda instrument: price


def no_price(_):
    return None


# -- patterns -----------------------------------------------------------------------------------------------


def test_a_pattern_means_every_symbol_that_fits(listing):
    assert symbols(select(listing, "NSE:NIFTY*", TODAY, no_price)) == ["NSE:NIFTY 50", "NSE:NIFTY BANK"]
    assert symbols(select(listing, "?SE:INFY", TODAY, no_price)) == ["BSE:INFY", "NSE:INFY"]
    assert symbols(select(listing, "NSE:NIFTY", TODAY, no_price)) == []
    assert len(symbols(select(listing, "NFO:NIFTY261124*CE", TODAY, no_price))) == 21


def test_a_pattern_never_means_what_has_expired(listing):
    assert symbols(select(listing, "NFO:NIFTY261124*", "2026-11-25", no_price)) == []


letters = st.text("AB1 .[éß\u0905", max_size=5)


@given(
    st.lists(letters, max_size=20, unique=True),
    st.text("AB1 .[é*?", max_size=6).filter(lambda text: text.count("*") + text.count("?") <= 4),
)
def test_patterns_agree_with_fnmatch(names, tail):
    pattern = f"NSE:{tail}*" if not is_selector(f"NSE:{tail}") else f"NSE:{tail}"
    listing = Listing.of("kite", [Instrument("kite", n, "NSE", name) for n, name in enumerate(names, 1)])
    expected = [s for s in listing if fnmatch.fnmatchcase(s, pattern.replace("[", "[[]"))]
    assert [listing.symbol(row) for row in matching(listing, pattern)] == expected
    assert [symbol for symbol in listing if matches(symbol, pattern)] == expected


# -- matches ------------------------------------------------------------------------------------------------


@st.composite
def wanted(draw):
    """A match without picks and windows."""
    some = {
        "exchange": draw(st.lists(st.sampled_from(["NSE", "NFO", "MCX", "XXX"]), max_size=2)),
        "segment": draw(st.lists(st.sampled_from(["NFO-OPT", "NFO-FUT", "NSE"]), max_size=2)),
        "name": draw(st.lists(st.sampled_from(["NIFTY", "INFOSYS", "GOLD"]), max_size=2)),
        "instrument_type": draw(st.lists(st.sampled_from(["CE", "PE", "FUT", "EQ"]), max_size=3)),
        "strike": draw(
            st.none()
            | st.sampled_from([24_100.0, {"from": 25_000.0}, {"from": 24_500, "to": 24_700}, {"to": 24_050}])
        ),
        "expiry": draw(
            st.none() | st.sampled_from(["2026-12-01", {"from": "2026-11-30"}, {"to": "2026-11-30"}])
        ),
    }
    kept = {key: value for key, value in some.items() if value}
    return Match.model_validate(kept or {"exchange": "NSE"})


@given(wanted(), st.sampled_from([TODAY, "2026-11-25", "2027-01-01"]))
def test_a_match_means_what_every_row_says_by_itself(listing, market, match, today):
    expected = {
        one.symbol for one in market if fits(one, match) and not ("" < one.expiry < today)
    }  # the plain reading
    assert set(symbols(select(listing, match, today, no_price))) == expected


def test_what_fits_is_told_of_one_instrument(market):
    call = next(one for one in market if one.symbol == "NFO:NIFTY26112424100CE")
    assert fits(call, Match(exchange="NFO", strike=24_100, expiry={"to": "2026-11-24"}))
    assert not fits(call, Match(strike=24_200))
    assert not fits(call, Match(instrument_type="PE"))
    assert not fits(call, Match(expiry={"from": "2026-11-25"}))
    share = next(one for one in market if one.symbol == "NSE:INFY")
    assert not fits(share, Match(strike={"from": 0}))
    assert not fits(share, Match(expiry={"from": "2000-01-01"}))


@pytest.mark.parametrize(
    ("today", "pick", "expiry"),
    [
        (TODAY, "nearest", "2026-11-24"),
        ("2026-11-24", "nearest", "2026-11-24"),  # on its day it still trades
        ("2026-11-25", "nearest", "2026-12-01"),
        (TODAY, "next", "2026-12-01"),
        ("2026-12-02", "nearest", "2026-12-29"),
    ],
)
def test_the_nearest_expiry_is_the_first_that_has_not_passed(listing, today, pick, expiry):
    match = Match(exchange="NFO", name="NIFTY", instrument_type=("CE", "PE"), expiry=pick)
    found = select(listing, match, today, no_price).instruments
    assert {one.expiry for one in found} == {expiry}
    assert len(found) == 42


def test_there_may_be_no_next_one(listing):
    match = Match(exchange="NFO", name="NIFTY", instrument_type="CE", expiry="next")
    assert symbols(select(listing, match, "2026-12-02", no_price)) == []


def test_each_underlying_has_its_own_nearest_expiry_and_futures_theirs(listing):
    found = select(listing, Match(exchange="NFO", expiry="nearest"), TODAY, no_price).instruments
    nearest = {(one.name, one.instrument_type): one.expiry for one in found}
    assert nearest[("NIFTY", "CE")] == "2026-11-24"
    assert nearest[("NIFTY", "FUT")] == "2026-12-29"
    assert nearest[("INFY", "PE")] == "2026-12-29"


def test_a_pick_is_made_within_a_range(listing):
    match = Match(name="NIFTY", instrument_type="CE", expiry={"pick": "nearest", "from": "2026-11-28"})
    assert {one.expiry for one in select(listing, match, TODAY, no_price).instruments} == {"2026-12-01"}


# -- round the money ----------------------------------------------------------------------------------------

MONEY = Match(name="NIFTY", instrument_type="CE", expiry="nearest", strike={"around": "money", "count": 3})


def strikes(selected):
    return sorted({one.strike for one in selected.instruments})


def test_a_window_lies_round_the_underlyings_price(listing):
    selected = select(listing, MONEY, TODAY, at(24_812.05))
    assert strikes(selected) == [24_700, 24_800, 24_900]
    assert [one.symbol for one in selected.underlyings] == ["NSE:NIFTY 50"]
    assert selected.middles == {("NFO", "NIFTY", "2026-11-24"): 24_800.0}


def test_without_a_price_a_window_is_empty_and_says_what_it_waits_for(listing):
    selected = select(listing, MONEY, TODAY, no_price)
    assert selected.instruments == []
    assert selected.waiting == ("NSE:NIFTY 50",)
    assert [one.symbol for one in selected.underlyings] == ["NSE:NIFTY 50"]


def test_every_expiry_has_a_window_of_its_own(listing):
    match = Match(name="NIFTY", strike={"around": "money", "count": 1})
    found = select(listing, match, TODAY, at(25_000)).instruments
    assert {(one.expiry, one.strike) for one in found} == {
        ("2026-11-24", 25_000), ("2026-12-01", 25_000), ("2026-12-29", 25_000),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("match", "underlying"),
    [
        ({"name": "INFY"}, "NSE:INFY"),
        ({"name": "GOLD"}, "MCX:GOLD26DECFUT"),
        ({"name": "NIFTY", "strike": {"underlying": "NSE:NIFTY BANK"}}, "NSE:NIFTY BANK"),
    ],
)
def test_the_underlying_is_an_index_a_share_or_the_first_future(listing, match, underlying):
    strike = {"around": "money", "count": 1} | match.pop("strike", {})
    selected = select(listing, Match(strike=strike, **match), TODAY, at(1500))
    assert [one.symbol for one in selected.underlyings] == [underlying]


def test_an_underlying_that_nobody_has_is_waited_for(listing):
    match = Match(name="NIFTY", strike={"around": "money", "count": 1, "underlying": "NSE:GONE"})
    selected = select(listing, match, TODAY, at(1))
    assert (selected.instruments, selected.underlyings, selected.waiting) == ([], (), ("NIFTY",))


def test_a_window_may_be_limited_to_a_range_of_strikes(listing):
    strike = {"around": "money", "count": 3, "from": 24_900}
    selected = select(listing, Match(name="NIFTY", expiry="nearest", strike=strike), TODAY, at(24_000))
    assert strikes(selected) == [24_900, 25_000, 25_100]


def test_a_price_that_wavers_between_two_strikes_moves_nothing(listing):
    choice = choose(listing, MONEY, TODAY)
    selected = choice.at(at(24_840))
    held = strikes(selected)
    for price in (24_860, 24_845, 24_874, 24_730, 24_855):
        selected = choice.at(at(price), selected.middles)
        assert strikes(selected) == held
    selected = choice.at(at(24_876), selected.middles)
    assert strikes(selected) == [24_800, 24_900, 25_000]
    assert isinstance(choice, Choice)


grids = st.lists(st.integers(1, 10_000), min_size=1, max_size=30, unique=True).map(sorted)


@given(grids, st.floats(0, 12_000), st.floats(0, 12_000))
def test_the_middle_is_the_nearest_or_the_one_held_within_its_steps(grid, first, then):
    grid = list(map(float, grid))
    held = recentre(grid, first, None)
    assert abs(held - first) == min(abs(strike - first) for strike in grid)
    middle = recentre(grid, then, held)
    nearest = min(abs(strike - then) for strike in grid)
    if middle != held:
        assert abs(middle - then) == nearest
    elif abs(held - then) > nearest:
        steps = [abs(strike - held) for strike in grid if (strike - held) * (then - held) > 0]
        assert abs(held - then) <= HYSTERESIS * min(steps)
    assert recentre(grid, then, middle) == middle  # what stands still stays


@given(grids, st.data(), st.integers(1, 40))
def test_a_window_has_its_width_and_holds_its_middle(grid, data, count):
    middle = data.draw(st.sampled_from(grid))
    found = window(grid, middle, count)
    assert len(found) == min(count, len(grid))
    assert middle in found
    first = grid.index(found[0])
    assert list(found) == grid[first : first + len(found)]


def test_a_held_strike_that_is_gone_is_forgotten():
    assert recentre([100.0, 200.0], 190.0, 150.0) == 200.0

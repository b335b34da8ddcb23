"""Tables in columns: the same instruments come out, whatever they were made of, and damage is noticed."""

import gc
import sys
import tracemalloc
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import Instrument, Listing
from tickerd.plugin.listing import _Index

NIFTY = Instrument("kite", 256265, "NSE", "NIFTY 50", "NIFTY 50", "INDICES", "EQ", "", 0.0, 0, 0.0)
INFY = Instrument("kite", 408065, "NSE", "INFY", "INFOSYS", "NSE", "EQ", "", 0.0, 1, 0.05)
CALL = Instrument(
    "kite", 7, "NFO", "NIFTY26DEC26000CE", "NIFTY", "NFO-OPT", "CE", "2026-12-31", 26000.0, 75, 0.05
)

names = st.text(st.characters(exclude_characters="\n:", exclude_categories=["Cs"]), max_size=6)
instruments = st.lists(
    st.builds(
        Instrument,
        namespace=st.just("kite"),
        token=st.integers(1, 2**32 - 1),
        exchange=st.sampled_from(["NSE", "NFO", "BSE", "N", "NS"]),
        tradingsymbol=names,
        name=names,
        segment=st.sampled_from(["", "NSE", "NFO-OPT"]),
        instrument_type=st.sampled_from(["EQ", "CE"]),
        expiry=st.sampled_from(["", "2026-12-31"]),
        strike=st.floats(0, 1e9),
        lot_size=st.integers(0, 10**6),
        tick_size=st.sampled_from([0.0, 0.05, 1.0]),
    ),
    max_size=30,
)


@pytest.fixture
def listing():
    return Listing.of("kite", [INFY, CALL, NIFTY])


def test_instruments_are_found_by_symbol_token_and_row(listing):
    assert len(listing) == 3
    assert list(listing) == ["NFO:NIFTY26DEC26000CE", "NSE:INFY", "NSE:NIFTY 50"]
    assert listing["NSE:INFY"] == listing.by_token(408065) == listing.at(1) == INFY
    assert listing.get("NSE:GONE") is None
    assert listing.by_token(5) is None
    assert listing.row_of_token(2**32) is None
    assert "NSE:INFY" in listing
    assert 408065 not in listing
    with pytest.raises(KeyError, match="NSE:GONE"):
        listing["NSE:GONE"]


def test_columns_are_read_without_making_instruments(listing):
    assert listing.exchange(0) == "NFO"
    assert listing.exchange(2) == "NSE"
    assert (listing.token(1), listing.strike(0), listing.value("expiry", 0)) == (
        408065,
        26000.0,
        "2026-12-31",
    )
    assert list(listing.having("name", ["NIFTY", "INFOSYS"], range(3))) == [0, 1]
    assert list(listing.having("name", ["NOBODY"], range(3))) == []


def test_symbols_with_a_common_beginning_lie_side_by_side(listing):
    assert listing.beginning("NSE:") == range(1, 3)
    assert listing.beginning("NSE:NIFTY 5") == range(2, 3)
    assert listing.symbols(listing.beginning("NSE:")) == ["NSE:INFY", "NSE:NIFTY 50"]
    assert listing.symbols(listing.beginning("MCX:")) == []
    assert listing.beginning("") == range(3)


def test_of_several_with_one_token_or_symbol_the_last_counts():
    again = Instrument("kite", 9, "NSE", "INFY")
    listing = Listing.of("kite", [INFY, again, Instrument("kite", 9, "NSE", "TCS")])
    assert list(listing) == ["NSE:INFY", "NSE:TCS"]
    assert listing["NSE:INFY"].token == 408065


def test_numbers_that_are_equal_keep_their_types(listing):
    for one in listing.values():
        assert list(map(type, (one.strike, one.lot_size, one.tick_size))) == [float, int, float]


def test_an_empty_one_is_one():
    listing = Listing.unpack(Listing.of("kite", []).pack())
    assert (len(listing), listing.symbols(), listing.get("x"), listing.by_token(1)) == (0, [], None, None)
    assert listing.beginning("x") == range(0)


def test_symbols_of_one_check_sum_are_told_apart():
    index = _Index(*_Index.of([5, 7, 5, 5]))
    assert list(index.find(5)) == [0, 2, 3]
    assert list(index.find(6)) == []
    # two strings of one CRC-32
    same = [Instrument("kite", 1, "", "plumless"), Instrument("kite", 2, "", "buckeroo")]
    listing = Listing.of("kite", same)
    assert [listing[one.symbol].token for one in same] == [1, 2]


@given(instruments)
def test_what_is_packed_comes_back(found):
    by_token = {one.token: one for one in found}
    expected = {one.symbol: one for one in by_token.values()}
    listing = Listing.unpack(Listing.of("kite", found).pack({"root": "x", "fetched_ns": 5}))
    assert dict(listing) == expected
    assert list(listing) == sorted(expected)
    assert listing.about == {"root": "x", "fetched_ns": 5}
    for one in expected.values():
        assert listing.by_token(one.token) == one
        assert all(
            listing.symbol(row).startswith(one.symbol[:3]) for row in listing.beginning(one.symbol[:3])
        )


@given(st.data())
def test_damage_is_noticed(data):
    raw = bytearray(Listing.of("kite", [INFY, CALL, NIFTY]).pack())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        listing = Listing.unpack(bytes(raw))
    except ValueError:
        return
    assert list(listing) == ["NFO:NIFTY26DEC26000CE", "NSE:INFY", "NSE:NIFTY 50"]  # in what is not a column


def test_every_cut_is_noticed():
    raw = Listing.of("kite", [INFY]).pack()
    for length in range(len(raw)):
        with pytest.raises(ValueError, match="not a list of instruments"):
            Listing.unpack(raw[:length])


def test_another_version_or_byte_order_is_refused(monkeypatch):
    monkeypatch.setattr("tickerd.plugin.listing.byteorder", "other")
    raw = Listing.of("kite", [INFY]).pack()
    monkeypatch.undo()
    with pytest.raises(ValueError, match="version 1, other endian"):
        Listing.unpack(raw)


def test_a_symbol_with_a_line_feed_is_refused():
    with pytest.raises(ValueError, match="a symbol holds a line feed"):
        Listing.of("kite", [Instrument("kite", 1, "NSE", "A\nB")])


def steps_of(call):
    """How many instructions of Python a call takes, however fast the machine is."""
    steps = 0

    def step(frame, event, argument):
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += 1
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        call()
    finally:
        sys.settrace(before)
    return steps


def test_a_hundred_and_twenty_thousand_rows_take_a_few_megabytes_and_no_step_for_each():
    rows = (
        (n + 1, "NFO", f"NAME{n % 200}26NOV{n // 200 * 50}CE", f"NAME{n % 200}", "NFO-OPT", "CE", "2026-11-26",
         n // 200 * 50.0, 75, 0.05)
        for n in range(120_000)
    )  # fmt: skip
    raw = Listing.of_rows("kite", rows).pack()
    gc.collect()
    tracemalloc.start()
    try:
        listing = Listing.unpack(raw)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(listing) == 120_000
    assert used < 15e6
    assert steps_of(lambda: Listing.unpack(raw)) < 12_000
    assert isinstance(listing._tokens, array)

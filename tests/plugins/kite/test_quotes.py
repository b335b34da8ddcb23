"""Quotes of REST become packets, and calls stay within what the broker takes."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import OHLC, Stamp
from tickerd.wire.kite import row
from tickerd_plugins.kite.quotes import LONGEST_QUERY, Asked, as_packet, calls

INFY, NIFTY = 408065, 256265
FULL = {
    "instrument_token": INFY,
    "timestamp": datetime(2021, 7, 5, 10, 41, 27),  # noqa: DTZ001 - as the official client gives it
    "last_trade_time": "2021-07-05 10:41:26",
    "last_price": 1573.7,
    "last_quantity": 7,
    "buy_quantity": 256443,
    "sell_quantity": 363009,
    "volume": 1192471,
    "average_price": 1570.37,
    "oi": 3.0,
    "oi_day_high": 0,
    "oi_day_low": 0,
    "net_change": 0,
    "lower_circuit_limit": 1411.05,
    "ohlc": {"open": 1569.15, "high": 1575, "low": 1561.05, "close": 1567.8},
    "depth": {
        "buy": [{"price": 1573.4, "quantity": 5, "orders": 1}],
        "sell": [{"price": 1573.7, "quantity": 172, "orders": 3}],
    },
    "new_field": [1],
}


def decoded(packet):
    return row(packet, Stamp(None, None, None, 0, 0, 0, 0))


def test_a_whole_quote_is_a_full_packet_with_the_times_of_india():
    found = decoded(as_packet(Asked(INFY, "NSE:INFY", "full"), FULL))
    assert (found.mode, found.last_price, found.volume_traded, found.oi) == ("full", 1573.7, 1192471, 3)
    assert found.ohlc == OHLC(1569.15, 1575.0, 1561.05, 1567.8)
    assert (found.exchange_timestamp, found.last_trade_time) == (1625461887, 1625461886)
    assert (found.depth.buy[0].price, found.depth.sell[0].orders) == (1573.4, 3)


@pytest.mark.parametrize(("mode", "length"), [("ltp", 8), ("quote", 44), ("full", 184)])
def test_the_packet_has_the_mode_that_is_wanted(mode, length):
    assert len(as_packet(Asked(INFY, "NSE:INFY", mode), FULL)) == length


@pytest.mark.parametrize(("mode", "length"), [("ltp", 8), ("quote", 28), ("full", 32)])
def test_an_index_has_packets_of_its_own(mode, length):
    index = {"instrument_token": NIFTY, "last_price": 24_812.05, "timestamp": None, "last_trade_time": ""}
    assert len(as_packet(Asked(NIFTY, "NSE:NIFTY 50", mode), index)) == length


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        FULL | {"instrument_token": INFY + 256},
        FULL | {"last_price": None},
        FULL | {"last_price": "1573.7"},
        FULL | {"last_price": 1e300},
        FULL | {"timestamp": "yesterday at noon"},
        FULL | {"depth": {"buy": [1]}},
    ],
)
def test_what_is_no_quote_of_the_instrument_is_not_used(given):
    assert as_packet(Asked(INFY, "NSE:INFY", "full"), given) is None


@given(
    st.lists(st.tuples(st.sampled_from(["ltp", "quote", "full"]), st.integers(3, 60)), max_size=50).map(
        lambda kinds: [(mode, letters) for mode, letters in kinds for _ in range(60)]
    )
)
def test_no_call_asks_for_more_than_the_broker_takes(kinds):
    wanted = [Asked(n, "NSE:" + "&" * letters, mode) for n, (mode, letters) in enumerate(kinds)]
    made = list(calls(wanted))
    assert sorted(one.token for call in made for one in call) == [one.token for one in wanted]
    for call in made:
        assert 0 < len(call) <= (1000 if call[0].mode == "ltp" else 500)
        assert len({one.mode == "ltp" for one in call}) == 1
        assert sum(len("&i=NSE%3A") + 3 * (len(one.symbol) - 4) for one in call) <= LONGEST_QUERY

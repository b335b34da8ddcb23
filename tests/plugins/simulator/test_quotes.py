"""The shapes of the REST API's quotes."""

from tickerd.plugin import Stamp
from tickerd.wire.kite import row
from tickerd.wire.kite.layout import FULL_PACKET, INDEX_FULL_PACKET
from tickerd_plugins.simulator.quotes import ltp, ohlc, quote

STAMP = Stamp(None, None, None, 0, 0, 0, 0)
BOOK = [v for n in range(10) for v in (5 + n, 157_340 - n, 1)]
FULL = FULL_PACKET.pack(
    408065, 157_370, 7, 157_037, 1_192_471, 256_443, 363_009, 156_915, 157_500, 156_105, 156_780,
    1_625_461_887, 0, 0, 0, 1_625_461_887, *BOOK,
)  # fmt: skip
INDEX = INDEX_FULL_PACKET.pack(
    256265, 2_481_205, 2_490_000, 2_470_000, 2_480_000, 2_450_000, 127, 1_625_461_887
)


def test_a_quote_has_the_old_names_and_indian_times() -> None:
    out = quote(row(FULL, STAMP))
    assert out["last_trade_time"] == out["timestamp"] == "2021-07-05 10:41:27"
    assert out["last_quantity"] == 7
    assert out["volume"] == 1_192_471
    assert (out["buy_quantity"], out["sell_quantity"]) == (256_443, 363_009)
    assert out["net_change"] == 5.9
    assert out["ohlc"] == {"open": 1569.15, "high": 1575.0, "low": 1561.05, "close": 1567.8}
    assert out["depth"]["buy"][0] == {"quantity": 5, "price": 1573.4, "orders": 1}


def test_an_index_has_no_book_and_no_volume() -> None:
    out = quote(row(INDEX, STAMP))
    assert out["last_price"] == 24_812.05
    assert out["timestamp"] == "2021-07-05 10:41:27"
    assert not out.keys() & {"depth", "volume", "oi", "last_trade_time"}


def test_ltp_and_ohlc_are_parts_of_it() -> None:
    tick = row(FULL, STAMP)
    assert ltp(tick) == {"instrument_token": 408065, "last_price": 1573.7}
    assert ohlc(tick) == ltp(tick) | {"ohlc": quote(tick)["ohlc"]}


def test_a_time_that_is_unknown_is_null() -> None:
    tick = row(FULL, STAMP)
    tick.last_trade_time = None
    assert quote(tick)["last_trade_time"] is None

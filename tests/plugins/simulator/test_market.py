"""Prices, depth and volumes of the simulated market."""

from datetime import date

import pytest

from tickerd.plugin import Stamp
from tickerd.wire.kite import row
from tickerd_plugins.simulator.market import IndexLine, Line, Market, TradedLine
from tickerd_plugins.simulator.universe import Universe

STAMP = Stamp(None, None, None, 0, 0, 0, 0)
INFY, NIFTY, NOW = 408065, 256265, 1_768_400_000


class Watcher:
    def __init__(self) -> None:
        self.pending: list[bytes] = []


@pytest.fixture(scope="module")
def universe() -> Universe:
    return Universe(date(2026, 1, 14), seed=1)


@pytest.fixture
def market(universe: Universe) -> Market:
    return Market(universe, seed=1)


def lines_of_every_segment(market: Market) -> list[Line]:
    """One line a segment, the cheapest option included."""
    listings = market.universe.listings
    chosen = {token & 0xFF: token for token in reversed(listings)}
    cheapest = min(listings, key=lambda token: listings[token].price)
    lines = [market.line(token, NOW) for token in [*chosen.values(), cheapest]]
    assert len(lines) == 10
    return [line for line in lines if line is not None]


def test_every_packet_is_one_that_a_market_could_have_sent(market: Market) -> None:
    watcher = Watcher()
    for line in lines_of_every_segment(market):
        market.watch(line, watcher, "full")
        before = row(line.snapshot("full"), STAMP)
        for n in range(3_000):
            market.tick(line, NOW + n)
            now = row(watcher.pending.pop(), STAMP)
            assert now.exchange_timestamp == NOW + n
            assert now.flags == ()
            assert now.ohlc is not None
            assert now.last_price is not None
            assert 0 < now.ohlc.low <= now.last_price <= now.ohlc.high
            if isinstance(line, TradedLine):
                assert now.volume_traded is not None
                assert now.volume_traded > (before.volume_traded or 0)
                assert now.last_trade_time == NOW + n
                check_book(now)
            before = now


def check_book(tick) -> None:
    bids = [level.price for level in tick.depth.buy if level.quantity]
    offers = [level.price for level in tick.depth.sell]
    assert bids == sorted(bids, reverse=True)
    assert offers == sorted(offers)
    assert len(offers) == 5
    assert tick.last_price in (bids[0], offers[0])
    assert bids[0] < offers[0]
    for level in tick.depth.buy:
        assert (level.price > 0) == (level.quantity > 0) == (level.orders > 0)
    assert tick.total_buy_quantity >= max(level.quantity for level in tick.depth.buy)
    assert tick.oi_day_low <= tick.oi <= tick.oi_day_high


def test_prices_move_but_do_not_run_away(market: Market) -> None:
    for line in lines_of_every_segment(market):
        began, seen = line.price, set()
        for n in range(20_000):
            line.tick(n * 2_654_435_761 & 0xFFFF_FFFF, NOW)
            seen.add(line.last)
        assert len(seen) > 1, line.listing
        assert line.price > 0
        assert abs(line.price - began) <= max(0.1 * began, 200 * line.listing.instrument.tick_size)


def test_a_price_that_strayed_is_turned_back(market: Market) -> None:
    line = market.line(INFY, NOW)
    assert line is not None
    always_up, always_down = 1 << 20, 0
    for _ in range(400):
        line.tick(always_up, NOW)
    assert line.price == pytest.approx(1573.70 + 150 * 0.05, abs=0.11)
    for _ in range(800):
        line.tick(always_down, NOW)
    assert line.price == pytest.approx(1573.70 - 150 * 0.05, abs=0.11)


def test_a_lower_mode_is_the_beginning_of_the_full_packet(market: Market) -> None:
    watchers = {mode: Watcher() for mode in ("full", "quote", "ltp")}
    line = market.line(INFY, NOW)
    assert line is not None
    for mode, watcher in watchers.items():
        market.watch(line, watcher, mode)
    while not watchers["ltp"].pending:
        market.tick(line, NOW)
    full, quote, ltp = (watchers[mode].pending[-1] for mode in ("full", "quote", "ltp"))
    assert (len(full), len(quote), len(ltp)) == (184, 44, 8)
    assert full[:44] == quote
    assert full[:8] == ltp


def test_ltp_hears_only_of_changed_prices(market: Market) -> None:
    watcher, everything = Watcher(), Watcher()
    line = market.line(INFY, NOW)
    assert line is not None
    market.watch(line, watcher, "ltp")
    other = market.line(INFY, NOW)
    assert other is line
    market.watch(line, everything, "quote")
    for _ in range(500):
        market.tick(line, NOW)
    assert len(everything.pending) == 500
    assert 0 < len(watcher.pending) < 500
    assert all(a != b for a, b in zip(watcher.pending, watcher.pending[1:], strict=False))


def test_an_index_has_a_short_packet_and_no_book(market: Market) -> None:
    line = market.line(NIFTY, NOW)
    assert isinstance(line, IndexLine)
    assert (len(line.snapshot("full")), len(line.snapshot("quote")), len(line.snapshot("ltp"))) == (32, 28, 8)
    assert not row(line.snapshot("full"), STAMP).tradable


def test_every_watched_line_gets_its_turn(market: Market) -> None:
    watcher = Watcher()
    tokens = market.universe.tokens[:50]
    for token in tokens:
        line = market.line(token, NOW)
        assert line is not None
        market.watch(line, watcher, "quote")
    assert market.run(50, NOW) == 50
    assert sorted(row(packet, STAMP).instrument_token for packet in watcher.pending) == sorted(tokens)


def test_nothing_ticks_that_nobody_watches(market: Market) -> None:
    assert market.run(10, NOW) == 0
    watcher, line = Watcher(), market.line(INFY, NOW)
    assert line is not None
    market.watch(line, watcher, "full")
    assert market.watched == [line]
    market.unwatch(line, watcher)
    assert market.watched == []
    assert market.run(10, NOW) == 0
    market.unwatch(line, watcher)


def test_a_muted_instrument_is_not_sent(market: Market) -> None:
    watcher, line = Watcher(), market.line(INFY, NOW)
    assert line is not None
    market.watch(line, watcher, "full")
    market.run(3, NOW, muted={INFY})
    assert watcher.pending == []


def test_an_unknown_token_has_no_line(market: Market) -> None:
    assert market.line(1, NOW) is None

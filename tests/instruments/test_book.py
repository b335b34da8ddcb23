"""What selectors mean at present: worked out once, and again when a table, a day or a price is another."""

import pytest

from tickerd.instruments import Namespace, SelectorBook, book
from tickerd.plugin import Match

MONEY = Match(name="NIFTY", expiry="nearest", strike={"around": "money", "count": 1})


@pytest.fixture
def world(listing):
    class World:
        def __init__(self):
            self.today, self.price = "2026-11-20", None
            self.kite = Namespace("kite")
            self.kite.load(listing)
            self.book = SelectorBook(lambda: self.today, lambda _: self.price)

        def strikes(self, key=MONEY):
            return {(one.expiry, one.strike) for one in self.book.select(self.kite, key).instruments}

    return World()


def test_a_selector_is_worked_out_once(world):
    assert world.book.select(world.kite, "NSE:*") is world.book.select(world.kite, "NSE:*")


def test_a_new_table_counts_at_once(world, market):
    assert len(world.book.select(world.kite, "NSE:*").instruments) == 3
    world.kite.load([one for one in market if one.symbol != "NSE:INFY"])
    assert len(world.book.select(world.kite, "NSE:*").instruments) == 2


def test_windows_open_and_move_with_the_price_when_it_is_looked_at(world):
    assert world.strikes() == set()
    assert not world.book.follow()
    world.price = 24_812.0
    assert world.book.follow()
    assert world.strikes() == {("2026-11-24", 24_800)}
    assert not world.book.follow()
    world.price = 24_860.0
    assert not world.book.follow()
    world.price = 24_880.0
    assert world.book.follow()
    assert world.strikes() == {("2026-11-24", 24_900)}
    assert world.book.version == 2


def test_another_day_means_other_expiries_once_it_has_begun(world):
    world.price = 24_812.0
    assert world.strikes() == {("2026-11-24", 24_800)}
    assert not world.book.turn()
    world.today = "2026-11-25"
    assert world.strikes() == {("2026-11-24", 24_800)}
    assert world.book.turn()
    assert world.strikes() == {("2026-12-01", 24_800)}
    assert world.book.version == 1


def test_the_middle_is_kept_over_a_new_table(world, listing):
    world.price = 24_812.0
    world.strikes()
    world.price = 24_860.0
    world.kite.load(listing)
    assert world.strikes() == {("2026-11-24", 24_800)}


def test_the_oldest_selectors_are_forgotten(world, monkeypatch):
    monkeypatch.setattr(book, "MOST_KEPT", 3)
    first = world.book.select(world.kite, "NSE:A*")
    for letter in "BCD":
        world.book.select(world.kite, f"NSE:{letter}*")
    assert world.book.select(world.kite, "NSE:A*") is not first


def test_by_itself_it_knows_no_prices(listing):
    kite = Namespace("kite")
    kite.load(listing)
    assert SelectorBook().select(kite, MONEY).waiting == ("NSE:NIFTY 50",)

"""Demand: the union of what everyone wants, resolved against the table, told as differences."""

import pytest
import trio
import trio.testing

from tickerd.dataflow.claims import Claims
from tickerd.dataflow.demand import Demand, Narrowed
from tickerd.instruments import Namespace, SelectorBook
from tickerd.plugin import Instrument, Listing, Match


@pytest.fixture
def kite(infy, tcs):
    namespace = Namespace("kite")
    namespace.load([infy, tcs])
    return namespace


async def test_the_highest_mode_that_anybody_wants_wins(kite, infy):
    demand = Demand(kite)
    demand.want("yaml", {"NSE:INFY": "quote"})
    demand.want("client 1", {"NSE:INFY": "full"})
    demand.want("client 2", {408065: "ltp"})
    assert demand.wanted() == {infy: "full"}
    demand.want("client 1", {})
    assert demand.wanted() == {infy: "quote"}
    assert demand.owners("NSE:INFY") == ["yaml", "client 2"]


async def test_an_instrument_is_released_when_its_last_owner_lets_go(kite, infy, tcs):
    demand = Demand(kite)
    demand.want("a", {"NSE:INFY": "ltp", "NSE:TCS": "ltp"})
    demand.want("b", {"NSE:TCS": "ltp"})
    demand.want("a", {})
    assert demand.wanted() == {tcs: "ltp"}


async def test_symbols_wait_for_the_dump_and_unknown_ones_are_listed(infy):
    kite = Namespace("kite")
    demand = Demand(kite)
    demand.want("yaml", {"NSE:INFY": "full", "NSE:INFI": "full", 99: "ltp"})
    assert demand.unresolved == ("NSE:INFY", "NSE:INFI")
    assert [i.token for i in demand.wanted()] == [99]
    kite.load([infy])
    assert demand.unresolved == ("NSE:INFI",)
    assert infy in demand.wanted()


async def test_changes_begin_with_everything_and_go_on_with_differences(kite, infy, tcs):
    demand = Demand(kite)
    demand.want("yaml", {"NSE:INFY": "full"})
    changes = demand.changes()
    assert await anext(changes) == {infy: "full"}
    demand.want("yaml", {"NSE:TCS": "quote", "NSE:INFY": "full"})
    demand.want("other", {"NSE:TCS": "full"})
    assert await anext(changes) == {tcs: "full"}
    demand.want("yaml", {})
    demand.want("other", {})
    assert await anext(changes) == {infy: None, tcs: None}
    await changes.aclose()


async def test_changes_wait_for_a_change(kite, infy):
    demand = Demand(kite)
    seen = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def follow():
            async for change in demand.changes():
                seen.append(change)

        await trio.testing.wait_all_tasks_blocked()
        assert seen == [{}]
        demand.want("yaml", {"NSE:INFY": "ltp"})
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert seen == [{}, {infy: "ltp"}]


async def test_a_nameless_instrument_that_gets_its_name_is_no_change(infy):
    kite = Namespace("kite")
    demand = Demand(kite)
    demand.want("yaml", {infy.token: "full"})
    changes = demand.changes()
    assert await anext(changes) == {Instrument("kite", infy.token, "", ""): "full"}
    kite.load([infy])
    assert await anext(changes) == {}
    await changes.aclose()


async def test_a_token_that_was_given_to_another_symbol_is_resolved_anew(infy):
    kite = Namespace("kite")
    kite.load([infy])
    demand = Demand(kite)
    demand.want("yaml", {"NSE:INFY": "full"})
    changes = demand.changes()
    await anext(changes)
    moved = Instrument("kite", 5, "NSE", "INFY")
    kite.load([moved, Instrument("kite", infy.token, "NSE", "OTHER")])
    assert await anext(changes) == {infy: None, moved: "full"}
    await changes.aclose()


async def test_a_closed_demand_no_longer_follows_the_table(infy):
    kite = Namespace("kite")
    demand = Demand(kite)
    demand.want("yaml", {"NSE:INFY": "full"})
    demand.close()
    kite.load([infy])
    assert demand.wanted() == {}


# -- selectors ----------------------------------------------------------------------------------------------


def call(token, strike, expiry="2026-11-24"):
    return Instrument(
        "kite", token, "NFO", f"NIFTY{expiry}{strike}CE", "NIFTY", "NFO-OPT", "CE", expiry, float(strike)
    )


INDEX = Instrument("kite", 1, "NSE", "NIFTY 50")
CALLS = [call(10 + n, 24_000 + 100 * n) for n in range(5)]
MONEY = Match(name="NIFTY", expiry="nearest", strike={"around": "money", "count": 1})


class World:
    """A table with options, a day and a price."""

    def __init__(self):
        self.today, self.price = "2026-11-20", None
        self.kite = Namespace("kite")
        self.kite.load(Listing.of("kite", [INDEX, *CALLS, call(20, 24_100, "2026-12-01")]))
        self.book = SelectorBook(lambda: self.today, lambda _: self.price)
        self.told = []
        self.claims = Claims()
        self.demand = Demand(self.kite, self.book, claims=self.claims, tell=self.told.extend)


@pytest.fixture
def world():
    return World()


async def test_a_pattern_wants_everything_that_it_means_and_what_is_added_later(world):
    world.demand.want("yaml", {"NFO:NIFTY2026-12*": "quote"})
    assert {one.token for one in world.demand.wanted()} == {20}
    world.kite.load(Listing.of("kite", [call(20, 24_100, "2026-12-01"), call(21, 24_200, "2026-12-01")]))
    assert {one.token for one in world.demand.wanted()} == {20, 21}
    assert [(one.symbol, one.change) for one in world.told] == [("NFO:NIFTY2026-12-0124200CE", "added")]


async def test_a_window_wants_its_underlying_and_moves_by_differences(world):
    world.demand.want("yaml", {MONEY: "full"})
    changes = world.demand.changes()
    assert await anext(changes) == {INDEX: "ltp"}
    world.price = 24_110.0
    assert world.book.follow()
    world.claims.follow_prices()
    assert await anext(changes) == {CALLS[1]: "full"}
    world.price = 24_210.0
    assert world.book.follow()
    world.claims.follow_prices()
    assert await anext(changes) == {CALLS[1]: None, CALLS[2]: "full"}
    assert world.told == []
    assert world.demand.means(MONEY) == {12: CALLS[2]}
    await changes.aclose()


async def test_an_underlying_that_is_wanted_for_itself_keeps_its_mode(world):
    world.demand.want("yaml", {MONEY: "full"})
    world.demand.want("client", {"NSE:NIFTY 50": "quote"})
    assert world.demand.wanted() == {INDEX: "quote"}
    world.demand.want("client", {})
    assert world.demand.wanted() == {INDEX: "ltp"}


async def test_a_day_later_the_expired_are_let_go_and_the_next_expiry_is_wanted(world):
    nearest = Match(name="NIFTY", strike=24_100, expiry="nearest")
    world.demand.want("yaml", {nearest: "full", CALLS[0].symbol: "full"})
    assert {one.token for one in world.demand.wanted()} == {10, 11}
    world.today = "2026-11-25"
    assert world.book.turn()
    world.claims.turn_day()
    assert {one.token for one in world.demand.wanted()} == {20}
    assert sorted((one.symbol, one.change) for one in world.told) == [
        ("NFO:NIFTY2026-11-2424000CE", "expired"),
        ("NFO:NIFTY2026-11-2424100CE", "expired"),
    ]
    assert world.demand.unresolved == (CALLS[0].symbol,)


async def test_who_may_not_see_everything_wants_only_what_he_may(world):
    world.demand.want("client", {Narrowed("NFO:*", frozenset({"NSE"})): "full"})
    assert world.demand.wanted() == {}
    world.demand.want("client", {Narrowed("N*:*", frozenset({"NSE"})): "full"})
    assert world.demand.wanted() == {INDEX: "full"}
    assert str(Narrowed("N*:*", frozenset())) == "N*:*"


async def test_owners_are_known_by_every_key_that_means_an_instrument(world):
    world.demand.want("yaml", {"NSE:*": "full"})
    world.demand.want("client", {1: "ltp"})
    assert world.demand.owners("NSE:NIFTY 50") == ["yaml", "client"]
    assert world.demand.owners("NSE:*") == ["yaml"]
    assert world.demand.owners(MONEY) == []
    assert world.demand.keys() == {"NSE:*": {"yaml": "full"}, 1: {"client": "ltp"}}


# -- what is told -------------------------------------------------------------------------------------------


async def test_the_first_table_tells_only_what_it_does_not_have(infy, tcs):
    told = []
    kite = Namespace("kite")
    demand = Demand(kite, tell=told.extend)
    demand.want("yaml", {"NSE:INFY": "full", "NSE:INFI": "full", 99: "ltp"})
    kite.load([infy, tcs])
    assert [(one.symbol, one.change, one.detail) for one in told] == [
        ("NSE:INFI", "unknown", "not in the dump")
    ]


async def test_another_table_tells_what_has_become_of_what_is_wanted(infy, tcs):
    told = []
    kite = Namespace("kite")
    gone, kept = Instrument("kite", 7, "NSE", "GONE"), Instrument("kite", 8, "NSE", "KEPT")
    kite.load([infy, gone, kept])
    demand = Demand(kite, tell=told.extend)
    demand.want("yaml", {"NSE:INFY": "full", "NSE:GONE": "full", "NSE:TCS": "full", "NSE:KEPT": "full"})
    kite.load([Instrument("kite", 5, "NSE", "INFY", lot_size=2), tcs, kept])
    assert {(one.symbol, one.change): one.detail for one in told} == {
        ("NSE:INFY", "changed"): f"token {infy.token} -> 5, lot_size 1 -> 2",
        ("NSE:GONE", "unknown"): "no longer in the dump",
        ("NSE:TCS", "added"): "",
    }


async def test_a_change_looks_only_at_the_keys_that_differ(kite, infy, monkeypatch):
    demand = Demand(kite)
    demand.want("yaml", {"NSE:INFY": "full", "NSE:TCS": "full"})
    looked = []
    find = kite.find
    monkeypatch.setattr(kite, "find", lambda key: looked.append(key) or find(key))
    demand.want("yaml", {"NSE:INFY": "full", "NSE:TCS": "quote"})
    assert looked == ["NSE:TCS"]
    demand.change("yaml", {"NSE:INFY": None, "NSE:GONE": None})
    assert [one.symbol for one in demand.wanted()] == ["NSE:TCS"]
    assert demand.of("yaml") == {"NSE:TCS": "quote"}

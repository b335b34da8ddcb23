"""Demand: the union of what everyone wants, resolved against the table, told as differences."""

import pytest
import trio
import trio.testing

from tickerd.dataflow.demand import Demand
from tickerd.instruments import Namespace
from tickerd.plugin import Instrument


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
    assert demand.owners("NSE:INFY") == ["yaml"]


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

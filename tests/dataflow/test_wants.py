"""Everybody asks in one place: what is accepted, which source brings it, and what becomes of it later."""

from collections.abc import Iterator
from itertools import count

import pytest
import trio
import trio.testing

from tickerd.dataflow import wants as module
from tickerd.dataflow.hub import Hub
from tickerd.dataflow.subscription import Filter
from tickerd.dataflow.wants import GRACE_S, Wants
from tickerd.instruments import InstrumentTable, SelectorBook
from tickerd.plugin import Instrument, Listing, Match


def made(*symbols: str, namespace: str = "kite", first: int = 1) -> list[Instrument]:
    """Instruments with running tokens."""
    return [
        Instrument(namespace, token, *symbol.split(":"))
        for token, symbol in zip(count(first), symbols, strict=False)
    ]


A, B, C, D = made("NSE:A", "NSE:B", "NSE:C", "NSE:D")


class World:
    """Sources `one` and `two` of a broker with four instruments, and what was published."""

    def __init__(self, capacity=None):
        self.table = InstrumentTable()
        self.kite = self.table.namespace("kite")
        self.kite.load([A, B, C, D])
        self.told = []
        self.today = "2026-11-23"
        self.price = None
        book = SelectorBook(lambda: self.today, lambda _: self.price)
        self.wants = Wants(self.table, book, self.told.extend)
        self.one = self.wants.join("one", self.kite, capacity)
        self.two = self.wants.join("two", self.kite, capacity)

    def carried(self) -> Iterator[str]:
        return (
            f"{demand.name}:{one.tradingsymbol}" for demand in (self.one, self.two) for one in demand.wanted()
        )


@pytest.fixture
def world():
    return World()


@pytest.fixture
def clock():
    # suggestions are looked for in threads
    return trio.testing.MockClock(autojump_threshold=0.05)


@pytest.fixture
def small():
    """Each source carries two."""
    return World(capacity=2)


# -- which source -------------------------------------------------------------------------------------------


async def test_what_a_client_wants_goes_to_the_first_source_with_room(small):
    answer = small.wants.change("client", {"NSE:A": "full", "NSE:B": "full", "NSE:C": "quote"})
    assert answer.accepted == {"NSE:A": "one", "NSE:B": "one", "NSE:C": "two"}
    assert list(small.carried()) == ["one:A", "one:B", "two:C"]


async def test_where_the_yaml_lists_it_goes_before_where_it_is(world):
    world.wants.change("client", {"NSE:A": "full"})
    assert list(world.carried()) == ["one:A"]
    world.two.want("yaml", {"NSE:A": "quote"})
    assert world.two.wanted() == {A: "full"} or world.two.wanted() == {A: "quote"}
    assert world.one.wanted() == {}
    assert world.wants.change("other", {"NSE:A": "full"}).accepted == {"NSE:A": "two"}


async def test_one_that_two_lists_name_is_brought_once(world):
    world.one.want("yaml", {"NSE:A": "full"})
    world.two.want("yaml", {"NSE:A": "full", "NSE:B": "full"})
    assert list(world.carried()) == ["one:A", "two:B"]
    assert world.two.elsewhere == [A.token]
    world.one.want("yaml", {})
    assert sorted(world.carried()) == ["two:A", "two:B"]


async def test_a_source_that_the_caller_names_brings_it(world):
    assert world.wants.change("client", {"NSE:A": "full"}, source="two").accepted == {"NSE:A": "two"}
    (refused,) = world.wants.change("client", {"NSE:B": "full"}, source="three").rejected
    assert (refused.code, refused.detail) == ("unknown_source", "there is no source 'three'")


async def test_a_list_of_the_yaml_is_kept_beyond_the_room(small):
    small.one.want("yaml", {"NSE:A": "full", "NSE:B": "full", "NSE:C": "full"})
    assert list(small.carried()) == ["one:A", "one:B", "one:C"]


async def test_without_room_it_is_refused_and_not_kept(small):
    small.wants.change("a", dict.fromkeys(["NSE:A", "NSE:B", "NSE:C", "NSE:D"], "full"))
    small.kite.load([A, B, C, D, *made("NSE:E", first=5)])
    answer = small.wants.change("b", {"NSE:E": "full", "NSE:A": "ltp"})
    assert answer.accepted == {"NSE:A": "one"}
    (refused,) = answer.rejected
    assert (refused.item, refused.code) == ("NSE:E", "over_capacity")
    assert refused.detail == "'NSE:E': no source has room (one carries 2, two carries 2)"
    assert small.wants.of("b") == {"NSE:A": "ltp"}


async def test_a_selector_for_which_there_is_room_in_part_says_how_many_are_left_out(small):
    small.one.want("yaml", {"NSE:A": "full"})
    small.kite.load([A, B, C, D, *made("NSE:E", "NSE:F", first=5)])
    answer = small.wants.change("client", {"NSE:*": "full"})
    assert answer.partial == {"NSE:*": 2}
    assert len(list(small.carried())) == 4
    small.one.want("yaml", {})  # wanted by the client all the same
    assert len(list(small.carried())) == 4
    small.kite.load([B, C, *made("NSE:E", "NSE:F", first=5)])
    assert sorted(one[4:] for one in small.carried()) == ["B", "C", "E", "F"]


async def test_room_that_is_made_is_given_to_what_waits_for_it(small):
    small.one.want("yaml", {"NSE:A": "full", "NSE:B": "full"})
    small.two.want("yaml", {"NSE:C": "full", "NSE:D": "full"})
    small.kite.load([A, B, C, D, *made("NSE:E", first=5)])
    assert small.wants.change("client", {"NSE:[AE]": "full", "NSE:?": "full"}).partial == {"NSE:?": 1}
    small.two.want("yaml", {"NSE:C": "full"})
    small.kite.load([A, B, C, *made("NSE:E", first=5)])
    assert sorted(one[4:] for one in small.carried()) == ["A", "B", "C", "E"]


async def test_when_a_source_goes_others_bring_what_it_brought(world):
    world.wants.change("client", {"NSE:A": "full"})
    world.one.close()
    assert world.two.wanted() == {A: "full"}
    world.two.close()
    (refused,) = world.wants.change("client", {"NSE:B": "full"}).rejected
    assert (refused.code, refused.detail) == ("no_source", "no source is running")
    three = world.wants.join("three", world.kite)
    assert three.wanted() == {A: "full"}


# -- several brokers ----------------------------------------------------------------------------------------


async def test_each_instrument_comes_from_one_namespace(world):
    other = world.table.namespace("other")
    other.load(made("NSE:A", "NSE:Z", namespace="other"))
    demand = world.wants.join("other", other)
    answer = world.wants.change("client", {"NSE:A": "full", "NSE:Z": "full", "NSE:?": "ltp"})
    assert answer.accepted == {"NSE:A": "one", "NSE:Z": "other", "NSE:?": "one"}
    assert [one.symbol for one in demand.wanted()] == ["NSE:Z"]


async def test_the_namespace_in_which_the_yaml_lists_it_is_the_one(world):
    other = world.table.namespace("other")
    other.load(made("NSE:A", namespace="other"))
    world.wants.join("other", other).want("yaml", {"NSE:A": "full"})
    assert world.wants.change("client", {"NSE:A": "full"}).accepted == {"NSE:A": "other"}


async def test_what_waits_for_one_table_moves_when_another_knows_it():
    table = InstrumentTable()
    slow, late = table.namespace("slow"), table.namespace("late")
    wants = Wants(table)
    first, second = wants.join("first", slow), wants.join("second", late)
    assert wants.change("client", {"NSE:A": "full"}).accepted == {"NSE:A": None}
    slow.load(made("NSE:B", namespace="slow"))
    late.load(made("NSE:A", namespace="late"))
    assert first.wanted() == {}
    assert [one.symbol for one in second.wanted()] == ["NSE:A"]


# -- answers ------------------------------------------------------------------------------------------------


async def test_what_nobody_knows_is_refused_and_advised(world):
    world.kite.load(Listing.of("kite", made("NSE:INFY", "NSE:TCS")))
    keys = {"NSE:INFI": "full", "XXX:*": "full", Match(name="GOLD"): "full", "NSE:TCS": "full"}
    answer = world.wants.change("client", keys)
    assert answer.accepted == {"NSE:TCS": "one"}
    assert [(refused.item, refused.code) for refused in answer.rejected] == [
        ("NSE:INFI", "unknown_symbol"), ("XXX:*", "unknown_symbol"), (Match(name="GOLD"), "unknown_symbol"),
    ]  # fmt: skip
    advised = await world.wants.advise(answer.rejected)
    assert [refused.suggestion for refused in advised] == ["NSE:INFY", None, None]
    assert advised[2].detail == "'{name: GOLD}': nothing fits it"


async def test_advice_is_given_for_a_few_only(world, monkeypatch):
    monkeypatch.setattr(module, "MOST_ADVISED", 2)
    world.kite.load(made("NSE:INFY"))
    answer = world.wants.change("client", {f"NSE:INF{x}": "full" for x in "ABC"})
    advised = await world.wants.advise(answer.rejected)
    assert [refused.suggestion for refused in advised] == ["NSE:INFY", "NSE:INFY", None]


async def test_a_token_that_no_table_names_is_taken(world):
    assert world.wants.change("client", {999: "full"}).accepted == {999: "one"}


async def test_before_the_dump_everything_waits():
    wants = Wants(InstrumentTable())
    demand = wants.join("one", wants.table.namespace("kite"))
    assert wants.change("client", {"NSE:A": "full", "NSE:?": "full"}).accepted == {
        "NSE:A": None,
        "NSE:?": None,
    }
    wants.table.namespace("kite").load([A, B])
    assert demand.wanted() == {A: "full", B: "full"}


async def test_a_selector_means_only_what_its_owner_may_see(world):
    scope = frozenset({"NSE:A", "NSE:B"})
    world.wants.change("client", {"NSE:*": "full"}, scope=scope)
    assert world.wants.means("client") == {A: "full", B: "full"}
    (refused,) = world.wants.change("client", {"NSE:C*": "full"}, scope=scope).rejected
    assert refused.code == "unknown_symbol"


# -- in the course of time ----------------------------------------------------------------------------------


async def test_wants_are_counted_by_owner_and_the_highest_mode_counts(world):
    world.wants.change("a", {"NSE:A": "ltp"})
    world.wants.change("b", {"NSE:A": "full"})
    assert world.one.wanted() == {A: "full"}
    world.wants.change("b", {"NSE:A": None})
    assert world.one.wanted() == {A: "ltp"}
    world.wants.want("a", {"NSE:B": "quote"})
    assert world.one.wanted() == {B: "quote"}
    assert (world.wants.owners(), world.wants.of("a")) == (["a"], {"NSE:B": "quote"})
    one = next(world.wants.shown())
    assert (one.source, one.key, one.instruments, one.owners) == ("one", "NSE:B", 1, {"a": "quote"})
    world.wants.drop("a")
    assert (world.one.wanted(), world.wants.owners()) == ({}, [])


async def test_who_has_gone_is_waited_for(autojump_clock, world, nursery):
    nursery.start_soon(world.wants.run)
    world.wants.change("a", {"NSE:A": "full"})
    world.wants.change("b", {"NSE:B": "full"})
    world.wants.release("a")
    world.wants.release("b")
    world.wants.release("nobody")
    await trio.sleep(GRACE_S - 2)
    assert list(world.carried()) == ["one:A", "one:B"]
    world.wants.change("b", {})
    await trio.sleep(4)
    assert list(world.carried()) == ["one:B"]


async def test_the_day_and_prices_are_followed(autojump_clock, world, nursery):
    index = Instrument("kite", 1, "NSE", "NIFTY 50")
    calls = [
        Instrument("kite", n, "NFO", f"C{n}", "NIFTY", "NFO-OPT", "CE", "2026-11-23", 100.0 * n)
        for n in (7, 8)
    ]
    world.kite.load([index, *calls])
    nursery.start_soon(world.wants.run)
    world.wants.change("a", {Match(name="NIFTY", strike={"around": "money", "count": 1}): "full"})
    assert world.wants.means("a") == {}
    world.price = 810.0
    await trio.sleep(1.5)
    assert world.wants.means("a") == {calls[1]: "full"}
    world.today = "2026-11-24"
    await trio.sleep(1.5)
    assert world.wants.means("a") == {}
    assert [(one.source, one.symbol, one.change) for one in world.told] == [("one", "NFO:C8", "expired")]
    assert world.kite.by_token.keys() == {1}


async def test_what_was_meant_by_an_unknown_symbol_is_found_out_soon(world, nursery, clock):
    world.kite.load(made("NSE:INFY", "NSE:TCS"))
    world.one.want("yaml", {"NSE:INFI": "full", "NSE:ZZZZ": "full", "NSE:X*": "full"})
    nursery.start_soon(world.wants.run)
    await trio.sleep(1.5)
    assert world.one.suggestions == {"NSE:INFI": "NSE:INFY"}
    world.kite.load(made("NSE:INFI"))
    await trio.sleep(1.5)
    assert world.one.suggestions == {}


async def test_many_changes_are_told_by_their_number(world, monkeypatch):
    monkeypatch.setattr(module, "MOST_TOLD", 3)
    world.one.want("yaml", dict.fromkeys([f"NSE:{letter}" for letter in "ABCDEFGH"], "full"))
    world.kite.load([A, B, C, D, *made(*[f"NSE:{letter}" for letter in "EFGH"], first=5)])
    assert [one.symbol for one in world.told][3:] == ["*"]
    assert (world.told[3].detail, world.told[3].source) == ("and 1 more", "one")


# -- a swap under load --------------------------------------------------------------------------------------


async def test_a_swap_loses_no_tick_of_what_stayed_and_never_gives_a_tick_a_wrong_name(read, full):
    """Ticks flow before, between and after; one symbol gets another token, and one token another symbol."""
    hub = Hub(1)
    table = InstrumentTable()
    kite = table.namespace("kite")
    wants = Wants(table, None, lambda records: hub.publish_records(*records), hub.forget_renamed)
    demand = wants.join("kite", kite)
    stays, moves, goes = made("NSE:STAYS", "NSE:MOVES", "NSE:GOES")
    kite.load(Listing.of("kite", [stays, moves, goes]))
    demand.want("yaml", dict.fromkeys(("NSE:STAYS", "NSE:MOVES", "NSE:GOES"), "full"))
    selection = wants.selection(["NSE:STAYS", "NSE:MOVES", "NSE:GOES"])
    _, everything = hub.subscribe("all", "drop_oldest", 2**24, Filter(records=lambda _: False))
    _, listed = hub.subscribe(
        "listed", "drop_oldest", 2**24, Filter(tokens=selection, records=lambda _: False)
    )

    def burst():
        for _ in range(50):
            hub.publish(read(full(1), full(2), full(3)), "kite", kite)

    burst()
    before = everything
    moved, newcomer = made("NSE:MOVES", first=9)[0], made("NSE:NEW", first=2)[0]
    kite.load(Listing.of("kite", [stays, moved, newcomer]))
    assert {one.symbol: one.token for one in demand.wanted()} == {"NSE:STAYS": 1, "NSE:MOVES": 9}
    assert [tick.symbol for tick in hub.latest("kite", [1, 2, 3, 9])] == ["NSE:STAYS"]
    burst()  # the broker has not been told yet
    demand.want("client", {"NSE:NEW": "full"})
    hub.publish(read(full(1), full(2), full(9)), "kite", kite)

    def counted(subscription):
        counts = {}
        for tick in trio_free(subscription).ticks:
            counts[tick.symbol] = counts.get(tick.symbol, 0) + 1
        return counts

    assert counted(before) == {
        "NSE:STAYS": 101, "NSE:MOVES": 51, "NSE:GOES": 50, "NSE:NEW": 51, None: 50,
    }  # fmt: skip
    assert counted(listed) == {"NSE:STAYS": 101, "NSE:MOVES": 51, "NSE:GOES": 50}
    assert hub.totals.records == 2


def trio_free(subscription):
    """What waits in a subscription, without waiting."""
    return subscription._take(10**6)

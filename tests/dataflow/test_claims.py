"""Exactly one source brings an instrument, whatever happens to all of them at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.dataflow.claims import Claims
from tickerd.dataflow.demand import Demand
from tickerd.instruments import Namespace, SelectorBook
from tickerd.plugin import Instrument


def made(token, symbol, expiry=""):
    return Instrument("kite", token, "NSE", symbol, expiry=expiry)


TABLE = [made(n, f"S{n}") for n in range(1, 7)]


class Sources:
    """Three of one namespace, each with room for two."""

    def __init__(self, number=3, capacity=2):
        self.kite = Namespace("kite")
        self.kite.load(TABLE)
        self.today = "2026-11-20"
        self.claims = Claims()
        self.told = []
        self.book = SelectorBook(lambda: self.today)
        self.demands = [
            Demand(
                self.kite,
                self.book,
                name=str(n),
                capacity=capacity,
                claims=self.claims,
                tell=self.told.extend,
            )
            for n in range(number)
        ]

    def holders(self, token):
        return [demand.name for demand in self.demands if demand.carries(token)]


@pytest.fixture
def sources():
    return Sources()


async def test_a_day_that_ends_for_all_is_told_once(sources):
    sources.kite.load([made(1, "A", "2026-11-20")])
    for demand in sources.demands:
        demand.want("client", {"NSE:A": "full"})
    sources.today = "2026-11-21"
    assert sources.book.turn()
    sources.claims.turn_day()
    assert [one.change for one in sources.told] == ["expired"]
    assert sources.holders(1) == []


async def test_a_new_table_moves_nothing_from_one_source_to_another(sources):
    sources.demands[2].want("yaml", {"NSE:S1": "full"})
    for demand in sources.demands:
        demand.want("client", {"NSE:S1": "full", "NSE:S2": "full"})
    before = [sources.holders(token) for token in (1, 2)]
    sources.kite.load([*TABLE[:2], made(9, "S9")])
    assert [sources.holders(token) for token in (1, 2)] == before == [["2"], ["0"]]
    assert sources.told == []


async def test_who_leaves_hands_on(sources):
    for demand in sources.demands:
        demand.want("client", {"NSE:S1": "full"})
    first = sources.demands.pop(0)
    first.close()
    assert sources.holders(1) == ["1"]
    for demand in sources.demands:
        demand.close()
    sources.kite.load(TABLE)  # nobody listens any more
    assert sources.claims.demands == []


async def test_room_that_a_list_elsewhere_makes_is_given_to_what_waits(sources):
    sources.demands[1].want("a", {"NSE:S1": "ltp", "NSE:S2": "ltp", "NSE:S3": "ltp"})
    assert [len(sources.holders(token)) for token in (1, 2, 3)].count(1) == 2
    carried = next(token for token in (1, 2, 3) if sources.holders(token))
    sources.demands[0].want("yaml", {f"NSE:S{carried}": "ltp"})
    assert [sources.holders(token) for token in (1, 2, 3) if token != carried] == [["1"], ["1"]]
    assert sources.holders(carried) == ["0"]


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["yaml", "a", "b"]),
        st.dictionaries(
            st.sampled_from([f"NSE:S{n}" for n in range(1, 7)]), st.sampled_from(["ltp", "full"])
        ),
    ),
    max_size=12,
)


@given(steps, st.booleans())
def test_each_instrument_that_is_wanted_has_one_source_or_there_is_no_room(steps, again):
    sources = Sources()
    for place, owner, wants in steps:
        sources.demands[place].want(owner, wants)
        if again:
            sources.kite.load(TABLE)
        for token in range(1, 7):
            asked = [demand for demand in sources.demands if demand.asks(token)]
            holders = [demand for demand in sources.demands if demand.carries(token)]
            assert len(holders) <= 1
            assert set(holders) <= set(asked)
            if asked and not holders:
                assert not any(demand.room or demand.lists(token) for demand in asked)
            if any(demand.lists(token) for demand in asked):
                assert holders[0].lists(token)

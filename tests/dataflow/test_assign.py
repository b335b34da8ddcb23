"""Which source brings an instrument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.dataflow.assign import Seat, assign_source

FULL, FREE = Seat("full", room=False), Seat("free")


@pytest.mark.parametrize(
    ("seats", "source"),
    [
        ([], None),
        ([FULL], None),
        ([FULL, FREE], "free"),
        ([FREE, Seat("second")], "free"),
        ([FREE, Seat("carrier", carries=True, room=False)], "carrier"),
        ([Seat("carrier", carries=True), Seat("lister", lists=True)], "lister"),
        ([FREE, Seat("lister", lists=True, room=False)], "lister"),
        ([Seat("one", lists=True), Seat("two", lists=True, carries=True)], "two"),
        ([Seat("one", lists=True), Seat("two", lists=True)], "one"),
    ],
)
def test_the_lister_comes_first_then_the_carrier_then_the_first_with_room(seats, source):
    assert assign_source(seats) == source


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=5))
def test_nobody_without_room_is_chosen_but_who_lists_or_carries_it(flags):
    seats = [Seat(str(n), *each) for n, each in enumerate(flags)]
    chosen = assign_source(seats)
    if chosen is None:
        assert not any(any(each) for each in flags)
    else:
        assert any(flags[int(chosen)])

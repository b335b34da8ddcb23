"""Followers of a table are told what changed since they last looked, each by itself."""

import pytest
import trio.testing

from tickerd.dataflow.changes import Changes
from tickerd.plugin import Instrument

A, B = Instrument("x", 1, "NSE", "A"), Instrument("x", 2, "NSE", "B")


@pytest.fixture
def table():
    return {}


async def test_each_follower_has_its_own_differences(table):
    changes = Changes()
    table[1] = (A, "full")
    early = changes.follow(table)
    assert await anext(early) == {A: "full"}
    table[2] = (B, "ltp")
    changes.touch(2)
    changes.flush()
    late = changes.follow(table)
    assert await anext(late) == {A: "full", B: "ltp"}
    del table[1]
    changes.touch(1)
    changes.flush()
    assert await anext(early) == {B: "ltp", A: None}
    assert await anext(late) == {A: None}
    await early.aclose()
    await late.aclose()
    assert changes._followers == []


async def test_what_came_and_went_between_two_looks_is_no_change(table, nursery, autojump_clock):
    changes = Changes()
    follower = changes.follow(table)
    assert await anext(follower) == {}
    table[1] = (A, "full")
    changes.touch(1)
    changes.flush()
    del table[1]
    changes.touch(1)
    changes.flush()
    assert await anext(follower) == {}
    with trio.move_on_after(5) as nothing:
        await anext(follower)
    assert nothing.cancelled_caught

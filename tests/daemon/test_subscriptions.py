"""Subscriptions that last."""

from typing import Any

import pytest
import trio

from tickerd.control.steering import Refused
from tickerd.daemon import subscriptions as module
from tickerd.daemon.subscriptions import PREFIX, Subscriptions
from tickerd.plugin import Principal
from tickerd.state import StateError
from tickerd.state.keys import By

BY = By("uid 0", "unix:/run/tickerd.sock")


@pytest.fixture
def subscriptions(house: Any) -> Subscriptions:
    return Subscriptions(house)


async def add(
    subscriptions: Subscriptions, caller: Principal, *texts: str, mode: Any = "full", **more: Any
) -> Any:
    values = {"caller": caller, "source": None, **more}
    return await subscriptions.add("desk", dict.fromkeys(texts, mode), BY, **values)


def wanted(house: Any) -> dict[str, str]:
    return {one.symbol: mode for one, mode in house.wants.means(f"{PREFIX}desk").items()}


async def test_what_is_accepted_is_wanted_with_its_source(
    subscriptions: Any, house: Any, everything: Any
) -> None:
    changed = await add(subscriptions, everything, "NSE:INFY", "2", mode="quote")
    assert [(one.instrument, one.source, one.mode) for one in changed.accepted] == [
        ("NSE:INFY", "kite", "quote"),
        ("2", "kite", "quote"),
    ]
    assert wanted(house) == {"NSE:INFY": "quote", "NSE:RELIANCE": "quote"}
    assert house.wants.owners() == ["api:desk"]


async def test_the_newest_mode_counts_and_the_rest_stays(
    subscriptions: Any, house: Any, everything: Any
) -> None:
    await add(subscriptions, everything, "NSE:INFY", "NSE:RELIANCE")
    await add(subscriptions, everything, "NSE:INFY", mode="ltp")
    assert wanted(house) == {"NSE:INFY": "ltp", "NSE:RELIANCE": "full"}


async def test_some_are_accepted_while_others_are_rejected_each_with_a_code(
    subscriptions: Any, everything: Any
) -> None:
    changed = await add(
        subscriptions, everything, "NSE:INFY", "NSE:INFI", "nonsense", "NSE:RELIANCE", "3", "4"
    )
    assert [one.instrument for one in changed.accepted] == ["NSE:INFY", "NSE:RELIANCE", "3"]
    rejected = {one.item: (one.code, one.suggestion) for one in changed.rejected}
    assert rejected == {
        "NSE:INFI": ("unknown_symbol", "NSE:INFY"),
        "nonsense": ("unknown_symbol", None),
        "4": ("over_capacity", None),
    }
    unknown = await add(subscriptions, everything, "NSE:INFY", source="nobody")
    assert [one.code for one in unknown.rejected] == ["unknown_source"]


async def test_a_selector_says_how_many_have_no_room(subscriptions: Any, everything: Any) -> None:
    changed = await add(subscriptions, everything, "*:*")
    assert [(one.instrument, one.left_out) for one in changed.accepted] == [("*:*", 2)]


@pytest.mark.parametrize("text", ["NSE:INFY", "1", "NSE:NEW", "99"])
async def test_nobody_wants_what_he_may_not_see(subscriptions: Any, house: Any, text: str) -> None:
    caller = Principal(id="key a", scopes=frozenset({"subs:write", "ticks:read:BSE"}))
    changed = await add(subscriptions, caller, text)
    assert [one.code for one in changed.rejected] == ["no_access"]
    assert house.wants.owners() == []


async def test_a_selector_means_what_the_caller_may_see_also_after_a_restart(
    subscriptions: Any, house: Any, again: Any
) -> None:
    caller = Principal(id="key a", scopes=frozenset({"subs:write", "ticks:read:BSE"}))
    await add(subscriptions, caller, "*:INFY")
    assert wanted(house) == {"BSE:INFY": "full"}
    later = again(house)
    await Subscriptions(later).restore()
    assert wanted(later) == {"BSE:INFY": "full"}


async def test_they_are_wanted_again_after_a_restart(
    subscriptions: Any, house: Any, again: Any, everything: Any
) -> None:
    await add(subscriptions, everything, "NSE:INFY", mode="ltp")
    await add(subscriptions, everything, "3", source="kite")
    later = again(house)
    restored = Subscriptions(later)
    await restored.restore()
    assert wanted(later) == {"NSE:INFY": "ltp", "BSE:INFY": "full"}
    gone = await restored.remove("desk", None, BY, source="kite")
    assert [one.instrument for one in gone.accepted] == ["3"]
    assert wanted(later) == {"NSE:INFY": "ltp"}


async def test_what_no_source_knows_any_more_is_told_and_kept_for_later(
    subscriptions: Any, house: Any, again: Any, everything: Any
) -> None:
    await add(subscriptions, everything, "NSE:INFY")
    later = again(house)
    later.table.namespace("kite").load([])
    restored = Subscriptions(later)
    await restored.restore()
    assert "NSE:INFY" in restored._kept["desk"]


async def test_what_is_wanted_no_more_is_let_go(
    subscriptions: Any, house: Any, everything: Any, trail: Any
) -> None:
    await add(subscriptions, everything, "NSE:INFY", "NSE:RELIANCE", "3")
    changed = await subscriptions.remove("desk", ["NSE:INFY", "NFO:A"], BY, source=None)
    assert [(one.instrument, one.mode) for one in changed.accepted] == [("NSE:INFY", None)]
    assert [(one.item, one.code) for one in changed.rejected] == [("NFO:A", "not_subscribed")]
    assert set(wanted(house)) == {"NSE:RELIANCE", "BSE:INFY"}
    assert (await subscriptions.remove("desk", ["3"], BY, source="other")).rejected[
        0
    ].code == "not_subscribed"
    await subscriptions.remove("desk", None, BY, source=None)
    assert house.wants.owners() == []
    assert [one.what for one in await trail()] == [
        "subscriptions.add",
        "subscriptions.remove",
        "subscriptions.remove",
    ]


async def test_the_trail_says_who_and_what_was_before(
    subscriptions: Any, house: Any, everything: Any, trail: Any
) -> None:
    await add(subscriptions, everything, "NSE:INFY", "3", mode="ltp")
    await add(subscriptions, everything, "NSE:INFY")
    await add(subscriptions, everything, "NSE:INFY")  # changes nothing
    first, second = await trail()
    assert (first.who, first.origin) == BY
    assert first.after == {"owner": "desk", "count": 2, "changed": {"3": "ltp", "NSE:INFY": "ltp"}}
    assert (second.before["changed"], second.after["changed"]) == ({"NSE:INFY": "ltp"}, {"NSE:INFY": "full"})


async def test_what_cannot_be_written_down_is_not_wanted(
    subscriptions: Any, house: Any, everything: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(subscriptions, everything, "NSE:INFY", mode="ltp")

    async def full(*_: Any) -> None:
        raise StateError(house.state.path, "full", "the disk is full; free some space")

    monkeypatch.setattr(house.db, "run_synced", full)
    with pytest.raises(StateError):
        await add(subscriptions, everything, "NSE:INFY", "NSE:RELIANCE")
    with pytest.raises(StateError):
        await subscriptions.remove("desk", None, BY, source=None)
    assert wanted(house) == {"NSE:INFY": "ltp"}


async def test_there_is_an_end_to_what_can_be_wanted(
    subscriptions: Any, everything: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    monkeypatch.setattr(module, "MOST_OWNERS", 1)
    changed = await add(subscriptions, everything, "NSE:INFY", "NSE:RELIANCE")
    assert [one.code for one in changed.rejected] == ["item_limit"]
    assert (await add(subscriptions, everything, "NSE:INFY", mode="ltp")).rejected == ()
    with pytest.raises(Refused, match="1 owners have subscriptions"):
        await subscriptions.add("other", {"NSE:INFY": "ltp"}, BY, caller=everything, source=None)


async def test_changes_at_the_same_time_are_made_one_after_the_other(
    subscriptions: Any, house: Any, again: Any, everything: Any
) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            for text in ("NSE:INFY", "NSE:RELIANCE", "3"):
                nursery.start_soon(add, subscriptions, everything, text)
    later = again(house)
    await Subscriptions(later).restore()
    assert wanted(later) == wanted(house) == dict.fromkeys(("NSE:INFY", "NSE:RELIANCE", "BSE:INFY"), "full")

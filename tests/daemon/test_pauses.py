"""Paused sinks stay paused."""

from typing import Any

import pytest

from tickerd.daemon.pauses import Pauses
from tickerd.state import StateError
from tickerd.state.keys import By

BY = By("key a", "10.0.0.1")


async def test_a_paused_sink_is_paused_after_a_restart_until_it_is_resumed(
    house: Any, again: Any, trail: Any
) -> None:
    pauses = Pauses(house)
    await pauses.pause("archive", BY)
    assert not house.valves.of("archive").is_open
    later = again(house)
    assert later.valves.of("archive").is_open
    await Pauses(later).restore()
    assert not later.valves.of("archive").is_open
    await Pauses(later).resume("archive", BY)
    assert later.valves.of("archive").is_open
    last = again(house)
    await Pauses(last).restore()
    assert last.valves.of("archive").is_open
    assert [(one.what, one.before["paused"], one.after["paused"]) for one in await trail()] == [
        ("sinks.pause", False, True),
        ("sinks.resume", True, False),
    ]


async def test_what_is_so_already_is_no_change(house: Any, trail: Any) -> None:
    pauses = Pauses(house)
    await pauses.resume("archive", BY)
    await pauses.pause("archive", BY)
    await pauses.pause("archive", By("key b", "x"))
    (only,) = await trail()
    assert only.who == "key a"


async def test_what_cannot_be_written_down_is_not_done(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise StateError(house.state.path, "full", "the disk is full; free some space")

    monkeypatch.setattr(house.db, "run_synced", full)
    with pytest.raises(StateError):
        await Pauses(house).pause("archive", BY)
    assert house.valves.of("archive").is_open

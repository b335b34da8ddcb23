"""What the control API tells of the stream."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from tickerd.control.broadcast import Broadcast
from tickerd.daemon.control_room import ControlRoom
from tickerd.plugin import Gap, Notice, Order, Status


@pytest.fixture
def room(house: Any) -> Any:
    """As much of one as the telling of records needs."""
    made: Any = object.__new__(ControlRoom)
    made._feed, made.events = SimpleNamespace(house=house), Broadcast(1)
    return made


async def test_control_records_are_told_and_those_of_the_account_are_marked(room: Any, house: Any) -> None:
    records = (Gap(reason="x"), Order(data={}), Notice(kind="error", data="x"), Status(state="stale"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room._tell_records)
        with room.events.listen() as listener:
            await trio.testing.wait_all_tasks_blocked()
            house.hub.publish_records(*records)
            await listener.wait()
            _, events = listener.take()
        nursery.cancel_scope.cancel()
    assert [(event.kind, event.private) for event in events] == [
        ("record", False),
        ("record", True),
        ("record", True),
        ("record", False),
    ]

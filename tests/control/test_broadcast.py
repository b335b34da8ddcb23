"""Listeners are told, in bounds."""

import trio
import trio.testing

from tickerd.control.broadcast import KEPT, QUEUE, Broadcast


def test_nobody_listening_costs_nothing_and_history_is_kept() -> None:
    broadcast = Broadcast()
    for number in range(KEPT + 10):
        broadcast.publish("unit", {"n": number})
    with broadcast.listen(after=0) as listener:
        dropped, events = listener.take()
        assert dropped == KEPT + 10 - QUEUE
        assert events[-1].number == KEPT + 10
    assert len(broadcast) == 0


def test_a_listener_that_is_up_to_date_gets_nothing_old() -> None:
    broadcast = Broadcast()
    broadcast.publish("unit", {})
    with broadcast.listen(after=1) as listener, broadcast.listen() as fresh:
        assert listener.take() == (0, [])
        assert fresh.take() == (0, [])


def test_each_has_its_own_kinds_and_its_own_drops() -> None:
    broadcast = Broadcast()
    with broadcast.listen() as slow, broadcast.listen(frozenset({"key"})) as picky:
        for _ in range(QUEUE + 5):
            broadcast.publish("unit", {})
        broadcast.publish("key", {})
        dropped, events = slow.take()
        assert (dropped, len(events)) == (6, QUEUE)
        assert slow.take() == (0, [])
        assert [event.kind for event in picky.take()[1]] == ["key"]


async def test_waiting_ends_when_something_happens() -> None:
    broadcast = Broadcast()
    with broadcast.listen() as listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.wait)
            await trio.testing.wait_all_tasks_blocked()
            broadcast.publish("unit", {})

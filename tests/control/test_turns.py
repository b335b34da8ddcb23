"""Requests begin one after the other, and the rest of the loop runs in between."""

from itertools import pairwise

import trio

from tickerd.control.turns import Turns


async def test_between_two_turns_everything_else_runs() -> None:
    turns, order = Turns(), list[str]()
    over = trio.Event()

    async def reader() -> None:
        while not over.is_set():
            order.append("tick")
            await trio.lowlevel.checkpoint()

    async def ask(number: int, told: trio.Event) -> None:
        await told.wait()
        await turns.take()
        order.append(str(number))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        begin = trio.Event()
        async with trio.open_nursery() as asking:
            for number in range(20):
                asking.start_soon(ask, number, begin)
            await trio.lowlevel.checkpoint()
            begin.set()
        over.set()
    asked = [one for one in order if one != "tick"]
    assert sorted(asked, key=int) == [str(number) for number in range(20)]
    places = [order.index(one) for one in asked]
    assert all(later - sooner > 1 for sooner, later in pairwise(places))


async def test_who_gives_up_holds_up_nobody() -> None:
    turns = Turns()
    with trio.move_on_after(0) as gone:
        await turns.take()
    assert gone.cancelled_caught
    with trio.fail_after(1):
        await turns.take()

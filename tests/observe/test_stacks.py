"""Looking at threads from outside."""

import threading
from collections.abc import Callable
from typing import TypeVar

import trio

from tickerd.observe.stacks import Culprit, culprit, stacks
from tickerd.observe.unit import CURRENT_UNIT

T = TypeVar("T")


async def look_from_a_thread(look: Callable[[], T]) -> T:
    """Call it in a thread while this task holds the loop."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(look()))
    thread.start()
    thread.join()
    return found[0]


async def test_the_task_that_holds_the_loop_is_named_with_its_unit() -> None:
    loop, found = threading.get_ident(), []

    async def blocking() -> None:
        found.append(await look_from_a_thread(lambda: culprit(loop)))

    async def unit() -> None:
        CURRENT_UNIT.set("slow")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(blocking)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(unit)
    assert found[0].unit == "slow"
    assert "blocking" in found[0].task
    assert "threading.py" in found[0].where


async def test_the_core_has_no_unit() -> None:
    loop = threading.get_ident()
    found = await look_from_a_thread(lambda: culprit(loop))
    assert found.unit == ""
    assert found.task


async def test_a_loop_that_waits_is_nobodys_fault() -> None:
    loop = threading.get_ident()
    CURRENT_UNIT.set("not me")
    found = await trio.to_thread.run_sync(looks_until_idle, loop)
    assert (found.unit, found.task) == ("", "")
    assert "get_events" in found.where or "_io_epoll" in found.where


def looks_until_idle(loop: int) -> Culprit:
    """The loop may need a moment to come to rest after it started this thread."""
    while (found := culprit(loop)).task:
        pass
    return found


def test_without_trio_or_thread_the_place_is_all_there_is() -> None:
    here, found = threading.get_ident(), []
    thread = threading.Thread(target=lambda: found.append(culprit(here)))
    thread.start()
    thread.join()
    assert found[0].where
    assert (found[0].unit, found[0].task) == ("", "")
    assert culprit(-1) == Culprit()


async def test_stacks_begin_with_the_loop_and_leave_the_looker_out() -> None:
    loop = threading.get_ident()
    names = [name for name, _ in await look_from_a_thread(lambda: stacks(loop))]
    assert names[0] == threading.current_thread().name
    found = dict(await trio.to_thread.run_sync(stacks, loop))
    assert all("stacks(" not in stack for stack in found.values())

"""Changes that were begun are finished."""

from typing import Any

import pytest
import trio
import trio.testing

from tickerd.control.changes import Changes
from tickerd.control.problem import Problem


@pytest.fixture
async def changes() -> Any:
    made = Changes()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_what_was_done_is_answered(changes: Changes) -> None:
    async def work() -> int:
        await trio.sleep(0)
        return 3

    assert await changes.make(work, 5) == 3


async def test_it_is_done_once(changes: Changes) -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    await changes.make(work, 5)
    await trio.testing.wait_all_tasks_blocked()
    assert done == [1]


async def test_what_went_wrong_is_the_callers(changes: Changes) -> None:
    async def work() -> int:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await changes.make(work, 5)


async def test_a_caller_that_leaves_ends_nothing(changes: Changes) -> None:
    go_on, done = trio.Event(), trio.Event()

    async def work() -> None:
        await go_on.wait()
        done.set()

    with trio.move_on_after(0.01):
        await changes.make(work, 5)
    go_on.set()
    with trio.fail_after(2):
        await done.wait()


async def test_what_goes_wrong_after_the_caller_left_is_logged(
    changes: Changes, log_output: list[dict[str, Any]]
) -> None:
    go_on = trio.Event()

    async def work() -> None:
        await go_on.wait()
        raise OSError("disk")

    with trio.move_on_after(0.01):
        await changes.make(work, 5)
    go_on.set()
    await trio.testing.wait_all_tasks_blocked()
    assert [line["event"] for line in log_output] == ["change failed after its caller had left"]


async def test_what_takes_too_long_is_given_up(changes: Changes) -> None:
    with pytest.raises(Problem, match=r"not done within 0\.01 s"):
        await changes.make(trio.sleep_forever, 0.01)


async def test_only_so_many_are_under_way(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickerd.control.changes.MOST", 1)
    go_on = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(changes.make, go_on.wait, 5)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Problem, match="1 changes are under way; try again"):
            await changes.make(go_on.wait, 5)
        go_on.set()
    await changes.make(go_on.wait, 5)


async def test_nothing_is_changed_before_it_runs_or_after() -> None:
    changes = Changes()
    with pytest.raises(Problem, match="starting or stopping"):
        await changes.make(trio.sleep_forever, 5)
    async with trio.open_nursery() as nursery:
        await nursery.start(changes.run)
        nursery.cancel_scope.cancel()
    with pytest.raises(Problem, match="starting or stopping"):
        await changes.make(trio.sleep_forever, 5)

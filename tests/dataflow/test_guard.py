"""What is told of a sink that fails, and waiting for its breaker."""

import pytest
import trio

from tickerd.config import BreakerSettings
from tickerd.dataflow.guard import HOPELESS_AFTER_NS, Guard, Standing
from tickerd.plugin import Clock


@pytest.fixture
def told():
    return []


@pytest.fixture
def make(told):
    def guard(policy=BreakerSettings()):  # noqa: B008 - a value
        return Guard(policy, Clock(0).now_ns, lambda *what: told.append(what), draw=lambda: 1.0)

    return guard


async def test_four_failures_are_told_once_and_so_is_the_end_of_them(make, told):
    guard = make()
    for _ in range(7):
        guard.failed("status 500")
    assert told == [("failing", "status 500")]
    guard.reset()
    assert await guard.admitted() == "at_once"
    guard.succeeded()
    guard.succeeded()
    assert told == [("failing", "status 500"), ("recovered", "")]


async def test_what_is_not_the_other_sides_fault_is_not_told(make, told):
    guard = make()
    for _ in range(9):
        guard.failed("our own clock", 0)
    assert told == []
    assert guard.standing == Standing()


async def test_without_a_breaker_nobody_waits_and_nobody_is_told(make, told):
    guard = make(None)
    for _ in range(50):
        assert await guard.admitted() == "at_once"
        assert guard.failed("disk full") is None
    guard.disabled("gone")
    guard.told_nothing()
    guard.reset()
    guard.succeeded()
    assert (told, guard.breaker) == ([], None)


def test_five_days_and_twenty_attempts_are_hopeless_and_less_is_not():
    standing = Standing()
    verdicts = [standing.failed(n) for n in range(30)]
    assert [v for v in verdicts if v] == ["failing"]
    assert standing.failed(HOPELESS_AFTER_NS) == "disabled"
    seldom = Standing()
    assert "disabled" not in [seldom.failed(n * HOPELESS_AFTER_NS) for n in range(19)]
    assert seldom.failed(20 * HOPELESS_AFTER_NS) == "disabled"


async def test_those_who_wait_go_on_one_by_one_when_it_is_half_open(make, autojump_clock):
    guard = make()
    for _ in range(5):
        guard.failed("no")
    went, verdicts = [], iter([False, True, True])

    async def attempt():
        went.append((await guard.admitted(), round(trio.current_time() - began)))
        await trio.sleep(1)
        if next(verdicts):
            guard.succeeded()
        else:
            guard.failed("no")

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(attempt)
    assert went == [("waited", 30), ("waited", 91), ("waited", 92)]
    assert guard.breaker.state == "closed"


async def test_resetting_wakes_those_who_wait(make, autojump_clock):
    guard = make()
    for _ in range(5):
        guard.failed("no")
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guard.admitted)
        await trio.testing.wait_all_tasks_blocked()
        guard.reset()
    assert trio.current_time() == began


async def test_who_is_asked_to_leave_does(make, autojump_clock):
    guard, leaving = make(), []
    for _ in range(5):
        guard.failed("no")
    found = []

    async def wait():
        found.append(await guard.admitted(lambda: bool(leaving)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        leaving.append(True)
        guard.wake()
    assert found == ["left"]
    assert guard.breaker.state == "open"

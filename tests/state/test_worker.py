"""The thread: one after the other, in order, begun whole or not at all."""

import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tickerd.state.worker import Worker


@pytest.fixture
async def worker():
    worker = Worker("test-worker", waiting=3)
    yield worker
    await worker.aclose(lambda: None)


class Gate:
    """A job that holds the thread until the gate is opened."""

    def __init__(self):
        self.begun = threading.Event()
        self.opened = threading.Event()

    def hold(self):
        self.begun.set()
        self.opened.wait()
        return "whole"

    async def held(self, nursery, worker):
        """Return once the thread is held."""
        nursery.start_soon(worker.run, self.hold)
        await self.reached()

    async def reached(self):
        await trio.to_thread.run_sync(self.begun.wait)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


async def test_it_returns_what_the_function_returns_and_raises_what_it_raises(worker):
    assert await worker.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 / 0)
    assert await worker.run(lambda: 43) == 43


async def test_everything_runs_in_one_thread_of_that_name(worker):
    threads = {await worker.run(threading.current_thread) for _ in range(5)}
    assert [thread.name for thread in threads] == ["test-worker"]
    assert threads.pop().daemon


async def test_functions_run_in_the_order_in_which_they_were_queued(worker, gate, nursery):
    done = []
    await gate.held(nursery, worker)
    for number in range(2):
        nursery.start_soon(worker.run, lambda number=number: done.append(number))
        await wait_all_tasks_blocked()
    gate.opened.set()
    await worker.run(lambda: None)
    assert done == [0, 1]


async def test_the_queue_is_bounded_and_who_comes_then_waits(worker, gate):
    done = []
    async with trio.open_nursery() as nursery:
        await gate.held(nursery, worker)
        for number in range(5):
            nursery.start_soon(worker.run, lambda number=number: done.append(number))
        await wait_all_tasks_blocked()
        assert worker.queued == 2  # beside the one that runs: three in all
        gate.opened.set()
    assert sorted(done) == [0, 1, 2, 3, 4]


async def test_cancelled_while_queued_it_is_never_begun(worker, gate, nursery):
    begun = []
    await gate.held(nursery, worker)
    with trio.move_on_after(0.01) as scope:
        await worker.run(lambda: begun.append(1))
    assert scope.cancelled_caught
    assert worker.queued == 0
    gate.opened.set()
    await worker.run(lambda: None)
    assert begun == []


async def test_once_begun_it_is_waited_for_though_cancelled(worker, gate):
    results, scope = [], trio.CancelScope()

    async def cancelled():
        with scope:
            results.append(await worker.run(gate.hold))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancelled)
        await gate.reached()
        scope.cancel()
        await wait_all_tasks_blocked(0.01)
        assert results == []
        gate.opened.set()
    assert results == ["whole"]


async def test_closing_lets_what_is_queued_finish_then_calls_the_last_and_refuses_more(gate):
    worker, done = Worker("test-closing", 10), []
    async with trio.open_nursery() as nursery:
        await gate.held(nursery, worker)
        nursery.start_soon(worker.run, lambda: done.append("queued"))
        await wait_all_tasks_blocked()
        nursery.start_soon(worker.aclose, lambda: done.append("last"))
        await wait_all_tasks_blocked()
        with pytest.raises(trio.ClosedResourceError):
            await worker.run(lambda: done.append("late"))
        gate.opened.set()
    assert done == ["queued", "last"]


async def test_closing_gives_up_waiting_when_the_thread_is_stuck(gate, autojump_clock):
    worker = Worker("test-stuck", 10)
    async with trio.open_nursery() as nursery:
        await gate.held(nursery, worker)
        with trio.move_on_after(5) as scope:
            await worker.aclose(lambda: None)
        assert scope.cancelled_caught
        gate.opened.set()


def test_the_thread_outlives_the_loop_without_a_word(gate, capfd):
    workers = []

    async def main():
        workers.append(worker := Worker("test-orphan", 10))
        with trio.move_on_after(0):
            await worker.aclose(gate.hold)

    trio.run(main)
    gate.opened.set()
    workers[0]._thread.join(5)
    assert not workers[0]._thread.is_alive()
    assert capfd.readouterr().err == ""

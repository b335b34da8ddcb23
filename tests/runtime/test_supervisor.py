"""The supervisor: starting, restarting, giving up, draining, and leaving the stuck behind."""

import pytest
import trio
import trio.testing

from tickerd.plugin import Clock, Rejected
from tickerd.runtime.supervisor import BUGS_IN_A_ROW, Supervisor, describe
from tickerd.runtime.unit import Unit


class Scripted(Unit):
    """Each attempt does the next thing of its script; the last thing again and again."""

    kind = "source"

    def __init__(self, name, *script):
        self.states = []
        super().__init__(name, Clock(), lambda unit: self.states.append(unit.state))
        self.script = list(script)
        self.revoked = self.closed = False
        self.asked = trio.Event()

    async def body(self, attempt):
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await step(self, attempt)

    def finish(self):
        self.asked.set()

    def revoke(self):
        self.revoked = True

    def close(self):
        self.closed = True


async def runs(unit, attempt):
    attempt.started()
    await trio.sleep_forever()


async def returns(unit, attempt):
    attempt.started()


async def never_starts(unit, attempt):
    await trio.sleep_forever()


async def drains(unit, attempt):
    attempt.started()
    await unit.asked.wait()
    await trio.sleep(3)


async def swallows(unit, attempt):
    attempt.started()
    while not unit.script_over:
        with trio.CancelScope(shield=True):
            await trio.sleep(1)


def raises(error, after=0.0):
    async def step(unit, attempt):
        if after:
            attempt.started()
            await trio.sleep(after)
        raise error

    return step


@pytest.fixture
async def house():
    """A supervisor with the deadlines of the design and no jitter."""
    async with trio.open_nursery() as parking, trio.open_nursery() as keepers:
        yield Supervisor(parking, keepers, Clock(), start_deadline=10, stop_deadline=5, draw=lambda: 1.0)
        keepers.cancel_scope.cancel()
        parking.cancel_scope.cancel()


async def test_units_start_side_by_side_and_stop_in_time(house, autojump_clock):
    units = [Scripted("a", runs), Scripted("b", runs)]
    await house.start(units)
    assert [u.state for u in units] == ["running", "running"]
    await house.stop(units)
    assert [u.state for u in units] == ["stopped", "stopped"]
    assert all(u.closed for u in units)
    assert units[0].states == ["starting", "running", "stopping", "stopped"]


async def test_an_outage_is_retried_for_ever_with_growing_capped_waits(house, autojump_clock):
    unit = Scripted("a", raises(OSError("connection refused")))
    began = trio.current_time()
    await house.start([unit])
    assert unit.state == "waiting"
    assert unit.detail == "connection refused; next try in 0.5 s"
    await trio.sleep(1000)
    assert unit.state in ("waiting", "starting")
    assert 20 <= unit.restarts <= 26
    assert trio.current_time() - began >= 1000
    await house.stop([unit])
    assert unit.state == "stopped"


async def test_a_bug_stops_that_unit_only(house, autojump_clock):
    bad, good = Scripted("bad", raises(ZeroDivisionError("oops"))), Scripted("good", runs)
    await house.start([bad, good])
    await trio.sleep(100)
    assert (bad.state, bad.detail) == ("failed", "ZeroDivisionError: oops")
    assert bad.restarts == BUGS_IN_A_ROW - 1
    assert (good.state, good.restarts) == ("running", 0)


async def test_running_well_for_a_minute_forgets_earlier_failures(house, autojump_clock):
    unit = Scripted("a", raises(ZeroDivisionError(), after=61))
    await house.start([unit])
    await trio.sleep(61 * (BUGS_IN_A_ROW + 5))
    assert unit.state == "running"


async def test_what_needs_a_person_is_not_retried(house, autojump_clock):
    unit = Scripted("a", raises(Rejected("the broker closed this account")))
    await house.start([unit])
    assert (unit.state, unit.restarts) == ("failed", 0)


async def test_a_unit_that_recovers_runs(house, autojump_clock):
    unit = Scripted("a", raises(OSError("no route")), raises(OSError("no route")), runs)
    await house.start([unit])
    await trio.sleep(10)
    assert (unit.state, unit.restarts) == ("running", 2)


async def test_a_unit_that_does_not_start_is_cancelled_and_tried_again(house, autojump_clock):
    unit = Scripted("a", never_starts, runs)
    await house.start([unit])
    assert unit.detail.startswith("did not start within 10 s; next try")
    await trio.sleep(5)
    assert unit.state == "running"


async def test_a_unit_that_returns_is_finished_and_not_restarted(house, autojump_clock):
    unit = Scripted("a", returns)
    await house.start([unit])
    await trio.sleep(100)
    assert (unit.state, unit.restarts) == ("finished", 0)
    await house.stop([unit])
    assert unit.state == "stopped"


async def test_stopping_waits_for_a_drain_within_the_grace(house, autojump_clock):
    unit = Scripted("a", drains)
    await house.start([unit])
    began = trio.current_time()
    await house.stop([unit], grace=20)
    assert 3 <= trio.current_time() - began < 4
    assert unit.state == "stopped"


async def test_stopping_cancels_what_outlasts_the_grace(house, autojump_clock):
    unit = Scripted("a", runs)
    await house.start([unit])
    began = trio.current_time()
    await house.stop([unit], grace=20)
    assert 20 <= trio.current_time() - began < 21


async def test_a_unit_that_swallows_its_cancellation_is_left_behind(house, autojump_clock):
    unit, other = Scripted("a", swallows), Scripted("b", runs)
    unit.script_over = False
    await house.start([unit, other])
    began = trio.current_time()
    await house.stop([unit, other])
    assert 5 <= trio.current_time() - began < 7
    assert (unit.state, other.state) == ("stuck", "stopped")
    assert house.stuck == ["source.a"]
    assert unit.revoked
    unit.script_over = True


async def test_stopping_interrupts_the_wait_for_the_next_try(house, autojump_clock):
    unit = Scripted("a", raises(OSError("x")))
    await house.start([unit])
    await trio.sleep(200)
    began = trio.current_time()
    await house.stop([unit])
    assert trio.current_time() - began < 1


async def test_an_error_in_a_task_of_the_unit_counts_as_its_own(house, autojump_clock):
    async def body(unit, attempt):
        attempt.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(raises(OSError("inner")), unit, attempt)

    unit = Scripted("a", body)
    await house.start([unit])
    await trio.testing.wait_all_tasks_blocked()
    assert unit.state == "waiting"
    assert unit.detail.startswith("inner;")


async def test_an_attempt_to_exit_the_process_is_a_bug_of_the_unit(house, autojump_clock):
    unit = Scripted("a", raises(SystemExit(3)))
    await house.start([unit])
    assert unit.detail.startswith("SystemExit: 3")


async def test_a_snapshot_tells_state_and_restarts(house, autojump_clock):
    unit = Scripted("a", raises(OSError("x")))
    await house.start([unit])
    (snapshot,) = house.snapshots()
    assert (snapshot.name, snapshot.kind, snapshot.state, snapshot.restarts) == (
        "source.a",
        "source",
        "waiting",
        1,
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError("no route"), "no route"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError(), "RuntimeError"),
        (ExceptionGroup("two", [ExceptionGroup("one", [OSError("deep")])]), "deep"),
    ],
)
def test_an_error_is_described_by_its_first_cause(error, text):
    assert describe(error) == text

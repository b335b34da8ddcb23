"""Waits between attempts."""

import pytest

from tickerd.config import RetrySettings
from tickerd.dataflow.schedule import LONGEST_ASKED_S, next_wait

SCHEDULE = ("0s", "5s", "30s", "5m")


@pytest.fixture
def steps():
    return RetrySettings(schedule=SCHEDULE)


def test_each_failure_takes_the_next_step_and_after_the_last_there_is_none(steps):
    assert [next_wait(steps, n, None, lambda: 0.5) for n in (1, 2, 3, 4, 5)] == [5, 30, 300, None, None]


def test_chance_moves_a_wait_by_a_fifth_at_most(steps):
    assert next_wait(steps, 2, None, lambda: 0.0) == pytest.approx(24)
    assert next_wait(steps, 2, None, lambda: 1.0) == pytest.approx(36)
    none = RetrySettings(schedule=SCHEDULE, jitter=0)
    assert next_wait(none, 2, None, lambda: 0.1) == 30


def test_the_other_side_may_ask_for_more_but_not_for_less_and_not_for_days(steps):
    assert next_wait(steps, 1, 60, lambda: 0.5) == 60
    assert next_wait(steps, 1, 1, lambda: 0.5) == 5
    assert next_wait(steps, 1, -3, lambda: 0.5) == 5
    assert next_wait(steps, 1, 1e9, lambda: 0.5) == LONGEST_ASKED_S
    assert next_wait(steps, 4, 60, lambda: 0.5) is None


def test_without_a_schedule_it_doubles_for_ever():
    steps = RetrySettings()
    assert [next_wait(steps, n, None, lambda: 1.0) for n in (1, 2, 3)] == [1, 2, 4]
    assert next_wait(steps, 1000, None, lambda: 1.0) == 60
    assert next_wait(steps, 1, 300, lambda: 1.0) == 300

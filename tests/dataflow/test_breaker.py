"""The breaker, with the time handed in."""

import pytest

from tickerd.config import BreakerSettings
from tickerd.dataflow.breaker import Breaker, BreakerSnapshot


@pytest.fixture
def breaker():
    return Breaker(BreakerSettings(), draw=lambda: 1.0)


def fail(breaker, now, times=1, weight=1):
    for _ in range(times):
        breaker.begin()
        breaker.failed(now, weight)


def test_five_failures_in_a_row_open_it_for_half_a_minute(breaker):
    fail(breaker, 0, 4)
    assert breaker.wait(0) == 0
    fail(breaker, 1)
    assert breaker.state(1) == "open"
    assert breaker.wait(1) == 30
    assert breaker.wait(31) == 0
    assert breaker.state(31) == "half_open"


def test_a_success_starts_the_count_anew(breaker):
    fail(breaker, 0, 4)
    breaker.begin()
    breaker.succeeded(0)
    fail(breaker, 0, 4)
    assert breaker.state(0) == "closed"


def test_a_refusal_counts_double(breaker):
    fail(breaker, 0, 2, weight=2)
    assert breaker.state(0) == "closed"
    fail(breaker, 0, 1, weight=2)
    assert breaker.state(0) == "open"


def test_what_is_not_the_other_sides_fault_does_not_count(breaker):
    fail(breaker, 0, 50, weight=0)
    assert breaker.snapshot(0) == BreakerSnapshot("closed", 0, 0, None)


def test_half_of_twenty_attempts_within_a_minute_open_it_too(breaker):
    for n in range(10):
        breaker.begin()
        breaker.succeeded(n)
        assert breaker.state(n) == "closed"
        fail(breaker, n)
    assert breaker.state(9) == "open"


def test_old_attempts_do_not_count(breaker):
    for n in range(19):
        breaker.begin()
        breaker.succeeded(n * 10)
        fail(breaker, n * 10)
    assert breaker.state(190) == "closed"


def test_one_attempt_decides_when_the_time_is_up(breaker):
    fail(breaker, 0, 5)
    breaker.begin()
    assert breaker.state(30) == "half_open"
    assert breaker.wait(30) is None
    breaker.succeeded(31)
    assert breaker.snapshot(31) == BreakerSnapshot("closed", 0, 1, None)


def test_each_time_it_stays_open_twice_as_long_up_to_a_quarter_of_an_hour(breaker):
    fail(breaker, 0, 5)
    now, waits = 0.0, []
    for _ in range(8):
        wait = breaker.wait(now)
        waits.append(wait)
        now += wait
        fail(breaker, now)
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]
    now += breaker.wait(now)
    breaker.begin()
    breaker.succeeded(now)
    fail(breaker, now, 5)
    assert breaker.wait(now) == 30  # after a success it begins anew


def test_chance_takes_up_to_a_fifth_off():
    breaker = Breaker(BreakerSettings(), draw=lambda: 0.0)
    fail(breaker, 0, 5)
    assert breaker.wait(0) == 24


def test_attempts_that_were_made_before_it_opened_change_nothing(breaker):
    fail(breaker, 0, 5)
    breaker.failed(1)
    breaker.succeeded(2)
    assert breaker.state(2) == "open"
    assert breaker.snapshot(2).opened == 1


def test_an_attempt_without_a_verdict_lets_the_next_one_try(breaker):
    fail(breaker, 0, 5)
    breaker.begin()
    assert breaker.wait(40) is None
    breaker.told_nothing()
    assert breaker.wait(40) == 0


def test_a_person_can_close_it(breaker):
    fail(breaker, 0, 5)
    breaker.reset()
    assert breaker.snapshot(0) == BreakerSnapshot("closed", 0, 1, None)
    fail(breaker, 0, 4)
    assert breaker.state(0) == "closed"


def test_its_longest_time_may_not_be_shorter_than_the_first():
    with pytest.raises(ValueError, match="'cap' is shorter than 'open'"):
        BreakerSettings(open="10m", cap="5m")

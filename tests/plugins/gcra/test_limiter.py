"""GCRA: never more than it says, exact waits, a table that stays small."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import Rate
from tickerd.testing import check_plugin, check_rate_limiter
from tickerd_plugins import gcra
from tickerd_plugins.gcra.limiter import Gcra, GcraOptions

RATES = st.builds(Rate, st.integers(1, 50), st.sampled_from([1, 60, 3600, 86400]))
STARTS = st.sampled_from([0.0, 12345.678, 1e6])


def limiter(**options):
    return Gcra(GcraOptions(**options))


def test_it_keeps_the_rules_for_plugins_and_for_limiters():
    check_plugin(gcra)
    check_rate_limiter(limiter)


def admitted(gcra, rate, gaps, start):
    """Times of the calls that were allowed, and the gaps scaled to the rate."""
    now, allowed = start, []
    for gap in gaps:
        now += gap * rate.interval_s
        if gcra.hit("a", rate, 1, now).allowed:
            allowed.append(now)
    return allowed


GAPS = st.lists(st.floats(0, 5), min_size=1, max_size=200)


@given(RATES, STARTS, GAPS, st.integers(1, 60))
def test_never_more_in_any_stretch_of_time_than_the_burst_and_the_rate(rate, start, gaps, burst):
    allowed = admitted(limiter(burst=burst), rate, gaps, start)
    for i, first in enumerate(allowed):
        for j in range(i, len(allowed)):
            most = burst + math.floor((allowed[j] - first) / rate.interval_s + 1e-4)
            assert j - i + 1 <= most


@given(RATES, STARTS, st.lists(st.floats(0, 1.5), min_size=1, max_size=300))
def test_without_a_burst_never_more_than_the_rate_in_any_period(rate, start, gaps):
    allowed = admitted(limiter(burst=1), rate, gaps, start)
    for i, first in enumerate(allowed):
        assert (
            sum(first <= other < first + rate.period_s - 1e-3 * rate.interval_s for other in allowed[i:])
            <= rate.count
        )


@given(RATES, STARTS, GAPS, st.integers(1, 20))
def test_the_wait_that_is_told_is_exact(rate, start, gaps, cost):
    gcra, now = limiter(), start
    for gap in gaps:
        now += gap * rate.interval_s
        said = gcra.hit("a", rate, cost, now)
        if not said.allowed:
            assert not gcra.hit("a", rate, cost, now + said.retry_after_s * 0.999 - 1e-5).allowed
            assert gcra.hit("a", rate, cost, now + said.retry_after_s).allowed
            return


@given(RATES, STARTS, GAPS)
def test_what_remains_can_be_had_and_no_more(rate, start, gaps):
    gcra, now = limiter(), start
    for gap in gaps:
        now += gap * rate.interval_s
        gcra.hit("a", rate, 1, now)
    left = gcra.hit("a", rate, 0, now).remaining
    assert [gcra.hit("a", rate, 1, now).allowed for _ in range(left + 1)] == [True] * left + [False]


def test_ten_a_minute_as_the_readme_tells_it():
    gcra, rate = limiter(), Rate(10, 60)
    assert [gcra.hit("a", rate, 1, 0.0).allowed for _ in range(11)] == [True] * 10 + [False]
    assert gcra.hit("a", rate, 1, 0.0) == (False, 0, pytest.approx(60), pytest.approx(6))
    assert gcra.hit("a", rate, 1, 6.0).allowed
    assert not gcra.hit("a", rate, 1, 6.1).allowed
    assert gcra.hit("a", rate, 0, 200.0).remaining == 10


def test_the_table_never_grows_beyond_its_bound_and_forgets_the_longest_silent():
    gcra, rate = limiter(keys=3), Rate(1, 60)
    for name in "abc":
        gcra.hit(name, rate, 1, 0.0)
    assert not gcra.hit("a", rate, 1, 0.0).allowed  # a refusal keeps it in mind
    gcra.hit("d", rate, 1, 0.0)
    assert len(gcra) == 3
    assert not gcra.hit("a", rate, 1, 0.0).allowed
    assert gcra.hit("b", rate, 1, 0.0).allowed


def test_asking_and_being_refused_make_no_entries():
    gcra = limiter()
    gcra.hit("a", Rate(1, 60), 0, 0.0)
    assert len(gcra) == 0


def test_a_hundred_thousand_strangers_are_the_most_that_is_kept():
    gcra, rate = limiter(), Rate(10, 60)
    for n in range(100_500):
        gcra.hit(str(n), rate, 1, 0.0)
    assert len(gcra) == 100_000


def test_a_clock_set_back_locks_nobody_out_for_long():
    gcra, rate = limiter(), Rate(1, 60)
    gcra.hit("a", rate, 1, 1e6)
    assert gcra.hit("a", rate, 1, 0.0).retry_after_s == pytest.approx(60)

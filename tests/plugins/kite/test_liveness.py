"""Judging silence."""

from hypothesis import given
from hypothesis import strategies as st

from tickerd_plugins.kite.liveness import Liveness


def test_silence_is_live_then_stale_then_dead():
    life = Liveness(5, 10, now=100)
    assert life.due() == 105
    assert life.check(104, 104) == "live"
    assert life.check(105, 105) == "stale"
    assert life.due() == 110
    assert life.check(110, 110) == "dead"
    assert life.silence(110) == 10


def test_a_frame_begins_a_new_measurement():
    life = Liveness(5, 10, now=0)
    assert life.check(5, 5) == "stale"
    life.frame(6)
    assert life.due() == 11
    assert life.check(11, 10.9) == "live"


def test_a_watcher_that_overslept_begins_anew_instead_of_judging():
    life = Liveness(5, 10, now=0)
    assert life.check(due=5, now=30) == "live"
    assert life.due() == 35
    assert life.check(35, 35) == "stale"


def test_waking_a_little_late_is_not_oversleeping():
    life = Liveness(5, 10, now=0)
    assert life.check(due=5, now=5.9) == "stale"
    assert life.check(due=10, now=10.9) == "dead"


@given(st.floats(0, 1e6), st.sampled_from([0.3, 5.0, 5.1]))
def test_who_looks_when_it_is_due_is_never_told_to_look_again_at_that_time(since, stale_after):
    life = Liveness(stale_after, 2 * stale_after, since)
    due = life.due()
    assert life.check(due, due) == "stale"
    due = life.due()
    assert life.check(due, due) == "dead"

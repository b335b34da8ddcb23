"""How often an address may knock."""

from hypothesis import given
from hypothesis import strategies as st

from tickerd.control.hooks.limiter import Knocks
from tickerd.plugin.ratelimit import Rate


def test_so_many_at_once_and_then_one_each_interval() -> None:
    knocks = Knocks(Rate(3, 60))
    assert [knocks.wait("a", 0.0) for _ in range(4)] == [0, 0, 0, 20]
    assert knocks.wait("a", 19) == 1
    assert knocks.wait("a", 20) == 0
    assert knocks.wait("a", 20) == 20


def test_refused_knocks_cost_nothing_more() -> None:
    knocks = Knocks(Rate(1, 60))
    knocks.wait("a", 0)
    assert [knocks.wait("a", second) for second in range(1, 4)] == [59, 58, 57]


def test_addresses_do_not_disturb_each_other_and_are_bounded() -> None:
    knocks = Knocks(Rate(1, 60), most=2)
    assert [knocks.wait(name, 0) for name in "abc"] == [0, 0, 0]
    assert len(knocks) == 2
    assert knocks.wait("c", 0) == 60


@given(st.lists(st.floats(0, 10), max_size=100))
def test_no_more_than_the_rate_in_any_time(steps: list[float]) -> None:
    rate, now, allowed = Rate(5, 10), 0.0, []
    knocks = Knocks(rate)
    for step in steps:
        now += step
        if not knocks.wait("a", now):
            allowed.append(now)
    for start in allowed:
        inside = [moment for moment in allowed if start <= moment < start + 9.999]
        assert len(inside) <= 2 * rate.count

"""Waits double up to a cap, and are spread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin.backoff import backoff


@pytest.mark.parametrize(("attempt", "longest"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10**9, 60)])
def test_the_longest_wait_doubles_up_to_the_cap(attempt: int, longest: float) -> None:
    assert backoff(attempt, initial=1, cap=60, random=lambda: 1.0) == pytest.approx(longest)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_no_draw_hammers_or_waits_too_long(attempt: int, draw: float) -> None:
    wait = backoff(attempt, initial=0.5, cap=60, random=lambda: draw)
    assert 0.05 <= wait <= 60

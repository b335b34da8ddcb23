"""How long the journal's limits last."""

import pytest

from tickerd.journal.capacity import TICK_BYTES, hours_that_fit
from tickerd.journal.files import Room
from tickerd.journal.retention import Rules

ROOM = Room(total=100 * 2**30, free=60 * 2**30)


@pytest.mark.parametrize(
    ("rules", "most"),
    [
        (Rules(max_bytes=2**30), 2**30),
        (Rules(max_share=0.5), 50 * 2**30),
        (Rules(max_share=0.9, min_free=10 * 2**30), 50 * 2**30),
        (Rules(min_free=80 * 2**30), 0),
    ],
)
def test_the_tightest_limit_counts(rules, most):
    assert hours_that_fit(rules, ROOM, 1000) == pytest.approx(most / (1000 * TICK_BYTES) / 3600)


def test_without_limits_or_ticks_it_lasts_for_ever():
    assert hours_that_fit(Rules(), ROOM, 1000) == float("inf")
    assert hours_that_fit(Rules(max_bytes=1), ROOM, 0) == float("inf")

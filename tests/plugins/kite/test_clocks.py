"""A wrong clock is told once, whichever answer shows it."""

import pytest
from structlog.testing import capture_logs

from tickerd.plugin import Clock
from tickerd.testing import FakeContext
from tickerd_plugins.kite.clocks import Clocks

NOW_S = 1_795_000_000


@pytest.fixture
async def clocks(tmp_path):
    ctx = FakeContext(tmp_path, "kite", Clock(NOW_S * 10**9))
    ctx.clock.skew_s = lambda: 0.0
    return Clocks(ctx)


async def test_before_the_first_answer_nothing_is_known(autojump_clock, clocks):
    assert clocks.ahead_s is None


@pytest.mark.parametrize("ahead_s", [600, -600])
async def test_ten_minutes_are_told_once_until_it_was_right_again(autojump_clock, clocks, ahead_s):
    with capture_logs() as logs:
        for off in (1, ahead_s, ahead_s, 59, ahead_s):
            clocks.said(NOW_S - off)
            assert clocks.ahead_s == pytest.approx(off)
    assert [line["ahead_s"] for line in logs] == [ahead_s, ahead_s]
    assert clocks._ctx.counts["clock_wrong"] == 2


async def test_what_another_process_saw_of_a_host_that_was_set_since_counts_for_our_clock(
    autojump_clock, clocks
):
    clocks._ctx.clock.skew_s = lambda: -600.0
    clocks.host_is_ahead(0.0)
    assert clocks.ahead_s == 600

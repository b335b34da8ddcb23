"""One clock: wall time that agrees with trio's timers."""

import time

import trio
import trio.testing

from tickerd.plugin import Clock


async def test_it_moves_exactly_as_trios_timers_do(autojump_clock: trio.testing.MockClock) -> None:
    clock = Clock(1_000)
    assert clock.now_ns() == 1_000
    await trio.sleep(1.5)
    assert clock.now_ns() == 1_500_001_000


async def test_it_starts_at_the_hosts_time() -> None:
    before = time.time_ns()
    now = Clock().now_ns()
    # trio's clock is a float of seconds, so nanoseconds are rounded
    assert before - 10_000 <= now <= time.time_ns() + 10_000


async def test_it_says_how_far_the_host_has_moved_away() -> None:
    assert abs(Clock().skew_s()) < 1
    assert -61 < Clock(time.time_ns() + 60 * 10**9).skew_s() < -59

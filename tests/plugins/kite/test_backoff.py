"""The waits between attempts."""

import random

from tickerd_plugins.kite.backoff import BackOff


def test_the_ceiling_doubles_up_to_the_cap():
    backoff = BackOff(0.1, 1.0, draw=lambda: 1.0)
    assert [round(backoff.next(), 3) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_reset_begins_with_the_shortest_wait():
    backoff = BackOff(0.1, 60, draw=lambda: 1.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.1


def test_jitter_is_full_but_never_below_the_initial_wait():
    backoff = BackOff(0.1, 60, draw=random.Random(7).random)
    waits = [backoff.next() for _ in range(2000)]
    assert min(waits) == 0.1
    assert max(waits) <= 60
    late = waits[20:]
    assert sum(w < 15 for w in late) > 300
    assert sum(w > 45 for w in late) > 300

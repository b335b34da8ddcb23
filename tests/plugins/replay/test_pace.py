"""When a recorded moment is due."""

import pytest

from tickerd_plugins.replay.pace import Pace

S = 10**9


@pytest.mark.parametrize(("speed", "due"), [(1.0, 110.0), (10.0, 101.0), (0.5, 120.0), (None, 100.5)])
def test_the_recorded_distance_is_kept_or_shortened(speed: float | None, due: float) -> None:
    pace = Pace(speed, None)
    assert pace.due(1000 * S, 100.0) == 100.0
    assert pace.due(1010 * S, 100.5) == due


def test_an_unknown_time_is_now() -> None:
    assert Pace(1.0, None).due(0, 5.0) == 5.0


def test_a_long_pause_is_shortened() -> None:
    pace = Pace(1.0, 2.0)
    assert [pace.due(when * S, 0.0) for when in (100, 101, 1000, 1001, 5000)] == [0.0, 1.0, 3.0, 4.0, 6.0]


def test_two_connections_side_by_side_do_not_begin_anew() -> None:
    pace = Pace(1.0, None)
    assert [pace.due(when * S, 50.0) for when in (100, 110, 108, 111)] == [50.0, 60.0, 58.0, 61.0]


def test_a_jump_back_begins_anew() -> None:
    pace = Pace(1.0, None)
    assert [pace.due(when * S, now) for when, now in ((100, 0.0), (200, 100.0), (100, 100.0), (101, 100.0))] == [
        0.0, 100.0, 100.0, 101.0,
    ]  # fmt: skip

"""Tests of positions."""

from tickerd.plugin import Position


def test_positions_compare_by_epoch_first() -> None:
    assert Position(1, 999) < Position(2, 1) < Position(2, 2)

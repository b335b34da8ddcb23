"""Lines that repeat."""

from collections.abc import Callable
from typing import Any

from tickerd.observe.repeats import Repeats, Suppressed


def test_the_first_lines_pass_and_the_rest_is_counted_once(ticking: Callable[[], Any]) -> None:
    clock = ticking()
    repeats = Repeats(3, 10.0, now=clock)
    assert [repeats.admit("lost", "kite", "error") for _ in range(5)] == [True] * 3 + [False] * 2
    assert repeats.due() == []
    clock.now += 10
    assert repeats.due() == [Suppressed("lost", "kite", "error", 2, 10.0)]
    assert repeats.due() == []


def test_events_units_and_levels_are_counted_apart(ticking: Callable[[], Any]) -> None:
    repeats = Repeats(1, now=ticking())
    for key in [("a", "u", "info"), ("b", "u", "info"), ("a", "v", "info"), ("a", "u", "error")]:
        assert repeats.admit(*key)
        assert not repeats.admit(*key)


def test_a_new_window_begins_with_the_next_line(ticking: Callable[[], Any]) -> None:
    clock = ticking()
    repeats = Repeats(1, 10.0, now=clock)
    assert repeats.admit("a", "", "info")
    assert not repeats.admit("a", "", "info")
    clock.now += 10
    assert repeats.admit("a", "", "info")
    assert [some.count for some in repeats.due()] == [1]


def test_windows_without_repeats_are_not_told(ticking: Callable[[], Any]) -> None:
    clock = ticking()
    repeats = Repeats(1, 10.0, now=clock)
    repeats.admit("a", "", "info")
    clock.now += 11
    assert repeats.due() == []


def test_memory_is_bounded_and_nothing_counted_is_lost(ticking: Callable[[], Any]) -> None:
    repeats = Repeats(1, most=2, now=ticking())
    for event in "aabbcc":
        repeats.admit(event, "", "info")
    assert [some.event for some in repeats.due()] == ["a"]
    assert [some.event for some in repeats.due(everything=True)] == ["b", "c"]

"""What a source need not write itself, and the order of modes."""

from typing import get_args

import pytest

from tickerd.plugin import MODES, Mode, Source


def test_modes_are_listed_from_least_to_most() -> None:
    assert get_args(Mode) == MODES == ("ltp", "quote", "full")


def test_what_must_be_written_is_asked_for() -> None:
    with pytest.raises(TypeError, match="run"):
        Source()  # type: ignore[abstract]


def test_a_source_is_replaced_after_the_old_one_has_stopped_and_shares_no_namespace() -> None:
    assert (Source.replace, Source.namespace, Source.capacity) == ("after", None, None)


def test_what_a_source_can_carry_hangs_on_its_options_only_where_it_says_so() -> None:
    class Small(Source):
        capacity = 5

    assert Source.capacity_of(None) is None
    assert Small.capacity_of(None) == 5

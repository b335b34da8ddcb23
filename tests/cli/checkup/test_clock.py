"""The clock, as the kernel tells."""

from datetime import UTC, datetime

import pytest

from tickerd.cli.checkup.clock import clock, kernel_clock


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, [("skipped", "the kernel does not tell whether the clock is kept right")]),
        ((True, 0.02), []),
        ((True, 4.0), [("warning", "the clock may be off by 4.0 s, its NTP service says")]),
        ((False, 16.0), [("warning", "nobody keeps this machine's clock right, as far as the kernel knows")]),
    ],
)
def test_what_the_kernel_says_is_judged(patient, said, told, expected):
    assert said(clock(patient(), lambda: told)) == expected


def test_a_clock_that_was_never_set_is_told(patient, said):
    found = said(clock(patient(), lambda: (True, 0.0), datetime(1970, 1, 2, tzinfo=UTC)))
    assert found == [("warning", "this machine's clock is years behind")]


def test_the_real_kernel_answers_something():
    found = kernel_clock()
    assert found is None or (isinstance(found[0], bool) and 0 <= found[1] < 1e6)

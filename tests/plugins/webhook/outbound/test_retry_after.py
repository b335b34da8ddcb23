"""Retry-After, in both forms and in none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd_plugins.webhook.outbound.retry_after import LONGEST_S, seconds

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("3601", 3600),
        ("86400", 3600),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:50:37 -0000", 60),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 3600),
    ],
)
def test_seconds_and_dates_are_read_and_an_hour_is_the_most(value, wait):
    assert seconds(value, NOW) == wait


@pytest.mark.parametrize(
    "value",
    [
        *("", "-1", "1.5", "soon", "1e3", "\u0663", "9" * 18, "9" * 100, "a" * 1000, "1, 2, 3, 4, 5, 6, 7"),
        "Sun, 06 Nov 1994 08:48:37 GMT",
        "Sun, 06 Nov 2094 08:49:37 GMT",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "31 Dec 9999 23:59:59 -2300",
    ],
)
def test_nonsense_is_ignored(value):
    assert seconds(value, NOW) is None


@given(st.one_of(st.text(), st.text("0123456789: ,JanFebGMT+-", max_size=40)), st.floats(0, 4e9))
def test_any_text_gives_a_sane_wait_or_none(value, now):
    wait = seconds(value, now)
    assert wait is None or (math.isfinite(wait) and 0 <= wait <= LONGEST_S)

"""When a token ends: the next 6 AM in India, wherever the host thinks it is."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd_plugins.kite.expiry import IST, ends, in_india, stage

HOUR_NS = 3600 * 10**9


def ns(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("login", "end"),
    [
        ("2026-01-14T08:50", "2026-01-15T06:00"),
        ("2026-01-14T23:59", "2026-01-15T06:00"),
        ("2026-01-15T00:01", "2026-01-15T06:00"),
        ("2026-01-15T05:59", "2026-01-15T06:00"),
        ("2026-01-15T06:00", "2026-01-16T06:00"),
        ("2026-12-31T12:00", "2027-01-01T06:00"),
    ],
)
def test_a_token_ends_at_the_next_6_am(login, end):
    assert ends(ns(login)) == ns(end)


@given(st.integers(0, 4 * 10**18))
def test_it_always_ends_within_a_day_at_6_am(since):
    end = ends(since)
    assert since < end <= since + 24 * HOUR_NS
    assert datetime.fromtimestamp(end // 10**9, UTC).astimezone(IST).strftime("%H:%M:%S") == "06:00:00"


def test_the_stages_of_a_day():
    end = ns("2026-01-15T06:00")
    assert stage(None, end, 3600) == "unknown"
    assert stage(end, end - HOUR_NS - 1, 3600) == "good"
    assert stage(end, end - HOUR_NS, 3600) == "expiring"
    assert stage(end, end - 1, 3600) == "expiring"
    assert stage(end, end, 3600) == "expired"
    assert stage(end, end - 1, 0) == "good"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_words_do_not_depend_on_the_hosts_zone(zone, monkeypatch):
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert in_india(ns("2026-01-15T06:00")) == "2026-01-15 06:00 IST"
    finally:
        monkeypatch.undo()
        time.tzset()

"""The day from 06:00 IST to 06:00 IST."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.wire.day import day_end, day_name, day_number, day_of, next_roll_ns

IST = timezone(timedelta(hours=5, minutes=30))


def ns(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=IST).timestamp()) * 10**9  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ((2025, 1, 2, 9, 15), "2025-01-02"),
        ((2025, 1, 2, 6, 0), "2025-01-02"),
        ((2025, 1, 2, 5, 59, 59), "2025-01-01"),
        ((2025, 1, 3, 5, 59, 59), "2025-01-02"),
        ((2024, 2, 29, 23, 55), "2024-02-29"),
    ],
)
def test_a_day_begins_at_six(moment: tuple[int, ...], name: str) -> None:
    assert day_name(day_number(ns(*moment))) == day_of(ns(*moment)).isoformat() == name


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001
def test_it_is_the_date_in_a_zone_half_an_hour_west_of_utc(moment: datetime) -> None:
    when = moment.replace(tzinfo=UTC)
    ts = int(when.timestamp()) * 10**9
    assert day_of(ts) == (when + timedelta(minutes=-30)).date()
    assert ts < day_end(day_name(day_number(ts))) == next_roll_ns(ts) <= ts + 86_400 * 10**9


def test_moments_beyond_the_calendar_have_a_name() -> None:
    assert day_name(day_number(10**30)) == "9999-12-31"
    assert day_name(day_number(-(10**30))) == "0001-01-01"


def test_a_new_day_begins_at_the_next_six_o_clock() -> None:
    assert next_roll_ns(ns(2025, 1, 2, 9, 15)) == ns(2025, 1, 3, 6, 0)
    assert next_roll_ns(ns(2025, 1, 2, 6, 0)) == ns(2025, 1, 3, 6, 0)
    assert next_roll_ns(ns(2025, 1, 2, 5, 59)) == ns(2025, 1, 2, 6, 0)


def test_a_day_that_is_no_date_has_no_end() -> None:
    with pytest.raises(ValueError, match="day is out of range"):
        day_end("2025-02-31")

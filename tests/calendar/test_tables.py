"""The data that ships: complete, in order, each fact with a source."""

from datetime import date, time, timedelta

import pytest

from tickerd.calendar import Times, built_in

TABLES = built_in()
EXCHANGES = {"NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"}


def test_every_exchange_has_hours_and_known_holidays() -> None:
    assert {name for row in TABLES.hours for name in row.exchanges} == EXCHANGES
    assert {name for row in TABLES.known for name in row.exchanges} == EXCHANGES


def test_every_fact_names_a_source_that_is_explained() -> None:
    used = {row.source for row in (*TABLES.hours, *TABLES.days)}
    assert used <= TABLES.sources.keys()
    assert all(TABLES.sources.values())


def test_every_time_is_in_order() -> None:
    times = [row.times for row in TABLES.hours]
    times += [one for day in TABLES.days if isinstance(day.trading, tuple) for one in day.trading]
    assert times
    assert all(one.in_order for one in times)


def test_every_day_lies_in_the_known_years_and_has_a_name() -> None:
    known = {name: row for row in TABLES.known for name in row.exchanges}
    for day in TABLES.days:
        assert day.name
        for exchange in day.exchanges:
            assert known[exchange].since <= day.date <= known[exchange].until, day


def test_a_closed_day_is_a_working_day_and_an_exchange_has_one_row_for_a_day() -> None:
    assert all(day.date.weekday() < 5 for day in TABLES.days if day.trading in ("none", "evening"))
    keys = [(day.date, exchange) for day in TABLES.days for exchange in day.exchanges]
    assert len(keys) == len(set(keys))


def test_each_known_year_has_as_many_equity_holidays_as_a_year_has() -> None:
    for year in (2025, 2026):
        closed = [
            d for d in TABLES.days if d.date.year == year and "NSE" in d.exchanges and d.trading == "none"
        ]
        assert 12 <= len(closed) <= 18


def test_no_week_of_the_known_years_is_closed_altogether() -> None:
    closed = {day.date for day in TABLES.days if "NSE" in day.exchanges and day.trading == "none"}
    monday = date(2025, 1, 6)
    while monday.year < 2027:
        assert {monday + timedelta(days=n) for n in range(5)} - closed
        monday += timedelta(days=7)


@pytest.mark.parametrize(
    ("times", "good"),
    [
        (Times(time(9), time(10)), True),
        (Times(time(9), time(9)), False),
        (Times(time(10), time(9)), False),
        (Times(time(9), time(12), time(8), time(11), time(13)), True),
        (Times(time(9), time(12), pre_open=time(9)), False),
        (Times(time(9), time(12), auction=time(12)), False),
        (Times(time(9), time(12), post_close=time(11)), False),
    ],
)
def test_times_that_do_not_follow_one_another_are_noticed(times: Times, good: bool) -> None:
    assert times.in_order is good

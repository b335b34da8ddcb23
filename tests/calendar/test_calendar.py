"""When exchanges trade: regular days, holidays, halves, special sessions, and what is not known."""

from datetime import date, time

import pytest

from tickerd.calendar import Calendar, Day, Event, Hours, Overrides, Times
from tickerd.calendar.calendar import day_of

MUHURAT = Times(time(18), time(19), pre_open=time(17, 45))


@pytest.mark.parametrize(
    ("exchange", "day", "expected"),
    [
        ("NSE", "2026-01-05", ["09:15-15:30"]),
        ("BSE", "2026-07-31", ["09:15-15:30"]),
        ("NSE", "2026-08-03", ["09:15-15:35"]),
        ("NSE", "2026-12-04", ["09:15-15:35"]),
        ("NSE", "2026-12-07", ["09:15-15:40"]),
        ("NFO", "2026-07-31", ["09:15-15:30"]),
        ("BFO", "2026-08-03", ["09:15-15:40"]),
        ("NFO", "2026-12-07", ["09:15-15:45"]),
        ("CDS", "2026-01-05", ["09:00-17:00"]),
        ("MCX", "2026-10-30", ["09:00-23:30"]),
        ("MCX", "2026-11-02", ["09:00-23:55"]),
        ("MCX", "2026-03-06", ["09:00-23:55"]),
        ("MCX", "2026-03-09", ["09:00-23:30"]),
        # holidays
        ("NSE", "2026-11-24", []),
        ("NFO", "2026-01-15", []),
        ("CDS", "2026-04-01", []),
        ("NSE", "2026-04-01", ["09:15-15:30"]),
        # half a day
        ("MCX", "2026-11-24", ["17:00-23:55"]),
        ("MCX", "2026-10-20", ["17:00-23:30"]),
        ("MCX", "2026-01-01", ["09:00-17:00"]),
        ("MCX", "2026-12-25", []),
        # weekends
        ("NSE", "2026-11-21", []),
        ("NSE", "2026-11-22", []),
        # special sessions
        ("NSE", "2025-02-01", ["09:15-15:30"]),
        ("NSE", "2026-02-01", ["09:15-15:30"]),
        ("MCX", "2026-02-01", ["09:00-17:00"]),
        ("NSE", "2025-10-21", ["13:45-14:45"]),
        ("NFO", "2025-10-21", ["13:45-14:45"]),
        # not known
        ("NSE", "2026-11-08", []),
        ("GLOBAL", "2026-01-05", []),
    ],
)
def test_the_hours_of_a_day(calendar, spans, exchange, day, expected) -> None:
    assert spans(calendar.hours(exchange, date.fromisoformat(day)).sessions) == expected


def test_a_session_has_its_auctions_and_its_end(calendar, clock_time) -> None:
    (one,) = calendar.hours("NSE", date(2026, 9, 1)).sessions
    told = [
        clock_time(at)
        for at in (one.pre_open_ns, one.open_ns, one.auction_ns, one.close_ns, one.post_close_ns)
    ]
    assert told == ["09:00", "09:15", "15:15", "15:35", "16:00"]


def test_an_evening_has_no_opening_auction_and_a_morning_no_end_of_day_of_its_own(clock_time) -> None:
    times = Times(time(9), time(20), pre_open=time(8), auction=time(19), post_close=time(21))
    hours = Hours(("X",), times, split=time(17))
    for trading, expected in (
        ("evening", ["-", "17:00", "19:00", "20:00", "21:00"]),
        ("morning", ["08:00", "09:00", "-", "17:00", "-"]),
    ):
        days = (Day(date(2026, 1, 5), ("X",), "half", trading),)
        made = Calendar.load(Overrides((hours,), days)).hours("X", date(2026, 1, 5))
        (one,) = made.sessions
        parts = (one.pre_open_ns, one.open_ns, one.auction_ns, one.close_ns, one.post_close_ns)
        assert [clock_time(at) for at in parts] == expected


@pytest.mark.parametrize(
    ("exchange", "at", "state", "reason", "next_change"),
    [
        ("NSE", "2026-11-23 08:59:59", "closed", "before the open", "pre_open 2026-11-23 09:00"),
        ("NSE", "2026-11-23 09:00", "pre_open", "opening auction", "open 2026-11-23 09:15"),
        ("NSE", "2026-11-23 09:15", "open", "trading", "close 2026-11-23 15:35"),
        ("NSE", "2026-11-23 15:14:59", "open", "trading", "close 2026-11-23 15:35"),
        ("NSE", "2026-11-23 15:15", "open", "closing auction", "close 2026-11-23 15:35"),
        ("NSE", "2026-11-23 15:35", "closed", "trading at the closing price", "pre_open 2026-11-25 09:00"),
        ("NSE", "2026-11-23 16:00", "closed", "after the close", "pre_open 2026-11-25 09:00"),
        ("NSE", "2026-11-24 12:00", "holiday", "Guru Nanak Jayanti", "pre_open 2026-11-25 09:00"),
        ("NSE", "2026-11-21 12:00", "closed", "weekend", "pre_open 2026-11-23 09:00"),
        ("MCX", "2026-11-24 12:00", "closed", "Guru Nanak Jayanti: before the open", "open 2026-11-24 17:00"),
        ("MCX", "2026-11-24 18:00", "open", "Guru Nanak Jayanti: trading", "close 2026-11-24 23:55"),
        (
            "NSE",
            "2025-10-21 13:35",
            "pre_open",
            "Diwali Muhurat trading: opening auction",
            "open 2025-10-21 13:45",
        ),
        (
            "NSE",
            "2026-11-08 18:15",
            "unknown",
            "Diwali Muhurat trading: the times are not in the calendar",
            "pre_open 2026-11-09 09:00",
        ),
        (
            "GLOBAL",
            "2026-11-23 12:00",
            "unknown",
            "the calendar has no hours for the exchange 'GLOBAL'",
            None,
        ),
    ],
)
def test_the_state_at_a_moment(calendar, ist, exchange, at, state, reason, next_change) -> None:
    told = calendar.state(exchange, ist(at))
    assert (told.state, told.reason) == (state, reason)
    if next_change is None:
        assert told.next is None
    else:
        kind, _, when = next_change.partition(" ")
        assert told.next == Event(ist(when), exchange, kind)


def test_between_two_sessions_it_is_closed(ist) -> None:
    parts = (Times(time(9), time(10)), Times(time(11), time(12)))
    made = Calendar.load(Overrides(days=(Day(date(2026, 3, 7), ("NSE",), "drill", parts),)))
    assert made.state("NSE", ist("2026-03-07 10:30")).reason == "drill: between two sessions"
    assert made.state("NSE", ist("2026-03-07 10:30")).next == Event(ist("2026-03-07 11:00"), "NSE", "open")


def test_beyond_what_is_known_working_days_are_assumed_to_be_open(calendar, spans) -> None:
    assert calendar.known_until("NSE") == date(2026, 12, 31)
    assert not calendar.hours("NSE", date(2026, 12, 31)).assumed
    friday, saturday = (calendar.hours("NSE", date(2027, 1, day)) for day in (1, 2))
    assert spans(friday.sessions) == ["09:15-15:40"]
    assert friday.assumed
    assert saturday.kind == "weekend"


def test_so_are_those_before(calendar, ist) -> None:
    assert calendar.hours("MCX", date(2025, 12, 31)).assumed
    assert calendar.state("MCX", ist("2025-12-31 12:00")).assumed
    assert not calendar.hours("NSE", date(2025, 12, 31)).assumed


def test_the_owners_day_stands_in_place_of_the_built_in_one(spans) -> None:
    days = (
        Day(date(2026, 11, 8), ("NSE",), "Muhurat", (MUHURAT,)),
        Day(date(2026, 11, 24), ("NSE",), "moved", "regular"),
        Day(date(2027, 1, 26), ("NSE",), "Republic Day", "none"),
    )
    made = Calendar.load(Overrides(days=days))
    assert spans(made.hours("NSE", date(2026, 11, 8)).sessions) == ["18:00-19:00"]
    assert spans(made.hours("NSE", date(2026, 11, 24)).sessions) == ["09:15-15:35"]
    assert made.hours("NSE", date(2027, 1, 26)).kind == "holiday"
    assert not made.hours("NSE", date(2027, 1, 26)).assumed
    assert made.hours("BSE", date(2026, 11, 8)).kind == "unknown"


@pytest.mark.parametrize("turned", [False, True])
def test_a_session_wins_over_a_holiday_and_sessions_add_up(spans, turned) -> None:
    day = date(2026, 11, 10)
    days = [
        Day(day, ("NSE",), "holiday", "none"),
        Day(day, ("NSE",), "late", (MUHURAT,)),
        Day(day, ("NSE",), "early", (Times(time(9), time(10)),)),
    ]
    made = Calendar.load(Overrides(days=tuple(reversed(days) if turned else days)))
    assert spans(made.hours("NSE", day).sessions) == ["09:00-10:00", "18:00-19:00"]


def test_the_owners_hours_win_while_they_hold(spans) -> None:
    hours = Hours(("MCX",), Times(time(10), time(12)), date(2026, 2, 2), date(2026, 2, 3))
    made = Calendar.load(Overrides(hours=(hours,)))
    told = [spans(made.hours("MCX", date(2026, 2, day)).sessions)[0] for day in (2, 3, 4)]
    assert told == ["10:00-12:00", "10:00-12:00", "09:00-23:55"]


def test_a_new_exchange_needs_hours_and_its_holidays_are_not_known(spans) -> None:
    made = Calendar.load(Overrides((Hours(("NSEIX",), Times(time(6, 30), time(15, 40))),)))
    assert spans(made.hours("NSEIX", date(2026, 1, 26)).sessions) == ["06:30-15:40"]
    assert made.hours("NSEIX", date(2026, 1, 26)).assumed
    assert made.known_until("NSEIX") is None
    assert made.known_until("ELSEWHERE") is None
    assert "NSEIX" in made.exchanges


def test_the_owner_can_say_until_when_the_holidays_are_complete() -> None:
    made = Calendar.load(Overrides(known_until=date(2027, 12, 31)))
    assert made.known_until("MCX") == date(2027, 12, 31)
    assert not made.hours("MCX", date(2027, 12, 31)).assumed
    assert made.hours("MCX", date(2028, 1, 3)).assumed


def test_events_come_in_order_and_each_in_one_of_two_consecutive_spans(calendar, ist) -> None:
    start, end = ist("2026-11-20 00:00"), ist("2026-11-26 00:00")
    whole = list(calendar.events_between(start, end))
    assert [event.at_ns for event in whole] == sorted(event.at_ns for event in whole)
    for cut in {event.at_ns for event in whole}:
        parts = [*calendar.events_between(start, cut), *calendar.events_between(cut, end)]
        assert parts == whole


def test_the_events_of_a_week_with_a_holiday(calendar, ist, clock_time) -> None:
    events = calendar.events_between(ist("2026-11-23 12:00"), ist("2026-11-25 10:00"), ("NSE", "MCX"))
    assert [f"{day_of(e.at_ns).day} {clock_time(e.at_ns)} {e.exchange} {e.kind}" for e in events] == [
        "23 15:35 NSE close",
        "23 16:00 NSE end_of_day",
        "23 23:55 MCX close",
        "23 23:55 MCX end_of_day",
        "24 17:00 MCX open",
        "24 23:55 MCX close",
        "24 23:55 MCX end_of_day",
        "25 09:00 NSE pre_open",
        "25 09:00 MCX open",
        "25 09:15 NSE open",
    ]


def test_a_span_that_goes_backwards_has_no_events(calendar, ist) -> None:
    assert not list(calendar.events_between(ist("2026-11-25 00:00"), ist("2026-11-23 00:00")))


def test_the_day_changes_at_midnight_in_india(ist) -> None:
    assert day_of(ist("2026-11-24 00:00")) == date(2026, 11, 24)
    assert day_of(ist("2026-11-24 00:00") - 1) == date(2026, 11, 23)


def test_the_version_of_the_data_is_told(calendar) -> None:
    assert calendar.version

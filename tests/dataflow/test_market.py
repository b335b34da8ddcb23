"""The records of open, close and end of day: over days in virtual time, after jumps of the clock and long blocks."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
import trio
import trio.testing

from tickerd.calendar import Calendar, Day, Overrides, Times
from tickerd.dataflow.market import announce
from tickerd.plugin import Batch, Clock, Market

IST = timezone(timedelta(hours=5, minutes=30))
DAY_S = 86_400


def ist(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp()) * 10**9


def told_at(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).astimezone(IST).strftime("%d %H:%M")


class Told:
    """Takes what is published and notes when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.batches: list[Batch] = []
        self.late_ns: list[int] = []

    def __call__(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.late_ns += [self.clock.now_ns() - record.ts_recv for record in batch.records]

    @property
    def lines(self) -> list[str]:
        records = [record for batch in self.batches for record in batch.records]
        assert all(isinstance(record, Market) for record in records)
        return [f"{told_at(record.ts_recv)} {record.exchange} {record.event}" for record in records]


class MovableClock(Clock):
    """A clock that somebody sets."""

    def move(self, seconds: float) -> None:
        self._offset_ns += round(seconds * 1e9)


async def run_for(seconds: float, calendar: Calendar, start: str, *exchanges: str) -> Told:
    clock = Clock(ist(start))
    told = Told(clock)
    with trio.move_on_after(seconds):
        await announce(calendar, clock, told, lambda: exchanges)
    return told


@pytest.fixture
def calendar() -> Calendar:
    return Calendar.load()


@pytest.mark.full
async def test_days_with_a_holiday_and_a_weekend(calendar, autojump_clock) -> None:
    # Friday 20, Tuesday 24 is a holiday with an evening on MCX
    told = await run_for(6 * DAY_S, calendar, "2026-11-20 08:00", "NSE", "MCX")
    assert told.lines == [
        "20 09:00 MCX open",
        "20 09:15 NSE open",
        "20 15:35 NSE close",
        "20 16:00 NSE end_of_day",
        "20 23:55 MCX close",
        "20 23:55 MCX end_of_day",
        "23 09:00 MCX open",
        "23 09:15 NSE open",
        "23 15:35 NSE close",
        "23 16:00 NSE end_of_day",
        "23 23:55 MCX close",
        "23 23:55 MCX end_of_day",
        "24 17:00 MCX open",
        "24 23:55 MCX close",
        "24 23:55 MCX end_of_day",
        "25 09:00 MCX open",
        "25 09:15 NSE open",
        "25 15:35 NSE close",
        "25 16:00 NSE end_of_day",
        "25 23:55 MCX close",
        "25 23:55 MCX end_of_day",
    ]
    assert max(told.late_ns) < 10_000_000
    assert min(told.late_ns) >= 0


async def test_muhurat_on_a_holiday(calendar, autojump_clock) -> None:
    told = await run_for(2 * DAY_S, calendar, "2025-10-21 08:00", "NSE")
    assert told.lines == ["21 13:45 NSE open", "21 14:45 NSE close", "21 14:45 NSE end_of_day"]


async def test_two_sessions_on_a_day_end_it_once(autojump_clock) -> None:
    parts = (Times(time(9), time(10)), Times(time(11), time(12)))
    days = (Day(date(2026, 11, 21), ("BSE",), "drill", parts),)
    told = await run_for(DAY_S, Calendar.load(Overrides(days=days)), "2026-11-21 08:00", "BSE", "NSE")
    assert told.lines == [
        "21 09:00 BSE open",
        "21 10:00 BSE close",
        "21 11:00 BSE open",
        "21 12:00 BSE close",
        "21 12:00 BSE end_of_day",
    ]


async def test_assumed_days_are_told_too(calendar, autojump_clock) -> None:
    told = await run_for(DAY_S, calendar, "2027-06-01 08:00", "CDS")
    assert told.lines == ["01 09:00 CDS open", "01 17:00 CDS close", "01 17:00 CDS end_of_day"]


async def test_what_is_due_at_the_same_moment_is_one_batch(calendar, autojump_clock) -> None:
    told = await run_for(3600, calendar, "2026-11-23 09:00:30", "NSE", "BSE", "NFO")
    assert [len(batch) for batch in told.batches] == [3]


async def test_an_exchange_without_hours_is_not_told_about(calendar, autojump_clock) -> None:
    assert (await run_for(DAY_S, calendar, "2026-11-23 00:00", "GLOBAL")).lines == []


async def test_what_was_before_the_start_is_not_told(calendar, autojump_clock) -> None:
    told = await run_for(3600, calendar, "2026-11-23 15:35", "NSE")
    assert told.lines == ["23 16:00 NSE end_of_day"]


async def test_unless_it_is_asked_for(calendar, autojump_clock) -> None:
    clock = Clock(ist("2026-11-23 15:40"))
    told = Told(clock)
    with trio.move_on_after(1):
        await announce(calendar, clock, told, lambda: ["NSE"], since_ns=ist("2026-11-23 09:00"))
    assert told.lines == ["23 09:15 NSE open", "23 15:35 NSE close"]


async def test_an_exchange_that_is_wanted_later_is_told_about_from_then_on(calendar, autojump_clock) -> None:
    clock = Clock(ist("2026-11-23 08:00"))
    told, wanted = Told(clock), {"NSE"}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(announce, calendar, clock, told, lambda: wanted)
        await trio.sleep(4 * 3600)
        wanted.add("CDS")
        await trio.sleep(6 * 3600)
        nursery.cancel_scope.cancel()
    assert [line for line in told.lines if "CDS" in line] == ["23 17:00 CDS close", "23 17:00 CDS end_of_day"]


Move = Callable[[MovableClock, trio.testing.MockClock, float], None]


def block(clock: MovableClock, mock: trio.testing.MockClock, seconds: float) -> None:
    mock.jump(seconds)


def set_clock(clock: MovableClock, mock: trio.testing.MockClock, seconds: float) -> None:
    clock.move(seconds)


async def watched(calendar: Calendar, start: str, moves: list[tuple[Move, float]], rest_s: float) -> Told:
    """Let it run, disturbed by these moves an hour apart."""
    mock: Any = trio.lowlevel.current_clock()
    clock = MovableClock(ist(start))
    told = Told(clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(announce, calendar, clock, told, lambda: ["NSE"])
        for move, seconds in moves:
            await trio.sleep(3600)
            move(clock, mock, seconds)
        await trio.sleep(rest_s)
        nursery.cancel_scope.cancel()
    return told


@pytest.mark.parametrize("move", [block, set_clock])
async def test_what_is_noticed_late_is_told_once_with_the_time_it_was_due(
    calendar, autojump_clock, move
) -> None:
    told = await watched(calendar, "2026-11-23 08:00", [(move, 7 * 3600)], 2 * 3600)
    assert told.lines == ["23 09:15 NSE open", "23 15:35 NSE close", "23 16:00 NSE end_of_day"]
    assert told.late_ns[0] >= 6 * 3600 * 10**9


async def test_a_clock_that_is_set_back_tells_nothing_twice(calendar, autojump_clock) -> None:
    told = await watched(calendar, "2026-11-23 08:30", [(set_clock, -1800), (set_clock, -3600)], 9 * 3600)
    assert told.lines == ["23 09:15 NSE open", "23 15:35 NSE close", "23 16:00 NSE end_of_day"]


async def test_a_clock_that_is_set_by_years_tells_the_last_week_only(calendar, autojump_clock) -> None:
    told = await watched(calendar, "2020-01-04 08:00", [(set_clock, 2515 * DAY_S)], 3600)
    assert 12 <= len(told.lines) <= 16
    assert told.lines[-1] == "23 09:15 NSE open"


async def test_it_looks_up_from_its_sleep_within_a_minute(calendar, autojump_clock) -> None:
    told = await watched(calendar, "2026-11-23 08:00", [(set_clock, 3600)], 61)
    assert told.lines == ["23 09:15 NSE open"]

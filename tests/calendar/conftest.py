"""Times of the calendar as people write them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tickerd.calendar import Calendar, Session

IST = timezone(timedelta(hours=5, minutes=30))


@pytest.fixture
def ist() -> Callable[[str], int]:
    """``2026-11-23 09:15`` in India as nanoseconds since 1970 UTC."""
    return lambda text: round(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp()) * 10**9


@pytest.fixture
def clock_time() -> Callable[[int | None], str]:
    """Nanoseconds since 1970 UTC as the time of day in India."""

    def told(at_ns: int | None) -> str:
        if at_ns is None:
            return "-"
        return datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(IST).strftime("%H:%M")

    return told


@pytest.fixture
def spans(clock_time: Callable[[int | None], str]) -> Callable[[tuple[Session, ...]], list[str]]:
    """Sessions as ``09:15-15:30``."""
    return lambda sessions: [f"{clock_time(one.open_ns)}-{clock_time(one.close_ns)}" for one in sessions]


@pytest.fixture(scope="session")
def calendar() -> Calendar:
    """The calendar that ships."""
    return Calendar.load()

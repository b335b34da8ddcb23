"""Times on a command line."""

from datetime import UTC, datetime

import click
import pytest

from tickerd.cli.moments import moment

DAY = {"2026-11-23"}


def at(*parts: int) -> int:
    """UTC."""
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "days", "expected"),
    [
        ("2026-11-23T09:15", (), at(2026, 11, 23, 3, 45)),
        ("2026-11-23 09:15:30", (), at(2026, 11, 23, 3, 45, 30)),
        ("2026-11-23T09:15Z", (), at(2026, 11, 23, 9, 15)),
        ("2026-11-23T09:15+01:00", (), at(2026, 11, 23, 8, 15)),
        ("2026-11-23", (), at(2026, 11, 22, 18, 30)),
        ("09:15", DAY, at(2026, 11, 23, 3, 45)),
        ("05:59", DAY, at(2026, 11, 24, 0, 29)),
        ("06:00", DAY, at(2026, 11, 23, 0, 30)),
        ("09:15:00.5", DAY, at(2026, 11, 23, 3, 45) + 500_000_000),
    ],
)
def test_it_is_ist_unless_it_says_otherwise(text, days, expected):
    assert moment(text, "--from", days) == expected


def test_nothing_is_nothing():
    assert moment(None, "--from", ()) is None


@pytest.mark.parametrize(
    ("text", "days", "problem"),
    [
        ("09:15", (), "needs its date"),
        ("09:15", ("2026-11-23", "2026-11-24"), "more than one day"),
        ("soon", DAY, "is no time"),
    ],
)
def test_anything_else_is_refused(text, days, problem):
    with pytest.raises(click.BadParameter, match=problem):
        moment(text, "--from", days)

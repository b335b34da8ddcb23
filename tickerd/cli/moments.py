"""Times on a command line: IST unless they say otherwise, and a time of day where one day is meant."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta, timezone

import click

IST = timezone(timedelta(hours=5, minutes=30))
_BEGIN = time(6)
"""When the journal's day begins."""


def moment(text: str | None, name: str, days: Collection[str]) -> int | None:
    """Nanoseconds since 1970 UTC.

    Args:
        text: ``2026-11-23T09:15``, with an offset or in IST, or ``09:15`` of the one day that is meant.
        name: of the option.
        days: journal days that are meant, ``YYYY-MM-DD``.

    Raises:
        click.BadParameter: it is neither.
    """
    if text is None:
        return None
    when = _of_the_day(text, name, days) or _whole(text)
    if when is None:
        raise click.BadParameter(
            f"{text!r} is no time such as 2026-11-23T09:15 (IST), or 09:15 of one DATE", param_hint=name
        )
    return round((when - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


def _whole(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=IST)


def _of_the_day(text: str, name: str, days: Collection[str]) -> datetime | None:
    try:
        at = time.fromisoformat(text)
    except ValueError:
        return None
    if len(days) != 1:
        raise click.BadParameter(f"{text!r} needs its date, as there is more than one day", param_hint=name)
    day = date.fromisoformat(next(iter(days)))
    if at < _BEGIN:
        day += timedelta(days=1)
    return datetime.combine(day, at, IST)

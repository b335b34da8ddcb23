"""The owner's file of holidays and hours: from YAML to the calendar's plain values, or to every problem in it."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date, time
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tickerd.calendar import Day, Hours, Overrides, Times, Trading, built_in
from tickerd.config.document import MAX_BYTES, parse_document
from tickerd.config.problem import Path, closest
from tickerd.config.reading import read_bytes
from tickerd.config.references import Resolver
from tickerd.config.report import Report
from tickerd.plugin import Options

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_Model = TypeVar("_Model", bound=BaseModel)
_EXCHANGE = r"^[A-Z][A-Z0-9_-]{0,31}$"


def _date(value: Any) -> date:
    if isinstance(value, date):  # a default; YAML has none
        return value
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("date", "there is no such day") from None
    raise PydanticCustomError("date", "expected a date such as 2026-11-08")


def _time(value: Any) -> time:
    if isinstance(value, str) and _TIME.fullmatch(value):
        return time.fromisoformat(value)
    raise PydanticCustomError("time", "expected a time of day such as 09:15")


def _none_is_empty(value: Any) -> Any:
    return () if value is None else value


_Date = Annotated[date, BeforeValidator(_date)]
_Time = Annotated[time, BeforeValidator(_time)]
_Exchanges = Annotated[
    tuple[Annotated[str, Field(pattern=_EXCHANGE)], ...], Field(min_length=1, max_length=64)
]
_Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Timed(Options):
    """Times of one session; which of them are needed depends on where it stands."""

    open: _Time | None = None
    close: _Time | None = None
    pre_open: _Time | None = None
    auction: _Time | None = None
    post_close: _Time | None = None

    @property
    def times(self) -> Times | None:
        """None when no open is given."""
        if self.open is None or self.close is None:
            return None
        return Times(self.open, self.close, self.pre_open, self.auction, self.post_close)

    @model_validator(mode="after")
    def _ordered(self) -> "_Timed":
        if (self.open is None) != (self.close is None):
            raise PydanticCustomError("times", "'open' and 'close' go together")
        if self.times is None and (self.pre_open or self.auction or self.post_close):
            raise PydanticCustomError("times", "needs 'open' and 'close' too")
        if self.times is not None and not self.times.in_order:
            order = (
                "'pre_open', 'open', 'auction', 'close' and 'post_close' must follow one another in one day"
            )
            raise PydanticCustomError("times", order)
        return self


class _Holiday(Options):
    date: _Date
    exchanges: _Exchanges
    name: _Name = "holiday"
    closed: Literal["day", "morning", "evening"] = "day"

    @property
    def day(self) -> Day:
        left: dict[str, Trading] = {"day": "none", "morning": "evening", "evening": "morning"}
        return Day(self.date, self.exchanges, self.name, left[self.closed])


class _Special(_Timed):
    date: _Date
    exchanges: _Exchanges
    name: _Name = "special session"

    @property
    def day(self) -> Day:
        times = self.times
        return Day(self.date, self.exchanges, self.name, "regular" if times is None else (times,))


class _Regular(_Timed):
    exchanges: _Exchanges
    since: _Date = date.min
    until: _Date = date.max
    split: _Time | None = None
    us_winter_close: _Time | None = None

    @model_validator(mode="after")
    def _complete(self) -> "_Regular":
        if self.times is None:
            raise PydanticCustomError("times", "needs 'open' and 'close'")
        if self.until < self.since:
            raise PydanticCustomError("times", "'until' is before 'since'")
        if self.split is not None and not self.times.open < self.split < self.times.close:
            raise PydanticCustomError("times", "'split' must lie between 'open' and 'close'")
        if self.us_winter_close is not None and self.us_winter_close <= (self.split or self.times.open):
            raise PydanticCustomError("times", "'us_winter_close' is too early")
        return self

    @property
    def hours(self) -> Hours:
        times = self.times
        assert times is not None
        return Hours(self.exchanges, times, self.since, self.until, self.split, self.us_winter_close)


class _File(Options):
    """The sections; what stands in them is looked at entry by entry, so that each tells its own problems."""

    holidays: Annotated[tuple[Any, ...], BeforeValidator(_none_is_empty)] = ()
    sessions: Annotated[tuple[Any, ...], BeforeValidator(_none_is_empty)] = ()
    hours: Annotated[tuple[Any, ...], BeforeValidator(_none_is_empty)] = ()
    known_until: _Date | None = None


def load_overrides(path: FilePath, env: Mapping[str, str]) -> Overrides:
    """Read and compile the file. ``env`` is for references, which work as they do in the main file.

    Raises:
        Unreadable: it cannot be read at all.
        ConfigError: with every problem that was found.
    """
    document = parse_document(read_bytes(path, MAX_BYTES), str(path), may_be_empty=True)
    resolved = Resolver(env).resolve(document.root)
    report = Report(document, resolved)
    holidays = _entries(report, "holidays", _Holiday)
    sessions = _entries(report, "sessions", _Special)
    hours = _entries(report, "hours", _Regular)
    file = _made(report, _File, resolved.value, ())
    _check_exchanges(report, holidays, sessions, hours.values())
    _check_overlaps(report, sessions)
    report.raise_if_any()
    return Overrides(
        tuple(one.hours for one in hours.values()),
        (*(one.day for one in holidays.values()), *(one.day for one in sessions.values())),
        None if file is None else file.known_until,
    )


def _made(report: Report, model: type[_Model], value: Any, path: Path) -> _Model | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        report.invalid(error, model, path)
    return None


def _entries(report: Report, section: str, model: type[_Model]) -> dict[int, _Model]:
    """The entries of a section that are right, by their place in the list."""
    value = report.value((section,))
    made = enumerate(value) if isinstance(value, list) else ()
    found = {n: _made(report, model, one, (section, n)) for n, one in made}
    return {n: one for n, one in found.items() if one is not None}


def _check_exchanges(
    report: Report,
    holidays: Mapping[int, _Holiday],
    sessions: Mapping[int, _Special],
    hours: Iterable[_Regular],
) -> None:
    """A misspelt exchange, or half a day of an exchange that has no halves, would do nothing in silence."""
    rows = (*built_in().hours, *(one.hours for one in hours))
    known = {name for row in rows for name in row.exchanges}
    halved = {name for row in rows if row.split is not None for name in row.exchanges}
    for n, session in sessions.items():
        _check_names(report, ("sessions", n), session.exchanges, known)
    for n, holiday in holidays.items():
        _check_names(report, ("holidays", n), holiday.exchanges, known)
        whole = sorted(set(holiday.exchanges) & known - halved)
        if holiday.closed != "day" and whole:
            text = f"{whole[0]} has no morning and evening session"
            report.problem(("holidays", n, "closed"), text, "write the times under 'sessions'")


def _check_names(report: Report, path: Path, exchanges: Iterable[str], known: Collection[str]) -> None:
    for m, name in enumerate(exchanges):
        if name not in known:
            text = "the calendar has no hours for this exchange"
            report.problem((*path, "exchanges", m), text, closest(name, known) or "give them under 'hours'")


def _check_overlaps(report: Report, sessions: Mapping[int, _Special]) -> None:
    for n, one in sessions.items():
        if any(_overlap(one, other) for m, other in sessions.items() if m < n):
            report.problem(("sessions", n), "overlaps a session that stands before it")


def _overlap(one: _Special, two: _Special) -> bool:
    if one.date != two.date or not set(one.exchanges) & set(two.exchanges):
        return False
    first, second = _span(one), _span(two)
    return first[0] < second[1] and second[0] < first[1]


def _span(session: _Special) -> tuple[time, time]:
    """From its first to its last moment; a day of regular hours is all of the day."""
    times = session.times
    if times is None:
        return time.min, time.max
    return times.pre_open or times.open, times.post_close or times.close

"""The owner's file of holidays and hours: what it becomes, and what is told when it is wrong."""

from datetime import date, time
from pathlib import Path

import pytest

from tickerd.calendar import Day, Hours, Overrides, Times
from tickerd.config.calendar import load_overrides
from tickerd.config.dump import dump

FILE = """\
holidays:
  - {date: 2027-01-26, exchanges: [NSE, BSE], name: Republic Day}
  - {date: 2027-03-22, exchanges: [MCX], closed: morning}
  - {date: 2027-01-01, exchanges: [MCX], closed: evening, name: New Year}
sessions:
  - {date: 2026-11-08, exchanges: [NSE], pre_open: 17:45, open: 18:00, close: 19:00, name: Muhurat}
  - {date: 2027-02-06, exchanges: [NSE]}
hours:
  - {exchanges: [NSEIX], open: 06:30, close: 15:40}
  - exchanges: [MCX]
    since: 2027-03-15
    until: 2027-11-05
    open: 09:00
    auction: 22:00
    close: 23:00
    post_close: 23:10
    split: 17:00
    us_winter_close: 23:30
known_until: 2027-12-31
"""


ORDER = "'pre_open', 'open', 'auction', 'close' and 'post_close' must follow one another in one day"


@pytest.fixture
def told(problems, write, base):
    """Heads of the problems in a file of holidays and hours."""

    def told(text: str | bytes) -> list[str]:
        write(text, "cal.yaml")
        return [one.split("\n")[0] for one in problems(base + "calendar: {overrides: cal.yaml}\n")]

    return told


def test_every_section_becomes_plain_values(write) -> None:
    assert load_overrides(write(FILE, "cal.yaml"), {}) == Overrides(
        hours=(
            Hours(("NSEIX",), Times(time(6, 30), time(15, 40))),
            Hours(
                ("MCX",),
                Times(time(9), time(23), auction=time(22), post_close=time(23, 10)),
                date(2027, 3, 15),
                date(2027, 11, 5),
                time(17),
                time(23, 30),
            ),
        ),
        days=(
            Day(date(2027, 1, 26), ("NSE", "BSE"), "Republic Day", "none"),
            Day(date(2027, 3, 22), ("MCX",), "holiday", "evening"),
            Day(date(2027, 1, 1), ("MCX",), "New Year", "morning"),
            Day(date(2026, 11, 8), ("NSE",), "Muhurat", (Times(time(18), time(19), time(17, 45)),)),
            Day(date(2027, 2, 6), ("NSE",), "special session", "regular"),
        ),
        known_until=date(2027, 12, 31),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "holidays:\nsessions: []\nhours:\n"])
def test_a_file_may_be_empty(write, text) -> None:
    assert load_overrides(write(text, "cal.yaml"), {}) == Overrides()


def test_the_settings_hold_what_the_file_says(compiled, write, base) -> None:
    write(FILE, "cal.yaml")
    made = compiled(base + "calendar: {overrides: cal.yaml}\n").settings.calendar
    assert made.overrides == Path("cal.yaml")
    assert made.entries.known_until == date(2027, 12, 31)


def test_what_is_in_force_names_the_file_and_does_not_repeat_it(compiled, write, base) -> None:
    write(FILE, "cal.yaml")
    made = compiled(base + "calendar: {overrides: cal.yaml}\n").settings
    assert dump(made)["calendar"] == {"overrides": "cal.yaml"}


def test_a_changed_file_is_a_changed_configuration(compiled, write, base) -> None:
    text = base + "calendar: {overrides: cal.yaml}\n"
    write(FILE, "cal.yaml")
    one, same = compiled(text).settings, compiled(text).settings
    write("", "cal.yaml")
    assert one.calendar == same.calendar
    assert one.calendar != compiled(text).settings.calendar


@pytest.mark.parametrize("text", ["", "calendar:\n", "calendar: {}\n", "calendar: {overrides: }\n"])
def test_without_a_file_there_is_nothing_to_override(compiled, base, text) -> None:
    made = compiled(base + text).settings.calendar
    assert (made.overrides, made.entries) == (None, Overrides())


def test_references_work_in_it(write) -> None:
    path = write("known_until: ${env:UNTIL}\n", "cal.yaml")
    assert load_overrides(path, {"UNTIL": "2027-12-31"}).known_until == date(2027, 12, 31)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("holidays: {a: 1}", "1:1: holidays: expected a list"),
        ("holidays: [1]", "1:12: holidays[0]: expected a mapping of keys and values"),
        ("holiday: []", "1:1: holiday: unknown key (did you mean 'holidays'?)"),
        ("holidays: [{exchanges: [NSE]}]", "1:12: holidays[0].date: required key is missing"),
        ("holidays: [{date: 2027-01-26}]", "1:12: holidays[0].exchanges: required key is missing"),
        ("holidays: [{date: 2027-02-30, exchanges: [NSE]}]", "1:19: holidays[0].date: there is no such day"),
        (
            "holidays: [{date: 26.1.2027, exchanges: [NSE]}]",
            "1:19: holidays[0].date: expected a date such as 2026-11-08",
        ),
        ("known_until: 2027", "1:14: known_until: expected a date such as 2026-11-08"),
        (
            "holidays: [{date: 2027-01-26, exchanges: []}]",
            "1:42: holidays[0].exchanges: needs at least 1 item",
        ),
        (
            "holidays: [{date: 2027-01-26, exchanges: [nse]}]",
            "1:43: holidays[0].exchanges[0]: does not have the form '^[A-Z][A-Z0-9_-]{0,31}$'",
        ),
        (
            "holidays: [{date: 2027-01-26, exchanges: [NSE, NOF]}]",
            "1:48: holidays[0].exchanges[1]: the calendar has no hours for this exchange (did you mean 'NFO'?)",
        ),
        (
            "sessions: [{date: 2027-01-26, exchanges: [XQZ]}]",
            "1:43: sessions[0].exchanges[0]: the calendar has no hours for this exchange (give them under 'hours')",
        ),
        (
            "holidays: [{date: 2027-01-26, exchanges: [NSE, MCX], closed: morning}]",
            "1:62: holidays[0].closed: NSE has no morning and evening session (write the times under 'sessions')",
        ),
        (
            "sessions: [{date: 2027-01-26, exchanges: [NSE], open: 9, close: 10:00}]",
            "1:55: sessions[0].open: expected a time of day such as 09:15",
        ),
        (
            "sessions: [{date: 2027-01-26, exchanges: [NSE], open: 24:00, close: 10:00}]",
            "1:55: sessions[0].open: expected a time of day such as 09:15",
        ),
        (
            "sessions: [{date: 2027-01-26, exchanges: [NSE], close: 10:00}]",
            "1:12: sessions[0]: 'open' and 'close' go together",
        ),
        (
            "sessions: [{date: 2027-01-26, exchanges: [NSE], pre_open: 10:00}]",
            "1:12: sessions[0]: needs 'open' and 'close' too",
        ),
        (
            "sessions: [{date: 2027-01-26, exchanges: [NSE], open: 11:00, close: 10:00}]",
            f"1:12: sessions[0]: {ORDER}",
        ),
        ("hours: [{exchanges: [NSE]}]", "1:9: hours[0]: needs 'open' and 'close'"),
        (
            "hours: [{exchanges: [A], open: 09:00, close: 10:00, since: 2027-01-02, until: 2027-01-01}]",
            "1:9: hours[0]: 'until' is before 'since'",
        ),
        (
            "hours: [{exchanges: [A], open: 09:00, close: 10:00, split: 10:00}]",
            "1:9: hours[0]: 'split' must lie between 'open' and 'close'",
        ),
        (
            "hours: [{exchanges: [A], open: 09:00, close: 10:00, us_winter_close: 09:00}]",
            "1:9: hours[0]: 'us_winter_close' is too early",
        ),
        ("known_until: ${env:X}", "1:14: known_until: the environment variable 'X' is not set"),
        ("a: [", "1:5: the file ends here, and a ']' or '}' is missing"),
    ],
)
def test_a_mistake_is_told_with_its_place_in_that_file(told, entry, problem) -> None:
    assert told(entry) == [f"cal.yaml:{problem}"]


@pytest.mark.parametrize(
    ("second", "is_wrong"),
    [
        ("exchanges: [BSE, NSE], open: 10:00, close: 12:00", True),
        ("exchanges: [NSE], open: 11:00, close: 12:00", False),
        ("exchanges: [NSE], pre_open: 10:59, open: 11:30, close: 12:00", True),
        ("exchanges: [NSE], open: 08:00, close: 08:30, post_close: 09:01", True),
        ("exchanges: [BSE], open: 10:00, close: 12:00", False),
        ("exchanges: [NSE]", True),
    ],
)
def test_sessions_must_not_overlap(told, write, second, is_wrong) -> None:
    first = "sessions:\n  - {date: 2027-02-06, exchanges: [NSE], open: 09:00, close: 11:00}\n"
    text = f"{first}  - {{date: 2027-02-06, {second}}}\n  - {{date: 2027-02-07, {second}}}\n"
    if is_wrong:
        assert told(text) == ["cal.yaml:3:5: sessions[1]: overlaps a session that stands before it"]
    else:
        assert len(load_overrides(write(text, "cal.yaml"), {}).days) == 3


def test_all_mistakes_of_both_files_come_at_once(told, problems, write) -> None:
    write(
        "holidays: [{date: 2027-02-30, exchanges: [NSE]}, {date: 2027-02-01, exchanges: [NES]}]\n", "cal.yaml"
    )
    heads = problems("sources: {feed: {use: kite}}\ncalendar: {overrides: cal.yaml, more: 1}\n")
    assert [head.split(": ")[0].split(":")[0] for head in heads] == ["t.yaml", "t.yaml"]
    heads = problems("sources: {feed: {use: kite}}\ncalendar: {overrides: cal.yaml}\n")
    assert [head.split(":")[0] for head in heads] == ["t.yaml", "cal.yaml", "cal.yaml"]
    assert "\n    holidays: [{date: 2027-02-30" in heads[1]


def test_a_file_that_cannot_be_read_is_told_where_it_is_named(heads, base, tmp_path) -> None:
    assert heads(base + "calendar: {overrides: nowhere.yaml}\n") == [
        "t.yaml:3:23: calendar.overrides: the file: no such file"
    ]
    (tmp_path / "folder").mkdir()
    assert heads(base + "calendar: {overrides: folder}\n") == [
        "t.yaml:3:23: calendar.overrides: the file: is a directory, expected a file"
    ]


def test_a_name_that_leads_nowhere_is_told_once(heads, base) -> None:
    assert heads(base + "calendar: {overrides: '${env:CALENDAR}'}\n") == [
        "t.yaml:3:23: calendar.overrides: the environment variable 'CALENDAR' is not set"
    ]


def test_conf_d_beside_it_is_not_read(write) -> None:
    write("sources: {}\n", "conf.d/more.yaml")
    assert load_overrides(write("", "cal.yaml"), {}) == Overrides()

"""docs/calendar.md says of hours and known days what the data says, and its example can be used."""

import re
from datetime import date
from pathlib import Path

from tickerd.calendar import Calendar, built_in
from tickerd.config.calendar import load_overrides

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "calendar.md").read_text()


def test_the_example_compiles_and_does_what_it_says(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    path = tmp_path / "calendar.yaml"
    path.write_text(text)
    made = Calendar.load(load_overrides(path, {}))
    assert made.hours("NSE", date(2026, 11, 8)).name == "Muhurat trading"
    assert made.hours("BSE", date(2027, 2, 6)).sessions
    assert made.hours("CDS", date(2027, 1, 26)).kind == "holiday"
    assert not made.hours("NSE", date(2027, 12, 31)).assumed


def test_every_exchange_and_every_time_of_the_data_is_on_the_page() -> None:
    for row in built_in().hours:
        assert all(name in PAGE for name in row.exchanges)
        for at in (row.times.open, row.times.close, row.split, row.us_winter_close):
            assert at is None or at.strftime("%H:%M") in PAGE
        if row.since != date.min:
            assert row.since.isoformat() in PAGE


def test_the_end_of_what_is_known_is_on_the_page() -> None:
    (until,) = {row.until for row in built_in().known}
    assert f"({until.isoformat()})" in PAGE

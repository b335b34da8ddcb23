"""Which segments are meant."""

from pathlib import Path

import click
import pytest

from tickerd.cli.segments import choose, damage_text, day_of
from tickerd.journal.segment import Header, file_name
from tickerd.journal.segment_reader import Damaged
from tickerd.plugin import Position

DAYS = ("2026-11-23", "2026-11-24", "2026-11-25")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A segment a day, and one that cannot be read."""
    for n, day in enumerate(DAYS):
        (tmp_path / file_name(Header(1, 1 + n * 10, 0, day))).write_bytes(b"x")
    (tmp_path / "2026-11-22-x.tkj.bad").write_bytes(b"x")
    return tmp_path


def never() -> Path:
    raise AssertionError("it needs no journal")


def days(chosen) -> list[str]:
    return [segment.name.day for segment in chosen.segments]


def test_without_anything_it_is_all_of_it(journal):
    chosen = choose((), lambda: journal)
    assert days(chosen) == list(DAYS)
    assert [path.name for path in chosen.bad] == ["2026-11-22-x.tkj.bad"]
    assert [path.name[:10] for path in chosen.newest] == ["2026-11-25"]


def test_days_and_files_are_read_in_their_order(journal):
    first, _, last = sorted(journal.glob("*.tkj"))
    assert days(choose((DAYS[1],), lambda: journal)) == [DAYS[1]]
    assert days(choose((str(last), DAYS[0]), lambda: journal)) == [DAYS[0], DAYS[2]]
    chosen = choose((str(last), str(first)), never)
    assert days(chosen) == [DAYS[0], DAYS[2]]
    assert len(chosen.among) == 3


def test_what_is_not_there_is_refused(journal):
    with pytest.raises(click.UsageError, match="no segment of 2026-11-26"):
        choose(("2026-11-26",), lambda: journal)
    with pytest.raises(click.UsageError, match="neither a date"):
        choose(("2026-11-31",), lambda: journal)
    with pytest.raises(click.UsageError, match="no such file"):
        choose((str(journal / file_name(Header(9, 9, 0, DAYS[0]))),), never)
    with pytest.raises(click.UsageError, match="say where the journal is with --x"):
        choose((), lambda: journal / "gone", "--x")


def test_only_a_whole_date_is_a_day():
    assert day_of("2026-11-23") is not None
    assert day_of("20261123") is None
    assert day_of("2026-W48-1") is None


def test_damage_is_told_with_its_place():
    path = Path("a.tkj")
    one = Damaged(path, 1000, 2000, "crc", Position(1, 5), Position(1, 9))
    assert damage_text(one) == "a.tkj: 2,000 bytes at 1,000 (crc), between 1:5 to 1:9, 3 lost"
    assert damage_text(Damaged(path, 0, 1, "torn", None)) == "a.tkj: 1 bytes at 0 (torn), between ? to ?"

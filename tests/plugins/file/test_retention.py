"""Which files go: only ours, oldest first, never an open one."""

import errno
from pathlib import Path

import pytest

from tickerd_plugins.file.disk import Disk, Found
from tickerd_plugins.file.retention import Purged, Retention, Rules, expired
from tickerd_plugins.file.template import parse

DAY = 86_400 * 10**9
NOW = 1_735_799_400 * 10**9
"""2025-01-02 12:00 IST."""
TEMPLATE = parse("t/{date}/{exchange}.jsonl")
PATTERNS = (TEMPLATE.pattern(), TEMPLATE.control().pattern())


def files(*names: str, size: int = 10) -> list[Found]:
    return [Found(name, size, n) for n, name in enumerate(names)]


def rules(keep_days: float | None = None, max_size: int | None = None) -> Rules:
    return Rules(PATTERNS, None if keep_days is None else int(keep_days * DAY), max_size)


def gone(found: list[Found], rule: Rules, busy: tuple[str, ...] = ()) -> list[str]:
    return [file.path for file in expired(found, rule, NOW, busy)[0]]


DAYS = files(
    "2024-12-31/NSE.jsonl", "2024-12-30/NSE.jsonl", "2025-01-01/NSE.jsonl.zst", "2025-01-02/NSE.jsonl"
)


def test_age_counts_from_the_end_of_the_day() -> None:
    assert gone(DAYS, rules(keep_days=1)) == ["2024-12-30/NSE.jsonl", "2024-12-31/NSE.jsonl"]
    assert gone(DAYS, rules(keep_days=2)) == ["2024-12-30/NSE.jsonl"]
    assert gone(DAYS, rules(keep_days=2.3)) == []


def test_the_oldest_go_first_until_the_rest_fits() -> None:
    assert gone(DAYS, rules(max_size=40)) == []
    assert gone(DAYS, rules(max_size=39)) == ["2024-12-30/NSE.jsonl"]
    assert gone(DAYS, rules(max_size=15)) == [file.path for file in sorted(DAYS)][:3]
    assert gone(DAYS, rules(max_size=1)) == [file.path for file in sorted(DAYS)]


def test_an_open_file_stays() -> None:
    assert gone(DAYS, rules(max_size=1), busy=("2024-12-30/NSE.jsonl", "2025-01-02/NSE.jsonl")) == [
        "2024-12-31/NSE.jsonl", "2025-01-01/NSE.jsonl.zst",
    ]  # fmt: skip


def test_what_the_template_does_not_name_stays_and_does_not_count() -> None:
    others = files(
        "notes.txt", "2020-01-01/README", "2020-02-31/NSE.jsonl", "2020-01-01/x/NSE.jsonl", size=1000
    )
    assert gone(DAYS + others, rules(keep_days=1, max_size=40)) == [
        "2024-12-30/NSE.jsonl",
        "2024-12-31/NSE.jsonl",
    ]


def test_control_records_are_ours_too() -> None:
    assert gone(files("2020-01-01/_control.jsonl"), rules(keep_days=1)) == ["2020-01-01/_control.jsonl"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for day in ("2024-12-30", "2024-12-31", "2025-01-02"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "NSE.jsonl").write_bytes(b"x" * 10)
    return tmp_path


def left(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.jsonl")}


def test_a_look_is_taken_at_the_start_and_hourly(root: Path) -> None:
    retention = Retention(Disk(), str(root), rules(keep_days=1))
    purged = retention.run(NOW, ())
    assert purged == Purged(("2024-12-30/NSE.jsonl", "2024-12-31/NSE.jsonl"), 20)
    assert purged.files == 2
    assert left(root) == {"2025-01-02/NSE.jsonl"}
    (root / "2020-01-01").mkdir()
    (root / "2020-01-01/NSE.jsonl").write_bytes(b"x")
    assert retention.run(NOW + 3599 * 10**9, ()) == Purged()
    assert retention.run(NOW + 3600 * 10**9, ()) == Purged(("2020-01-01/NSE.jsonl",), 1)


def test_writing_too_much_is_a_reason_to_look_but_not_all_the_time(root: Path) -> None:
    retention = Retention(Disk(), str(root), rules(max_size=35))
    assert retention.run(NOW, ()) == Purged()
    retention.wrote(5)
    assert retention.run(NOW + 1, ()) == Purged()
    retention.wrote(1)
    (root / "2025-01-02/NSE.jsonl").write_bytes(b"x" * 16)
    assert retention.run(NOW + 9 * 10**9, ()) == Purged()
    assert retention.run(NOW + 10 * 10**9, ()) == Purged(("2024-12-30/NSE.jsonl",), 10)


def test_without_limits_nothing_is_looked_at(root: Path) -> None:
    class NoWalk(Disk):
        def walk(self, root: str) -> None:  # type: ignore[override]
            raise AssertionError

    assert Retention(NoWalk(), str(root), rules()).run(NOW, ()) == Purged()


def test_a_disk_that_refuses_does_no_harm(root: Path) -> None:
    class Stubborn(Disk):
        def remove(self, root: str, path: str, *, sync: bool = False) -> None:
            raise PermissionError(errno.EACCES, "no")

    class Blind(Disk):
        def walk(self, root: str) -> None:  # type: ignore[override]
            raise PermissionError(errno.EACCES, "no")

    assert Retention(Stubborn(), str(root), rules(keep_days=1)).run(NOW, ()) == Purged()
    assert Retention(Blind(), str(root), rules(keep_days=1)).run(NOW, ()) == Purged()
    assert len(left(root)) == 3
    assert Retention(Disk(), str(root / "missing"), rules(keep_days=1)).run(NOW, ()) == Purged()

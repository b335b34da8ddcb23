"""Reading one recorded file."""

from pathlib import Path
from typing import Any

import pytest

from tickerd.plugin import Gap, Row
from tickerd.wire.rows import CSV_HEADER, csv_lines, json_line
from tickerd_plugins.replay import recording as module
from tickerd_plugins.replay.recording import Recording, Tally


def read(path: Path, order: Any = "position") -> tuple[list[int], Tally]:
    tally = Tally()
    return [item.value.seq for item in Recording(path, order, tally).items()], tally


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.csv", "a.jsonl.gz", "a.csv.gz", "a.jsonl.zst", "a.csv.zst", "odd"]
)
@pytest.mark.parametrize("chunk", [10, 2**16])
def test_every_format_is_recognised_by_its_content(
    record: Any, make_row: Any, name: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    path = record(name, [make_row(n) for n in range(1, 30)])
    found, tally = read(path.rename(path.with_name("unnamed")))
    assert found == list(range(1, 30))
    assert not tally.counts


def test_broken_lines_are_counted_and_skipped(record: Any, make_row: Any, tmp_path: Path) -> None:
    good = [json_line(make_row(n)) for n in range(3)]
    path = tmp_path / "x"
    path.write_bytes(good[0] + b"\xff\xff\n\n{}\n" + good[1] + b'{"record":"gap"}\n' + good[2] + good[1][:40])
    found, tally = read(path)
    assert found == [0, 1, 2]
    assert tally.counts == {"broken_lines": 4}  # an empty line is nothing


def test_a_last_line_without_its_end_counts_if_it_is_whole(make_row: Any, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(json_line(make_row(1)) + json_line(make_row(2)).rstrip())
    assert read(path)[0] == [1, 2]


def test_lines_of_csv_may_be_broken_and_headers_come_again(make_row: Any, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(CSV_HEADER + csv_lines([make_row(1)]) + b"1,2\n" + CSV_HEADER + csv_lines([make_row(2)]))
    found, tally = read(path)
    assert found == [1, 2]
    assert tally.counts == {"broken_lines": 1}


def test_an_endless_line_takes_no_memory(
    make_row: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 5000)
    monkeypatch.setattr(module, "CHUNK", 1000)
    path = tmp_path / "x"
    path.write_bytes(json_line(make_row(1)) + b"x" * 50_000 + b"\n" + json_line(make_row(2)) + b"y" * 7000)
    found, tally = read(path)
    assert found == [1, 2]
    assert tally.counts == {"broken_lines": 2}


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_damage_ends_a_file_and_is_told(record: Any, make_row: Any, name: str) -> None:
    path = record(name, [make_row(n) for n in range(50)])
    path.write_bytes(path.read_bytes() + b"\x01garbage that is no frame")
    found, tally = read(path)
    assert found == list(range(50))
    assert tally.counts == {"damaged_files": 1}
    assert tally.notes[0][0] == str(path)


def test_a_file_of_anything_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("my diary\n")
    found, tally = read(path)
    assert (found, tally.counts) == ([], {"unreadable_files": 1})


def test_a_missing_and_an_empty_file(tmp_path: Path) -> None:
    assert read(tmp_path / "missing")[1].counts == {"unreadable_files": 1}
    (tmp_path / "empty").write_bytes(b"")
    assert read(tmp_path / "empty")[1].counts == {}


def test_the_order_and_the_time_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x"
    rows = [
        Row(1, ts_recv=7, epoch=2, seq=3),
        Row(1, exchange_timestamp=5),
        Row(1),
        Gap(reason="x", ts_recv=9, seq=1),
    ]
    path.write_bytes(b"".join(map(json_line, rows)))
    items = list(Recording(path, "position", Tally()).items())
    assert [(item.key, item.when_ns) for item in items] == [
        ((2, 3, 7), 7), ((0, 0, 5 * 10**9), 5 * 10**9), ((0, 0, 0), 0), ((0, 1, 9), 9),
    ]  # fmt: skip
    assert next(Recording(path, "time", Tally()).items()).key == (7, 2, 3)


def test_looking_ahead_counts_nothing(tmp_path: Path, make_row: Any) -> None:
    path, tally = tmp_path / "x", Tally()
    path.write_bytes(b"broken\n".replace(b"b", b"{") + json_line(make_row(1)))
    assert [item.value.seq for item in Recording(path, "position", tally).peek(5)] == [1]
    assert not tally.counts

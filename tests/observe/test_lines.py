"""Rendered lines."""

from typing import Any

import orjson
import pytest

from tickerd.observe.lines import LONGEST_LINE, ConsoleLines, render_journal, render_json

EVENT = {
    "timestamp": "2026-07-31T03:45:00.123456Z",
    "level": "error",
    "event": "connection lost",
    "unit": "kite",
}


def test_json_is_one_object_and_a_newline() -> None:
    line = render_json({**EVENT, "n": 1, "exception": "a\nb"})
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    assert orjson.loads(line) == {**EVENT, "n": 1, "exception": "a\nb"}


@pytest.mark.parametrize(("level", "prefix"), [("debug", b"<7>{"), ("error", b"<3>{"), ("odd", b"<6>{")])
def test_the_journal_gets_its_priority(level: str, prefix: bytes) -> None:
    assert render_journal({**EVENT, "level": level}).startswith(prefix)


def test_people_get_columns() -> None:
    line = ConsoleLines(colors=False)({**EVENT, "after": 3}).decode()
    assert line.rstrip().split() == [line[:12], "[error", "]", "connection", "lost", "unit=kite", "after=3"]
    assert line[2] == line[5] == ":"


def test_a_traceback_is_indented_so_that_it_cannot_forge_a_line() -> None:
    line = ConsoleLines(colors=False)(
        {**EVENT, "stack": "s", "exception": "ValueError: x\n09:15:00 [info] forged"}
    )
    first, *rest = line.decode().splitlines()
    assert "connection lost" in first
    assert rest == ["    s", "    ValueError: x", "    09:15:00 [info] forged"]


def test_colours_only_where_wanted() -> None:
    assert b"\x1b[" not in ConsoleLines(colors=False)(EVENT)
    assert b"\x1b[" in ConsoleLines(colors=True)(EVENT)


def test_a_status_line_is_cleared_first() -> None:
    assert ConsoleLines(colors=False, clear_line=True)(EVENT).startswith(b"\r\x1b[K")


def test_a_strange_timestamp_is_shown_as_it_is() -> None:
    assert ConsoleLines(colors=False)({**EVENT, "timestamp": "now"}).startswith(b"now ")


@pytest.mark.parametrize(
    "fields",
    [
        {f"k{n}": "€" * 8000 for n in range(3)},
        {f"k{n}": "€" * 8000 for n in range(60)},
        {f"k{n}": ["€" * 8000] * 60 for n in range(3)},
        {"k" * 9000: {"a": "b" * 60_000}, "n": 7},
        {f"k{n}": n for n in range(20_000)},
        {"exception": "é" * 40_000 + "the end"},
    ],
)
@pytest.mark.parametrize("render", [render_json, render_journal, ConsoleLines(colors=True)])
def test_no_line_is_longer_than_the_journal_takes(fields: dict[str, Any], render: Any) -> None:
    line = render({**EVENT, **fields})
    assert len(line) <= LONGEST_LINE + 4
    assert b"connection lost" in line
    assert b"kite" in line
    assert b"shortened" in line
    if "exception" in fields:
        assert b"the end" in line

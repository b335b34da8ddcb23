"""The status line and the summary."""

import io
import os
import pty
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tickerd.observe.status import FeedSnapshot, SinkFigures, StatusLine, size, status_line, summary

QUIET = FeedSnapshot(
    uptime_s=0.0,
    ticks_total=0,
    ticks_per_s=0.0,
    instruments_ticking=0,
    instruments_wanted=1200,
    last_tick_age_s=None,
    sources={"kite": "connecting"},
    sinks={},
    gaps=0,
)
BUSY = FeedSnapshot(
    uptime_s=3725.9,
    ticks_total=1_234_567,
    ticks_per_s=29_940.4,
    instruments_ticking=8990,
    instruments_wanted=9000,
    last_tick_age_s=0.14,
    sources={"kite": "connected"},
    sinks={
        "archive": SinkFigures("running", 1_234_000, 0, 0),
        "hook": SinkFigures("retrying", 10, 7, 3 * 2**20),
    },
    gaps=2,
)


def test_a_busy_feed_in_one_line() -> None:
    assert status_line(BUSY) == (
        "01:02:05 · 29,940 ticks/s · 8,990/9,000 instruments · last tick 0.1s ago · kite connected"
        " · archive 1,234,000 · hook 10 dropped 7 queued 3.0 MiB (retrying) · 2 gaps"
    )


def test_a_feed_that_has_not_begun() -> None:
    assert status_line(QUIET) == (
        "00:00:00 · 0 ticks/s · 0/1,200 instruments · last tick never · kite connecting"
    )
    assert "last tick 00:01:30 ago" in status_line(msgspec.structs.replace(QUIET, last_tick_age_s=90.0))


@pytest.mark.parametrize("width", [0, 1, 2, 40, 79, 500])
def test_it_is_cut_to_the_terminal(width: int) -> None:
    line = status_line(BUSY, width)
    assert len(line) <= width
    assert width in (0, 500) or line.endswith("…")


def test_a_state_cannot_move_the_cursor() -> None:
    line = status_line(msgspec.structs.replace(BUSY, sources={"kite": "a\x1b[2J\nb"}))
    assert "kite a\\x1b[2J\\nb" in line


def test_the_summary_says_what_came_what_was_written_and_what_was_lost() -> None:
    assert summary(BUSY).splitlines() == [
        "ran 01:02:05: received 1,234,567 ticks (331/s) of 8,990 instruments, 2 gaps",
        "  archive  wrote 1,234,000, dropped 0 (running)",
        "  hook     wrote 10, dropped 7, 3.0 MiB not written (retrying)",
    ]
    assert summary(msgspec.structs.replace(QUIET, instruments_ticking=1, gaps=1)) == (
        "ran 00:00:00: received 0 ticks (0/s) of 1 instrument, 1 gap"
    )


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (2**30, "1.0 GiB"),
        (2**52, "4096.0 TiB"),
    ],
)
def test_sizes_read_well(count: int, shown: str) -> None:
    assert size(count) == shown


def test_on_a_terminal_the_line_is_redrawn_in_place_and_removed_at_the_end() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        line = StatusLine(terminal, width=lambda: 30)
        line.show(QUIET)
        line.show(BUSY)
        line.end()
        shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\n" not in shown
    assert shown == f"\r{status_line(QUIET, 29)}\x1b[K\r{status_line(BUSY, 29)}\x1b[K\r\x1b[K"


def test_elsewhere_there_is_a_line_each_five_seconds(ticking: Callable[[], Any]) -> None:
    clock, stream = ticking(), io.StringIO()
    line = StatusLine(stream, now=clock)
    for _ in range(11):
        line.show(QUIET)
        clock.now += 1
    line.end()
    assert stream.getvalue() == f"{status_line(QUIET)}\n" * 3


def test_a_terminal_that_was_stopped_holds_nothing_up() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        line = StatusLine(stream, now=iter(range(0, 10**6, 10)).__next__)
        for _ in range(5000):
            line.show(BUSY)
        line.end(0.05)
    os.close(reader)

"""`tickerd top`."""

import copy
import fcntl
import io
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from tickerd.cli.client import ApiError, Client
from tickerd.cli.top import Look, looks, rate, screen, top


def text_of(shown: Any) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def later(overview: dict[str, Any], ticks: int, seconds: float) -> dict[str, Any]:
    """The same daemon a while after."""
    other = copy.deepcopy(overview)
    other["picture"]["now_ns"] += int(seconds * 1e9)
    other["picture"]["sources"][0]["totals"]["ticks"] += ticks
    other["picture"]["sources"][0]["totals"]["bytes"] += ticks * 184
    other["picture"]["sinks"][0]["dropped"]["slow_consumer"] += 4
    return other


def look(overview: dict[str, Any]) -> Look:
    return Look(overview, overview["picture"]["now_ns"] / 1e9)


def test_a_look_shows_units_and_rates(overview: dict[str, Any]) -> None:
    first = text_of(screen(look(overview), None))
    assert "tickerd 1.2.3 ready" in first
    assert "kite" in first
    second = text_of(screen(look(later(overview, 3000, 2.0)), look(overview)))
    assert "8,000" in second
    assert "1,500" in second
    assert "269.5 KiB" in second
    assert "journal writing" in second


def test_names_and_texts_are_no_markup(overview: dict[str, Any]) -> None:
    overview["picture"]["sources"][0]["name"] = "[red]x[/red]\x1b[2J"
    overview["status"] = "down"
    overview["reasons"] = [
        {"component": "source.x", "severity": "failing", "detail": "[bold]d", "instrument": None}
    ] * 10
    shown = text_of(screen(look(overview), None))
    assert "[red]x[/red]\\x1b[2J" in shown
    assert "source.x: [bold]d" in shown
    assert "and 2 more" in shown
    assert "NOT READY" in shown


def test_a_rate_is_shown_only_where_it_is_known(overview: dict[str, Any]) -> None:
    now, before = look(later(overview, 10, 1.0)), look(overview)
    assert rate(now, before, "sources", "kite", "totals", "ticks") == "10"
    assert rate(now, before, "sinks", "archive", "dropped") == "4"
    assert rate(now, None, "sources", "kite", "totals", "ticks") == ""
    assert rate(before, now, "sources", "kite", "totals", "ticks") == ""
    assert rate(now, before, "sources", "gone", "totals", "ticks") == ""
    restarted = look(later(overview, -4000, 1.0))
    assert rate(restarted, before, "sources", "kite", "totals", "ticks") == ""


def test_a_daemon_that_is_away_is_waited_for(fake_api: Any, overview: dict[str, Any]) -> None:
    seen = looks(Client("unix:/nowhere.sock"), 0, 2)
    assert "no tickerd answers" in text_of(next(seen))
    assert "no tickerd answers" in text_of(next(seen))
    fake_api.answers["/v1/status"] = (200, overview)
    pause = threading.Event()
    pause.set()
    shown = list(looks(Client(fake_api.url), 60, 3, pause))
    assert len(shown) == 3


def test_a_daemon_that_refuses_is_not(fake_api: Any) -> None:
    fake_api.answers["/v1/status"] = (403, {"title": "not allowed", "type": "t", "status": 403})
    with pytest.raises(ApiError, match="not allowed"):
        next(looks(Client(fake_api.url), 1, 1))


def test_the_command_draws_and_leaves(fake_api: Any, overview: dict[str, Any]) -> None:
    overview["picture"]["sinks"] = []
    overview["picture"]["journal"]["state"] = "off"
    fake_api.answers["/v1/status"] = (200, overview)
    result = CliRunner().invoke(top, ["--url", fake_api.url, "--count", "1"])
    assert result.exit_code == 0
    assert "tickerd 1.2.3 ready" in result.output
    assert "journal off" in result.output


def test_ctrl_c_leaves_quietly(fake_api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("tickerd.cli.top.looks", interrupted)
    assert CliRunner().invoke(top, ["--url", fake_api.url]).exit_code == 0


def test_json_is_a_line_for_each_look(fake_api: Any, overview: dict[str, Any]) -> None:
    fake_api.answers["/v1/status"] = (200, overview)
    words = ["--socket", fake_api.socket, "--json", "--count", "2", "--interval", "0.2"]
    done = CliRunner().invoke(top, words)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [overview, overview]
    gone = CliRunner().invoke(top, ["--socket", "/nowhere.sock", "--json"])
    assert (gone.exit_code, "no tickerd answers" in gone.stderr) == (1, True)


class Terminal:
    """`tickerd top` as the foreground program of a terminal, in a process of its own."""

    IN_FRONT = (
        "import fcntl, runpy, termios; fcntl.ioctl(0, termios.TIOCSCTTY);"
        "runpy.run_module('tickerd', run_name='__main__', alter_sys=True)"
    )
    """A shell would do the first."""

    def __init__(self, *words: str) -> None:
        self.ours, theirs = pty.openpty()
        self.resize(24, 120)
        command = [sys.executable, "-c", self.IN_FRONT, *words]
        env = {**os.environ, "TERM": "xterm-256color"}
        env.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, done: Callable[[str], bool], seconds: float = 30) -> str:
        """What has been written since the last call, as soon as it is like this."""
        seen, end = "", time.monotonic() + seconds
        while not done(seen):
            assert time.monotonic() < end, seen
            if select.select([self.ours], [], [], 0.2)[0]:
                try:
                    seen += os.read(self.ours, 65536).decode(errors="replace")
                except OSError:  # the other side is closed
                    assert done(seen), seen
        return seen

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture
def terminal(fake_api: Any) -> Iterator[Terminal]:
    one = Terminal("top", "--url", fake_api.url, "--interval", "0.2")
    yield one
    one.close()


@pytest.mark.full
def test_in_a_terminal_it_fills_the_screen_follows_its_size_and_gives_it_back(
    fake_api: Any, overview: dict[str, Any], terminal: Terminal
) -> None:
    fake_api.answers["/v1/status"] = (200, overview)
    first = terminal.until(lambda seen: "archive" in seen and "kite" in seen)
    assert "\x1b[?1049h" in first  # the alternate screen
    assert "\x1b[?25l" in first  # without a cursor
    assert "1.2.3" in first
    terminal.resize(5, 30)
    narrow = terminal.until(lambda seen: seen.count("1.2.3") >= 4)
    assert "1.2.3" in narrow
    fake_api.answers["/v1/status"] = (200, {**overview, "status": "down"})
    terminal.until(lambda seen: "NOT READY" in seen)
    os.write(terminal.ours, b"\x03")
    last = terminal.until(lambda seen: "\x1b[?25h" in seen and "\x1b[?1049l" in seen)
    assert terminal.process.wait(20) == 0
    assert "Traceback" not in last

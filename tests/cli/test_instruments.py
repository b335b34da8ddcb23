"""`tickerd instruments`."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tickerd.cli import instruments as module
from tickerd.cli.instruments import instruments
from tickerd.plugin import Instrument, Listing
from tickerd.plugin.listing import FILE
from tickerd.runtime.refresh import FILE as REQUEST

TABLE = [
    Instrument("kite", 408065, "NSE", "INFY", "INFOSYS", "NSE", "EQ", "", 0.0, 1, 0.05),
    Instrument("kite", 256265, "NSE", "NIFTY 50", "NIFTY 50", "INDICES", "EQ"),
    Instrument(
        "kite", 7, "NFO", "NIFTY26DEC26000CE", "NIFTY", "NFO-OPT", "CE", "2026-12-31", 26000.0, 75, 0.05
    ),
]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory in which a source has left its table."""
    directory = tmp_path / "state" / "source" / "kite"
    directory.mkdir(parents=True)
    (directory / FILE).write_bytes(Listing.of("kite", TABLE).pack())
    return tmp_path / "state"


@pytest.fixture
def run(state: Path) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(instruments, [*arguments, "--state", str(state)])

    return run


def test_words_are_searched_in_the_table_that_a_source_left(run: Callable[..., Result]) -> None:
    result = run("search", "nifty")
    assert result.exit_code == 0
    header, call, index = result.stdout.splitlines()
    assert header.split() == [
        "symbol",
        "token",
        "name",
        "segment",
        "type",
        "expiry",
        "strike",
        "lot_size",
        "tick_size",
    ]
    assert call.split() == [
        "NFO:NIFTY26DEC26000CE",
        "7",
        "NIFTY",
        "NFO-OPT",
        "CE",
        "2026-12-31",
        "26000",
        "75",
        "0.05",
    ]
    assert index.startswith("NSE:NIFTY 50")


@pytest.mark.parametrize(
    ("arguments", "symbols"),
    [
        (["--exchange", "NSE"], ["NSE:INFY", "NSE:NIFTY 50"]),
        (["--type", "CE", "--expiry", "2026-12-31", "--segment", "NFO-OPT"], ["NFO:NIFTY26DEC26000CE"]),
        (["--name", "INFOSYS"], ["NSE:INFY"]),
        (["--limit", "1"], ["NFO:NIFTY26DEC26000CE"]),
    ],
)
def test_columns_narrow_the_search(
    run: Callable[..., Result], arguments: list[str], symbols: list[str]
) -> None:
    found = json.loads(run("search", *arguments, "--json").stdout)
    assert [one["symbol"] for one in found] == symbols


def test_nothing_found_is_exit_code_1(run: Callable[..., Result]) -> None:
    result = run("search", "silver")
    assert (result.exit_code, result.stdout) == (1, "")


def test_instruments_are_shown_by_symbol_and_token(run: Callable[..., Result]) -> None:
    result = run("show", "NSE:INFY", "256265", "--json")
    assert result.exit_code == 0
    infy, nifty = json.loads(result.stdout)
    assert (infy["token"], infy["expiry"], infy["tick_size"]) == (408065, None, 0.05)
    assert nifty["symbol"] == "NSE:NIFTY 50"


def test_a_misspelt_one_is_told_with_what_may_have_been_meant(run: Callable[..., Result]) -> None:
    result = run("show", "NSE:INFI", "NSE:INFY", "99")
    assert result.exit_code == 1
    assert "NSE:INFY  408065" in result.stdout
    assert "no instrument 'NSE:INFI' (did you mean 'NSE:INFY'?)" in result.stderr
    assert "no instrument '99'\n" in result.stderr


def test_a_directory_without_a_table_says_where_one_comes_from(tmp_path: Path) -> None:
    result = CliRunner().invoke(instruments, ["show", "NSE:INFY", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "has no list of instruments: a source keeps one there" in result.stderr


def test_a_damaged_table_is_told(run: Callable[..., Result], state: Path) -> None:
    (state / "source" / "kite" / FILE).write_bytes(b"rubbish")
    result = run("search", "infy")
    assert result.exit_code == 1
    assert f"{FILE}: not a list of instruments" in result.stderr


def test_the_running_daemon_is_asked_where_no_file_is_named(fake_api: Any) -> None:
    shown = dict.fromkeys(("name", "segment", "instrument_type", "expiry"), "")
    infy = {**shown, "symbol": "NSE:INFY", "token": 1, "strike": 0.0, "lot_size": 1, "tick_size": 0.05}
    fake_api.answers["/v1/instruments"] = (200, {"items": [infy], "next": None})
    fake_api.answers["/v1/instruments/NSE:INFY"] = (200, infy)
    problem = {"type": "about:blank", "status": 404, "title": "Not Found", "detail": "no instrument 'NSE:X'"}
    fake_api.answers["/v1/instruments/NSE:X"] = (404, problem)
    fake_api.answers["/v1/instruments/refresh"] = (202, {"sources": ["kite"]})

    def ask(*arguments: str) -> Result:
        return CliRunner().invoke(instruments, [*arguments, "--socket", fake_api.socket])

    assert "NSE:INFY" in ask("search", "infy", "--exchange", "NSE").stdout
    assert fake_api.asked[0][1].partition("?")[2].startswith("limit=50&q=infy&exchange=NSE")
    result = ask("show", "NSE:INFY", "NSE:X")
    assert (result.exit_code, result.stderr) == (1, "no instrument 'NSE:X'\n")
    assert ask("refresh", "kite").stdout == "asked for: kite\n"
    assert fake_api.asked[-1][0] == "POST"
    assert json.loads(fake_api.asked[-1][3]) == {"source": "kite"}
    assert json.loads(ask("refresh", "--json").stdout) == {"sources": ["kite"]}
    fake_api.answers["/v1/instruments/NSE:INFY"] = (500, {})
    assert ask("show", "NSE:INFY").exit_code == 1


def test_without_a_control_api_the_daemon_is_asked_by_file(run: Callable[..., Result], state: Path) -> None:
    taken = []

    def daemon() -> None:
        request = state / REQUEST
        while not request.exists():
            event.wait(0.01)
        taken.append(request.read_text())
        request.unlink()

    event = threading.Event()
    thread = threading.Thread(target=daemon)
    thread.start()
    result = run("refresh")
    thread.join()
    assert (result.exit_code, result.stdout) == (0, "asked for: all sources that have a dump\n")
    assert taken == [""]


def test_where_no_daemon_runs_that_is_said_and_nothing_left_behind(
    run: Callable[..., Result], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TAKEN_WITHIN_S", 0.0)
    result = run("refresh", "kite")
    assert result.exit_code == 1
    assert "no tickerd runs on" in result.stderr
    assert not (state / REQUEST).exists()


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(instruments, ["refresh", "--state", str(tmp_path / "gone")])
    assert result.exit_code == 1
    assert "no such file or directory" in result.stderr

"""`tickerd status`."""

import json
from typing import Any

import click
from click.testing import CliRunner, Result

from tickerd.cli.status import ago, lines, status


def run(fake_api: Any, *arguments: str) -> Result:
    return CliRunner().invoke(status, ["--socket", fake_api.socket, *arguments])


def test_it_shows_the_daemon_in_a_few_lines(fake_api: Any, overview: dict[str, Any]) -> None:
    fake_api.answers["/v1/status"] = (200, overview)
    result = run(fake_api)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "tickerd 1.2.3: ready, up 01:02:03",
        "",
        "source  state      ticks  last tick  instruments      restarts",
        "kite    connected  5,000  0.2 s ago  300 (2 unknown)  0",
        "",
        "sink     state    written  dropped  queued   restarts",
        "archive  running  4,990    10       2.0 KiB  0",
        "",
        "feed     5,000 ticks, 1,234/s, 1 gaps",
        "journal  writing, 3.0 MiB in 2 files, lost 0",
        "loop     late by 0.0 ms (p99), 0 stalls",
        "config   -, generation 1",
    ]


def test_every_reason_is_told_and_the_exit_code_says_not_ready(
    fake_api: Any, overview: dict[str, Any]
) -> None:
    overview["status"] = "down"
    overview["reasons"] = [
        {
            "component": "source.kite",
            "severity": "failing",
            "problem": "stale",
            "detail": "no tick for 45 s",
            "instrument": None,
            "age_s": 45.0,
            "limit_s": 30.0,
            "market": "open",
        },
        {
            "component": "source.kite",
            "severity": "warning",
            "problem": "unknown_instrument",
            "detail": "wanted, but \x1b[31mgone",
            "instrument": "NSE:X",
            "age_s": None,
            "limit_s": None,
            "market": None,
        },
    ]
    fake_api.answers["/v1/status"] = (200, overview)
    result = run(fake_api)
    assert result.exit_code == 1
    assert result.output.splitlines()[:3] == [
        "tickerd 1.2.3: NOT READY, up 01:02:03",
        "  failing source.kite: no tick for 45 s (limit 30 s)",
        "  warning source.kite NSE:X: wanted, but \\x1b[31mgone",
    ]


def test_json_is_what_the_daemon_said(fake_api: Any, overview: dict[str, Any]) -> None:
    fake_api.answers["/v1/status"] = (200, overview)
    result = run(fake_api, "--json")
    assert json.loads(result.output) == overview


def test_a_daemon_that_does_not_answer_is_told(fake_api: Any) -> None:
    result = CliRunner().invoke(status, ["--socket", "/nowhere.sock"])
    assert result.exit_code == 1
    assert "no tickerd answers at unix:/nowhere.sock" in result.output


def test_states_that_are_not_well_stand_out(overview: dict[str, Any]) -> None:
    overview["picture"]["sources"][0]["reported"] = "auth_required"
    overview["picture"]["sinks"][0]["retrying"] = "disk full"
    text = "\n".join(lines(overview))
    assert click.style("auth_required", fg="yellow") in text
    assert click.style("retrying", fg="yellow") in text


def test_what_there_is_not_is_left_out(overview: dict[str, Any]) -> None:
    overview["picture"]["sinks"] = []
    overview["picture"]["journal"]["state"] = "off"
    overview["picture"]["config"] |= {"file": "t.yaml", "applied_ns": 10**18, "reload_verdict": "kept all"}
    text = click.unstyle("\n".join(lines(overview)))
    assert "sink " not in text
    assert "journal  off" in text
    assert "config   t.yaml, generation 1 since 2001-09-0" in text
    assert "last reload: kept all" in text


def test_ages() -> None:
    assert (ago(None), ago(0.04), ago(61.0)) == ("never", "0.0 s ago", "00:01:01 ago")


def test_a_login_is_counted_down_and_a_surplus_shown(overview: dict[str, Any]) -> None:
    kite = overview["picture"]["sources"][0]
    kite["login_expires_s"], kite["surplus"] = 3700.0, 4
    text = "\n".join(lines(overview))
    assert "login    kite: ends in 01:01:40" in text
    assert "(4 too many)" in text
    kite["login_expires_s"] = 0.0
    assert "login    kite: has ended" in "\n".join(lines(overview))

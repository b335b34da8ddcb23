"""`tickerd audit`."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tickerd.cli.audit import audit as command
from tickerd.state import audit
from tickerd.state.connection import FILE
from tickerd.state.store import Store


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "when_ns": 1_790_000_000 * 10**9,
        "who": "uid 0",
        "what": "sinks.pause",
        "origin": "unix:/run/tickerd.sock",
        "before": None,
        "after": {"n": number},
    } | more


def test_the_daemon_is_asked_page_by_page(fake_api: Any) -> None:
    fake_api.answers["/v1/audit"] = (200, {"items": [entry(2), entry(1)], "next": None})
    done = CliRunner().invoke(command, ["--socket", fake_api.socket, "--before", "3"])
    head, second, _first = done.stdout.splitlines()
    assert head.split() == ["id", "when", "who", "from", "what", "after"]
    assert second.split()[0] == "2"
    assert second.endswith('sinks.pause  {"n":2}')
    assert fake_api.asked[0][1] == "/v1/audit?after=3&limit=50"


def test_what_others_wrote_moves_no_cursor_and_long_values_are_cut(fake_api: Any) -> None:
    bad = entry(1, who="\x1b[2J\n", after={"a": "x" * 500, "b": "\x9b"})
    fake_api.answers["/v1/audit"] = (200, {"items": [bad], "next": None})
    done = CliRunner().invoke(command, ["--socket", fake_api.socket])
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 2
    assert done.stdout.endswith("…\n")


def test_without_a_daemon_the_state_file_is_read(tmp_path: Path) -> None:
    with closing(Store(tmp_path / FILE)) as store:
        store.open()
        none = CliRunner().invoke(command, ["--state", str(tmp_path)])
        for number in range(3):
            change = audit.Change(when_ns=number, who="uid 1", what="x.y", origin="cli", after=number)
            store.call("fast", lambda connection, change=change: audit.append(connection, change))
    assert none.stdout == "nothing was changed yet\n"
    done = CliRunner().invoke(command, ["--state", str(tmp_path), "--limit", "2", "--json"])
    assert [one["after"] for one in json.loads(done.stdout)["entries"]] == [2, 1]
    assert "no tickerd runs on it" in done.stderr
    done = CliRunner().invoke(command, ["--state", str(tmp_path), "--before", "2", "--json"])
    assert [one["after"] for one in json.loads(done.stdout)["entries"]] == [0]

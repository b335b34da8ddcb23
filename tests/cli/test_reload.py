"""`tickerd reload`."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tickerd.cli.reload import reload

DONE = {
    "dry_run": False,
    "generation": 3,
    "applied": True,
    "verdict": "restarted sink.archive; kept 2 units",
    "warnings": [],
    "plan": {
        "changes": True,
        "steps": [{"verb": "restart", "unit": "sink.archive", "replace": "after", "differences": []}],
        "settings": [],
        "needs_restart": [],
    },
}
MISTAKE = {
    "file": "t.yaml",
    "line": 3,
    "column": 5,
    "path": "sinks.a",
    "message": "unknown plugin",
    "hint": "did you mean 'file'?",
    "source": "  a: {use: fil}",
    "caret": 2,
}


def run(fake_api: Any, *words: str) -> Result:
    return CliRunner().invoke(reload, ["--socket", fake_api.socket, *words])


def test_it_shows_the_plan_and_the_verdict(fake_api: Any) -> None:
    fake_api.answers["/v1/reload"] = (200, DONE)
    done = run(fake_api)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "! restart  sink.archive (after the old one)",
        "generation 3: restarted sink.archive; kept 2 units",
    ]
    assert fake_api.asked[0][:2] == ("POST", "/v1/reload?dry_run=false")


def test_a_dry_run_shows_the_plan_alone(fake_api: Any) -> None:
    fake_api.answers["/v1/reload"] = (200, DONE | {"dry_run": True, "warnings": [MISTAKE]})
    done = run(fake_api, "--dry-run")
    assert "t.yaml:3:5: warning: sinks.a: unknown plugin" in done.output
    assert "generation" not in done.output
    assert fake_api.asked[0][1] == "/v1/reload?dry_run=true"


def test_json_is_what_the_daemon_said(fake_api: Any) -> None:
    fake_api.answers["/v1/reload"] = (200, DONE)
    assert json.loads(run(fake_api, "--json").stdout) == DONE


def problem(status: int, **more: Any) -> tuple[int, dict[str, Any]]:
    return status, {"type": "t", "title": "conflict", "status": status, **more}


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_file_that_is_wrong_is_told_as_check_tells_it(fake_api: Any, words: list[str]) -> None:
    fake_api.answers["/v1/reload"] = problem(422, detail="…", problems=[MISTAKE])
    done = run(fake_api, *words)
    assert done.exit_code == 78
    assert done.stderr.splitlines() == [
        "t.yaml:3:5: sinks.a: unknown plugin (did you mean 'file'?)",
        "      a: {use: fil}",
        "      ^",
    ]
    if words:
        assert json.loads(done.stdout)["problems"] == [MISTAKE]


def test_what_could_not_be_applied_is_told_in_the_daemons_words(fake_api: Any) -> None:
    fake_api.answers["/v1/reload"] = problem(409, detail="refused, everything runs on as before: \x1b[2J")
    done = run(fake_api)
    assert done.exit_code == 1
    assert done.stderr == "Error: conflict: refused, everything runs on as before: \\x1b[2J\n"


def test_what_others_wrote_moves_no_cursor(fake_api: Any) -> None:
    bad = "\x1b[2J\n\x9b"
    steps = [{"verb": "restart", "unit": f"sink.{bad}", "replace": None, "differences": []}]
    fake_api.answers["/v1/reload"] = (
        200,
        DONE
        | {"verdict": bad, "warnings": [MISTAKE | {"message": bad}], "plan": DONE["plan"] | {"steps": steps}},
    )
    done = run(fake_api)
    assert "\x1b" not in done.output
    assert "\x9b" not in done.output


def test_no_answer_is_a_failure(fake_api: Any) -> None:
    done = CliRunner().invoke(reload, ["--socket", "/nowhere.sock"])
    assert done.exit_code == 1
    assert "no tickerd answers at unix:/nowhere.sock" in done.stderr

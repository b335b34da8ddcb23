"""Tests of `tickerd check`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tickerd.cli.check import check
from tickerd.cli.journal_note import OFF

GOOD = """
sources: {sim: {use: simulator, rate: '${env:RATE}'}}
sinks: {out: {use: file, path: out.jsonl, keep: 7 days}}
state: {dir: state}
journal: {max_size: 72MB, min_free: 0}
"""
HOURS = "journal: 102 hours fit, before compression, at 1 full ticks/s (one a second for each instrument)"
"""What is said of GOOD: 72 MB hold 102 hours of one tick a second."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Write the files, and check them with these options."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATE", "100")

    def run(*options: str, **files: str) -> Result:
        for name, text in files.items():
            Path(f"{name}.yaml").write_text(text)
        return CliRunner().invoke(check, [*options, *(f"{name}.yaml" for name in files)])

    return run


def test_a_good_file_is_ok(run):
    done = run(a=GOOD)
    assert (done.exit_code, done.output) == (0, f"a.yaml: ok (1 source, 1 sink)\n{HOURS}\n")


def test_without_a_journal_it_says_what_is_impossible(run):
    done = run(a=GOOD.replace("{max_size: 72MB, min_free: 0}", "off"))
    assert done.exit_code == 0
    first, *_, last = done.output.splitlines()
    assert first.startswith("a.yaml:3:9: warning: sinks.out: the journal is off, so delivery is live")
    assert last == OFF


def test_every_file_is_checked_and_the_problems_are_counted(run):
    done = run(a=GOOD.replace("rate", "rte").replace("path", "pth"), b=GOOD, c="sources:\n")
    assert done.exit_code == 78
    assert done.output.split("\n") == [
        "a.yaml:2:33: sources.sim.rte: unknown key (did you mean 'rate'?)",
        "    sources: {sim: {use: simulator, rte: '${env:RATE}'}}",
        "                                    ^",
        "a.yaml:3:9: sinks.out.path: required key is missing",
        "    sinks: {out: {use: file, pth: ***, keep: 7 days}}",
        "            ^",
        "a.yaml:3:26: sinks.out.pth: unknown key (did you mean 'path'?)",
        "    sinks: {out: {use: file, pth: ***, keep: 7 days}}",
        "                             ^",
        "a.yaml: 3 problems",
        "b.yaml: ok (1 source, 1 sink)",
        HOURS,
        "c.yaml:1:1: sources: needs at least one source",
        "    sources:",
        "    ^",
        "c.yaml: 1 problem",
        "",
    ]


def test_warnings_are_shown_and_do_not_fail(run):
    done = run(
        a="sources: {sim: {use: simulator}}\njournal: {max_size: 72MB, min_free: 0}\nstate: {dir: state}\n"
    )
    assert done.exit_code == 0
    assert done.output.startswith("a.yaml:1:1: warning: sinks: there is no sink: ticks go nowhere\n")
    assert done.output.endswith(f"a.yaml: ok (1 source, 0 sinks)\n{HOURS}\n")


def test_json_says_the_same(run):
    done = run("--format", "json", a=GOOD, b=GOOD.replace("rate", "rte"))
    assert done.exit_code == 78
    good, bad = json.loads(done.output)["files"]
    assert good == {
        "file": "a.yaml", "ok": True, "problems": [], "warnings": [], "sources": 1, "sinks": 1, "journal": HOURS,
    }  # fmt: skip
    assert (bad["file"], bad["ok"], bad["warnings"]) == ("b.yaml", False, [])
    assert "journal" not in bad
    assert bad["problems"] == [
        {
            "file": "b.yaml", "line": 2, "column": 33, "path": "sources.sim.rte", "message": "unknown key",
            "hint": "did you mean 'rate'?", "source": "sources: {sim: {use: simulator, rte: '${env:RATE}'}}",
            "caret": 32,
        }
    ]  # fmt: skip


def test_what_is_in_force_is_printed_without_secrets(run):
    done = run("--print", a=GOOD)
    assert "    use: simulator\n    rate: '***'\n" in done.output
    assert "    keep: 7 days\n" in done.output
    done = run("--print", "--format", "json", a=GOOD)
    assert json.loads(done.output)["files"][0]["settings"]["sources"]["sim"]["rate"] == "***"


def test_a_missing_file_is_a_problem_like_any_other(run):
    done = CliRunner().invoke(check, ["gone.yaml"])
    assert (done.exit_code, done.output) == (78, "gone.yaml: no such file\ngone.yaml: 1 problem\n")


def test_without_a_file_the_command_line_is_wrong(run):
    assert CliRunner().invoke(check, []).exit_code == 2

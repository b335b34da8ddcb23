"""`tickerd plan OLD NEW`."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tickerd.cli.plan import lines, plan

OLD = """
sources:
  kite:
    use: simulator
    subscribe:
      - {instruments: ["NSE:INFY"], mode: full}
sinks:
  archive: {use: file, path: "ticks/a.jsonl"}
  spare: {use: file, path: "b.jsonl"}
"""
NEW = """
sources:
  kite:
    use: simulator
    subscribe:
      - {instruments: ["NSE:INFY", "NSE:TCS"], mode: full}
sinks:
  archive: {use: file, path: "${env:WHERE}/a.jsonl"}
  more: {use: file, path: "c.jsonl"}
state: {dir: elsewhere}
log: {level: debug}
"""


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WHERE", "hidden-place")

    def run(old: str, new: str, *more: str, **how: Any) -> Result:
        (tmp_path / "old.yaml").write_text(old)
        (tmp_path / "new.yaml").write_text(new)
        return CliRunner().invoke(
            plan, [str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml"), *more], **how
        )

    return run


def test_it_says_what_happens_to_each_unit_and_why(invoke: Any) -> None:
    result = invoke(OLD, NEW)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "! restart  sink.archive (after the old one)",
        "      path: changed",
        "+ add      sink.more",
        "~ change   source.kite",
        "      subscribe: +NSE:TCS full",
        "- remove   sink.spare",
        "settings of tickerd, changed in place:",
        "      log.level: info → debug",
        "stays as it is until tickerd is restarted:",
        "      state.dir: /var/lib/tickerd → elsewhere",
    ]


def test_equal_files_change_nothing(invoke: Any) -> None:
    result = invoke(OLD, OLD)
    assert result.output.splitlines() == [
        "nothing changes",
        "= keep     sink.archive",
        "= keep     sink.spare",
        "= keep     source.kite",
    ]


def test_json_says_the_same_and_no_secret(invoke: Any) -> None:
    result = invoke(OLD, NEW, "--format", "json")
    data = json.loads(result.output)
    assert [(step["verb"], step["unit"]) for step in data["steps"]] == [
        ("restart", "sink.archive"),
        ("add", "sink.more"),
        ("change", "source.kite"),
        ("remove", "sink.spare"),
    ]
    assert data["needs_restart"][0]["option"] == "state.dir"
    assert "hidden-place" not in result.output


def test_a_terminal_gets_colours(invoke: Any) -> None:
    result = invoke(OLD, NEW, color=True)
    assert click.style("+ add      sink.more", fg="green") in result.output
    assert click.style("- remove   sink.spare", fg="red") in result.output


def test_a_wrong_file_is_told_and_exits_with_78(invoke: Any) -> None:
    result = invoke(OLD, "sources: {}")
    assert result.exit_code == 78
    assert "new.yaml" in result.output


def difference(**what: Any) -> dict[str, Any]:
    step = {"verb": "change", "unit": "sink.x", "replace": None, "differences": [{"reload": "live"} | what]}
    return {"changes": True, "steps": [step], "settings": [], "needs_restart": []}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"option": "key", "old": "***", "new": "***"}, "key: changed"),
        ({"option": "path", "old": None, "new": ""}, 'path: not set → ""'),
        ({"option": "on", "old": False, "new": {"a": 1}}, 'on: false → {"a":1}'),
        ({"option": "l", "added": list("abcd"), "removed": list("ef")}, "l: +a, +b, +c, +d, -e and 1 more"),
        ({"option": "l", "added": [], "removed": []}, "l: another order"),
    ],
)
def test_reasons_are_short(what: dict[str, Any], said: str) -> None:
    assert list(lines(difference(**what)))[1].strip() == said

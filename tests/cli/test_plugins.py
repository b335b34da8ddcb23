"""`tickerd plugins`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tickerd.cli.plugins import plugins
from tickerd.runtime.registry import Description, Installed, Registry

GOOD = Description(Installed("kite", "tickerd", "1.0", "m.kite"), ("source",), ("kite",), ("login",))
BROKEN = Description(Installed("odd", "odd-dist", "2.0", "odd"), problem="plugin 'odd' fails")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Description]:
    found: dict[str, Description] = {}
    monkeypatch.setattr(Registry, "names", lambda self, kind="": sorted(found))
    monkeypatch.setattr(Registry, "describe", lambda self, name: found[name])
    return found


def test_it_shows_names_and_what_they_offer(installed: dict[str, Description]) -> None:
    installed["kite"] = GOOD
    result = CliRunner().invoke(plugins)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "name  from         kinds   commands",
        "kite  tickerd 1.0  source  login",
    ]


def test_a_plugin_that_cannot_be_used_is_told_last_and_by_the_exit_code(
    installed: dict[str, Description],
) -> None:
    installed.update(kite=GOOD, odd=BROKEN)
    result = CliRunner().invoke(plugins)
    assert result.exit_code == 1
    assert result.output.splitlines()[2:] == [
        "odd   odd-dist 2.0  cannot be used  -",
        "",
        "plugin 'odd' fails",
    ]


def test_colours_do_not_move_the_columns(installed: dict[str, Description]) -> None:
    installed.update(kite=GOOD, odd=BROKEN)
    result = CliRunner().invoke(plugins, color=True)
    assert "\x1b[31mcannot be used\x1b[0m" in result.output


def test_nothing_installed_is_said(installed: dict[str, Description]) -> None:
    assert CliRunner().invoke(plugins).output == "no plugin is installed\n"


def test_json_says_the_same(installed: dict[str, Description]) -> None:
    installed.update(kite=GOOD, odd=BROKEN)
    result = CliRunner().invoke(plugins, ["--json"])
    assert result.exit_code == 1
    kite, odd = json.loads(result.output)
    assert kite == {
        "name": "kite",
        "distribution": "tickerd",
        "version": "1.0",
        "module": "m.kite",
        "kinds": ["source"],
        "codecs": ["kite"],
        "commands": ["login"],
        "problem": None,
    }
    assert odd["problem"] == "plugin 'odd' fails"


def test_a_broken_bundled_plugin_would_be_seen(tmp_path: Path) -> None:
    result = CliRunner().invoke(plugins, ["--json"])
    assert {one["name"]: one["problem"] for one in json.loads(result.output)} == dict.fromkeys(
        ("api_key", "file", "gcra", "kite", "replay", "simulator", "unix_peer", "webhook", "websocket")
    )

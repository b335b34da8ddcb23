"""The options of ``tickerd simulate``."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tickerd_plugins.simulator import main
from tickerd_plugins.simulator.command import simulate
from tickerd_plugins.simulator.faults import NAMES, Mute, Timed


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command hands on, instead of running."""
    seen: dict[str, Any] = {}

    def fake(options: dict[str, Any]) -> int:
        seen.update(options)
        return 5

    monkeypatch.setattr(main, "main", fake)
    return seen


def test_the_defaults_are_the_demos(given: dict[str, Any]) -> None:
    result = CliRunner().invoke(simulate, [])
    assert result.exit_code == 5
    assert (given["ws"], given["rest"]) == (("127.0.0.1", 7900), ("127.0.0.1", 7901))
    assert (given["rate"], given["frame"], given["api_key"], given["access_token"]) == (
        2_000,
        200,
        "demo",
        "demo-token",
    )
    assert given["command"] == ()


def test_every_option_is_handed_on(given: dict[str, Any]) -> None:
    arguments = (
        "--ws [::1]:0 --rest h:80 --rate 5 --frame 9 --seed 3 --numbered n --fault mute=2@1 --instruments 7"
    )
    CliRunner().invoke(simulate, [*arguments.split(), "--", "run", "--me"])
    assert (given["ws"], given["rest"]) == (("::1", 0), ("h", 80))
    assert (given["rate"], given["frame"], given["seed"], given["instruments"]) == (5, 9, 3, 7)
    assert given["numbered"] == Path("n")
    assert given["faults"] == (Timed(Mute(seconds=2), 1.0),)
    assert given["command"] == ("run", "--me")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ws", "7900"], "expected HOST:PORT such as 127.0.0.1:7900, got '7900'"),
        (["--ws", ":7900"], "expected HOST:PORT"),
        (["--rest", "h:99999"], "expected HOST:PORT"),
        (["--rest", "h:x"], "expected HOST:PORT"),
        (["--fault", "mute"], "say when: mute@SECONDS"),
        (["--fault", "explode@1"], "unknown fault 'explode'"),
        (["--rate", "-1"], "not in the range"),
        (["--frame", "0"], "not in the range"),
    ],
)
def test_wrong_options_are_explained(given: dict[str, Any], arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(simulate, arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert given == {}


def test_the_help_names_every_fault() -> None:
    text = CliRunner().invoke(simulate, ["--help"]).output
    assert all(name in text for name in NAMES)
    assert "Examples" in text

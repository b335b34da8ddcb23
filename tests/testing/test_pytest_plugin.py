"""The fixtures, and that they cost nothing where they are not used."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tickerd.testing
from tickerd.testing import FakeContext


async def test_each_context_has_a_directory_of_its_own(tickerd_context: Callable[..., FakeContext]) -> None:
    one, two = tickerd_context("one"), tickerd_context("two")
    assert (one.name, one.state_dir.is_dir(), one.state_dir == two.state_dir) == ("one", True, False)


def test_the_command_line_runs_in_a_directory_of_the_test(
    tmp_path: Path, tickerd_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = tickerd_cli("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("tickerd")
    assert tickerd_cli("check", tmp_path / "missing.yaml").returncode != 0


def test_loading_the_fixtures_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest; import tickerd.testing.pytest_plugin; "
        "sys.exit(', '.join({'trio', 'pydantic', 'structlog', 'tickerd.plugin'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there() -> None:
    for name in tickerd.testing.__all__:
        assert getattr(tickerd.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tickerd.testing.nothing

"""Fixtures for plugin authors, loaded by pytest through its entry point.

It imports nothing but pytest until a fixture is used: it is loaded wherever tickerd is installed.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tickerd.testing.fakes import FakeContext


@pytest.fixture
def tickerd_context(tmp_path: Path) -> "Callable[..., FakeContext]":
    """Makes contexts: ``tickerd_context()`` or ``tickerd_context("name", clock=…)``, inside an async test."""
    from tickerd.testing.fakes import FakeContext  # noqa: PLC0415

    def make(name: str = "unit", **more: object) -> FakeContext:
        state = tmp_path / "state" / name
        state.mkdir(parents=True, exist_ok=True)
        return FakeContext(state, name, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture
def tickerd_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``tickerd`` in a process of its own: ``tickerd_cli("check", "tickerd.yaml")``, in ``tmp_path``."""

    def run(*arguments: str | Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the test says what to run
            [sys.executable, "-m", "tickerd", *map(str, arguments)],
            cwd=tmp_path,
            timeout=timeout_s,
            capture_output=True,
            text=True,
            check=False,
        )

    return run

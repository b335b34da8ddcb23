"""A configuration to be examined."""

import os
from pathlib import Path
from typing import Any

import pytest

from tickerd.cli.checkup.finding import Patient
from tickerd.config import load
from tickerd.runtime.registry import Registry

YAML = "sources: {demo: {use: simulator}}\nstate: {dir: 'DIR/state'}\njournal: {min_free: 1MiB}\n"


@pytest.fixture
def patient(tmp_path: Path) -> Any:
    """``patient(more YAML, process=…)``; DIR stands for the test's directory."""

    def patient(more: str = "", text: str = YAML, **arguments: Any) -> Patient:
        file = tmp_path / "tickerd.yaml"
        file.write_text((text + more).replace("DIR", str(tmp_path)))
        file.chmod(0o640)
        env = dict(os.environ)
        return Patient(file, load(file, Registry.installed(), env), env, **arguments)

    return patient


@pytest.fixture
def said() -> Any:
    """Findings as (level, text) without those that are all right."""

    def said(findings: Any) -> list[tuple[str, str]]:
        return [(one.level, one.text) for one in findings if one.level != "ok"]

    return said

"""Every configuration that is shipped to be copied compiles: samples of plugins, their READMEs, and ``config/``."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tickerd.config import Compiled, load
from tickerd.runtime.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    *sorted((ROOT / "config").glob("*.yaml")),
    ROOT / "systemd/tickerd.yaml",
    *sorted((ROOT / "plugins/tickerd_plugins").glob("*/sample.yaml")),
]
READMES = sorted((ROOT / "plugins/tickerd_plugins").glob("*/README.md"))
BLOCKS = [
    (f"{readme.parent.name}:{number}", text)
    for readme in READMES
    for number, text in enumerate(
        re.findall(r"^```yaml\n(.*?)^```$", readme.read_text(), re.DOTALL | re.MULTILINE)
    )
]


def compiled(text: str, directory: Path) -> Compiled:
    """References are given something to stand for."""
    env = {name: _value(name) for name in re.findall(r"\$\{env:(\w+)\}", text)}
    env["CREDENTIALS_DIRECTORY"] = str(directory)
    for name in re.findall(r"\$\{credential:([\w.-]+)\}", text):
        (directory / name).write_text(_value(name) + "\n")
    return _load(directory / "tickerd.yaml", text, env)


def _value(name: str) -> str:
    """Secrets of webhooks have a form of their own."""
    return f"whsec_{'A' * 43}=" if name.lower().endswith("secret") else "anything"


def _load(file: Path, text: str, env: Mapping[str, str]) -> Compiled:
    file.write_text(text)
    return load(file, Registry.installed(), env)


def test_there_are_samples() -> None:
    assert len(FILES) > 6
    assert len(BLOCKS) > 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_each_sample_compiles(file: Path, tmp_path: Path) -> None:
    assert compiled(file.read_text(), tmp_path).settings.sources


@pytest.mark.parametrize("text", [text for _, text in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_each_block_of_a_readme_compiles(text: str, tmp_path: Path) -> None:
    """One without sources is a fragment and gets one; so is one whose names of authenticators are elsewhere."""
    if not re.search(r"^sources:", text, re.MULTILINE):
        text = f"sources: {{demo: {{use: simulator}}}}\n{text}"
    assert compiled(text, tmp_path).settings.sources


def test_the_demo_can_be_steered_without_root(tmp_path: Path) -> None:
    control = compiled((ROOT / "config/demo.yaml").read_text(), tmp_path).settings.control
    assert control is not None
    assert [entry.address for entry in control.listen] == ["unix:run/tickerd.sock"]

"""docs/kite.md: what it quotes is what the code says, and its script works."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tickerd_plugins.kite
from tickerd_plugins.kite.options import CAPACITY, CONNECTIONS, KiteOptions


class Client:
    """The official client, as far as the scripts use it."""

    calls: list[tuple[str, ...]]

    def __init__(self, api_key: str) -> None:
        type(self).calls = [("key", api_key)]

    def invalidate_access_token(self, access_token: str) -> None:
        self.calls.append(("invalidate", access_token))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody who answers each question with it; the official client is a fake."""
    module = ModuleType("kiteconnect")
    module.KiteConnect = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kiteconnect", module)
    monkeypatch.setattr("builtins.input", lambda prompt: f"<{prompt}>")
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"<{prompt}>")
    monkeypatch.setattr("os.umask", lambda mask: mask)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("typed")
def test_the_script_ends_the_token(kite: Any) -> None:
    exec(compile(_script(kite, "End a token"), "end.py", "exec"), {})
    assert Client.calls == [("key", "<api key: >"), ("invalidate", "<access token: >")]


def test_the_figures_are_those_of_the_code(kite: Any) -> None:
    limits = dict(kite.table("Limits of the broker", "what"))
    assert limits["instruments on one connection"] == f"{CAPACITY:,}"
    key = limits["connections of one `api_key`"]
    assert key == f"{CONNECTIONS}, and so {CAPACITY * CONNECTIONS:,} instruments"
    fields = KiteOptions.model_fields
    for name in ("ws_url", "rest_url"):
        assert f"`{fields[name].default}`" in kite.text
    assert f"`instruments_at`, {fields['instruments_at'].default} IST" in kite.text


def test_the_words_that_it_explains_are_those_of_the_code(kite: Any) -> None:
    """Each detail in the tables stands in the source of the plugin, up to where it varies."""
    folder = Path(tickerd_plugins.kite.__file__).parent
    code = re.sub(r"""["']\s*f?["']""", "", "".join(file.read_text() for file in folder.glob("*.py")))
    tables = [*kite.table("auth_required", "detail"), *kite.table("auth_required", "it says")]
    assert len(tables) >= 15
    for said, _ in tables:
        words = re.split("…|:|kite$|2026|\\(", said.strip("`"))[0].strip()
        assert words in code, said


def _script(kite: Any, heading: str) -> str:
    section = kite.section(heading)
    (found,) = [b for b in kite.blocks() if b.language == "python" and b.text.splitlines()[-1] in section]
    return str(found.text)

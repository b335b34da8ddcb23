"""docs/kite.md: the script that makes a token does so."""

import stat
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tickerd_plugins.kite.options import CAPACITY, KiteOptions


class Client:
    """The official client, as far as the scripts use it."""

    calls: list[tuple[str, ...]]

    def __init__(self, api_key: str) -> None:
        type(self).calls = [("key", api_key)]

    def generate_session(self, request_token: str, api_secret: str) -> dict[str, str]:
        self.calls.append(("session", request_token, api_secret))
        return {"access_token": "todays-token"}

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
def test_the_script_writes_the_token(kite: Any, tmp_path: Path) -> None:
    script = _script(kite, "Get an access token")
    assert "os.umask(0o077)" in script
    exec(compile(script, "kite_login.py", "exec"), {})
    assert (tmp_path / "access_token").read_text() == "todays-token"
    assert stat.S_ISREG((tmp_path / "access_token").stat().st_mode)
    assert not (tmp_path / "access_token.new").exists()
    assert Client.calls == [("key", "<api key: >"), ("session", "<request token: >", "<api secret: >")]


@pytest.mark.usefixtures("typed")
def test_the_script_ends_the_token(kite: Any) -> None:
    exec(compile(_script(kite, "End a token"), "end.py", "exec"), {})
    assert Client.calls == [("key", "<api key: >"), ("invalidate", "<access token: >")]


def test_the_figures_are_those_of_the_code(kite: Any) -> None:
    limits = dict(kite.table("Limits of the broker", "what"))
    assert limits["instruments on one connection"] == f"{CAPACITY:,}"
    fields = KiteOptions.model_fields
    for name in ("ws_url", "rest_url"):
        assert f"`{fields[name].default}`" in kite.text
    assert f"`instruments_at`, {fields['instruments_at'].default} IST" in kite.text


def _script(kite: Any, heading: str) -> str:
    section = kite.section(heading)
    (found,) = [b for b in kite.blocks() if b.language == "python" and b.text.splitlines()[-1] in section]
    return str(found.text)

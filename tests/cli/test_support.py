"""`tickerd support-bundle`: what helps is in it, and no secret, wherever it was."""

import json
import stat
import tarfile

import pytest
from click.testing import CliRunner

from tickerd.cli.support import support_bundle
from tickerd.observe.redact import Redactor
from tickerd.state import StateDirectory, keys, tools
from tickerd.state.connection import FILE
from tickerd.state.keys import By, NewKey
from tickerd.state.pepper import open_peppers
from tickerd.state.store import Store

SECRETS = {
    "KITE_KEY": "abcdKiteKey0123",
    "KITE_SECRET": "abcdKiteSecret0123",
    "HOOK_SECRET": "whsec_aG9va3NlY3JldGhvb2tzZWNyZXRob29rc2VjcmV0",
    "HOOK_URL": "/services/T00SlackPath/B00/XYZtoken",
    "FILE_TOKEN": "abcdTokenInAFile0123",
    "SAVED": "abcdSavedLogin0123",
}
YAML = """
sources:
  kite:
    use: kite
    api_key: "${{env:KITE_KEY}}"
    api_secret: {KITE_SECRET}
    access_token_file: {directory}/token
    ws_url: ws://127.0.0.1:9
    rest_url: http://127.0.0.1:9
sinks:
  alerts: {{use: webhook, url: "https://hooks.example.com{HOOK_URL}", secret: "{HOOK_SECRET}", events: [gap]}}
control: {{listen: "unix:{directory}/api.sock"}}
state: {{dir: {directory}/state}}
log: {{file: {directory}/own.log}}
"""


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """A machine with secrets in every place that there is; all of them."""
    monkeypatch.setenv("KITE_KEY", SECRETS["KITE_KEY"])
    (tmp_path / "tickerd.yaml").write_text(YAML.format(directory=tmp_path, **SECRETS))
    (tmp_path / "token").write_text(SECRETS["FILE_TOKEN"] + "\n")
    store = Store(tmp_path / "state" / FILE)
    store.open()
    store.close()
    with StateDirectory(tmp_path / "state") as state:
        (state.unit("source", "kite") / "login.json").write_text(
            json.dumps({"access_token": SECRETS["SAVED"]})
        )
    new = NewKey.model_validate({"label": "charts", "scopes": ["ticks:read"]})
    with tools.writing(tmp_path / "state") as connection:
        peppers = open_peppers(tmp_path / "state")
        made = keys.create(connection, peppers, new, By("uid 0", "cli"), now_ns=1)
    (tmp_path / "state" / "bootstrap.key").write_text("tkd_boot_abcdefghijkl_secretsecretsecret\n")
    every = [*SECRETS.values(), made.text.text, "tkd_boot_abcdefghijkl_secretsecretsecret"]
    every.append((tmp_path / "state" / "pepper").read_text().strip())
    (tmp_path / "own.log").write_text("".join(f'{{"event":"leak","what":"{one}"}}\n' for one in every))
    return every


def made(tmp_path, *words, code=0):
    target = tmp_path / "bundle.tar.gz"
    command = ["-c", str(tmp_path / "tickerd.yaml"), "-o", str(target), "--offline", *words]
    result = CliRunner().invoke(support_bundle, command)
    assert result.exit_code == code, result.output
    if code:
        return result
    with tarfile.open(target) as tar:
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        return {name.partition("/")[2]: tar.extractfile(name).read().decode() for name in tar.getnames()}


def test_no_secret_is_in_it_wherever_it_was(tmp_path, secrets, fake_api, overview):
    overview["picture"]["sources"][0]["detail"] = f"said {SECRETS['SAVED']}"
    fake_api.answers["/v1/status"] = (200, overview)
    fake_api.answers["/health"] = (200, {"status": "up", "about": secrets[-1]})
    found = made(tmp_path)
    assert json.loads(found["status.json"])["status"] == "up"
    for name, text in found.items():
        for secret in secrets:
            assert secret not in text, (name, secret)
    assert found["log.txt"].count('"event":"leak"') == len(secrets)


def test_the_test_would_notice(tmp_path, secrets, monkeypatch):
    monkeypatch.setattr(Redactor, "__call__", lambda self, text: text)
    found = made(tmp_path)
    assert all(secret in found["log.txt"] for secret in secrets)


def test_what_helps_is_in_it(tmp_path, secrets):
    found = made(tmp_path)
    assert sorted(found) == [
        "about.json", "config.yaml", "doctor.json", "files.txt", "health.json", "log.txt", "status.json",
    ]  # fmt: skip
    assert json.loads(found["about.json"])["packages"]["trio"]
    assert "login_url: https://kite.zerodha.com/***" in found["config.yaml"]
    assert "ws_url: ws://127.0.0.1:9" in found["config.yaml"]
    assert {one["check"] for one in json.loads(found["doctor.json"])} >= {"config", "state", "journal"}
    assert "pepper" in found["files.txt"]
    assert "could not be had: no tickerd answers at" in found["status.json"]


def test_a_broken_configuration_is_told_and_the_rest_is_there(tmp_path, secrets):
    (tmp_path / "tickerd.yaml").write_text(
        f"sources: {{kite: {{use: kite, api_secret: {SECRETS['KITE_SECRET']}}}}}\n"
    )
    found = made(tmp_path)
    assert "api_key" in found["config.txt"]
    assert SECRETS["KITE_SECRET"] not in "".join(found.values())
    assert "log.txt" not in found


def test_without_a_log_file_it_says_where_the_log_is(tmp_path, secrets):
    text = (tmp_path / "tickerd.yaml").read_text()
    (tmp_path / "tickerd.yaml").write_text(text.partition("log:")[0])
    assert "journalctl -u tickerd" in made(tmp_path)["log.txt"]


def test_nothing_is_overwritten_and_a_bad_place_is_told(tmp_path, secrets):
    made(tmp_path)
    assert "is there already" in made(tmp_path, code=1).output
    assert "No such file" in made(tmp_path, "-o", str(tmp_path / "no" / "x"), code=1).output


def test_of_a_long_log_the_end_is_taken(tmp_path, secrets):
    (tmp_path / "own.log").write_text("".join(f"line {number}\n" for number in range(400_000)))
    lines = made(tmp_path)["log.txt"].splitlines()
    assert (len(lines), lines[-1]) == (2000, "line 399999")

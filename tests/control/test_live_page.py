"""The page with live prices in a real, headless Chromium, over a real daemon: control API, tickets and stream."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

YAML = """
sources: {{sim: {{use: simulator, rate: 100, instruments: 200, seed: 1}}}}
sinks:
  stream: {{use: websocket, listen: "127.0.0.1:{stream}", auth: [keys], origins: {origins}}}
control: {{listen: ["127.0.0.1:{control}"], auth: [keys]}}
auth: {{keys: {{use: api_key}}}}
state: {{dir: state}}
journal: off
"""


def free_ports(count):
    found = [socket.socket() for _ in range(count)]
    try:
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]
    finally:
        for one in found:
            one.close()


class Daemon:
    """`tickerd run` with a stream and the control API."""

    def __init__(self, folder):
        self.stream, self.control, self.elsewhere = free_ports(3)
        origins = [f"http://127.0.0.1:{port}" for port in (self.control, self.elsewhere)]
        text = YAML.format(stream=self.stream, control=self.control, origins=json.dumps(origins))
        (folder / "tickerd.yaml").write_text(text)
        self._log = folder / "log"
        command = [sys.executable, "-m", "tickerd", "run", "-c", "tickerd.yaml"]
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
        end = time.monotonic() + 20
        while '"event":"ready"' not in self.log():
            assert time.monotonic() < end, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)
        self.key = (folder / "state" / "bootstrap.key").read_text().split()[-1]

    def log(self):
        return self._log.read_text()


@pytest.fixture
def daemon(tmp_path):
    """A running one."""
    one = Daemon(tmp_path)
    yield one
    one.process.terminate()
    assert one.process.wait(20) == 0, one.log()


@pytest.fixture
def elsewhere(daemon, checkout: Path):
    """A plain web server that has a copy of the page and nothing else."""
    folder = checkout / "tickerd" / "control" / "static"
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder)]
    process = subprocess.Popen([*command, str(daemon.elsewhere)], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", daemon.elsewhere), 1).close()
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)
    yield
    process.kill()
    process.wait()


@pytest.fixture
def browse(need, checkout: Path, daemon):
    """``browse(key)`` uses the page and gives what happened: event → what was said of it, in order."""
    node, chromium = need("node"), shutil.which("chromium") or need("chromium-browser")
    folder = checkout / "tests" / "node"
    need.that((folder / "node_modules" / "puppeteer-core").is_dir(), "the npm packages in tests/node")

    def browse(key, page=None, **env):
        page = page or f"http://127.0.0.1:{daemon.control}/live"
        stream = f"ws://127.0.0.1:{daemon.stream}/v1/stream"
        command = [
            node,
            str(folder / "live_page.js"),
            chromium,
            page,
            stream,
            key,
            "NSE:INFY, NSE:NIFTY 50, NO:SUCH",
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env={**os.environ, **env}, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        happened = {}
        for line in done.stdout.splitlines():
            said = json.loads(line)
            happened.setdefault(said.pop("event"), []).append(said)
        return happened

    return browse


def test_it_shows_prices_that_move_and_asks_no_other_host(browse, daemon) -> None:
    happened = browse(daemon.key)
    assert "wrong" not in happened
    assert happened["state"] == [{"text": "Live: 2 instruments; NO:SUCH: unknown_symbol"}]
    (rows,) = (one["rows"] for one in happened["rows"])
    assert [row[0] for row in rows] == ["NSE:INFY", "NSE:NIFTY 50"]
    assert all(float(row[1]) > 1 and row[2].endswith("%") for row in rows)
    assert happened["stopped"] == [{"text": "Not connected"}]
    asked = [(one["method"], one["url"]) for one in happened["request"] if not one["url"].startswith("data:")]
    here = f"http://127.0.0.1:{daemon.control}"
    assert asked == [("GET", f"{here}/live"), ("POST", f"{here}/v1/tickets")]
    assert daemon.key not in daemon.log()


def test_a_wrong_key_is_told_and_not_tried_again(browse, daemon) -> None:
    happened = browse("tkd_live_wrong")
    assert happened["state"][0]["text"].startswith("Not connected: ")
    assert len([one for one in happened["request"] if one["url"].endswith("/v1/tickets")]) == 1


def test_a_copy_of_the_page_elsewhere_shows_the_key_in_its_first_message(browse, daemon, elsewhere) -> None:
    happened = browse(daemon.key, page=f"http://127.0.0.1:{daemon.elsewhere}/live.html")
    assert happened["state"][0]["text"].startswith("Live: 2 instruments")
    assert happened["rows"]
    assert not any(daemon.key in one["url"] for one in happened["request"])


def test_a_page_that_is_not_on_the_list_gets_nothing(browse, daemon, elsewhere) -> None:
    happened = browse(daemon.key, page=f"http://localhost:{daemon.elsewhere}/live.html")
    assert happened["state"][0]["text"].startswith("Not connected: ")
    assert "rows" not in happened

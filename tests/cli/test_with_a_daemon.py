"""The commands on a real daemon, over its Unix socket, and on its files once it is gone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

YAML = """
sources: {demo: {use: simulator, rate: 50, subscribe: [{instruments: ["NSE:INFY"]}]}}
sinks: {archive: {use: file, path: "out/{date}.jsonl"}}
state: {dir: state}
control: {listen: "unix:api.sock"}
"""


class Daemon:
    """`tickerd run`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "t.yaml").write_text(YAML)
        self.start()

    def start(self) -> None:
        """Until it is ready."""
        command = [sys.executable, "-m", "tickerd", "run", "-c", "t.yaml"]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        next(line for line in self.process.stdout if '"event":"ready"' in line)
        self._reader = threading.Thread(target=self.process.stdout.read)
        self._reader.start()

    def stop(self) -> int:
        """Its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    yield one
    if one.process.returncode is None:
        assert one.stop() == 0


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """A command as people run it."""
    env = {**os.environ, "TICKERD_SOCKET": "api.sock"}

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tickerd", *words],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, env=env, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.mark.full
def test_a_day_of_a_sysadmin(daemon: Daemon, run: Callable[..., Any]) -> None:
    assert "ready" in run("status").stdout
    assert json.loads(run("status", "--json").stdout)["status"] == "up"

    made = run("keys", "create", "charts", "--scope", "ticks:read")
    assert made.stdout.startswith("tkd_live_")
    public = json.loads(run("keys", "list", "--json").stdout)["keys"][0]["id"]
    fresh = json.loads(run("keys", "rotate", public, "--overlap", "1h", "--json").stdout)
    assert run("keys", "revoke", fresh["id"]).stdout == f"key {fresh['id']} (charts) is revoked\n"
    again = run("keys", "revoke", fresh["id"], code=1)
    assert again.stderr == f"Error: conflict: key {fresh['id']} is revoked already\n"

    assert run("subs", "add", "NSE:NIFTY 50", "--mode", "ltp").stdout == "NSE:NIFTY 50: ltp (demo)\n"
    wrong = run("subs", "add", "NSE:INFI", code=1)
    assert "did you mean 'NSE:INFY'?" in wrong.stderr
    ticks = [
        json.loads(line)
        for line in run("tap", "--instruments", "NSE:NIFTY 50", "--limit", "2").stdout.splitlines()
    ]
    assert [tick["symbol"] for tick in ticks] == ["NSE:NIFTY 50"] * 2

    assert run("dlq", "ls").stdout == "no dead letters\n"
    assert run("dlq", "drop", "archive", "--all", "--yes", code=1).stderr.startswith(
        "Error: 'archive' has no dead"
    )
    assert "= keep" in run("reload", "--dry-run").stdout
    (daemon.folder / "t.yaml").write_text(YAML.replace("rate: 50", "rate: nonsense"))
    assert "sources.demo.rate" in run("reload", code=78).stderr
    (daemon.folder / "t.yaml").write_text(YAML.replace("rate: 50", "rate: 60"))
    assert "generation 2" in run("reload").stdout

    trail = json.loads(run("audit", "--json").stdout)["entries"]
    what = [
        "config.reload",
        "config.reload",
        "subscriptions.add",
        "keys.revoke",
        "keys.rotate",
        "keys.create",
    ]
    assert [one["what"] for one in trail] == what
    assert [one["after"]["applied"] for one in trail[:2]] == [True, False]

    state = ("--state", "state")
    asked = run("keys", "list", *state, "--socket", "api.sock")
    assert asked.stderr == f"asking the running tickerd (process {daemon.process.pid}) at unix:api.sock\n"
    assert "asking the running tickerd" in run("tap", "--follow", "--limit", "1", "-c", "t.yaml").stderr

    assert daemon.stop() == 0
    assert "no tickerd answers at unix:api.sock" in run("status", code=1).stderr
    files = run("keys", "list", *state)
    assert files.stderr == "in state itself: no tickerd runs on it\n"
    assert files.stdout == asked.stdout
    assert json.loads(run("audit", "--json", *state).stdout)["entries"][0]["what"] == "config.reload"


@pytest.mark.full
def test_what_was_steered_is_there_after_a_restart(daemon: Daemon, run: Callable[..., Any]) -> None:
    from tickerd.cli.client import Client

    api = Client(f"unix:{daemon.folder}/api.sock")
    run("subs", "add", "NSE:NIFTY 50", "--owner", "desk")
    api.post("/v1/sinks/archive/pause")
    assert daemon.stop() == 0
    daemon.start()
    origins = api.get("/v1/config")["origins"]
    assert origins["sources.demo.rate"] == "t.yaml:2"
    assert origins["subscriptions.desk"] == "runtime"
    assert {"NSE:INFY", "NSE:NIFTY 50"} == {one["instrument"] for one in api.every("/v1/subscriptions")}
    assert api.get("/v1/sinks/archive")["state"] == "paused"
    written = api.get("/v1/sinks/archive")["written"]
    end = time.monotonic() + 10
    while api.get("/v1/status")["picture"]["totals"]["ticks"] < 50:
        assert time.monotonic() < end
    assert api.get("/v1/sinks/archive")["written"] == written
    api.post("/v1/sinks/archive/resume")
    api.post("/v1/sinks/archive/flush")
    assert api.get("/v1/sinks/archive")["written"] >= written + 50


@pytest.mark.full
def test_a_hundred_reloads_and_changes_at_once_are_made_one_after_the_other(daemon: Daemon) -> None:
    from tickerd.cli.client import Client

    api = Client(f"unix:{daemon.folder}/api.sock", timeout_s=60)
    answers: list[Any] = []

    def reload() -> None:
        answers.append(api.post("/v1/reload")["generation"])

    def change(number: int) -> None:
        body = {"instruments": ["NSE:NIFTY 50", "NSE:RELIANCE"][: 1 + number % 2], "owner": f"n{number % 7}"}
        answers.append(len(api.post("/v1/subscriptions", body)["accepted"]))

    threads = [threading.Thread(target=reload) for _ in range(50)]
    threads += [threading.Thread(target=change, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len(answers) == 100
    assert sorted(answers) == sorted([*range(2, 52), *[1, 2] * 25])
    assert (daemon.folder / "t.yaml").read_text() == YAML
    wanted = who_wants(api)
    owners = {f"api:n{number}" for number in range(7)}
    assert owners == set(wanted["NSE:NIFTY 50"]) == set(wanted["NSE:RELIANCE"])
    assert daemon.stop() == 0
    daemon.start()
    assert wanted == who_wants(api)


def who_wants(api: Any) -> dict[str, list[str]]:
    return {one["instrument"]: sorted(one["owners"]) for one in api.every("/v1/subscriptions")}
